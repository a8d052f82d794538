"""Declared compute held against declared machines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gate_files import a_round, team

from jokbo.league.compute import plausibility
from jokbo.league.gate import judge_gate
from jokbo.league.round import GateRule, ModelIdentity

DECLARED = {"tokens": 19.7e12, "device": "NVIDIA B200", "devices": 480, "days": 60.0, "precision": "bf16"}


def found(active: float | None = 12e9, parameters: float | None = 102.6e9, **changes):
    declared = {key: value for key, value in (DECLARED | changes).items() if value is not None}
    model = ModelIdentity("m", parameters=parameters, active_parameters=active)
    return plausibility(replace(team("a", compute=declared), model=model))


def test_the_share_is_six_n_d_over_the_peak():
    # Figures of the first dispute: 12B active, 19.7T tokens, 480 B200 of 2.25e15 FLOP/s.
    assert found().share == round(6 * 12e9 * 19.7e12 / (480 * 2.25e15 * 60 * 86_400), 4) == 0.2533
    assert found().reasons == ()


def test_more_than_the_peak_cannot_be():
    result = found(days=10.0)
    assert result.share == pytest.approx(1.5201)
    assert [(r.code, r.values["least_days"]) for r in result.reasons] == [("impossible", 15.2)]


def test_high_is_a_remark_and_the_edges_are_where_they_should_be():
    codes = {days: [r.code for r in found(days=days).reasons] for days in (15.1, 15.3, 23.3, 23.5)}
    assert codes == {15.1: ["impossible"], 15.3: ["high"], 23.3: ["high"], 23.5: []}


def test_all_parameters_are_an_upper_end_and_never_impossible():
    result = found(active=None, days=60.0)
    assert [r.code for r in result.reasons] == ["impossible_if_all_active", "all_parameters_counted"]


def test_the_highest_peak_counts_where_no_precision_is_declared():
    assert found(precision=None).share == pytest.approx(0.2533 / 2, abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "code", "value"),
    [
        ({"days": None, "tokens": None}, "incomplete", "tokens, days"),
        ({"device": "abacus"}, "unknown_device", "abacus"),
        ({"active": None, "parameters": None}, "incomplete", "parameters"),
    ],
)
def test_what_is_missing_gives_no_share(changes, code, value):
    result = found(**changes)
    assert result.share is None
    assert result.reasons[0].code == code
    assert value in result.reasons[0].values.values()


def test_nothing_declared_is_nothing_and_nothing_here_moves_the_gate():
    assert plausibility(team("a")) is None
    loud = replace(
        team("a", compute=DECLARED | {"days": 0.1}),
        model=ModelIdentity("m", active_parameters=12e9, digest="a" * 64),
    )
    table = judge_gate(a_round([loud, team("b")], gate=GateRule((), required=False)), {})
    assert table.rows[0].standing == "eligible"
    assert table.to_document()["rows"][0]["compute"]["reasons"][0]["code"] == "impossible"
