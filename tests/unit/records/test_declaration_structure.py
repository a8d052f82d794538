"""A declaration is taken as it is written or refused: nothing is converted, guessed or left out."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from jokbo.errors import FormatError
from jokbo.records import declaration as parts
from jokbo.records.consistency import RANGES
from jokbo.records.declaration import Declaration, EventKind
from jokbo.records.manifest import named_paths, read_declaration
from jokbo.records.structure import structure_declaration
from jokbo.testing.packs import TINY_DECLARATION

DOCS = Path(__file__).resolve().parents[3] / "docs"


def read(text: str) -> Declaration:
    return read_declaration(text.encode(), where="record.toml")


def changed(old: str, new: str) -> str:
    assert old in TINY_DECLARATION
    return TINY_DECLARATION.replace(old, new, 1)


def test_a_whole_declaration_is_read():
    found = read(TINY_DECLARATION)
    assert found.name == "tiny"
    assert found.steps == 4
    assert found.optimizer.betas == (0.9, 0.95)
    assert found.batch[0].tokens == 6
    assert found.checkpoint[1].optimizer == "optimizer/step-2.safetensors"
    assert found.event[0].kind is EventKind.RESTART
    assert found.environment == {"python": "3.11"}
    assert found.commitments is None


def test_whole_numbers_may_stand_for_numbers_and_nothing_else_for_anything():
    assert read(changed("peak = 0.01", "peak = 1")).schedule.peak == 1.0


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("steps = 4", 'steps = "4"', "field steps: expected a whole number, found '4'"),
        ("steps = 4", "steps = 4.0", "field steps: expected a whole number, found 4.0"),
        ("steps = 4", "steps = true", "field steps: expected a whole number, found true"),
        ("steps = 4", "", "field steps: expected a value, found nothing"),
        ("steps = 4", "steps = 2024-01-01", "field steps: expected a whole number, found datetime"),
        ('name = "tiny"', "name = 3", "field name: expected text, found 3"),
        ("betas = [0.9, 0.95]", 'betas = "0.9"', r"field optimizer.betas: expected a list, found '0.9'"),
        (
            "betas = [0.9, 0.95]",
            "betas = [0.9, nan]",
            r"field optimizer.betas\[1\]: expected a number, found nan",
        ),
        ("peak = 0.01", "peak = inf", "field schedule.peak: expected a number, found inf"),
        ("weight_decay", "weigth_decay", "unknown field 'weigth_decay'; did you mean weight_decay"),
        ("[model]", "[modell]", "unknown field 'modell'; did you mean model"),
        (
            'kind = "restart"',
            'kind = "pause"',
            r"field event\[0\].kind: expected one of restart, .* found 'pause'",
        ),
        ('python = "3.11"', "python = 3.11", "field environment: expected text under 'python', found 3.11"),
        ("[[batch]]", "[batch]", "field batch: expected a list, found a table"),
    ],
)
def test_what_is_not_of_its_type_is_refused_by_field(old: str, new: str, match: str):
    with pytest.raises(FormatError, match=match) as caught:
        read(changed(old, new))
    assert str(caught.value).startswith("record.toml: ")
    assert str(caught.value).endswith("Correct the declaration.")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("steps = 4", "steps = -1", "field steps: expected a number from 0 to 10,000,000, found -1"),
        ("steps = 4", f"steps = {10**30}", "field steps: expected a number from 0 to 10,000,000"),
        ("steps = 4", "steps = 3", r"checkpoint\[2\].step: expected at most the run's 3 steps, found 4"),
        (
            "betas = [0.9, 0.95]",
            "betas = [0.9, 1.0]",
            r"betas\[1\]: expected a number from 0 to below 1, found 1",
        ),
        ("betas = [0.9, 0.95]", "betas = [0.9]", "betas: expected 2 numbers for adamw, found 1"),
        (
            'decays = "matrices"',
            'decays = "some"',
            "decays: expected one of all, matrices, none, found 'some'",
        ),
        ('kind = "linear"', 'kind = "stairs"', "schedule.kind: expected one of constant, .* found 'stairs'"),
        (
            "total_steps = 4",
            "total_steps = 1",
            "total_steps: expected more than the 1 steps of warm-up, found 1",
        ),
        ("sequences = 2", "sequences = 0", r"batch\[0\].sequences: expected a number from 1 to"),
        ("from_step = 1", "from_step = 2", r"batch\[0\].from_step: expected 0 or 1"),
        (
            'name = "step-2"',
            'name = "step-0"',
            r"checkpoint\[1\].name: 'step-0' is the name of checkpoint\[0\] too",
        ),
        ('name = "tiny"', 'name = ""', "field name: expected 1 to 200 printable characters, found ''"),
        ('name = "tiny"', r'name = "a\nb"', "field name: expected 1 to 200 printable characters"),
        ('path = "checkpoints/step-0"', "", r"checkpoint\[0\].path: expected weights \(path\), sampled rows"),
        ('path = "checkpoints/step-0"', 'digest = "AB"', r"checkpoint\[0\].digest: expected 64 hexadecimal"),
        ('path = "checkpoints/step-0"', f'path = "a"\ndigest = "{"0" * 64}"', "the weights, or a digest"),
        ("seed = 7", 'seed = 7\nstored = "float32"', "initialisation.stored: expected an element type"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_field(old: str, new: str, match: str):
    with pytest.raises(FormatError, match=match):
        read(changed(old, new))


def test_a_scheduled_decay_has_to_fit_into_the_run():
    text = changed('kind = "linear"', 'kind = "wsd"\ndecay_steps = 4')
    with pytest.raises(FormatError, match="decay_steps: expected at most 3, found 4"):
        read(text)


def test_only_the_first_problems_are_named_and_the_others_counted():
    document = tomllib.loads(TINY_DECLARATION)
    document["checkpoint"] = [{"name": 1, "step": "x"}] * 6
    with pytest.raises(FormatError, match=r"checkpoint\[0\].name: .*; and \d+ more\. Correct"):
        structure_declaration(document, where="record.toml")


def test_lists_are_bounded():
    document = tomllib.loads(TINY_DECLARATION)
    document["log"] = [{"path": "log.jsonl"}] * 1001
    with pytest.raises(FormatError, match="field log: expected at most 1,000 members, found 1,001"):
        structure_declaration(document, where="record.toml")
    document["log"] = []
    document["environment"] = {str(k): "" for k in range(10_001)}
    with pytest.raises(FormatError, match="expected at most 10,000 entries"):
        structure_declaration(document, where="record.toml")
    document["environment"] = {"a": "b" * 10_001}
    with pytest.raises(FormatError, match="expected at most 10,000 characters, found 10,001"):
        structure_declaration(document, where="record.toml")


def numeric_fields() -> list[str]:
    """Every field of the declaration that holds numbers, by the annotations themselves."""
    found = []
    for name, kind in vars(parts).items():
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            for field, hint in get_type_hints(kind).items():
                kinds: tuple[Any, ...] = (hint, *get_args(hint))
                if int in kinds or float in kinds:
                    found.append(f"{name}.{field}")
    return found


def test_every_number_of_the_declaration_has_a_range():
    assert len(numeric_fields()) > 25
    assert sorted(numeric_fields()) == sorted(RANGES)


@pytest.mark.parametrize("page", ["reference/disclosure-pack", "how-to/disclose-a-training-record"])
@pytest.mark.parametrize("lang", ["", ".ko"])
def test_the_examples_of_the_documents_are_declarations(page: str, lang: str):
    text = (DOCS / f"{page}{lang}.md").read_text(encoding="utf-8")
    example = text.partition("```toml\n")[2].partition("```")[0]
    found = read("\n".join(line.removeprefix("   ") for line in example.splitlines()))
    assert found.log
    assert found.checkpoint


def test_the_example_of_the_reference_holds_every_field():
    """A field that is added without being documented fails here."""
    text = (DOCS / "reference/disclosure-pack.md").read_text(encoding="utf-8")
    example = tomllib.loads(text.partition("```toml\n")[2].partition("```")[0])
    for name, hint in get_type_hints(Declaration).items():
        kinds = [kind for kind in (hint, *get_args(hint)) if dataclasses.is_dataclass(kind)]
        for kind in kinds:
            tables = example[name] if isinstance(example[name], list) else [example[name]]
            shown = {field for table in tables for field in table}
            assert {field.name for field in dataclasses.fields(kind)} - shown <= LEFT_OUT.get(name, set()), (
                name
            )


LEFT_OUT = {"checkpoint": {"rows", "digest"}}
"""What the pack itself writes in place of weights; the section on checkpoints explains it."""


def test_every_field_that_names_a_file_is_found_as_one():
    """`named_paths` decides what is packed and checked: a field whose documentation says "file" must be in it."""
    found = set()
    for name, kind in vars(parts).items():
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            documented = (kind.__doc__ or "").partition("Attributes")[2]
            for field, _ in re.findall(
                r"^    (\w+) : [^\n]*\n\s+((?:File|Folder)[^\n]*)", documented, re.MULTILINE
            ):
                found.add(f"{name}.{field}")
    assert {"Model.config", "Data.order", "CheckpointEntry.path", "LogEntry.path"} <= found
    every = Declaration(
        "all",
        1,
        model=parts.Model(config="x"),
        initialisation=parts.Initialisation(beacon="x", parameter_order="x"),
        data=parts.Data(windows="x", order="x", held_out="x"),
        log=(parts.LogEntry("x"),),
        checkpoint=(parts.CheckpointEntry("a", 0, path="x", rows="x"),),
    )
    tables = {
        "model": "Model",
        "initialisation": "Initialisation",
        "data": "Data",
        "log": "LogEntry",
        "checkpoint": "CheckpointEntry",
    }
    named = {
        f"{tables[place.split('.')[0].split('[')[0]]}.{place.rsplit('.', 1)[1]}"
        for place, _ in named_paths(every)
    }
    assert found == named
