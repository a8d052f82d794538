"""Claims built in code: sound ones, to plant faults in, and where they are written."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jokbo.hearing.claims.lint import LintResult, lint_claim

Row = dict[str, Any]
Change = Callable[[dict[str, Any], list[Row]], None]
"""What is planted: changes a claim and its rows in place."""

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sound_claim() -> tuple[dict[str, Any], list[Row]]:
    """A claim by centred norms with shuffles, unrelated models and a known relative: nothing to find."""
    claim = {
        "schema": "jokbo.claim/1",
        "title": "The norms of b and a are related",
        "models": {
            "a": {"repository": "org/a", "commit": COMMIT, "layers": 4},
            "b": {"repository": "org/b", "commit": COMMIT, "layers": 4, "parameters": 1000000},
            "c": {"name": "unrelated"},
            "d": {"name": "fine-tuned from a"},
        },
        "reference": "a",
        "candidate": "b",
        "measure": {"name": "centred_cosine", "tensors": ["norm"], "share": 0.001},
        "null": "near 0",
        "controls": [{"kind": "shuffled"}, {"kind": "centred", "subtracted": "mean"}],
        "table": "table.json",
        "figures": [{"says": "0.875", "is": "mean", "of": "effect"}],
        "conclusion": {
            "says": "dependent",
            "about": "measured",
            "text": "The centred norms have a mean cosine of 0.875.",
        },
        "would_count_against": ["a centred cosine near 0"],
    }
    effect = [
        {"role": "effect", "reference": "a", "candidate": "b", "layers": k, "value": v, "counts": "for"}
        for k, v in enumerate((0.86, 0.87, 0.88, 0.89))
    ]
    others = [
        {"role": "shuffled", "reference": "a", "candidate": "b", "value": 0.001, "count": 999, "sd": 0.02},
        {"role": "unrelated", "reference": "a", "candidate": "c", "layers": 1, "value": 0.02},
        {"role": "unrelated", "reference": "b", "candidate": "c", "layers": 1, "value": -0.01},
        {"role": "derived", "reference": "a", "candidate": "d", "layers": 1, "value": 0.95},
    ]
    return copy.deepcopy(claim), [*effect, *others]


def raw_claim() -> tuple[dict[str, Any], list[Row]]:
    """The same by a raw cosine on norms, with the controls that a raw cosine needs: nothing to find either."""
    claim, rows = sound_claim()
    claim["measure"]["name"] = "cosine"
    claim["controls"] = [{"kind": "shuffled"}, {"kind": "unrelated"}]
    claim["figures"] = [{"says": "0.995", "is": "mean", "of": "effect"}]
    claim["conclusion"]["text"] = "The norms have a mean cosine of 0.995."
    values = iter((0.994, 0.995, 0.995, 0.996, 0.95, 0.96, 0.94, 0.999))
    for row in rows:
        row["value"] = next(values)
        if row["role"] == "shuffled":
            row["sd"] = 0.0005
    return claim, rows


def write_claim(folder: Path, claim: Mapping[str, Any], rows: Sequence[Row] | None) -> Path:
    """Write a claim, which is JSON and therefore YAML, and its table."""
    path = folder / "claim.yaml"
    path.write_text(json.dumps(claim, indent=1, ensure_ascii=False), encoding="utf-8")
    if rows is not None:
        (folder / "table.json").write_text(json.dumps(rows), encoding="utf-8")
    return path


def lint(folder: Path, claim: Mapping[str, Any], rows: Sequence[Row] | None) -> LintResult:
    """Write and lint."""
    return lint_claim(write_claim(folder, claim, rows))


def codes(result: LintResult, severity: str | None = None) -> list[str]:
    """Codes of the findings, of one severity or of all."""
    return [f.code for f in result.findings if severity is None or f.severity.value == severity]
