"""``jokbo league freeze FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jokbo.cli.options import language, language_option, write_file

if TYPE_CHECKING:
    from jokbo.league.freeze import Frozen
    from jokbo.league.round import Round


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), help="Private key (PEM) that signs the frozen round.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where the frozen round goes; else beside FILE, as FILE's name with .frozen.json.",
)
@click.option(
    "--public-key",
    type=click.Path(path_type=Path),
    help="Check the signature of a round that is frozen already with this key (PEM).",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@language_option
def command(
    file: Path, key: Path | None, output: Path | None, public_key: Path | None, quiet: bool, lang: str | None
) -> int:
    """Fix the rules of the round in FILE before results come in.

    Writes a frozen round: all that FILE says, with its digest. Publish the digest. Run again, it holds FILE against
    the frozen round and names every field that was changed since; nothing is overwritten.

    Exit status: 0 frozen, now or before, and unchanged; 2 changed since, or unreadable.
    """
    from jokbo.errors import UsageError
    from jokbo.league.freeze import read_frozen
    from jokbo.league.round_file import read_round

    round = read_round(file)
    target = output if output is not None else file.with_name(f"{file.stem}.frozen.json")
    if target.is_dir() or not target.parent.is_dir():
        raise UsageError(f"cannot write {target}: it is a folder, or lies in none. Choose another place.")
    if target.exists():
        if key is not None:
            raise UsageError(
                f"{target} is there already, and is not signed again. Choose another name with -o."
            )
        found, told = read_frozen(target), "unchanged"
    elif public_key is not None:
        raise UsageError(
            f"{target} is not there, and --public-key checks one that is. Freeze the round first."
        )
    else:
        found, told = _new(round, key), "frozen"
        write_file(target, found.to_bytes())
    signed_by = _check(round, found, target, public_key)
    if not quiet:
        _tell(found, target, told, signed_by, language(lang))
    return 0


def _new(round: Round, key: Path | None) -> Frozen:
    from datetime import UTC, datetime

    from jokbo.league.freeze import freeze
    from jokbo.records.commit.keys import load_signer

    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return freeze(round, signer=None if key is None else load_signer(key), date=now)


def _check(round: Round, found: Frozen, target: Path, public_key: Path | None) -> str | None:
    """Hold the round against what is frozen, and the signature against a key where one is given."""
    from jokbo.league.freeze import check_frozen
    from jokbo.records.commit.keys import load_public_key

    signed_by = None
    if public_key is not None:
        signed_by = found.check_signature([load_public_key(public_key)], where=target.name)
    check_frozen(round, found, where=target.name)
    return signed_by


def _tell(found: Frozen, target: Path, told: str, signed_by: str | None, lang: str) -> None:
    from jokbo.report.texts import Texts, clean

    t = Texts(lang)
    shown = {"file": clean(target, limit=1000), "date": found.date or t("ui.none")}
    click.echo(t(f"league.cli.freeze.{told}", **shown))
    click.echo(t("league.cli.freeze.digest", digest=found.digest))
    if signed_by is not None:
        click.echo(t("league.cli.freeze.signature_holds", keyid=signed_by))
    elif found.keyid is not None:
        key = "signed" if told == "frozen" else "signature_unchecked"
        click.echo(t(f"league.cli.freeze.{key}", keyid=found.keyid))
    else:
        click.echo(t("league.cli.freeze.unsigned"))
    click.echo(t("league.cli.freeze.publish"))
    if _foreseeable(found):
        click.echo(t("league.cli.freeze.foreseeable"))


def _foreseeable(found: Frozen) -> bool:
    rule = found.document["content"].get("elimination", {})
    steps = [step.get("by") for step in rule.get("tie_rule", ())]
    return "lot" in steps and rule.get("lot") is None
