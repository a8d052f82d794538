"""``jokbo verify DOCUMENT``: evidence of a comparison, a search, or a document about a training record."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jokbo.cli.options import language, language_option, open_options, progress_line, source_options

if TYPE_CHECKING:
    from jokbo.sources.base import OpenOptions


@click.command()
@click.argument("evidence", type=click.Path(path_type=Path))
@click.option("--reference", help="Where the reference is; needed unless it is on a hub.")
@click.option("--candidate", help="Where the candidate is; needed unless it is on a hub.")
@click.option(
    "--population",
    type=click.Path(path_type=Path),
    help="The known-independent models that the evidence ranks the pair among, if not the zoo's.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="The pack that an audit, a chain, a statement or a bill of materials is about.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Public key (PEM) whose signature counts; may be repeated.",
)
@click.option(
    "--tsa-certificate",
    "tsa",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Certificates of a time stamp authority that the audit was given; may be repeated.",
)
@click.option(
    "--registry",
    type=click.Path(path_type=Path),
    help="The register that a search was made in, if not the default.",
)
@click.option("--against", multiple=True, help="A model that the audit was given; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@language_option
@source_options
def command(
    evidence: Path,
    reference: str | None,
    candidate: str | None,
    population: Path | None,
    record: Path | None,
    keys: tuple[Path, ...],
    tsa: tuple[Path, ...],
    registry: Path | None,
    against: tuple[str, ...],
    as_json: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
) -> int:
    """Run what a piece of evidence claims again, and say whether it holds.

    A search is repeated with its register and its candidate. Also verifies, offline, what `jokbo record`
    writes: an audit (with --record it is repeated), a chain of commitments, a DSSE envelope or in-toto
    statement, a CycloneDX document. What is not given is not checked, and the answer says so.

    Exit status: 0 it holds; 11 it does not; 2 it cannot be repeated.
    """
    with progress_line(as_json) as line:
        options = open_options(
            offline=offline,
            cache_dir=cache_dir,
            cache_size=cache_size,
            adapter_base=adapter_base,
            progress=line,
        )
        text, holds = _verifier(
            evidence,
            pair={"reference": reference, "candidate": candidate, "population": population},
            search={"registry": registry, "candidate": candidate},
            record={
                "record": record,
                "given": {"keys": keys, "tsa_certificates": tsa, "against": against},
            },
        )(options=options, tell=line.tell if line else None, as_json=as_json, lang=lang)
    click.echo(text)
    return 0 if holds else 11


def _verifier(
    document: Path, *, pair: dict[str, Any], search: dict[str, Any], record: dict[str, Any]
) -> Callable[..., tuple[str, bool]]:
    """What repeats a document of its kind, with what was given for that kind."""
    from jokbo.cli.lineage_document import refuse_board, refuse_tree, schema_of
    from jokbo.cli.verify_search import verify_search_file
    from jokbo.league.board import SCHEMA as BOARD
    from jokbo.lineage.graph.document import SCHEMA as TREE
    from jokbo.lineage.search_document import SCHEMA as SEARCH

    schema = schema_of(document)
    if schema == TREE:
        refuse_tree(document)
    if schema == BOARD:
        refuse_board(document)
    if schema == SEARCH:
        return partial(verify_search_file, document, **search)
    if _is_about_a_record(document):
        return partial(_verify_record_document, document, **record)
    return partial(_verify_evidence, document, given=pair)


def _is_about_a_record(path: Path) -> bool:
    from jokbo.errors import NotFoundError
    from jokbo.records.attest.verify_documents import recognise

    try:
        return bool(recognise(path))
    except NotFoundError:
        return False  # which the reader of evidence says in its own words


def _verify_evidence(
    evidence: Path,
    *,
    given: dict[str, Any],
    options: OpenOptions,
    tell: Callable[[str, str], None] | None,
    as_json: bool,
    lang: str | None,
) -> tuple[str, bool]:
    from jokbo.evidence.canonical import canonical_bytes
    from jokbo.evidence.verify import verify
    from jokbo.report.verification import render_verification, verification_document

    outcome = verify(evidence, **given, options=options, progress=tell)
    if as_json:
        return canonical_bytes(verification_document(outcome)).decode(), outcome.holds
    return render_verification(outcome, lang=language(lang)), outcome.holds


def _verify_record_document(
    path: Path,
    *,
    record: Path | None,
    given: dict[str, tuple[Any, ...]],
    options: OpenOptions,
    tell: Callable[[str, str], None] | None,
    as_json: bool,
    lang: str | None,
) -> tuple[str, bool]:
    from jokbo.evidence.canonical import canonical_bytes
    from jokbo.records.attest.verify_documents import verify_document
    from jokbo.records.audit import verify_audit
    from jokbo.records.commit.keys import load_public_keys
    from jokbo.records.pack import open_pack
    from jokbo.report.verification import document_outcome, render_document_verification

    as_text = {name: tuple(map(str, values)) for name, values in given.items()}
    outcome = verify_document(
        path,
        record=None if record is None else open_pack(record),
        keys=load_public_keys(given["keys"]),
        repeat=lambda document, _: verify_audit(
            document, record or "", **as_text, options=options, progress=tell
        ),
    )
    if as_json:
        return canonical_bytes(document_outcome(outcome)).decode(), outcome.holds
    return render_document_verification(outcome, lang=language(lang)), outcome.holds
