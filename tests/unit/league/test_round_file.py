"""A round from its file: what is read, and how each fault is told, with line and key."""

from __future__ import annotations

import re

import jsonschema
import pytest

from jokbo.errors import FormatError, NotFoundError, UsageError
from jokbo.evidence.schema import KEYWORDS, problems
from jokbo.formats.strict_yaml import parse_yaml
from jokbo.league.freeze import round_digest
from jokbo.league.round import Axis, EventKind, Round
from jokbo.league.round_file import parse_round, read_round, round_schema
from jokbo.league.season_file import season_schema
from jokbo.league.template import round_template
from jokbo.league.yaml_document import typed

TEMPLATE = round_template("en").decode()


def edited(*changes: tuple[str, str], text: str = TEMPLATE) -> bytes:
    for old, new in changes:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    return text.encode()


def read(*changes: tuple[str, str]) -> Round:
    return parse_round(edited(*changes), "round.yaml")


def told(*changes: tuple[str, str]) -> str:
    with pytest.raises(FormatError) as raised:
        read(*changes)
    return str(raised.value)


def test_the_template_is_a_whole_round():
    found = read()
    assert [team.id for team in found.teams] == ["team-a", "team-b", "team-c"]
    first = found.teams[0]
    assert first.name == {"en": "Team A", "ko": "가 팀"}
    assert (first.model.parameters, first.model.active_parameters) == (100e9, 12e9)
    assert first.declared_ancestors[0].components == ("text.embedding",)
    assert first.compute == {
        "tokens": 1e13,
        "device": "H100",
        "devices": 1000,
        "days": 60.0,
        "precision": "bf16",
    }
    exam, expert, user, speed = found.events
    assert (exam.kind, exam.axes) == (EventKind.ITEMS, (Axis.RANGE, Axis.ABSOLUTE))
    assert exam.pins == {"version": "3", "num_fewshot": "5"}
    assert exam.cluster == "passage"
    assert expert.panel is not None
    assert expert.panel.drop_each_side == 1
    assert user.published is not None
    assert user.published.standard_error == 0.8
    assert speed.race is not None
    assert speed.race.fixed["hardware"] == "8 x H100"
    assert found.gate.required
    assert found.gate.untestable == "stays"
    assert [(s.by, s.of) for s in found.elimination.tie_rule][-1] == ("lot", None)
    assert found.elimination.lot is not None
    assert found.elimination.lot.after == "2026-08-01"


def test_both_templates_say_the_same():
    assert round_digest(parse_round(round_template("ko"), "ko.yaml")) == round_digest(read())
    with pytest.raises(UsageError, match="'fr' is not available"):
        round_template("fr")


def test_a_plain_text_counts_for_both_languages():
    found = read(("title: {en: First round, ko: 1차 평가}", "title: Round"))
    assert found.title == {"en": "Round", "ko": "Round"}


def test_no_assumed_error_is_allowed_and_stays_none():
    for empty in ("null", "~", ""):
        found = read(("standard_error: 0.8  # assumed", f"standard_error: {empty}  # assumed"))
        assert found.events[2].published is not None
        assert found.events[2].published.standard_error is None


def test_a_team_can_be_the_reference():
    found = read(
        ('    - {name: open-base, digest: "' + "0" * 63 + '1"}', "    - {team: team-b}\n    - {team: team-c}")
    )
    assert [(r.name, r.digest, r.team) for r in found.gate.references] == [
        ("model-b", "b" * 64, "team-b"),
        ("model-c", "c" * 64, "team-c"),
    ]


LINE = {line.strip(): k for k, line in enumerate(TEMPLATE.splitlines(), 1)}

