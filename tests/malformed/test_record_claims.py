"""Declarations and states that claim too much: refused, bounded, or no longer a pass."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jokbo.errors import EvidenceError, FormatError
from jokbo.records.audit import audit
from jokbo.records.consistency import check_consistency
from jokbo.records.declaration import Declaration, Event, EventKind, Initialisation
from jokbo.records.document import check
from jokbo.records.motion import UNBOUNDED, adam_bounds, moment_bound
from jokbo.testing.trainings import declared, disclose, train

AUDITS = Path(__file__).resolve().parents[1] / "golden" / "audits"
WEIGHTS = (
    "duplicates",
    "step_bound",
    "init_law",
    "init_imprint",
    "neuron_identity",
    "geometry",
    "optimizer_state",
)


@pytest.mark.parametrize("betas", [(0.9, 0.0), (0.0, 0.0), (0.99, 1e-9), (1 - 1e-16, 1 - 1e-16)])
def test_betas_without_a_bound_give_numbers(betas: tuple[float, float]):
    for bounds in (adam_bounds(betas, 0, 5000), adam_bounds(betas, 0, 5000, restarted=True)):
        assert np.isfinite(bounds).all()
        assert (bounds <= UNBOUNDED).all()
    assert np.isfinite(moment_bound(betas, 5000))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"initialisation": Initialisation("normal", 1e-300)},
            "initialisation.std: expected 0 or at least 1e-30",
        ),
        (
            {"event": (Event(EventKind.RESTART, 1),) * 2001},
            "event: expected at most 2,000 events, found 2,001",
        ),
    ],
)
def test_claims_that_checks_could_not_bear(changes: dict[str, Any], match: str):
    with pytest.raises(FormatError, match=match):
        check_consistency(Declaration("run", 10, **changes), where="record.toml")


def test_rollbacks_that_walk_the_run_again_and_again(tmp_path: Path):
    record = disclose(train(0), tmp_path)
    steps = 1_000_000
    events = tuple(Event(EventKind.ROLLBACK, steps, 0) for _ in range(100))
    record = declared(record, steps=steps, event=events)
    from jokbo.records.motion import leg

    with pytest.raises(FormatError, match="declared rollbacks that lead back from step 500,000"):
        leg(record, 500_000, 600_000)


@pytest.mark.parametrize("check_name", WEIGHTS)
def test_tensors_renamed_on_the_way_are_no_pass(tmp_path: Path, check_name: str):
    run = train(0)
    steps = sorted(run.weights)
    half = steps[len(steps) // 2]
    kept = sorted(run.weights[0])[-1]
    for step in steps:
        if step >= half:
            run.weights[step] = {n if n == kept else f"m.{n}": v for n, v in run.weights[step].items()}
    found = audit(disclose(run, tmp_path), checks=[check_name], n_plants=3)
    judged = found.verdict.checks[0]
    assert judged.outcome != "consistent"
    assert not found.document["verdict"]["excluded"]


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        (
            "coverage",
            lambda rows: [row for row in rows if row["excluded"]],
            "coverage: expected every forgery once",
        ),
        ("checks", lambda rows: [row | {"kind": "soft"} for row in rows], "kind: expected 'exact'"),
        ("verdict", lambda v: v | {"policy": v["policy"] | {"min_power": 0.0}}, "verdict/policy: expected"),
    ],
)
def test_audits_edited_until_they_agree_with_themselves(path: str, value: Any, match: str):
    document = json.loads((AUDITS / "cannot_tell.json").read_bytes())
    document[path] = value(copy.deepcopy(document[path]))
    if path == "coverage":
        document["verdict"] |= {"not_excluded": [], "kind": "consistent", "exit_status": 0}
    with pytest.raises(EvidenceError, match=match):
        check(document, "audit.json")


def test_a_check_that_saw_a_contradiction_and_passes():
    document = json.loads((AUDITS / "inconsistent.json").read_bytes())
    rows = [row for row in document["checks"] if row["outcome"] == "inconsistent"]
    for row in rows:
        row["outcome"] = "cannot_tell"
    document["verdict"] |= {"violated": [], "kind": "cannot_tell", "exit_status": 11}
    with pytest.raises(EvidenceError, match="outcome: expected 'inconsistent', found 'cannot_tell'"):
        check(document, "audit.json")
