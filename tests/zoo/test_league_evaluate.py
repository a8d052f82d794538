"""Evaluating a model again gives the item scores that are committed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

LEAGUE = Path(__file__).resolve().parents[2] / "zoo" / "league"


def committed(team: str, task: str) -> list[dict[str, Any]]:
    (path,) = (LEAGUE / "season" / "runs-1" / team).glob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.torch
@pytest.mark.parametrize(("team", "task"), [("base1", "network_bpb"), ("gpt2-0", "korean_bpb")])
def test_bits_per_byte_come_out_again(team: str, task: str) -> None:
    from zoo.league.evaluate import MODELS, Scorer, run_task
    from zoo.league.harness_files import sample_row

    run = run_task(Scorer(MODELS / team), task, most=5)
    for k, (sample, kept) in enumerate(zip(run.samples, committed(team, task), strict=False)):
        row = sample_row(run, k, sample)
        assert row["bpb"] == pytest.approx(kept["bpb"], abs=1e-4)
        for key in ("doc_id", "doc", "doc_hash", "prompt_hash", "target_hash", "metrics", "filter"):
            assert row[key] == kept[key]


@pytest.mark.torch
def test_choices_come_out_again() -> None:
    from zoo.league.evaluate import MODELS, Scorer, run_task

    run = run_task(Scorer(MODELS / "base1"), "network_cloze", most=6)
    for sample, kept in zip(run.samples, committed("base1", "network_cloze"), strict=False):
        assert sample.metrics == {key: kept[key] for key in ("acc", "acc_norm")}
        found = [likelihood for likelihood, _ in sample.responses]
        assert found == pytest.approx([float(each[0]) for each in kept["filtered_resps"]], abs=0.01)
