"""``jokbo registry add MODEL...``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jokbo.cli.options import language, language_option, open_options, source_options
from jokbo.cli.registry.shared import print_json, register_options
from jokbo.cli.task_progress import task_progress

if TYPE_CHECKING:
    from jokbo.lineage.register.entries import Facts
    from jokbo.lineage.register.lists import ListedModel
    from jokbo.lineage.register.making import Added

SCHEMA = "jokbo.registry_add/1"
KNOWN = "known"
BAD_INPUT = 2


def _facts_options(command: Any) -> Any:
    """What the owner says of one model."""
    for option in (
        click.option("--public-since-source", metavar="TEXT", help="Where you have that date from."),
        click.option(
            "--public-since",
            metavar="DATE",
            help="You vouch that the model (of a fingerprint by others: that very file) was public on this date.",
        ),
        click.option(
            "--license", metavar="ID", help="Its licence: an SPDX identifier or a Hugging Face tag."
        ),
        click.option("--relation", help="How it was made: adapter, finetune, merge or quantized."),
        click.option(
            "--parent",
            "parents",
            metavar="MODEL",
            multiple=True,
            help="A model it was made from; may be repeated.",
        ),
        click.option("--name", help="What to call it; else what its fingerprint says."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("models", nargs=-1)
@click.option(
    "--from",
    "list_file",
    metavar="FILE",
    help="A list of models (TOML), or `known`: the base models that come with Jokbo as a list.",
)
@click.option("--group", "groups", multiple=True, help="Of a list only this group; may be repeated.")
@_facts_options
@click.option("--private", is_flag=True, help="Make fingerprints that hold no rows.")
@click.option("--again", is_flag=True, help="Look again at hub models that are registered already.")
@click.option("--random-salt", is_flag=True, help="Begin the register with a salt that nobody can foresee.")
@click.option(
    "--executor", default="serial", show_default=True, metavar="NAME", help="serial, processes or ray."
)
@click.option("--workers", type=click.IntRange(min=1), help="Fingerprints made at once.")
@click.option("--ray-address", metavar="ADDRESS", help="Of a Ray cluster; else one is begun here.")
@click.option("--keep-going", is_flag=True, help="Exit with 0 although some models could not be registered.")
@register_options
@language_option
@source_options
def command(
    models: tuple[str, ...],
    list_file: str | None,
    groups: tuple[str, ...],
    name: str | None,
    parents: tuple[str, ...],
    relation: str | None,
    license: str | None,
    public_since: str | None,
    public_since_source: str | None,
    private: bool,
    again: bool,
    random_salt: bool,
    executor: str,
    workers: int | None,
    ray_address: str | None,
    keep_going: bool,
    directory: Path | None,
    as_json: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
) -> int:
    """Register models.

    Each of MODELS is a fingerprint file, or anything that names a model: a folder, a file of weights, a
    Hugging Face id (org/name or org/name@revision), an address; its fingerprint is then made. A model that
    cannot be read is reported at the end, and the others stand; a run that was stopped goes on where it was.

    Exit status: 0 all are registered; 2 some are not.
    """
    from jokbo.lineage.register.entries import Facts
    from jokbo.lineage.register.making import add_models

    facts = Facts(name, parents, relation, license, public_since, public_since_source)
    wanted = _wanted(models, list_file, groups, facts)
    register = _open(directory, random_salt)
    with task_progress(quiet=False, lang=language(lang)) as line:
        added = add_models(
            register,
            wanted,
            private=private,
            again=again,
            executor=executor,
            workers=workers,
            ray_address=ray_address,
            options=open_options(
                offline=offline, cache_dir=cache_dir, cache_size=cache_size, adapter_base=adapter_base
            ),
            progress=line,
        )
    document = _document(added, register.folder)
    if as_json:
        print_json(document)
    else:
        from rich.console import Console

        from jokbo.report.register import render_added

        render_added(document, lang=language(lang), console=Console())
    return BAD_INPUT if added.failed and not keep_going else 0


def _wanted(
    models: tuple[str, ...], list_file: str | None, groups: tuple[str, ...], facts: Facts
) -> list[ListedModel]:
    from jokbo.errors import UsageError
    from jokbo.lineage.register.entries import Facts as NoFacts
    from jokbo.lineage.register.entries import check_facts
    from jokbo.lineage.register.lists import ListedModel, known_models, read_list

    if bool(models) is (list_file is not None):
        raise UsageError("name the models to register, or a list of them with --from FILE; one of the two.")
    if list_file is None:
        if groups:
            raise UsageError("--group chooses from a list. Name one with --from FILE, or leave --group out.")
        if facts != NoFacts() and len(models) != 1:
            raise UsageError(
                f"{len(models)} models are named, and what is declared is of one. Declare it in a list: --from FILE."
            )
        check_facts(facts)
        return [ListedModel(model, facts) for model in models]
    if facts != NoFacts():
        raise UsageError("what is declared of the models of a list stands in the list. Write it there.")
    listed = known_models() if list_file == KNOWN else read_list(Path(list_file))
    missing = sorted(set(groups) - {model.group for model in listed if model.group})
    if missing:
        raise UsageError(
            f"the list has no group {missing[0]!r}. `jokbo registry list --known` shows those of `known`."
        )
    return [model for model in listed if not groups or model.group in groups]


def _open(directory: Path | None, random_salt: bool) -> Any:
    from jokbo.errors import UsageError
    from jokbo.lineage.register import default_folder, open_register
    from jokbo.lineage.register import random_salt as draw

    if not random_salt:
        return open_register(directory, create=True)
    salt = draw()
    register = open_register(directory, create=True, salt=salt)
    if register.salt != salt:
        raise UsageError(
            f"the register {directory or default_folder()} is there and keeps its salt. Leave --random-salt out, or "
            "begin another with --registry."
        )
    return register


def _document(added: Added, folder: Path) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "folder": str(folder),
        "added": [entry.to_document() for entry in added.added],
        "known": [entry.to_document() for entry in added.known],
        "failed": [{"model": model, "reason": reason} for model, reason in added.failed],
    }
