"""Plans of a disclosure that are wrong: each says where, what was expected and what was found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.errors import FormatError
from jokbo.league.leak.plan_file import parse_plan

GOOD = """jokbo_leak: 1
title: A table
tolerance: 0.5
teams: [{id: a, name: A}, {id: b, name: B}]
figures:
  - {id: x, title: X, lowest: 0, highest: 10}
  - {id: total, title: Total, sum_of: {x: 2}}
publish:
  - {fact: mean, of: x, is: 5.0}
"""


def test_the_plan_that_the_others_are_made_from_is_right():
    assert parse_plan(GOOD.encode(), "leak.yaml").closed() == (
        ("x", "a"),
        ("x", "b"),
        ("total", "a"),
        ("total", "b"),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("jokbo_leak: 1", "jokbo_leak: 2", r"leak.yaml:1 \(jokbo_leak\)"),
        ("tolerance: 0.5", "tolerence: 0.5", "Did you mean 'tolerance'"),
        ("tolerance: 0.5", "tolerance: -1", "tolerance"),
        ("tolerance: 0.5", "tolerance: nan", "tolerance"),
        ("{id: b, name: B}", "{id: a, name: B}", r"leak.yaml:4 \(teams/1/id\): expected an id of its own"),
        (", {id: b, name: B}", "", "teams"),
        ("{id: a, name: A}", "{id: A!, name: A}", "teams/0/id"),
        ("lowest: 0, ", "", "lowest below highest"),
        ("lowest: 0", "lowest: 11", "lowest below highest"),
        ("highest: 10", "highest: 1e12", "figures/0/highest"),
        ("lowest: 0, highest: 10", "closed: yes", "either lowest and highest, or sum_of, or rescaled_from"),
        ("sum_of: {x: 2}", "sum_of: {x: 2}, lowest: 0", "either lowest and highest"),
        ("sum_of: {x: 2}", "sum_of: {}", "at least one figure"),
        ("sum_of: {x: 2}", "sum_of: {y: 2}", r"stands above this one \(x\), found 'y'"),
        ("sum_of: {x: 2}", "sum_of: {total: 1}", "found 'total'"),
        ("sum_of: {x: 2}", "rescaled_from: x", "rescaled_from and first together"),
        ("lowest: 0, highest: 10}\n  - {id: total, title: Total, sum_of: {x: 2}}",
         "lowest: -1, highest: 10}\n  - {id: total, title: Total, rescaled_from: x, first: 25}", "begins at zero"),
        ("of: x", "of: z", r"leak.yaml:9 \(publish/0/of\): expected a figure \(x, total\), found 'z'"),
        ("fact: mean", "fact: median", "publish/0/fact"),
        ("is: 5.0", "is: five", "publish/0/is"),
        ("is: 5.0", "is: 5e3", "publish/0/is"),
        ("is: 5.0", "is: 5.00000001", "publish/0/is"),
        (", is: 5.0", "", "expected 'is', or decimals and a table"),
        (", is: 5.0", ", decimals: 1", "expected 'is', or decimals and a table"),
        ("is: 5.0", "is: 5.0, decimals: 1", "whose decimals count"),
        ("is: 5.0", "is: 5.0, team: a", "expected no team for 'mean', found 1"),
        ("fact: mean", "fact: value", "expected one team for 'value', found 0"),
        ("fact: mean", "fact: value, team: q", r"expected a team \(a, b\), found 'q'"),
        ("fact: mean", "fact: difference, teams: [a, a]", "each team once"),
        ("fact: mean", "fact: difference, team: a", "expected two teams for 'difference', found 1"),
        ("fact: mean", "fact: value, team: a, teams: [a, b]", "team or teams, not both"),
        ("fact: mean", "fact: order, teams: [a, b]", "expected no 'is' for 'order'"),
        ("fact: mean, of: x, is: 5.0", "fact: first, team: a, of: x, rounded: up", "it publishes no number"),
        ("is: 5.0", "are: [5.0]", "expected no 'are' for 'mean'"),
        ("fact: mean, of: x, is: 5.0", "fact: unnamed, of: x, are: [1, 2, 3]", "at most 2 values, one a team"),
        ("mean, of: x, is: 5.0", "unnamed, of: x, are: [1, 2], count: 1", "only for 'unnamed' without 'are'"),
        ("title: X", "title: X, closed: no", None),
        ("title: Total", "title: Total, closed: no", None),
        ("publish:\n  - {fact: mean, of: x, is: 5.0}\n", "publish: []\n", "publish"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(old: str, new: str, message: str | None):
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if message is None:
        parse_plan(text.encode(), "leak.yaml")
        return
    with pytest.raises(FormatError, match=message):
        parse_plan(text.encode(), "leak.yaml")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("  c: {x: 1}", r"\(table/c\): expected a team"),
        ("  a: {y: 1}", r"\(table/a/y\): expected a figure"),
        ("  a: {x: 11}", r"leak.yaml:11 \(table/a/x\): expected 0 to 10, found 11"),
        (
            "  a: {x: 1}\n  b: {x: 2}",
            r"leak.yaml:9 \(publish/0\): expected what the table gives, 1.5, found 5.0",
        ),
    ],
)
def test_a_table_that_does_not_fit(table: str, message: str):
    with pytest.raises(FormatError, match=message):
        parse_plan(f"{GOOD}table:\n{table}\n".encode(), "leak.yaml")


@pytest.mark.parametrize(
    "fact",
    [
        "first, of: x, team: a",
        "last, of: x, team: b",
        "order, of: x, teams: [a, b]",
        "top, of: x, team: a, is: 2",
    ],
)
def test_an_order_that_the_table_does_not_have(fact: str):
    text = (
        GOOD.replace("{fact: mean, of: x, is: 5.0}", f"{{fact: {fact}}}")
        + "table:\n  a: {x: 1}\n  b: {x: 2}\n"
    )
    with pytest.raises(
        FormatError, match=r"leak.yaml:9 \(publish/0\): expected the order that the table has"
    ):
        parse_plan(text.encode(), "leak.yaml")


def test_a_fact_cannot_be_computed_from_half_a_column():
    text = GOOD.replace("is: 5.0", "decimals: 1") + "table:\n  a: {x: 1}\n"
    with pytest.raises(FormatError, match="expected every team's x in the table"):
        parse_plan(text.encode(), "leak.yaml")


def test_where_nothing_is_closed_there_is_nothing_to_check():
    text = GOOD.replace("title: X", "title: X, closed: no").replace(
        "title: Total", "title: Total, closed: no"
    )
    with pytest.raises(FormatError, match="no figure stays closed"):
        parse_plan(text.encode(), "leak.yaml")


def test_too_many_of_anything_is_refused():
    many = ", ".join(f"{{id: t{k}, name: T}}" for k in range(13))
    with pytest.raises(FormatError, match="teams"):
        parse_plan(GOOD.replace("{id: a, name: A}, {id: b, name: B}", many).encode(), "leak.yaml")
    facts = "  - {fact: mean, of: x, is: 5.0}\n" * 101
    with pytest.raises(FormatError, match="publish"):
        parse_plan((GOOD + facts).encode(), "leak.yaml")


def test_scales_beyond_what_a_solver_can_tell_apart_are_refused():
    text = GOOD.replace("highest: 10", "highest: 2000").replace("{x: 2}", "{x: 1000}")
    with pytest.raises(FormatError, match=r"figures/1\): expected a scale within 1,000,000"):
        parse_plan(text.encode(), "leak.yaml")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 12), st.binary(max_size=6))
def test_a_damaged_plan_is_read_or_refused_and_nothing_else(at: int, gone: int, put: bytes):
    data = GOOD.encode()
    data = data[:at] + put + data[at + gone :]
    try:
        plan = parse_plan(data, "leak.yaml")
    except FormatError:
        return
    assert plan.closed()