FAULTS: dict[str, tuple[tuple[tuple[str, str], ...], str]] = {
    "unknown key": ((("seed: 20", "sed: 20"),), r"\(sed\): expected a known key, found 'sed'. Did you mean 'seed'"),
    "unknown key below": (
        (("    floor: 0.25 ", "    flor: 0.25 "),),
        r"\(events/0/flor\): expected a known key, found 'flor'. Did you mean 'floor'",
    ),
    "missing key": ((("seed: 20260101", "number: 2\n#"), ("number: 1\n", "")), "expected the key 'seed', found none"),
    "empty value": ((("seed: 20260101", "seed:"),), r"\(seed\): expected integer, found nothing"),
    "no number": (
        (("floor: 0.25", "floor: 0,25"),),
        r"\(events/0/floor\): expected a number such as 2.5, found '0,25'",
    ),
    "too few draws": ((("draws: 10000", "draws: 10"),), r"\(draws\): expected 1,000 to 100,000, found 10"),
    "id": (
        (("  - id: team-b", "  - id: Team B"),),
        r"\(teams/1/id\): expected 1 to 64 small letters, .*, found 'Team B'",
    ),
    "team twice": (
        (("  - id: team-b", "  - id: team-a"),),
        r"\(teams/1/id\): expected an id of its own, found 'team-a'",
    ),
    "event twice": ((("  - id: expert\n", "  - id: exam\n"),), r"\(events/1/id\): .*'exam' a second time"),
    "category twice": ((("{id: user, title", "{id: expert, title"),), r"\(categories/2/id\): .*a second time"),
    "digest": ((('digest: "bbbb', 'digest: "BBbb'),), r"\(teams/1/model/digest\): expected 64 hexadecimal digits"),
    "more active than all": (
        (("active_parameters: 12e9", "active_parameters: 120e9"),),
        r"\(teams/0/model/active_parameters\): expected at most the 1e\+11 parameters, found 1.2e\+11",
    ),
    "affiliation spelt otherwise": (
        (("    affiliations: []       #", "    affiliations: [lab  a] #"),),
        r"\(events/0/affiliations/0\): expected the spelling of the teams, 'Lab A', found 'lab  a'",
    ),
    "author not among affiliations": (
        (("author: Institute of Examples", "author: Lab A"),),
        r"\(events/0/affiliations\): expected 'Lab A', the author and a team's affiliation, found none",
    ),
    "race elsewhere": (
        (("axes: [efficiency]", "axes: [efficiency, absolute]"),),
        r"\(events/3/axes\): expected a race on the efficiency axis alone, found efficiency, absolute",
    ),
    "no race on efficiency": (
        (("axes: [range, absolute]", "axes: [range, efficiency]"),),
        r"\(events/0/axes\): expected only races on the efficiency axis, found kind 'items'",
    ),
    "axis twice": ((("axes: [range, absolute]", "axes: [range, range]"),), "expected each axis once"),
    "floor is the anchor": (
        (("anchor: {value: 0.7,", "anchor: {value: 0.25,"),),
        r"\(events/0/anchor/value\): expected an anchor above the floor 0.25 \(direction 'higher'\), found 0.25",
    ),
    "anchor below": ((("anchor: {value: 0.7,", "anchor: {value: 0.1,"),), "expected an anchor above the floor"),
    "anchor above where lower is better": (
        (("anchor: {value: 3600}", "anchor: {value: 90000}"),),
        r"\(events/3/anchor/value\): expected an anchor below the floor 86400",
    ),
    "log of nothing": (
        (("anchor: {value: 3600}", "anchor: {value: 0}"),),
        r"\(events/3/scale\): expected floor and anchor above 0 on a log scale, found 86400 and 0",
    ),
    "race upwards": (
        (("quantity: seconds", "quantity: tokens_per_second"),),
        r"\(events/3/direction\): expected 'higher' for tokens_per_second, found 'lower'",
    ),
    "nothing fixed": (
        (("fixed: {hardware: 8 x H100, data: the same 10B tokens}", "fixed: {}"),),
        r"\(events/3/race/fixed\): expected at least one thing that is equal for all",
    ),
    "key of another kind": (
        (("    kind: panel            #", "    kind: published #"),),
        r"\(events/1/panel\): expected kind panel for this key, found kind 'published'",
    ),
    "kind without its rule": (
        (("    panel: {lowest: 0, highest: 35, drop_each_side: 1}\n", ""),),
        r"\(events/1\): expected the key 'panel' for kind 'panel', found none",
    ),
    "no metric": ((("    metric: acc\n", ""),), "expected the key 'metric' for kind 'items'"),
    "groups without group": (
        (("    group: subject\n", ""),),
        r"\(events/0/average\): expected the key 'group' beside average 'groups'",
    ),
    "scale upside down": (
        (("lowest: 0, highest: 35", "lowest: 35, highest: 0"),),
        r"\(events/1/panel/highest\): expected more than the lowest 35, found 0",
    ),
    "anchor off the scale": (
        (("anchor: {value: 35}", "anchor: {value: 350}"),),
        r"\(events/1/anchor/value\): expected a value on the panel's scale, 0 to 35, found 350",
    ),
    "error of zero": (
        (("standard_error: 0.8", "standard_error: 0"),),
        r"\(events/2/published/standard_error\): expected more than 0, or null .*, found 0",
    ),
    "no such category": (
        (("    category: user", "    category: users"),),
        r"\(events/2/category\): expected a category \(benchmark, expert, user\), found 'users'",
    ),
    "empty category": ((("    category: user\n", ""),), r"\(categories/2\): expected at least one event in 'user'"),
    "weightless category": ((("    weight: 1\n", "    weight: 0\n"),), r"\(categories/0\): expected a weight above 0"),
    "reserved category": ((("{id: user, title", "{id: total, title"),), "expected another id than total, range"),
    "gate of nothing": (
        (('    - {name: open-base, digest: "' + "0" * 63 + '1"}\n', ""), ("  references:\n", "")),
        r"\(gate/references\): expected at least one reference for a required gate, found none",
    ),
    "reference to no team": (
        (('    - {name: open-base, digest: "' + "0" * 63 + '1"}', "    - {team: team-x}"),),
        r"\(gate/references/0/team\): expected the id of a team \(team-a, team-b, team-c\), found 'team-x'",
    ),
    "reference by both": (
        (("    - {name: open-base, digest", "    - {team: team-b, name: open-base, digest"),),
        "expected name and digest, or team alone, found digest, name, team",
    ),
    "everybody out": (
        (("teams_out: 1", "teams_out: 3"),),
        r"\(elimination/teams_out\): expected fewer than the 3 teams, found 3",
    ),
    "by nothing known": (
        (("by: total                #", "by: totals #"),),
        r"\(elimination/by\): expected one of total, absolute, range, benchmark, expert, user, found 'totals'",
    ),
    "by efficiency": ((("by: total                #", "by: efficiency #"),), "expected one of total, absolute"),
    "no decider": (
        (("{by: lot}]", "{by: total}]"), ("  lot:\n", "  #\n"), ("    source:", "    #"), ("    after:", "    #")),
        r"\(elimination/tie_rule/2/by\): expected lot or keep as the last step, .* found 'total'",
    ),
    "decider too early": (
        (("tie_rule: [{by: category, of: benchmark}", "tie_rule: [{by: keep}"),),
        r"\(elimination/tie_rule/0/by\): expected lot or keep as the last step, and only there",
    ),
    "no tie rule": (
        (("tie_rule: [{by: category, of: benchmark}, {by: category, of: expert}, {by: lot}]", "gate_counts: no"),
         ("  gate_counts: no  ", "  #")),
        "expected the key 'tie_rule' where a team leaves",
    ),
    "step of nothing": (
        (("{by: category, of: expert}", "{by: event, of: exams}"),),
        r"\(elimination/tie_rule/1/of\): expected the id of an event \(exam, expert, user, speed\), found 'exams'",
    ),
    "step without of": (
        (("{by: category, of: expert}", "{by: axis}"),),
        "expected the id of an axis .* found 'nothing'",
    ),
    "lot of something": ((("{by: lot}]", "{by: lot, of: exam}]"),), "expected no such key for 'lot', found 'exam'"),
    "step twice": ((("of: expert}, {by", "of: benchmark}, {by"),), "expected each step once"),
    "no day": ((('after: "2026-08-01"', 'after: "2026-02-30"'),), r"\(elimination/lot/after\): expected a day"),
    "another version": ((("jokbo_round: 1", "jokbo_round: 2"),), r"\(jokbo_round\): expected one of '1', found '2'"),
    "half a language": ((("{en: Team A, ko: 가 팀}", "{en: Team A}"),), r"\(teams/0/name\): expected the key 'ko'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", list(FAULTS))
def test_each_fault_is_told_with_line_and_key(fault: str):
    changes, said = FAULTS[fault]
    message = told(*changes)
    assert re.search(said, message), message
    assert all(re.match(r"round\.yaml:\d+", line) for line in message.splitlines()), message


def test_the_line_is_that_of_the_key():
    message = told(("    anchor: {value: 3600}", "    anchor: {value: 90000}"))
    assert message.startswith(f"round.yaml:{LINE['anchor: {value: 3600}']} ")


def test_all_faults_are_told_at_once_and_no_more_than_twelve():
    message = told(("floor: 0.25", "floor: x"), ("seed: 20260101", "seed: y"))
    assert len(message.splitlines()) == 2
    many = TEMPLATE.replace("id: ", "ID: ")
    with pytest.raises(FormatError) as raised:
        parse_round(many.encode(), "round.yaml")
    lines = str(raised.value).splitlines()
    assert len(lines) == 13
    assert lines[-1].endswith("more problems. Correct these first.")


def test_the_schema_uses_only_what_the_validator_knows():
    def keywords(rule):
        if isinstance(rule, dict):
            for key, each in rule.items():
                if key in ("properties", "$defs"):
                    for inner in each.values():
                        yield from keywords(inner)
                else:
                    yield key
                    yield from keywords(each)

    assert set(keywords(round_schema())) <= KEYWORDS | {"description"}


@pytest.mark.parametrize("whole", [round_schema(), season_schema()], ids=["round", "season"])
def test_the_schemas_are_schemas(whole):
    jsonschema.Draft202012Validator.check_schema(whole)


@pytest.mark.parametrize("fault", [*FAULTS, None])
def test_a_full_validator_finds_the_same_documents_wrong(fault: str | None):
    """What the schema alone refuses, an independent implementation refuses, and the other way round."""
    data = edited(*(FAULTS[fault][0] if fault else ()))
    value = typed(parse_yaml(data, where="round.yaml").value, round_schema(), round_schema())
    theirs = list(jsonschema.Draft202012Validator(round_schema()).iter_errors(value))
    assert bool(theirs) == bool(list(problems(value, round_schema())))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(NotFoundError, match=r"round\.yaml is not there"):
        read_round(tmp_path / "round.yaml")
    path = tmp_path / "round.yaml"
    path.write_bytes(edited())
    assert read_round(path) == read()
