"""What a disclosure gives away: cases that can be worked out on paper."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from jokbo.cli.league.leak import command
from jokbo.errors import FormatError, UsageError
from jokbo.league.leak import solver
from jokbo.league.leak.check import check_leak
from jokbo.league.leak.plan import KINDS, Fact
from jokbo.league.leak.plan_file import parse_plan
from jokbo.report.league.leak_terminal import fact_text
from jokbo.report.texts import LANGUAGES, Texts

HEAD = """
jokbo_leak: 1
title: A table
tolerance: 0.5
teams: [{id: a, name: A}, {id: b, name: B}, {id: c, name: C}]
figures:
  - {id: x, title: X, lowest: 0, highest: 10}
  - {id: y, title: Y, lowest: 0, highest: 10}
  - {id: total, title: Total, sum_of: {x: 1, y: 1}, closed: no}
publish:
"""


def cells(text: str, head: str = HEAD) -> dict[str, tuple[float, float]]:
    document = check_leak(parse_plan((head + text).encode(), "leak.yaml"), one_by_one=False).document
    return {f"{cell['figure']} {cell['team']}": (cell["low"], cell["high"]) for cell in document["cells"]}


def near(low: float, high: float) -> tuple[object, object]:
    return pytest.approx(low, abs=2e-3), pytest.approx(high, abs=2e-3)


def test_nothing_published_of_a_figure_leaves_its_whole_scale():
    assert cells("  - {fact: mean, of: y, is: 5.0}\n")["x a"] == (0.0, 10.0)


def test_a_mean_and_two_values_determine_the_third():
    found = cells(
        "  - {fact: mean, of: x, is: 5.00}\n  - {fact: value, of: x, team: a, is: 4.0}\n"
        "  - {fact: value, of: x, team: b, is: 5.0}\n"
    )
    assert "x a" not in found  # it is open
    assert found["x c"] == near(15 - 9 - 0.115, 15 - 9 + 0.115)


def test_the_way_of_rounding_counts():
    for rounded, low, high in (
        ("nearest", 3.95, 4.05),
        ("down", 4.0, 4.1),
        ("up", 3.9, 4.0),
        ("exact", 4.0, 4.0),
    ):
        text = f"  - {{fact: top, of: x, team: a, is: 4.0, rounded: {rounded}}}\n"
        assert cells(text)["x a"] == near(low, high), rounded


def test_a_tolerance_as_wide_as_the_rounding_is_met():
    for tolerance, given in (("0.1", 1), ("0.0999", 0)):
        head = HEAD.replace("tolerance: 0.5", f"tolerance: {tolerance}")
        plan = parse_plan((head + "  - {fact: top, of: x, team: a, is: 4.0}\n").encode(), "leak.yaml")
        assert check_leak(plan).document["determined"] == given


def test_a_top_without_a_name_is_somebody_s():
    found = cells(
        "  - {fact: top, of: x, is: 8.0}\n  - {fact: last, of: x, team: a}\n  - {fact: gap, of: x, is: 8.0}\n"
    )
    assert found["x a"] == near(0.0, 0.1)
    assert found["x b"] == near(0.0, 8.05)
    both = cells(
        "  - {fact: top, of: x, is: 8.0}\n  - {fact: last, of: x, team: a}\n  - {fact: order, of: x, teams: [b, c]}\n"
    )
    assert both["x b"] == near(7.95, 8.05)


def test_figures_without_names_still_bind():
    found = cells(
        "  - {fact: unnamed, of: x, are: [2.0, 9.0, 5.0]}\n  - {fact: order, of: x, teams: [c, a, b]}\n"
    )
    assert [found[f"x {team}"] for team in "cab"] == [near(8.95, 9.05), near(4.95, 5.05), near(1.95, 2.05)]
    loose = cells("  - {fact: unnamed, of: x, are: [9.0, 5.0]}\n  - {fact: first, of: x, team: b}\n")
    assert (loose["x b"], loose["x a"]) == (near(8.95, 9.05), near(0, 5.05))
    equal = cells("  - {fact: unnamed, of: x, are: [5.0, 5.0, 5.0]}\n")
    assert equal["x a"] == near(4.95, 5.05)


def test_a_total_and_its_parts():
    found = cells(
        "  - {fact: value, of: total, team: a, is: 20.0}\n  - {fact: difference, of: x, teams: [a, b], is: 3.0}\n"
    )
    assert found["x a"] == near(9.95, 10)
    assert found["x b"] == near(6.9, 7.05)


RESCALED = HEAD.replace(
    "  - {id: total, title: Total, sum_of: {x: 1, y: 1}, closed: no}",
    "  - {id: points, title: Points, rescaled_from: x, first: 25, closed: no}",
)


def test_first_is_25_gives_the_ratio_away():
    found = cells(
        "  - {fact: value, of: points, team: b, is: 20.0}\n  - {fact: top, of: x, is: 5.0, team: a}\n",
        RESCALED,
    )
    # points b = 25 x_b / 5, of 5 within .05 and 20 within .05.
    assert found["x b"][0] <= 19.95 * 4.95 / 25 <= found["x b"][0] + 0.01
    assert found["x b"][1] - 0.01 <= 20.05 * 5.05 / 25 <= found["x b"][1]


def test_a_rescaling_alone_says_who_is_how_far_behind_but_not_how_good():
    found = cells(
        "  - {fact: value, of: points, team: b, is: 20.0}\n  - {fact: first, of: x, team: a}\n", RESCALED
    )
    assert found["x a"][1] - found["x a"][0] > 9
    document = check_leak(
        parse_plan((RESCALED + "  - {fact: first, of: x, team: a}\n").encode(), "leak.yaml"), one_by_one=False
    ).document
    assert document["outer"]


def test_contradictions_name_a_set_none_of_which_can_be_spared():
    text = (
        "  - {fact: mean, of: y, is: 3.0}\n  - {fact: mean, of: x, is: 5.0}\n  - {fact: top, of: x, is: 5.5}\n"
        "  - {fact: value, of: x, team: b, is: 1.0}\n"
    )
    plan = parse_plan((HEAD + text).encode(), "leak.yaml")
    with pytest.raises(FormatError, match=r"contradict each other") as caught:
        check_leak(plan)
    assert "fact 2 (mean of x is 5.0); fact 3 (top of x is 5.5); fact 4 (value of x [b] is 1.0)" in str(
        caught.value
    )
    assert "fact 1" not in str(caught.value)


def test_facts_left_to_the_table_are_computed_from_it_and_rounded():
    text = """
  - {fact: mean, of: x, decimals: 1}
  - {fact: gap, of: total, decimals: 2, rounded: down}
  - {fact: unnamed, of: y, decimals: 0, count: 2}
  - {fact: difference, of: y, teams: [a, c], decimals: 1}
