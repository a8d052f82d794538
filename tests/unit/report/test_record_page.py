"""The report on an audit: it says what the document says, in both languages, and refuses other input.

What fools it: a document that follows its schema, agrees with itself, and lies. The record, not this page,
can be audited again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from record_documents import (
    CHECKS,
    FORGERIES,
    WAYS,
    cannot_tell,
    changed,
    consistent,
    document,
    inconsistent,
    logs_only,
)

from jokbo.errors import EvidenceError, UsageError
from jokbo.records.checks.choose import all_checks
from jokbo.records.forgeries import VARIANTS, Forgery
from jokbo.report.context import plain
from jokbo.report.record import render_record_html
from jokbo.report.record_bounds import bound_shares
from jokbo.report.record_page import RecordPage, build_record_page
from jokbo.report.record_wording import HONEST
from jokbo.report.texts import LANGUAGES, Texts, catalogue

ALL = (consistent, cannot_tell, inconsistent, logs_only)
Build = Callable[[], dict[str, Any]]


def english(made: dict[str, Any]) -> RecordPage:
    return build_record_page(made, "en")


def test_the_builder_knows_the_checks_and_forgeries() -> None:
    assert [(check.number, check.name, check.kind) for check in all_checks()] == [
        (number, name, kind) for number, (name, kind, _) in enumerate(CHECKS, 1)
    ]
    assert {Forgery(name): ways for name, ways in WAYS.items()} == VARIANTS
    assert set(HONEST) <= {name for name, _, _ in CHECKS}


def test_the_sentence_to_quote() -> None:
    assert plain(english(consistent()).headline.sentence) == (
        "The record of tiny-han-1 is consistent with training from this initialisation to these weights."
    )
    assert plain(english(inconsistent()).headline.sentence) == (
        "The record of tiny-han-1 is inconsistent with what it declares."
    )
    assert "cannot be told from this record" in plain(english(cannot_tell()).headline.sentence)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_excluded_and_not_excluded_are_said_up_front(lang: str) -> None:
    made, t = cannot_tell(), Texts(lang)
    said = " ".join(build_record_page(made, lang).headline.explanation)
    for forgery in FORGERIES:
        assert t(f"record.forgery.{forgery}.title") in said
    first, second = (said.index(t(f"record.forgery.{each}.title")) for each in ("padding", "backdating"))
    assert first < second
    assert t(f"record.need.{made['verdict']['next_disclosure']}") in said


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("build", ALL)
def test_nothing_is_proven_and_nobody_accused(build: Build, lang: str) -> None:
    html = render_record_html(build(), lang=lang)
    words = re.sub(r"<style.*?</style>|<[^>]*>", " ", html, flags=re.S)
    bad = {
        "en": r"\bprove[nds]?\b|theft|stol|fraud|guilt|plagiar",
        "ko": r"입증|증명|도용|표절|훔|사기|위조범",
    }
    assert re.findall(bad[lang], words, flags=re.I) == []


def test_inconsistent_comes_with_honest_examples() -> None:
    items = english(inconsistent()).caveats.items
    assert items[0].startswith("Inconsistent is not an accusation.")
    assert any("Marin-32B changed its architecture" in item for item in items)
    assert not any("BLOOM" in item for item in items)


def test_what_is_out_of_scope_is_always_said() -> None:
    for build in ALL:
        said = " ".join(english(build()).caveats.items)
        assert "distillation" in said
        assert "who wrote the training data" in said


def test_consistent_is_called_no_certainty() -> None:
    assert english(consistent()).caveats.items[0].startswith("It is no certainty.")


def covered(made: dict[str, Any]) -> dict[str, Any]:
    return {row.name: row for row in english(made).coverage.rows}


def test_coverage_says_power_and_the_cheapest_disclosure() -> None:
    rows = covered(cannot_tell())
    assert rows["Written afterwards"].cells[1] == ("Commitments made while the training went on",)
    assert rows["Padded checkpoints"].cells[0][0].startswith("A checkpoint repeated: ")
    assert rows["Padded checkpoints"].cells[0][0].endswith("(59 of 59)")
    assert len(rows["Padded checkpoints"].cells[0]) == 3
    assert rows["Padded checkpoints"].cells[1] == ()
    assert rows["Unrelated start"].status_text == "Partly excluded"
    order = rows["False data order"].cells[1][0]
    assert order.startswith("The cheapest first: the training data")


def test_one_way_that_escapes_leaves_a_forgery_open() -> None:
    made = cannot_tell()
    assert "swapped_weights" in made["verdict"]["not_excluded"]
    row = covered(made)["Swapped final weights"]
    assert row.status_text == "Partly excluded"
    assert "(59 of 59)" in row.cells[0][0]
    assert row.cells[0][2].startswith("The last state, trained further: ")
    assert row.cells[0][2].endswith("(only 20 of 59)")


def test_simpler_kinds_are_told_where_nothing_else_is_found() -> None:
    made = logs_only()
    place = next(k for k, row in enumerate(made["coverage"]) if row["forgery"] == "padding")
    line = {"check": "continuity", "variant": "", "found": 50, "tried": 59}
    row = covered(changed(made, f"coverage/{place}/partial", [line]))["Padded checkpoints"]
    assert row.cells[0][-1].startswith("Simpler kinds: ")
    assert row.cells[0][0] == "A checkpoint repeated: not excluded"


def test_plants_of_a_check_that_spoke_up_exclude_nothing_in_part() -> None:
    made = logs_only()
    place = next(k for k, row in enumerate(made["coverage"]) if row["forgery"] == "anchored")
    check = next(row for row in made["checks"] if row["check"] == "geometry")
    check["observation"] = "violated"
    line = {"check": "geometry", "variant": "pulled", "found": 59, "tried": 59}
    row = covered(changed(made, f"coverage/{place}/partial", [line, line | {"found": 58}]))[
        "Anchored training"
    ]
    assert row.status_text == "Not excluded"
    assert len(row.cells[0]) == 1
    assert "58 of 59, but it found something odd here" in row.cells[0][0]


def test_the_weakest_plant_of_a_way_is_told() -> None:
    made = consistent()
    row = next(row for row in made["checks"] if row["check"] == "bytes")
    row["planted"].append(row["planted"][0] | {"found": 70, "tried": 70, "lower": 0.958})
    assert "59 of 59" in covered(made)["Swapped final weights"].cells[0][0]
    assert "70 of 70" not in covered(made)["Swapped final weights"].cells[0][0]


def test_costly_plants_come_with_their_bound() -> None:
    assert any(
        "(4 of 4; at least 47.3%" in line for line in covered(consistent())["Anchored training"].cells[0]
    )


def test_plants_of_a_check_are_named_by_kind_where_there_are_several() -> None:
    rows = {row.note: row for group in english(consistent()).checks for row in group.rows}
    assert rows["1 · bytes"].cells[1][0] == "Swapped final weights (another model's weights) 59 of 59"
    assert rows["2 · precedence"].cells[1] == ("Written afterwards 59 of 59",)


def test_a_contradicted_check_is_no_gap_in_disclosure() -> None:
    rows = {row.name: row for row in english(inconsistent()).coverage.rows}
    assert rows["Another model from some step on"].cells[1] == (
        "A check that looks for it contradicts the record.",
    )


def test_checks_are_grouped_and_say_what_they_cannot_see() -> None:
    groups = english(inconsistent()).checks
    assert [group.key for group in groups] == ["checks-exact", "checks-calibrated", "checks-soft"]
    rows = [row for group in groups for row in group.rows]
    assert len(rows) == len(CHECKS)
    said = catalogue("en")
    names = [row.note.partition(" · ")[2] for row in rows]
    assert [row.remarks[-1] for row in rows] == [said[f"record.check.{name}.cannot"] for name in names]
    bound = next(row for row in rows if row.note == "17 · step_bound")
    assert bound.status_text == "Inconsistent"
    assert bound.cells[0][0] == "18.2"
    assert bound.cells[0][2] == "limit: 1"


def test_events_say_who_took_them_into_account() -> None:
    section = next(part for part in english(consistent()).sections if part.key == "events")
    first, second = section.tables[0].rows
    assert first[1:3] == ("Rollback", "from step 160 back to step 150")
    assert first[3] != "no check"
    assert second[3] == "no check"
    assert first[4] == "loss spike after a bad shard"


def test_figures_are_those_of_what_is_disclosed() -> None:
    keys = [chart.key for chart in english(consistent()).history.charts]
    assert keys == ["timeline", "loss", "learning-rate", "tokens", "updates", "distance"]
    assert [chart.key for chart in english(logs_only()).history.charts] == [
        "timeline",
        "loss",
        "learning-rate",
    ]
    nothing = logs_only()
    nothing["log"] = None
    nothing["history"] |= {"loss": None, "learning_rate": None, "log": []}
    assert english(nothing).history.charts == ()
    assert "nothing to plot" in english(nothing).history.paragraphs[0]


def test_updates_stand_against_their_bound_where_a_check_knows_it() -> None:
    assert max(bound_shares(inconsistent()).values()) == 18.2
    made = english(inconsistent()).history.charts[4]
    assert len(made.panels) == 2  # type: ignore[attr-defined]
    assert len(english(cannot_tell()).history.charts[4].panels) == 1  # type: ignore[attr-defined]


def test_long_histories_make_small_pages() -> None:
    made = consistent()
    steps = list(range(1, 401))
    curve = {"steps": steps, "values": [5.0] * 400}
    made["history"]["loss"] |= {"curve": curve, "trend": curve, "residuals": curve}
    made["checkpoints"] = [made["checkpoints"][1] | {"name": f"c{k}", "step": k} for k in range(2_000)]
    made["record"]["steps"] = 2_000
    page = english(made)
    assert all(len(table.rows) <= 201 for part in page.sections for table in (*part.tables, *part.folded))
    assert all(len(table.rows) <= 62 for chart in page.history.charts for table in chart.data)
    assert len(render_record_html(made, lang="en")) < 700_000


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        ("checks/0/check", "made_up", r"checks/0/check: expected the name of a check"),
        ("checks/0/reasons", [{"code": "made_up", "values": {}}], r"'made_up', which this version"),
        ("checks/0/reasons", [{"code": "policy.unclear", "values": {}}], r"without its value 'pvalue'"),
        ("checks/0/missing", ["made_up"], r"record\.need 'made_up'"),
        ("events/0/kind", "made_up", r"record\.event 'made_up'"),
        ("coverage/0/forgery", "made_up", r"made_up"),
        ("record/disclosed", ["made_up"], r"record\.need 'made_up'"),
        ("verdict/policy", {"name": "x", "version": 1, "family_alpha": -1.0}, r"expected jokbo-record 1"),
        ("verdict/policy", {"name": "x", "version": 1, "family_alpha": "x"}, r"expected jokbo-record 1"),
    ],
)
def test_codes_that_nothing_explains_are_errors(path: str, value: Any, match: str) -> None:
    made = changed(cannot_tell(), path, value)
    if path == "checks/0/check":
        made["parameters"]["checks"][0] = value
        for row in made["coverage"]:
            for place in (row, *row["variants"]):
                place["by"] = [value if name == "bytes" else name for name in place["by"]]
    with pytest.raises(EvidenceError, match=match):
        build_record_page(made, "en")


def test_another_language_is_not_available() -> None:
    with pytest.raises(UsageError, match="'fr' is not available"):
        build_record_page(consistent(), "fr")


def test_documents_are_not_changed_by_showing_them() -> None:
    made = consistent()
    render_record_html(made, lang="en")
    assert made == consistent()


def test_a_record_of_one_check_is_shown() -> None:
    from record_documents import check

    page = english(document([check("bytes")], events=[]))
    assert [len(group.rows) for group in page.checks] == [1]
    assert page.headline.kind == "cannot_tell"
    assert {row.cells[1][0] for row in page.coverage.rows if row.cells[1]} == {
        catalogue("en")["record.need_sentence.none"]
    }


@pytest.mark.parametrize("called", ["key", "code", "group", "self"])
def test_values_may_be_called_anything(called: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "jokbo.report.texts.catalogue", lambda lang: {"record.reason.x.y": f"It is {{{called}}}."}
    )
    assert Texts("en").reason({"code": "y", "values": {called: 3}}, group="record.reason.x") == "It is 3."
