"""Who leaves: gate, ranks, tie rule; each outcome with its cause and its reasons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from gate_files import OWN, a_round, event, evidence, team

from jokbo.errors import UsageError
from jokbo.league.decide import Contest, Decision, contestants, decide
from jokbo.league.freeze import round_digest
from jokbo.league.gate import GateTable, judge_gate
from jokbo.league.lot import tickets
from jokbo.league.round import Elimination, EventKind, GateRule, LotRule, Round, TieStep

LOT, KEEP = TieStep("lot"), TieStep("keep")
BY_X = TieStep("category", "x")


@dataclass(frozen=True)
class Ranks:
    best_rank: Sequence[int]
    worst_rank: Sequence[int]


def four(*steps: TieStep, out: int = 1, lot: LotRule | None = None, **more) -> Round:
    rule = Elimination(out, "total", steps, lot=lot)
    return a_round([team(id) for id in "abcd"], elimination=rule, gate=GateRule((), required=False), **more)


def contest(
    best: Sequence[int] | None,
    worst: Sequence[int] = (),
    figures: Mapping[tuple[str, str | None], Mapping[str, float | None]] | None = None,
    score: Sequence[float] = (4.0, 3.0, 2.0, 1.0),
    teams: str = "abcd",
) -> Contest:
    ranks = None if best is None else Ranks(best, worst)
    return Contest(tuple(teams), dict(zip(teams, score, strict=True)), ranks, figures or {})


def out(decision: Decision) -> dict[str, str]:
    return {each.team: each.cause for each in decision.eliminated}


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_a_last_place_apart_from_all_is_resolved():
    found = decide(four(LOT), None, contest([1, 1, 1, 4], [3, 3, 3, 4]))
    assert (found.resolved, out(found), found.candidates) == (True, {"d": "score"}, ())
    assert (found.last, found.kept, found.steps) == ("d", ("a", "b", "c"), ())
    assert codes(found) == ["resolved"]


def test_two_last_places_that_cannot_be_ordered_are_resolved_where_both_leave():
    found = decide(four(LOT, out=2), None, contest([1, 1, 3, 3], [2, 2, 4, 4]))
    assert (found.resolved, out(found)) == (True, {"c": "score", "d": "score"})


def test_all_others_staying_says_the_same():
    # Two rank sets each leave two others below, so the last two are these, though one could be third.
    found = decide(four(LOT, out=2), None, contest([1, 1, 2, 3], [2, 2, 4, 4]))
    assert (found.resolved, out(found)) == (True, {"c": "score", "d": "score"})


def test_not_resolved_the_tie_rule_decides_among_the_boundary_alone():
    figures = {("category", "x"): {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0}}
    found = decide(four(BY_X, LOT), None, contest([1, 1, 1, 2], [2, 4, 4, 4], figures))
    # Team a has the lowest figure of all, but its rank set excludes the last place.
    assert not found.resolved
    assert (found.candidates, out(found)) == (("b", "c", "d"), {"b": "tie_rule"})
    (step,) = found.steps
    assert step.figures == {"b": 1.0, "c": 2.0, "d": 3.0}
    assert (step.parted, step.out, step.left) == (True, ("b",), ())
    assert codes(found) == ["not_resolved"]


def test_steps_follow_while_figures_are_equal():
    steps = (BY_X, TieStep("event", "x1"), TieStep("total"), KEEP)
    figures = {
        ("category", "x"): {"a": 1.0, "b": 1.0, "c": 1.0 + 1e-9, "d": 2.0},
        ("event", "x1"): {"a": 5.0, "b": 5.0, "c": 6.0, "d": 0.0},
        ("total", None): {"a": 9.0, "b": 8.0, "c": 0.0, "d": 0.0},
    }
    found = decide(four(*steps), None, contest([1] * 4, [4] * 4, figures))
    assert [step.left for step in found.steps] == [("a", "b", "c"), ("a", "b"), ()]
    assert [sorted(step.figures) for step in found.steps] == [list("abcd"), list("abc"), list("ab")]
    assert out(found) == {"b": "tie_rule"}


def test_a_step_can_put_out_some_and_leave_the_rest():
    figures = {("category", "x"): {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0}}
    round = four(BY_X, LOT, out=2)
    found = decide(round, None, contest([1] * 4, [4] * 4, figures))
    drawn = tickets(round_digest(round), "bc", None)
    assert out(found) == {"a": "tie_rule", min("bc", key=lambda t: drawn[t]): "tie_rule"}
    assert next(step.out for step in found.steps) == ("a",)


def test_some_are_resolved_and_the_rule_fills_the_rest():
    figures = {("category", "x"): {"a": 3.0, "b": 1.0, "c": 2.0, "d": 0.0}}
    found = decide(four(BY_X, LOT, out=2), None, contest([1, 2, 2, 4], [1, 3, 3, 4], figures))
    assert not found.resolved
    assert (out(found), found.candidates) == ({"b": "tie_rule", "d": "score"}, ("b", "c"))
    assert codes(found) == ["not_resolved", "resolved_in_part"]


def test_keep_means_that_nobody_goes():
    found = decide(four(KEEP), None, contest([1] * 4, [4] * 4))
    assert (out(found), found.kept, codes(found)) == ({}, tuple("abcd"), ["not_resolved", "kept"])


def test_without_uncertainty_nothing_is_resolved():
    found = decide(four(KEEP), None, contest(None))
    assert not found.resolved
    assert (found.candidates, codes(found)[0]) == (tuple("abcd"), "no_uncertainty")


def test_a_missing_figure_parts_nobody():
    figures = {
        ("category", "x"): {"a": 1.0, "b": None, "c": 3.0},
        ("total", None): dict.fromkeys("abcd", 1.0),
    }
    found = decide(four(BY_X, TieStep("total"), KEEP), None, contest([1] * 4, [4] * 4, figures))
    assert (found.steps[0].note, found.steps[0].out, found.steps[0].left) == ("missing", (), tuple("abcd"))
    assert "step_missing" in codes(found)


def test_not_a_number_is_no_figure():
    figures = {("category", "x"): dict.fromkeys("abcd", 1.0) | {"a": float("nan")}}
    found = decide(
        four(BY_X, KEEP), None, contest([1] * 4, [4] * 4, figures, score=(float("nan"), 1.0, 2.0, 3.0))
    )
    assert (found.steps[0].note, found.steps[0].figures["a"], found.last) == ("missing", None, None)


def test_who_did_not_finish_a_race_is_behind_all_who_did():
    round = four(
        TieStep("event", "run"), KEEP, events=[event("x1"), event("run", kind=EventKind.RACE, category=None)]
    )
    figures = {("event", "run"): {"a": -5.0, "b": None, "c": 3.0, "d": 1.0}}
    assert out(decide(round, None, contest([1] * 4, [4] * 4, figures))) == {"b": "tie_rule"}
    # Two who did not are not parted by it.
    figures = {("event", "run"): {"a": None, "b": None, "c": 3.0, "d": 1.0}}
    found = decide(round, None, contest([1] * 4, [4] * 4, figures))
    assert found.steps[0].left == ("a", "b")
    assert out(found) == {}


def test_the_lot_is_drawn_from_the_rules_and_said_to_be_foreseeable():
    round = four(LOT)
    found = decide(round, None, contest([1] * 4, [4] * 4))
    drawn = tickets(round_digest(round), "abcd", None)
    assert out(found) == {min("abcd", key=lambda t: drawn[t]): "tie_rule"}
    assert codes(found) == ["not_resolved", "lot_foreseeable"]
    shown = found.steps[0].figures
    assert min(shown, key=lambda t: shown[t]) == found.eliminated[0].team


def test_a_lot_with_a_public_value_waits_for_it():
    lot = LotRule({"en": "beacon", "ko": "난수"}, "2026-08-01")
    round = four(LOT, lot=lot)
    found = decide(round, None, contest([1] * 4, [4] * 4))
    assert (found.pending, out(found), codes(found)) == (True, {}, ["not_resolved", "lot_waits"])
    outs = set()
    for value in map(str, range(40)):
        drawn = decide(round, None, contest([1] * 4, [4] * 4), randomness=value)
        assert codes(drawn) == ["not_resolved", "lot_public"]
        assert drawn == decide(round, None, contest([1] * 4, [4] * 4), randomness=f" {value}\n")
        outs |= set(out(drawn))
    assert outs == set("abcd")
    with pytest.raises(UsageError, match="1 to 1,000 characters"):
        decide(round, None, contest([1] * 4, [4] * 4), randomness=" ")


def test_a_value_that_nobody_named_beforehand_is_refused():
    with pytest.raises(UsageError, match="names no public randomness"):
        decide(four(LOT), None, contest([1] * 4, [4] * 4), randomness="chosen")


def gated(files: dict, *, counts: bool = False, out_count: int = 1, **gate) -> tuple[Round, GateTable]:
    base = a_round([team(id) for id in "abcd"])
    rule = Elimination(out_count, "total", (KEEP,), gate_counts=counts)
    round = replace(base, elimination=rule, gate=replace(base.gate, **gate))
    return round, judge_gate(round, files)


CLEAN = {id: [evidence("no_evidence", candidate=OWN[id])] for id in "abcd"}
WITHOUT_A = CLEAN | {"a": [evidence("derived")]}


def test_the_gate_comes_first_and_does_not_count():
    round, table = gated(WITHOUT_A)
    assert contestants(round, table) == ("b", "c", "d")
    found = decide(round, table, contest([1, 1, 3], [2, 2, 3], score=(3.0, 2.0, 1.0), teams="bcd"))
    assert out(found) == {"a": "gate", "d": "score"}
    assert codes(found) == ["gate_removed", "resolved"]


def test_a_gate_that_counts_fills_the_places():
    round, table = gated(WITHOUT_A, counts=True)
    found = decide(round, table, contest([1, 1, 3], [2, 2, 3], score=(3.0, 2.0, 1.0), teams="bcd"))
    assert (out(found), found.teams_out, found.resolved) == ({"a": "gate"}, 0, True)
    assert codes(found) == ["gate_removed", "gate_filled"]


def test_untestable_competes_and_is_open():
    files = CLEAN | {"b": []}
    round, table = gated(files)
    assert contestants(round, table) == tuple("abcd")
    found = decide(round, table, contest([1, 1, 1, 4], [3, 3, 3, 4]))
    assert (out(found), codes(found)) == ({"d": "score"}, ["untestable_open", "resolved"])
    round, table = gated(files, counts=True)
    assert "gate_counts_open" in codes(decide(round, table, contest([1, 1, 1, 4], [3, 3, 3, 4])))
    round, table = gated(files, untestable="removes")
    assert contestants(round, table) == ("a", "c", "d")


def test_nobody_is_removed_by_score_where_all_would_be():
    files = {id: [evidence("derived", candidate=OWN[id])] for id in "abc"} | {"d": CLEAN["d"]}
    round, table = gated(files)
    found = decide(round, table, contest([1], [1], score=(1.0,), teams="d"))
    assert (out(found), found.kept) == (dict.fromkeys("abc", "gate"), ("d",))
    assert codes(found) == ["gate_removed", "too_few_left"]


def test_a_round_in_which_nobody_leaves():
    found = decide(four(out=0), None, contest([1] * 4, [4] * 4))
    assert (out(found), found.resolved, codes(found)) == ({}, True, ["nobody_out"])


def test_last_is_nobody_where_two_share_it():
    assert decide(four(KEEP), None, contest(None, score=(2.0, 1.0, 3.0, 1.0 + 1e-9))).last is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (contest([1] * 3, [3] * 3, score=(1.0, 2.0, 3.0), teams="abc"), "the contest is among"),
        (contest([4, 4, 1, 1], [4, 4, 2, 2]), "contradict each other"),
        (contest([2, 1, 1, 1], [1, 4, 4, 4]), "empty, or reaches beyond"),
        (contest([1] * 4, [5] * 4), "empty, or reaches beyond"),
    ],
)
def test_faults_of_the_caller_are_errors(given: Contest, said: str):
    with pytest.raises(ValueError, match=said):
        decide(four(LOT), None, given)


def test_a_step_without_figures_is_an_error():
    with pytest.raises(ValueError, match="no figures for the step category x"):
        decide(four(BY_X, LOT), None, contest([1] * 4, [4] * 4))


def test_plain_values_are_json_with_teams_as_lists():
    found = decide(four(LOT), None, contest([1] * 4, [4] * 4)).to_document()
    plain = json.loads(json.dumps(found))
    assert plain["reasons"][0]["values"]["teams"] == list("abcd")
    assert set(plain["steps"][0]) == {"by", "of", "figures", "parted", "out", "left", "note"}