table:
  a: {x: 1.25, y: 2.5}
  b: {x: 3, y: 4.5}
  c: {x: 9, y: 1}
"""
    plan = parse_plan((HEAD + text).encode(), "leak.yaml")
    assert [fact.values for fact in plan.facts] == [("4.4",), ("6.25",), ("5", "3"), ("1.5",)]
    document = check_leak(plan).document
    assert all(cell["low"] <= cell["true"] <= cell["high"] for cell in document["cells"])


def test_what_gives_away_most_comes_first():
    text = (
        "  - {fact: mean, of: y, is: 3.0}\n  - {fact: top, of: x, team: a, is: 9.0}\n"
        "  - {fact: difference, of: x, teams: [a, b], is: 1.0}\n"
    )
    document = check_leak(parse_plan((HEAD + text).encode(), "leak.yaml")).document
    assert [row["fact"] for row in document["gives_away"]] == [1, 2, 0]
    assert [row["closed_again"] for row in document["gives_away"]] == [2, 1, 0]
    assert (document["determined"], document["exit_status"]) == (2, 10)


def test_the_budget_of_cases_is_kept(monkeypatch):
    monkeypatch.setattr(solver.Budget.__init__, "__defaults__", (0, 5))
    with pytest.raises(UsageError, match="too many cases: 5 linear programmes were not enough"):
        cells("  - {fact: gap, of: x, is: 4.0}\n")


def test_a_true_figure_outside_its_interval_is_an_error():
    """The parser compares each fact with the table; the interval is held against it once more."""
    plan = parse_plan((HEAD + "  - {fact: top, of: x, team: a, is: 5.0}\n").encode(), "leak.yaml")
    with pytest.raises(
        FormatError, match=r"x of a is 1, and what is to be published leaves 4\.949 to 5\.051"
    ):
        check_leak(replace(plan, table={"a": {"x": 1.0}}))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_kind_of_fact_has_words(lang):
    words = {"en": "A", "ko": "가"}
    document = {"figures": [{"id": "x", "title": words}], "teams": [{"id": "a", "name": words}]}
    for kind in (*KINDS,):
        for teams in ((), ("a",)):
            fact = Fact(kind, "x", teams, ("1.0",))
            row = {"kind": fact.kind, "of": "x", "teams": teams, "values": fact.values}
            assert fact_text(document, row, Texts(lang))


@pytest.mark.parametrize(
    ("lang", "words"),
    [("en", ["Given away", "told to within 0.5", "6.99", "open"]), ("ko", ["드러납니다", "최고점", "공개"])],
)
def test_the_command(tmp_path, lang, words):
    file = tmp_path / "leak.yaml"
    file.write_text(
        HEAD
        + "  - {fact: top, of: x, team: a, is: 7.0, rounded: down}\n  - {fact: value, of: y, team: b, is: 1}\n",
        encoding="utf-8",
    )
    out = tmp_path / "leak.json"
    ran = CliRunner().invoke(command, [str(file), "--lang", lang, "--json", str(out)], standalone_mode=False)
    assert ran.return_value == 10, ran.output
    for word in words:
        assert word in ran.output
    document = json.loads(out.read_bytes())
    assert document["schema"] == "jokbo.league-leak/1"
    quick = CliRunner().invoke(command, [str(file), "--quick", "--lang", lang], standalone_mode=False)
    assert quick.return_value == 10
    silent = CliRunner().invoke(command, [str(file), "--quick", "-q"], standalone_mode=False)
    assert (silent.return_value, silent.output) == (10, "")


def test_the_command_writes_the_same_bytes_again(tmp_path):
    file = tmp_path / "leak.yaml"
    file.write_text(HEAD + "  - {fact: mean, of: x, is: 7.0}\n", encoding="utf-8")
    for name in ("one.json", "two.json"):
        ran = CliRunner().invoke(
            command, [str(file), "-q", "--json", str(tmp_path / name)], standalone_mode=False
        )
        assert ran.return_value == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    with pytest.raises(UsageError, match="Choose another place"):
        CliRunner().invoke(
            command, [str(file), "--json", str(tmp_path)], standalone_mode=False, catch_exceptions=False
        )
