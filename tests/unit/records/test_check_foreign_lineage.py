"""C16: states of a record beside named models, on the zoo's really trained ones."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from jokbo.errors import InputError
from jokbo.records.checks.base import FOUND_LOG_PVALUE, CheckContext, CheckResult, Observation
from jokbo.records.checks.foreign_lineage import ForeignLineage, is_model
from jokbo.records.declaration import CheckpointEntry, CheckpointRole, Declaration
from jokbo.records.record import Record


def record_of(folder: Path, zoo: Path, *names: str, published: str | None = None) -> Record:
    """A record whose states at steps 0, 100, 200, ... are these models of the zoo."""
    entries = [CheckpointEntry(name, 100 * k, path=name) for k, name in enumerate(names)]
    if published is not None:
        entries.append(
            CheckpointEntry(published, 100 * len(names), path=published, role=CheckpointRole.PUBLISHED)
        )
    for entry in entries:
        shutil.copytree(zoo / entry.path, folder / entry.path)
    steps = 100 * (len(names) - 1)
    return Record(folder, Declaration("made", steps, checkpoint=tuple(entries)), {}, "0" * 64)


def run(record: Record, *against: Path | str) -> CheckResult:
    return ForeignLineage().run(record, CheckContext(seed=1, against=tuple(map(str, against))))


def test_a_run_of_its_own_passes_with_power(tmp_path: Path, zoo: Path):
    found = run(record_of(tmp_path, zoo, "base1", "base2", "base3"), zoo / "base0")
    assert found.observation is Observation.HOLDS
    assert [(p.found, p.tried) for p in found.planted] == [(299, 299)]
    assert found.planted[0].powered


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_named_model_is_found_wherever_it_stands(tmp_path: Path, zoo: Path, place: int):
    names = ["base1", "base2", "base3"]
    names[place] = "sft0"
    found = run(record_of(tmp_path, zoo, *names), zoo / "base0")
    assert found.observation is Observation.VIOLATED
    assert found.log_pvalue is not None
    assert found.log_pvalue < FOUND_LOG_PVALUE
    assert found.reasons[0].values["checkpoint"] == "sft0"


def test_published_weights_are_compared_too(tmp_path: Path, zoo: Path):
    record = record_of(tmp_path, zoo, "base1", "base2", "base3", published="lora0")
    assert run(record, zoo / "base0").reasons[0].values["checkpoint"] == "lora0"


def test_each_further_pair_is_paid_for(tmp_path: Path, zoo: Path):
    record = record_of(tmp_path, zoo, "base1", "base2", "sft0")
    alone, among = run(record, zoo / "base0"), run(record, zoo / "base0", zoo / "distil0")
    assert among.log_pvalue == pytest.approx(alone.log_pvalue + math.log(2))


def test_without_a_middle_nothing_is_concluded(tmp_path: Path, zoo: Path):
    found = run(record_of(tmp_path, zoo, "base1", "base2"), zoo / "base0")
    assert (found.observation, found.reasons[0].code) == (Observation.UNKNOWN, "few_states")


def test_a_model_without_common_parts_is_no_pass(tmp_path: Path, zoo: Path):
    found = run(record_of(tmp_path, zoo, "base1", "base2", "base3"), zoo / "gpt2-0")
    assert found.observation is Observation.UNKNOWN


def test_nothing_named_is_no_pass(tmp_path: Path, zoo: Path):
    found = run(record_of(tmp_path, zoo, "base1"))
    assert (found.observation, found.missing) == (Observation.UNKNOWN, ("against",))


def test_a_misspelt_model_is_an_error_not_an_omission(tmp_path: Path, zoo: Path):
    with pytest.raises(InputError, match="nowhere"):
        run(record_of(tmp_path, zoo, "base1", "base2", "base3"), tmp_path / "nowhere")


def test_logs_and_packs_are_left_to_other_checks(tmp_path: Path):
    (tmp_path / "log.jsonl").write_text("{}")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/manifest.json").write_text("{}")
    assert not is_model(str(tmp_path / "log.jsonl"))
    assert not is_model(str(tmp_path / "pack"))
    assert is_model("org/name")
