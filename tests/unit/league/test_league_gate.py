"""The gate: standings from evidence, and never an exclusion that evidence does not carry."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from gate_files import BASE, OWN, REFERENCE, a_round, as_file, document, evidence, team

from jokbo.errors import EvidenceError, UsageError
from jokbo.evidence.findings import DEPENDENCE, VerdictKind
from jokbo.league import gate_pairs
from jokbo.league.gate import GateRow, judge_gate
from jokbo.league.round import Ancestor, GateRule

DECLARED = Ancestor("Reference", REFERENCE)
BETWEEN = GateRule((Ancestor("model-a", OWN["a"], team="a"), Ancestor("model-b", OWN["b"], team="b")))


def judged(*files, declared=(), gate=None, verify=None) -> GateRow:
    """Standing of team a, which alone has evidence."""
    round = a_round([team("a", declared=declared), team("b")], **({} if gate is None else {"gate": gate}))
    return judge_gate(round, {"a": files}, verify=verify).rows[0]


def codes(row: GateRow) -> list[str]:
    return [reason.code for reason in row.reasons]


EXPECTED = {
    "identical": ("not_eligible", "undeclared"),
    "derived": ("not_eligible", "undeclared"),
    "common_lineage": ("not_eligible", "undeclared"),
    "component_reuse": ("not_eligible", "undeclared"),
    "shared_initialisation_or_lineage": ("untestable", "shared_start"),
    "shared_basis": ("untestable", "shared_basis"),
    "inconclusive": ("untestable", "inconclusive"),
    "untestable": ("untestable", "untestable_pair"),
    "no_evidence": ("eligible", "no_evidence"),
}


@pytest.mark.parametrize("kind", list(EXPECTED))
def test_each_kind_of_verdict_gives_its_standing(kind: str):
    row = judged(evidence(kind))
    assert (row.standing, codes(row)) == (EXPECTED[kind][0], [EXPECTED[kind][1]])
    assert row.evidence[0].verdict == kind
    assert row.evidence[0].role == "candidate"


def test_every_kind_of_verdict_has_a_rule():
    assert set(gate_pairs.RULES) == set(VerdictKind) == set(map(VerdictKind, EXPECTED))


def test_a_verdict_without_a_rule_is_an_error(monkeypatch: pytest.MonkeyPatch):
    rules = {k: v for k, v in gate_pairs.RULES.items() if k is not VerdictKind.DERIVED}
    monkeypatch.setattr(gate_pairs, "RULES", rules)
    with pytest.raises(EvidenceError, match="no rule for the verdict derived"):
        judged(evidence("derived"))


@pytest.mark.parametrize("kind", sorted(DEPENDENCE))
def test_declared_dependence_is_eligible(kind: VerdictKind):
    row = judged(evidence(str(kind)), declared=[DECLARED])
    assert (row.standing, codes(row)) == ("eligible", ["declared"])
    assert row.evidence[0].declared is True


def test_declared_parts_cover_what_was_found_and_no_more():
    reuse = evidence("component_reuse")
    parts = ("text.embedding", "text.output")
    # The norms of this evidence are only numbered alike, which shows no part to be taken: nothing to declare.
    assert judged(reuse, declared=[replace(DECLARED, components=parts)]).standing == "eligible"
    row = judged(reuse, declared=[replace(DECLARED, components=parts[:1])])
    assert (row.standing, codes(row)) == ("not_eligible", ["beyond_declared"])
    assert row.reasons[0].values["components"] == "text.output"
    # A whole copy is more than any list of parts.
    assert (
        judged(evidence("identical"), declared=[replace(DECLARED, components=parts)]).standing
        == "not_eligible"
    )


def test_roles_may_be_reversed():
    row = judged(evidence("no_evidence", OWN["a"], REFERENCE))
    assert row.standing == "eligible"
    assert row.evidence[0].role == "reference"
    assert judged(evidence("common_lineage", OWN["a"], REFERENCE)).standing == "not_eligible"
    # The document says that the team came first, the round that the reference did: people decide.
    row = judged(evidence("derived", OWN["a"], REFERENCE))
    assert (row.standing, codes(row)) == ("untestable", ["order_contradicts"])


def test_no_evidence_states_the_weakest_bound_of_the_body():
    found = document("no_evidence", REFERENCE, OWN["a"])
    reason = judged(as_file(found)).reasons[0]
    assert (reason.values["cosine"], reason.values["component"]) == (0.1, "text.mlp")
    for row in found["components"]:
        if row["kind"] == "attention":
            for bound in row["bounds"]:
                if bound["kind"] == "cosine" and bound["alignment"] == "same_basis":
                    bound["value"] = 0.7
    reason = judged(as_file(found)).reasons[0]
    assert (reason.values["cosine"], reason.values["component"]) == (0.7, "text.attention")


def test_a_part_without_a_bound_is_named_and_a_document_without_any_is_untestable():
    found = document("no_evidence", REFERENCE, OWN["a"])
    rows = [row for row in found["components"] if row["kind"] in ("attention", "mlp")]
    for bound in rows[0]["bounds"]:
        bound["value"] = None
    row = judged(as_file(found))
    assert row.standing == "eligible"
    assert codes(row) == ["no_evidence", "bound_partial"]
    assert row.reasons[1].values["components"] == rows[0]["component"]
    for each in found["components"]:
        each["bounds"] = []
    row = judged(as_file(found))
    assert (row.standing, codes(row)) == ("untestable", ["no_bound"])


def test_missing_evidence_is_untestable_and_excludes_nobody():
    row = judged()
    assert (row.standing, codes(row)) == ("untestable", ["no_evidence_given"])
    table = judge_gate(a_round([team("a"), team("b")]), {})
    assert table.removed == ()
    assert table.open == ("a", "b")


def test_without_a_digest_nothing_can_be_bound():
    table = judge_gate(a_round([team("a", digest=None), team("b")]), {"a": [evidence("no_evidence")]})
    assert table.rows[0].standing == "untestable"
    assert "no_digest" in codes(table.rows[0])


def test_evidence_on_other_models_is_shown_and_not_used():
    row = judged(evidence("no_evidence", REFERENCE, "9" * 64))
    assert row.standing == "untestable"
    assert set(codes(row)) == {"no_evidence_given", "about_other_models"}
    assert row.evidence[0].reference is None


def test_dependence_is_not_undone_by_a_second_document():
    weak = document("no_evidence", REFERENCE, OWN["a"])
    row = judged(as_file(weak, "a.json"), evidence("common_lineage"))
    assert row.standing == "not_eligible"
    assert len(row.evidence) == 2
    assert judged(evidence("untestable"), evidence("no_evidence")).standing == "eligible"
    assert judged(evidence("inconclusive"), evidence("no_evidence")).standing == "untestable"


def test_a_declared_ancestor_may_explain():
    found = document("component_reuse", REFERENCE, OWN["a"])
    base = Ancestor("Base", BASE)
    link = as_file(document("common_lineage", BASE, REFERENCE), "link.json")
    assert judged(as_file(found), declared=[base]).standing == "not_eligible"
    row = judged(as_file(found), link, declared=[base])
    assert (row.standing, codes(row)) == ("untestable", ["through_declared"])
    # Only in the parts that it shares and that were declared.
    narrow = replace(base, components=("text.embedding",))
    assert judged(as_file(found), link, declared=[narrow]).standing == "not_eligible"


def test_a_document_that_does_not_verify_is_not_used():
    row = judged(evidence("derived"), verify=lambda file, data: False)
    assert (row.standing, codes(row)) == ("untestable", ["did_not_verify", "no_evidence_given"])
    assert row.evidence[0].verified is False
    seen = []

    def verify(file, data):
        seen.append((file.name, len(data)))
        return True

    assert judged(evidence("derived"), verify=verify).standing == "not_eligible"
    assert seen == [("derived.json", len(evidence("derived")[1]))]


def between(kind: str, *, first: str = "a", declared_by: str | None = None) -> dict[str, tuple[str, str]]:
    """Standings of two teams with evidence on each other's models; `first` is the document's reference."""
    second = "b" if first == "a" else "a"
    teams = []
    for id, other in (("a", "b"), ("b", "a")):
        declared = [Ancestor("other", OWN[other])] if declared_by == id else []
        teams.append(team(id, declared=declared))
    table = judge_gate(a_round(teams, gate=BETWEEN), {"a": [evidence(kind, OWN[first], OWN[second])]})
    return {row.team: (str(row.standing), row.reasons[0].code) for row in table.rows}


def test_teams_against_each_other_the_later_one_is_concerned():
    assert between("derived", first="b") == {
        "a": ("not_eligible", "derived_from_team"),
        "b": ("eligible", "came_first"),
    }
    assert between("derived", first="a")["a"] == ("eligible", "came_first")
    # Nothing tells who came first: nobody is excluded for having been copied.
    unknown = ("untestable", "order_unknown")
    assert between("common_lineage") == {"a": unknown, "b": unknown}
    assert between("common_lineage", declared_by="a") == {
        "a": ("eligible", "declared"),
        "b": ("eligible", "other_declared"),
    }
    assert between("no_evidence")["b"] == ("eligible", "no_evidence")


def test_equal_weights_exclude_nobody_for_having_been_copied():
    same = [team("a"), team("b", digest=OWN["a"]), team("c")]
    free = GateRule(())
    table = judge_gate(a_round(same, gate=free), {})
    assert [str(row.standing) for row in table.rows] == ["untestable", "untestable", "eligible"]
    assert table.rows[0].reasons[0].values == {"team": "b"}
    same[0] = team("a", declared=[Ancestor("b", OWN["a"])])
    table = judge_gate(a_round(same, gate=free), {})
    assert [codes(row) for row in table.rows[:2]] == [["same_weights_declared"]] * 2


def test_entering_a_reference_needs_a_declaration():
    def entered(declared=()):
        return judge_gate(a_round([team("a", digest=REFERENCE, declared=declared), team("b")]), {}).rows[0]

    assert (entered().standing, codes(entered())) == ("not_eligible", ["is_reference"])
    assert entered([DECLARED]).standing == "eligible"


def test_a_round_without_references_has_no_gate_and_says_so():
    table = judge_gate(a_round([team("a"), team("b")], gate=GateRule((), required=False)), {})
    assert [codes(row) for row in table.rows] == [["no_gate"]] * 2
    assert table.eligible == ("a", "b")
    assert table.removed == table.open == ()


@pytest.mark.parametrize(
    ("required", "untestable", "removed", "still_open"),
    [(True, "stays", ("b",), ("c",)), (True, "removes", ("b", "c"), ()), (False, "stays", (), ())],
)
def test_who_is_removed_is_the_rounds_rule(required, untestable, removed, still_open):
    gate = GateRule((Ancestor("Reference", REFERENCE),), required, untestable)
    files = {
        "a": [evidence("no_evidence")],
        "b": [evidence("derived", candidate=OWN["b"])],
        "c": [evidence("inconclusive", candidate=OWN["c"])],
    }
    table = judge_gate(a_round([team("a"), team("b"), team("c")], gate=gate), files)
    assert (table.removed, table.open, table.eligible) == (removed, still_open, ("a",))


def test_headers_only_is_said():
    found = document("no_evidence", REFERENCE, OWN["a"])
    found["candidate"]["digest_covers"] = "headers"
    assert codes(judged(as_file(found)))[-1] == "headers_only"


def test_the_table_as_plain_values_is_json():
    table = judge_gate(a_round([team("a"), team("b")]), {"a": [evidence("derived")]})
    plain = json.loads(json.dumps(table.to_document()))
    assert plain["rows"][0]["evidence"][0]["sha256"] == evidence("derived")[0].sha256
    assert plain["rows"][0]["standing"] == "not_eligible"
    assert plain["rows"][0]["compute"] is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["verdict"].update(kind="no_evidence"), "no_evidence, and text.* is dependent"),
        (lambda d: [c.update(status="no_evidence") for c in d["components"]], "no component is dependent"),
        (lambda d: d["verdict"].update(kind="stolen"), "verdict/kind"),
        (lambda d: d.pop("candidate"), "'candidate' is missing"),
    ],
)
def test_evidence_that_contradicts_itself_is_an_error_with_its_file(change, said):
    found = document("derived", REFERENCE, OWN["a"])
    change(found)
    with pytest.raises(EvidenceError, match=said) as raised:
        judged(as_file(found, "odd.json"))
    assert "odd.json" in str(raised.value)


def test_a_clean_verdict_on_nothing_is_an_error():
    found = document("no_evidence", REFERENCE, OWN["a"])
    for row in found["components"]:
        row["status"] = "not_comparable"
    with pytest.raises(EvidenceError, match="no component was compared"):
        judged(as_file(found))


def test_bytes_that_are_no_evidence_are_an_error():
    file, _ = evidence("derived")
    with pytest.raises(EvidenceError, match=r"derived\.json is not JSON"):
        judged((file, b"\x80\x04"))
    with pytest.raises(UsageError, match="listed for 'z'"):
        judge_gate(a_round([team("a"), team("b")]), {"z": []})
