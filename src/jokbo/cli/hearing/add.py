"""``jokbo hearing add FOLDER KIND``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jokbo.cli.hearing.options import entry_options, host_key, payload_of
from jokbo.cli.options import language, language_option

if TYPE_CHECKING:
    from jokbo.hearing.case.case import Case
    from jokbo.hearing.case.entry import Draft


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("kind")
@click.option("--key", type=click.Path(path_type=Path), required=True, help="The host's private key (PEM).")
@entry_options
@click.option("--exhibit", type=click.Path(path_type=Path), help="An exhibit's file, of any kind.")
@click.option("--claim", type=click.Path(path_type=Path), help="A claim's YAML file; it is linted now.")
@click.option(
    "--public-key", type=click.Path(path_type=Path), help="The public key (PEM) to enter for an account."
)
@click.option(
    "--author-key",
    type=click.Path(path_type=Path),
    help="The author's own private key, to sign the statement.",
)
@click.option(
    "--draft",
    type=click.Path(path_type=Path),
    help="A statement that `jokbo hearing sign` wrote, instead of fields.",
)
@language_option
def command(
    folder: Path,
    kind: str,
    key: Path,
    account: str,
    file: Path | None,
    fields: tuple[str, ...],
    about: int | None,
    supersedes: int | None,
    evidence: Path | None,
    exhibit: Path | None,
    claim: Path | None,
    public_key: Path | None,
    author_key: Path | None,
    draft: Path | None,
    lang: str | None,
) -> int:
    """Enter something in the case in FOLDER: one signed entry of KIND.

    KIND is party, role, key, interest, artefact, claim, exhibit, reproduction, rebuttal, reply, reply_timer,
    question, question_state, pin, vote, answer, transcript, finding, residual, withdrawal, moderation, notice
    or close. What each holds, who may enter it and when: docs/reference/hearing-log.md.
    """
    from jokbo.hearing.case.case import open_case
    from jokbo.hearing.case.entry import Author
    from jokbo.hearing.case.entry import Draft as NewDraft
    from jokbo.hearing.intake import refuse_lint
    from jokbo.report.texts import Texts

    t = Texts(language(lang))
    with open_case(folder, host_key(key, folder)) as case:
        if case.repaired:
            click.echo(t("hearing.cli.repaired", bytes=t.bytes(case.repaired)), err=True)
        if draft is not None:
            made = _signed(case, draft, kind, account, evidence)
        else:
            payload = payload_of(kind, file, fields)
            refuse_lint(kind, payload)
            payload = _completed(case, kind, payload, about, evidence, exhibit, claim, public_key)
            author = Author(account, case.state.role(account))
            made = _with_signature(case, NewDraft(kind, payload, author, about, supersedes), author_key)
        entry = case.add(made)
        word = t.code("hearing.kind", entry.kind)
        click.echo(t("hearing.cli.entered", number=entry.sequence, kind=word, digest=entry.digest[:16]))
    return 0


def _with_signature(case: Case, draft: Draft, author_key: Path | None) -> Draft:
    from jokbo.hearing.case.chain import sign_draft
    from jokbo.records.commit.keys import load_signer

    return draft if author_key is None else sign_draft(draft, case.head().case, load_signer(author_key))


def _signed(case: Case, draft: Path, kind: str, account: str, evidence: Path | None) -> Draft:
    """A statement that its author signed elsewhere, and the file that comes with it."""
    from jokbo.errors import UsageError
    from jokbo.hearing.case.drafts import parse_draft
    from jokbo.hearing.case.entry import MAX_LINE_BYTES
    from jokbo.hearing.exhibits import MAX_EVIDENCE_BYTES
    from jokbo.hearing.intake import read_small, refuse_lint

    made = parse_draft(read_small(draft, MAX_LINE_BYTES), case=case.head().case, where=draft.name)
    refuse_lint(made.kind, made.payload)
    if (made.kind, made.author.account) != (kind, account):
        raise UsageError(f"{draft} is a {made.kind} by {made.author.account!r}, not a {kind} by {account!r}.")
    if evidence is not None:
        case.exhibits.add(evidence, max_bytes=MAX_EVIDENCE_BYTES)
    return made


def _completed(
    case: Case,
    kind: str,
    payload: dict[str, Any],
    about: int | None,
    evidence: Path | None,
    exhibit: Path | None,
    claim: Path | None,
    public_key: Path | None,
) -> dict[str, Any]:
    """The payload with what the files given say."""
    from jokbo.errors import UsageError
    from jokbo.hearing import intake
    from jokbo.hearing.exhibits import MAX_EVIDENCE_BYTES

    fitting = {
        "exhibit": (exhibit, evidence),
        "reproduction": (evidence,),
        "claim": (claim,),
        "key": (public_key,),
    }
    given = [each for each in (evidence, exhibit, claim, public_key) if each is not None]
    if [each for each in given if each not in fitting.get(kind, ())] or len(given) > 1:
        raise UsageError(
            "one file at most: an exhibit takes --exhibit or --evidence, a reproduction --evidence, a claim --claim, "
            "a key --public-key."
        )
    if kind == "exhibit" and exhibit is not None:
        return intake.with_file(payload, case.exhibits.add(exhibit), exhibit.name)
    if evidence is not None:
        stored = case.exhibits.add(evidence, max_bytes=MAX_EVIDENCE_BYTES)
        if kind == "exhibit":
            return intake.with_evidence(payload, stored, evidence.name, case.exhibits)
        known = case.exhibits.read(intake.exhibit_digest(case.state, about))
        data = case.exhibits.read(stored.sha256)
        return intake.reproduction(payload, data, stored, evidence.name, known)
    if claim is not None:
        language_of = payload.get(
            "language", case.state.facts.payload["language"] if case.state.facts else "en"
        )
        return intake.with_lint(payload, claim, language_of)
    if public_key is not None:
        return intake.with_key(payload, public_key)
    return intake.with_dates(kind, payload, case.state, datetime.now(UTC), about)
