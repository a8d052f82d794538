"""``jokbo hearing sign FOLDER KIND``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jokbo.cli.hearing.options import entry_options, payload_of
from jokbo.cli.options import language, language_option, write_file

if TYPE_CHECKING:
    from jokbo.hearing.case.state import CaseState


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("kind")
@click.option(
    "--author-key", type=click.Path(path_type=Path), required=True, help="Your own private key (PEM)."
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Where the signed statement goes."
)
@entry_options
@language_option
def command(
    folder: Path,
    kind: str,
    author_key: Path,
    out: Path,
    account: str,
    file: Path | None,
    fields: tuple[str, ...],
    about: int | None,
    supersedes: int | None,
    evidence: Path | None,
    lang: str | None,
) -> int:
    """Sign a statement of KIND for the case whose archive is in FOLDER, without the host's key.

    Give the file that is written to the host, with your evidence if it is a reproduction. The host enters it with
    `jokbo hearing add --draft`, and can change nothing in it.
    """
    from jokbo.hearing.case.chain import sign_draft
    from jokbo.hearing.case.drafts import draft_to_bytes
    from jokbo.hearing.case.entry import Author, Draft
    from jokbo.hearing.case.kinds import check_payload
    from jokbo.records.commit.keys import load_signer
    from jokbo.report.texts import Texts

    state = _state(folder)
    assert state.facts is not None
    payload = payload_of(kind, file, fields)
    if evidence is not None:
        payload = _reproduction(folder, state, payload, about, evidence)
    check_payload(kind, payload, where=f"the {kind}")
    draft = Draft(kind, payload, Author(account, state.role(account)), about, supersedes)
    signed = sign_draft(draft, state.facts.case, load_signer(author_key))
    write_file(out, draft_to_bytes(signed, state.facts.case))
    click.echo(Texts(language(lang))("hearing.cli.signed", case=state.facts.case[:16], path=out))
    return 0


def _state(folder: Path) -> CaseState:
    from jokbo.hearing.case.case import open_case

    with open_case(folder) as case:
        return case.state


def _reproduction(
    folder: Path, state: CaseState, payload: dict[str, Any], about: int | None, evidence: Path
) -> dict[str, Any]:
    from jokbo.hearing import intake
    from jokbo.hearing.archive.site import MANIFEST
    from jokbo.hearing.exhibits import FOLDER, MAX_EVIDENCE_BYTES, ExhibitStore, StoredFile

    archive = (folder / MANIFEST).exists()
    files: intake.Files = intake.ArchiveFiles(folder) if archive else ExhibitStore(folder / FOLDER)
    known = files.read(intake.exhibit_digest(state, about))
    data = intake.read_small(evidence, MAX_EVIDENCE_BYTES)
    stored = StoredFile(len(data), hashlib.sha256(data).hexdigest())
    return intake.reproduction(payload, data, stored, evidence.name, known)
