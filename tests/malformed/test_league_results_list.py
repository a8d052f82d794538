"""A results list that leads astray: unknown names, files elsewhere, links, teams left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from jokbo.errors import FormatError
from jokbo.league.results_file import parse_results, read_results
from jokbo.league.round import EventKind, PanelRule
from jokbo.testing.results import assembled, event_of, round_of

ROUND = round_of(
    event_of("e"), event_of("lax", missing="floor"), event_of("p", EventKind.PANEL, panel=PanelRule(0, 1))
)
ONE = "  - {team: one, events: [e], files: [one.csv]}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for team in ("one", "two"):
        (tmp_path / f"{team}.csv").write_text("item,acc\n1,1\n")
    return tmp_path


def parse(folder: Path, text: str):
    return parse_results(text.encode(), ROUND, folder=folder, where="results.yaml")


def listed(body: str) -> str:
    return f"jokbo_results: 1\nround: r1\nresults:\n{body}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jokbo_results: 2\nround: r1\nresults: []", "results.yaml:1: jokbo_results is '2'; expected 1"),
        (
            "jokbo_results: 1\nround: r2\nresults: []",
            "results.yaml:2: these are results of round 'r2'; .* is 'r1'",
        ),
        ("jokbo_results: 1\nround: r1", "results.yaml:1: the field results is missing"),
        (
            "jokbo_results: 1\nround: r1\nresults: []\nresult: 1",
            "results.yaml:4: there is no field 'result'.*mean results",
        ),
        (
            "jokbo_results: 1\nround: r1\nfrozen: abc\nresults: []",
            "results.yaml:3: frozen is 'abc'; expected the digest",
        ),
        (
            listed("  - {team: on, events: [e], files: [one.csv]}"),
            "results.yaml:4: there is no team 'on'.*Did you mean one",
        ),
        (listed("  - {team: one, events: [f], files: [one.csv]}"), "results.yaml:4: there is no event 'f'"),
        (
            listed("  - {team: one, event: e, events: [e], files: [one.csv]}"),
            "expected either event, or events",
        ),
        (
            listed("  - {event: e, files: [one.csv]}"),
            "e is an event of kind items; expected the team whose items these are",
        ),
        (
            listed("  - {team: one, events: [p], files: [one.csv]}"),
            "p is an event of kind panel; expected no team",
        ),
        (listed("  - {team: one, events: [e], files: []}"), "files is .*; expected a list of names"),
        (
            listed("  - {team: one, events: [e], files: [three.csv]}"),
            "there is no file or folder three.csv beside",
        ),
        (listed("  - {team: one, events: [e], files: [../one.csv]}"), "'../one.csv' holds '..'"),
        (listed("  - {team: one, events: [e], files: [/etc/passwd]}"), "'/etc/passwd' is absolute"),
        (
            listed("  - {team: one, events: [e], reader: helm, files: [one.csv]}"),
            "there is no reader 'helm'; the readers",
        ),
        (
            listed(f"{ONE}\n{ONE.replace('team: one', 'team: two')}"),
            "one.csv is listed at results.yaml:4 already",
        ),
        (listed(f"{ONE}\n{ONE}"), "one.csv is listed at results.yaml:4 already"),
        (listed(ONE) + "evidence:\n  - {team: one}\n", "results.yaml:6: the field files is missing"),
        (listed(ONE) + "did_not_run:\n  - {team: two, event: e}\n", "the field why is missing"),
    ],
)
def test_lists(folder, text, said):
    with pytest.raises(FormatError, match=said):
        parse(folder, text)


def test_links_are_not_followed(folder, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.csv"
    secret.write_text("item,acc\n1,1\n")
    (folder / "link.csv").symlink_to(secret)
    (folder / "runs").mkdir()
    (folder / "runs" / "inner.csv").symlink_to(secret)
    (folder / "away").symlink_to(secret.parent)
    for name, said in (
        ("link.csv", "link.csv goes through a link"),
        ("away/secret.csv", r"goes through a link \(away\)"),
        ("runs/", "runs/inner.csv is a link or no ordinary file"),
    ):
        with pytest.raises(FormatError, match=said):
            parse(folder, listed(f"  - {{team: one, events: [e], files: [{name}]}}"))


def test_a_folder_is_its_files_in_order(folder):
    for name in ("b/2.csv", "b/1.csv", "a.csv"):
        (folder / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "runs" / name).write_text("item,acc\n1,1\n")
    found = parse(folder, listed("  - {team: one, events: [e], files: [runs/]}"))
    assert [file.name for file in found.entries[0].files] == ["runs/a.csv", "runs/b/1.csv", "runs/b/2.csv"]
    (folder / "empty").mkdir()
    with pytest.raises(FormatError, match="the folder empty is empty"):
        parse(folder, listed("  - {team: one, events: [e], files: [empty/]}"))


def test_evidence_is_read_by_team(folder):
    (folder / "gate.json").write_bytes(b"{}")
    (folder / "results.yaml").write_text(listed(ONE) + "evidence:\n  - {team: one, files: [gate.json]}\n")
    ((facts, data),) = read_results(folder / "results.yaml", ROUND).evidence_bytes()["one"]
    assert (facts.name, facts.role, facts.size, data) == ("gate.json", "evidence", 2, b"{}")


def run(folder: Path, body: str, *events):
    return assembled(folder, round_of(*(events or (event_of("e"),))), {}, body)


def test_a_team_left_out(folder):
    with pytest.raises(
        FormatError, match=r"results\.yaml: two has no results of e\. List its files; a team that did not"
    ):
        run(folder, ONE)


def test_an_event_left_out(folder):
    with pytest.raises(FormatError, match=r"results\.yaml: there are no results of other"):
        run(folder, f"{ONE}\n{ONE.replace('one', 'two')}", event_of("e"), event_of("other"))


@pytest.mark.parametrize(
    ("event", "body", "said"),
    [
        ({}, ONE, "e does not allow a team to be missing"),
        (
            {"missing": "floor"},
            f"{ONE}\n{ONE.replace('one', 'two')}",
            "two has results of e at results.yaml:5",
        ),
    ],
)
def test_did_not_run(folder, event, body, said):
    absent = "did_not_run:\n  - {team: two, event: e, why: ill}"
    with pytest.raises(FormatError, match=said):
        run(folder, f"{body}\n{absent}", event_of("e", **event))


def test_did_not_run_twice(folder):
    absent = "did_not_run:\n" + "  - {team: two, event: e, why: ill}\n" * 2
    with pytest.raises(FormatError, match=r"results\.yaml:7: two and e are named already"):
        run(folder, f"{ONE}\n{absent}", event_of("e", missing="floor"))
