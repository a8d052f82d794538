"""The layout of a pack says what is disclosed, and what each check lacks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from jokbo.evidence.canonical import canonical_bytes
from jokbo.records.checks.base import CheckKind
from jokbo.records.inspection import AUDITOR, disclosures, layout_document
from jokbo.records.pack import open_pack, write_pack
from jokbo.records.record import Record
from jokbo.testing.packs import write_tiny_run


class Needy:
    """What the layout asks of a check."""

    kind = CheckKind.EXACT

    def __init__(self, name: str, *needs: str) -> None:
        self.number, self.name, self.needs = 1, name, needs


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return write_pack(write_tiny_run(tmp_path / "run"), tmp_path / "pack")


def layout(record: Record, *needs: str) -> dict[str, Any]:
    return layout_document(record, [Needy("bytes", *needs)])  # type: ignore[list-item]


def test_the_layout_of_a_whole_pack(record: Record):
    document = layout(record, "log", "held_out")
    assert document["digest"] == record.digest
    assert document["files"] == {
        "count": len(record.files),
        "bytes": sum(f.size for f in record.files.values()),
    }
    assert document["logs"] == [
        {
            "file": "log.jsonl",
            "format": "tabular",
            "rows": 4,
            "first_step": 1,
            "last_step": 4,
            "resumed": False,
            "sampled": "",
        }
    ]
    assert document["metrics"]["loss"] == 4
    assert [(c["step"], c["form"], c["optimizer"]) for c in document["checkpoints"]] == [
        (0, "weights", False),
        (2, "weights", True),
        (4, "weights", False),
    ]
    sizes = {path: file.size for path, file in record.files.items() if path.startswith("checkpoints/step-0/")}
    assert document["checkpoints"][0]["bytes"] == sum(sizes.values())
    assert document["events"] == [{"kind": "restart", "step": 2, "note": "machine changed"}]
    assert document["checks"] == [{"number": 1, "name": "bytes", "kind": "exact", "missing": ["held_out"]}]
    canonical_bytes(document)


def test_what_is_disclosed(record: Record):
    found = disclosures(record)
    assert {code for code, there in found.items() if not there} == {"timestamps", "held_out", "chain"}


@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ('[[log]]\npath = "log.jsonl"\nformat = "tabular"\n', "", {"log", "loss", "learning_rate", "tokens"}),
        ('step = 0\npath = "checkpoints/step-0"', 'step = 1\npath = "checkpoints/step-0"', {"step0"}),
        ('step = 4\npath = "checkpoints/step-4"', 'step = 3\npath = "checkpoints/step-4"', {"final"}),
        ('optimizer = "optimizer/step-2.safetensors"', "", {"optimizer_state"}),
        ('order = "data/order.npy"', "", {"order"}),
        ('windows = "data/windows.npy"', "", {"windows", "unseen_tokens"}),
        ("seed = 7", "", {"seed"}),
        ("count = 1", "", {"hardware"}),
        ('law = "normal"', "", {"initialisation"}),
    ],
)
def test_each_disclosure_is_told_from_its_absence(tmp_path: Path, old: str, new: str, lost: set[str]):
    run = write_tiny_run(tmp_path / "run")
    assert old in run.read_text()
    run.write_text(run.read_text().replace(old, new))
    found = disclosures(write_pack(run, tmp_path / "pack"))
    assert {code for code, there in found.items() if not there} == {"timestamps", "held_out", "chain"} | lost


def test_digests_alone_disclose_no_weights(tmp_path: Path):
    run = write_tiny_run(tmp_path / "run")
    document = layout(
        write_pack(run, tmp_path / "digests", digest_only=True), "checkpoints", "step0", "config"
    )
    assert document["checks"][0]["missing"] == ["checkpoints", "step0"]
    assert {c["form"] for c in document["checkpoints"]} == {"digest"}
    assert all(len(c["digest"]) == 64 and c["bytes"] == 0 for c in document["checkpoints"])
    rows = layout(write_pack(run, tmp_path / "rows", sample_rows=2), "checkpoints", "step0")
    assert rows["checks"][0]["missing"] == []
    assert {c["form"] for c in rows["checkpoints"]} == {"rows"}


def test_a_partial_pack_lacks_what_is_absent(record: Record):
    shutil.rmtree(record.folder / "checkpoints" / "step-0")
    found = disclosures(open_pack(record.folder, partial=True))
    assert not found["step0"]
    assert found["checkpoints"]


def test_what_only_the_auditor_can_bring_is_not_the_packs(record: Record):
    assert layout(record, "against")["checks"][0]["missing"] == ["against"]
    assert not set(AUDITOR) & set(disclosures(record))
