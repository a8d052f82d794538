"""``jokbo record commit FOLDER --key KEY``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from jokbo.cli.options import language, language_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), help="Private key (PEM) that signs the link.")
@click.option(
    "--new-key", type=click.Path(path_type=Path), help="Make a key in this file first, and sign with it."
)
@click.option("--step", type=click.IntRange(min=0), help="Updates made so far.")
@click.option(
    "--item",
    "items",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File or folder to commit to; else all that is new in FOLDER. May be repeated.",
)
@click.option("--note", default="", help="A remark, kept in the link.")
@click.option("--name", default="", help="First link: name of the run; else that of FOLDER.")
@click.option(
    "--beacon",
    type=click.Path(path_type=Path),
    help="First link: file in FOLDER with public randomness, from which the seed is drawn.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="First link: a seed of your own, where no beacon is."
)
@click.option(
    "--declaration",
    type=click.Path(path_type=Path),
    help="First link: file in FOLDER with what is declared beforehand.",
)
@click.option("--tsa", default="", metavar="URL", help="Time stamp server (RFC 3161).")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@language_option
def command(
    folder: Path,
    key: Path | None,
    new_key: Path | None,
    step: int | None,
    items: tuple[Path, ...],
    note: str,
    name: str,
    beacon: Path | None,
    seed: int | None,
    declaration: Path | None,
    tsa: str,
    as_json: bool,
    lang: str | None,
) -> int:
    """Commit to a record while the training runs: one signed link for what is new in FOLDER.

    The first call begins the chain, FOLDER/commitments/chain.jsonl, and prints the seed to draw the
    first weights from. Each later call adds a link, which names the one before by digest.
    """
    from jokbo.records.commit.writer import commit

    made = commit(
        folder,
        items or None,
        key=_signer(folder, key, new_key),
        step=step,
        note=note,
        name=name,
        beacon=beacon,
        seed=seed,
        declaration=declaration,
        tsa=tsa,
    )
    if as_json:
        from jokbo.evidence.canonical import canonical_bytes

        click.echo(canonical_bytes(_document(made)).decode())
    else:
        click.echo(_text(made, beacon, language(lang)))
    return 0


def _signer(folder: Path, key: Path | None, new_key: Path | None) -> Any:
    from jokbo.errors import UsageError
    from jokbo.records.commit.keys import load_signer, make_key

    if (key is None) is (new_key is None):
        raise UsageError(
            "give the private key with --key, or have one made with --new-key; not both, and not neither."
        )
    chosen = key if key is not None else new_key
    assert chosen is not None
    if chosen.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"the key {chosen} lies inside {folder}, which others will be given. Keep it somewhere else."
        )
    return load_signer(chosen) if key is not None else make_key(chosen)


def _document(made: Any) -> dict[str, Any]:
    return {
        "schema": "jokbo.commitment/1",
        "chain": str(made.chain),
        "index": made.link.index,
        "step": made.link.step,
        "sha256": made.link.sha256,
        "items": [item.to_document() for item in made.link.items],
        "genesis": made.genesis.to_document(),
        "timestamp": None if made.timestamp is None else str(made.timestamp),
    }


def _text(made: Any, beacon: Path | None, lang: str) -> str:
    from jokbo.report.texts import Texts

    t = Texts(lang)
    link = made.link
    size = sum(item.size for item in link.items)
    lines = []
    if link.index == 0:
        lines.append(
            t(
                "record.commit.begun",
                chain=made.chain,
                keyid=hashlib.sha256(made.genesis.keys[0]).hexdigest()[:16],
            )
        )
        if made.genesis.seed is not None:
            code = "seed_of_beacon" if beacon is not None else "seed_chosen"
            lines.append(t(f"record.commit.{code}", seed=str(made.genesis.seed)))
        else:
            lines.append(t("record.commit.no_seed"))
    lines.append(
        t(
            "record.commit.link",
            index=link.index,
            count=len(link.items),
            bytes=t.bytes(size),
            digest=link.sha256[:16],
        )
    )
    lines.append(t("record.commit.stamped" if made.timestamp else "record.commit.not_stamped"))
    return "\n".join(lines)
