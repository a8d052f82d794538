"""Laws of eliminations: nobody leaves whom the ranks put out of reach, and no order of teams matters."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jokbo.league.decide import Contest, Decision, contestants, decide
from jokbo.league.freeze import changed_fields, content, freeze, parse_frozen, round_digest
from jokbo.league.gate import GateRow, GateTable, Standing
from jokbo.league.lot import tickets
from jokbo.league.round import (
    Anchor,
    Axis,
    Category,
    Elimination,
    Event,
    EventKind,
    GateRule,
    ModelIdentity,
    Round,
    Team,
    TieStep,
)
from jokbo.league.round_file import build_round

WORDS = {"en": "x", "ko": "x"}


@dataclass(frozen=True)
class Ranks:
    """Rank sets as differences give them: who is above whom beyond doubt."""

    best_rank: list[int]
    worst_rank: list[int]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Round, GateTable, Contest]:
    n = draw(st.integers(2, 7))
    ids = [f"t{k}" for k in range(n)]
    out = draw(st.sampled_from([*range(n), 1, 1]))
    steps = draw(st.sampled_from([("lot",), ("keep",), ("category", "lot"), ("category", "total", "keep")]))
    rule = Elimination(
        out,
        "total",
        tuple(TieStep(by, "x" if by == "category" else None) for by in steps),
        gate_counts=draw(st.booleans()),
    )
    event = Event(
        "e", WORDS, EventKind.PUBLISHED, (Axis.ABSOLUTE,), "x", 1.0, "a", (), "higher", "linear", 0.0, Anchor(1.0),
    )  # fmt: skip
    round = Round(
        "r", WORDS, tuple(Team(id, WORDS, ModelIdentity(id)) for id in ids), (event,),
        (Category("x", WORDS, 40.0),), GateRule((), True, draw(st.sampled_from(["stays", "removes"]))), rule,
        draw(st.integers(0, 99)),
    )  # fmt: skip
    standings = st.sampled_from([*Standing, *[Standing.ELIGIBLE] * 9])
    rows = tuple(GateRow(id, draw(standings), (), ()) for id in ids)
    gate = GateTable(True, round.gate.untestable, (), rows)
    teams = contestants(round, gate)
    values = {team: float(draw(st.integers(0, 6))) for team in teams}
    spread = {team: draw(st.integers(0, 5)) for team in teams}
    return (
        round,
        gate,
        Contest(
            teams,
            values,
            rank_sets(teams, values, spread),
            {
                ("category", "x"): {team: float(draw(st.integers(0, 2))) for team in teams},
                ("total", None): values,
            },
        ),
    )


def rank_sets(teams, values, spread) -> Ranks:
    above = {(a, b): values[a] - values[b] > spread[a] + spread[b] for a in teams for b in teams if a != b}
    n = len(teams)
    return Ranks(
        [1 + sum(above[b, a] for b in teams if b != a) for a in teams],
        [n - sum(above[a, b] for b in teams if b != a) for a in teams],
    )


def out(decision: Decision) -> dict[str, str]:
    return {each.team: each.cause for each in decision.eliminated}


@given(cases())
def test_nobody_leaves_by_score_or_rule_whose_rank_set_excludes_the_last_places(case):
    round, gate, contest = case
    found = decide(round, gate, contest)
    edge = len(contest.teams) - found.teams_out
    worst = dict(zip(contest.teams, contest.ranks.worst_rank, strict=True))
    for team, cause in out(found).items():
        if cause != "gate":
            assert worst[team] > edge
    assert {team for team, cause in out(found).items() if cause == "gate"} == set(gate.removed)


@given(cases())
def test_whoever_the_ranks_put_last_leaves(case):
    round, gate, contest = case
    found = decide(round, gate, contest)
    edge = len(contest.teams) - found.teams_out
    for team, best in zip(contest.teams, contest.ranks.best_rank, strict=True):
        if best > edge:
            assert out(found)[team] == "score"


@given(cases())
def test_at_most_so_many_leave_and_exactly_so_many_unless_kept(case):
    round, gate, contest = case
    found = decide(round, gate, contest)
    gone = [team for team, cause in out(found).items() if cause != "gate"]
    assert len(gone) <= found.teams_out <= round.elimination.teams_out
    kept = bool(found.steps) and found.steps[-1].by == "keep"
    assert kept or len(gone) == found.teams_out
    assert sorted([*out(found), *found.kept]) == sorted(team.id for team in round.teams)


@given(cases())
def test_resolved_says_that_no_rule_was_used(case):
    round, gate, contest = case
    found = decide(round, gate, contest)
    assert found.resolved == (not found.candidates) == (not found.steps)
    assert ("tie_rule" in out(found).values()) <= (not found.resolved)
    assert found.resolved or len(found.candidates) > found.teams_out - list(out(found).values()).count(
        "score"
    )


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_teams_does_not_matter(case, random):
    round, gate, contest = case
    order = list(range(len(round.teams)))
    random.shuffle(order)
    moved = replace(round, teams=tuple(round.teams[k] for k in order))
    table = replace(gate, rows=tuple(gate.rows[k] for k in order))
    teams = contestants(moved, table)
    best, worst = (
        dict(zip(contest.teams, ends, strict=True))
        for ends in (contest.ranks.best_rank, contest.ranks.worst_rank)
    )
    again = replace(contest, teams=teams, ranks=Ranks([best[t] for t in teams], [worst[t] for t in teams]))
    assert out(decide(moved, table, again)) == out(decide(round, gate, contest))


@given(cases())
def test_freezing_keeps_all_that_a_round_says(case):
    round, _, _ = case
    frozen = parse_frozen(freeze(round).to_bytes(), where="frozen")
    assert frozen.digest == round_digest(round)
    assert changed_fields(round, frozen.document) == ()
    again = build_round(frozen.document["content"])
    assert content(again) == content(round)


@given(cases(), st.integers(100, 10**6))
def test_any_change_of_a_rule_changes_the_digest_and_is_named(case, seed):
    round, _, _ = case
    changed = replace(round, seed=seed)
    (only,) = changed_fields(changed, freeze(round).document)
    assert (only.path, only.was, only.now) == ("seed", str(round.seed), str(seed))


def test_every_team_is_drawn_as_often_as_another():
    rng = np.random.default_rng(0)
    # Ids that begin alike: each counts as a whole.
    counts = dict.fromkeys(("t-1", "t-2", "t-10", "t-20"), 0)
    for _ in range(4000):
        drawn = tickets(rng.bytes(32).hex(), counts, None)
        counts[min(drawn, key=lambda team: drawn[team])] += 1
    # Four standard deviations of a binomial.
    assert all(abs(count - 1000) < 4 * (4000 * 0.25 * 0.75) ** 0.5 for count in counts.values())
