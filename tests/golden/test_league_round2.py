"""The second official round, from published figures: who is last, what would change it, what was given away."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from jokbo.league.leak.check import check_leak
from jokbo.league.leak.plan_file import read_plan
from jokbo.league.score import score_files
from jokbo.report.league.leak_terminal import render_leak_terminal
from jokbo.report.texts import LANGUAGES, Texts

CASE = Path(__file__).resolve().parents[2] / "docs" / "cases" / "national-round-2"

TABLE = {
    "skt": {"benchmark": 22.2, "expert": 29.3, "user": 19.1},
    "upstage": {"benchmark": 22.7, "expert": 29.1, "user": 18.1},
    "lg": {"benchmark": 20.6, "expert": 29.5, "user": 18.9},
    "motif": {"benchmark": 24.6, "expert": 27.1, "user": 14.1},
}
RAW = {"skt": 35.0, "upstage": 37.4, "lg": 31.0, "motif": 47.4}
PAGES = {"en": CASE / "README.md", "ko": CASE / "README.ko.md"}


@cache
def board() -> dict[str, Any]:
    return score_files(CASE / "round.yaml", CASE / "results.yaml").board


@cache
def leak(name: str) -> dict[str, Any]:
    return dict(check_leak(read_plan(CASE / f"{name}.yaml"), one_by_one=name == "leak").document)


def rows() -> dict[str, dict[str, Any]]:
    return {row["team"]: row for row in board()["tables"]["eligible"]["rows"]}


def test_the_points_are_the_published_ones():
    points = {c["id"]: {row["team"]: row["score"] for row in c["rows"]} for c in board()["categories"]}
    assert points == {
        figure: {team: pytest.approx(cells[figure]) for team, cells in TABLE.items()}
        for figure in ("benchmark", "expert", "user")
    }
    totals = {team: row["score"] for team, row in rows().items()}
    assert totals == {
        team: pytest.approx(value) for team, value in zip(TABLE, (70.6, 69.9, 69.0, 65.8), strict=True)
    }


def test_the_assumed_errors_are_those_of_the_stated_panels():
    errors = {event["id"]: event["rule"]["standard_error"] for event in board()["events"]}
    assert errors == {
        "benchmarks": 0.8,
        "experts": pytest.approx(3 / 10**0.5, abs=5e-4),
        "users": pytest.approx(((15 / 25 * 5 / 7) ** 2 + (10 / 25) ** 2 * 25 / 185) ** 0.5, abs=5e-4),
    }
    assert all(event["assumed"] for event in board()["events"])
    assert all(
        "Assumed" in event["why"]["en"] and "가정" in event["why"]["ko"] for event in board()["events"]
    )


def test_motif_is_last_and_probably_so():
    assert board()["decision"]["last"] == "motif"
    assert [out["team"] for out in board()["decision"]["eliminated"]] == ["motif"]
    assert 0.92 <= rows()["motif"]["last_probability"] <= 0.99


def test_under_the_assumed_errors_the_rank_sets_do_not_part_the_last_from_all_others():
    """3.2 points of gap with a standard error of 1.9: the tie rule decides, and the board says so."""
    assert board()["decision"]["resolved"] is False
    # 4.8 points to the first team, and 4.80 is what Tukey's range asks for: a seed must not decide that.
    assert rows()["motif"]["best_rank"] == 1
    assert board()["decision"]["eliminated"][0]["cause"] == "tie_rule"


def test_last_place_is_stable_under_nearly_all_weightings_near_the_declared():
    weights = board()["multiverse"]["summary"][0]
    assert (weights["kind"], weights["count"]) == ("weights", 9_261)
    assert weights["last"]["motif"] >= 0.99
    assert board()["multiverse"]["simplex"]["share"]["motif"] == pytest.approx(0.80, abs=0.02)
    single = [
        u
        for u in board()["multiverse"]["universes"]
        if u["kind"] in ("weights", "normalisation", "aggregation")
    ]
    assert len(single) == 17
    assert all(u["last"] == ["motif"] for u in single)


def test_last_place_flips_near_a_benchmark_weight_of_55_percent():
    flips = {flip["category"]: flip for flip in board()["multiverse"]["flips"]}
    assert flips["benchmark"]["weight"] == pytest.approx(55, abs=1)
    assert flips["benchmark"]["weight"] == pytest.approx(600 / 11)  # 4/40 w against (2.4 + 4.8)/60 (100 - w)
    assert flips["benchmark"]["last_after"] == ["lg"]
    assert flips["expert"]["weight"] is None


def test_first_is_not_resolved():
    assert {"skt", "upstage", "lg"} <= {team for team, row in rows().items() if row["best_rank"] == 1}
    assert 0.5 <= rows()["skt"]["first_probability"] <= 0.7


def test_kemeny_and_borda_swap_second_and_third():
    orders = {row["method"]: row["order"] for row in board()["aggregations"]}
    assert orders["mean"] == [["skt"], ["upstage"], ["lg"], ["motif"]]
    assert orders["borda"] == orders["kemeny"] == [["skt"], ["lg"], ["upstage"], ["motif"]]


def test_what_was_published_brackets_every_closed_figure():
    cells = {(cell["team"], cell["figure"]): cell for cell in leak("leak")["cells"]}
    assert len(cells) == 16
    for team, figures in TABLE.items():
        whole = figures | {"own": figures["benchmark"] - RAW[team] / 4}
        for figure, true in whole.items():
            cell = cells[team, figure]
            assert cell["low"] <= true <= cell["high"], (team, figure)
            if team == "motif":
                assert cell["width"] <= 0.3
            if team == "skt":
                assert cell["width"] <= 1.1
    assert leak("leak")["determined"] == 9


def test_the_top_of_the_benchmark_gives_away_most():
    first = leak("leak")["gives_away"][0]
    fact = leak("leak")["facts"][first["fact"]]
    assert (fact["kind"], fact["of"], fact["teams"]) == ("top", "benchmark", ["motif"])


def test_less_said_tells_less_and_brackets_all_the_same():
    assert (leak("leak-tops-unnamed")["determined"], leak("leak-without-tops")["determined"]) == (8, 0)
    for name in ("leak-tops-unnamed", "leak-without-tops"):
        for cell in leak(name)["cells"]:
            figures = TABLE[cell["team"]]
            true = (figures | {"own": figures["benchmark"] - RAW[cell["team"]] / 4})[cell["figure"]]
            assert cell["low"] <= true <= cell["high"]


def test_the_outside_index_names_whose_the_top_of_the_benchmark_is():
    """Upstage has at most 37.4 / 4 + 15 = 24.35: the 24.6 is Motif's, said or not."""

    def motif(cells: list[dict[str, Any]]) -> dict[str, Any]:
        return next(cell for cell in cells if (cell["team"], cell["figure"]) == ("motif", "benchmark"))

    assert motif(leak("leak-tops-unnamed")["cells"])["width"] <= 0.11
    plan = read_plan(CASE / "leak-tops-unnamed.yaml")
    facts = tuple(fact for fact in plan.facts if fact.of != "index")
    hidden = motif(check_leak(replace(plan, facts=facts), one_by_one=False).document["cells"])
    assert (hidden["low"], hidden["high"]) == (pytest.approx(22.0, abs=0.01), pytest.approx(24.65, abs=0.01))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_shows_what_the_command_prints(lang: str):
    from rich.console import Console

    block = re.search(
        r"```console\n\$ jokbo league leak docs/cases/national-round-2/leak\.yaml[^\n]*\n(.*?)```",
        PAGES[lang].read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    assert block is not None
    out = io.StringIO()
    render_leak_terminal(leak("leak"), lang=lang, console=Console(file=out, width=100))
    assert block[1].splitlines() == [line.rstrip() for line in out.getvalue().rstrip().splitlines()]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_figures_of_the_page_are_the_board_s(lang: str):
    t, text = Texts(lang), PAGES[lang].read_text(encoding="utf-8")
    multiverse = board()["multiverse"]
    shares = (multiverse["summary"][0]["last"]["motif"], multiverse["simplex"]["share"]["motif"])
    sign = {"en": " %", "ko": "%"}[lang]
    wanted = [t.percent(share).replace("%", sign) for share in shares]
    wanted += [t.percent(round(rows()["motif"]["last_probability"], 2)).replace("%", sign)]
    wanted += [t.percent(round(rows()["skt"]["first_probability"], 2)).replace("%", sign)]
    wanted += [
        t.fixed(multiverse["flips"][0]["weight"], 1),
        t.fixed(multiverse["smallest_change"]["moved"], 1),
    ]
    names = {team["id"]: team["name"][lang] for team in board()["teams"]}
    for team, row in rows().items():
        points = " | ".join(t.fixed(value, 1) for value in (*TABLE[team].values(), row["score"]))
        span = (
            f"{row['best_rank']} to {row['worst_rank']}"
            if lang == "en"
            else f"{row['best_rank']}~{row['worst_rank']}위"
        )
        wanted.append(f"| {names[team]} | {points} | {span} |")
    for name in ("leak-without-tops", "leak-tops-unnamed", "leak"):
        widths = [
            max(cell["width"] for cell in leak(name)["cells"] if cell["figure"] == figure)
            for figure in ("benchmark", "expert", "user")
        ]
        wanted.append(" | ".join(t.fixed(width, 1) for width in widths) + f" | {leak(name)['determined']} |")
    assert [words for words in wanted if words not in text] == []
