"""The pure parts of a family tree: edges, families, declarations, the drawing, the document."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.lineage.graph.clusters import clusters
from jokbo.lineage.graph.declared import Node, judge, normal_id
from jokbo.lineage.graph.document import check, parse_tree, schema, verdict_of
from jokbo.lineage.graph.edges import JOINING, edge_of, worth_confirming
from jokbo.lineage.graph.geometry import Frame
from jokbo.lineage.graph.layout import lay_out
from jokbo.lineage.graph.merges import Merge
from jokbo.lineage.graph.relations import KINDS, Relation, relate
from jokbo.lineage.graph.skeleton import Stroke, skeleton
from jokbo.lineage.pairs import RELATIONS
from jokbo.testing.trees import HOSTILE, edge, tree_document


def pair(relation: str = "lineage", **changed: Any) -> dict[str, Any]:
    rows = [
        {"component": "text.mlp", "status": "inherited", "alignment": "same_basis"},
        {"component": "text.norms", "status": "no_evidence", "alignment": None},
    ]
    document = {
        "relation": relation,
        "direction": "undetermined",
        "marks": [],
        "log10_evalue": 80.0,
        "log10_threshold": 9.0,
        "inherited_share": 1.0,
        "components": rows,
        "rows": "fingerprint",
        "evidence_sha256": "1" * 64,
    }
    return document | changed


def test_whole_models_decide_and_the_fingerprints_finding_stays_beside():
    found = edge_of(pair("lead"), 0, 1, whole=pair("lineage", rows="full"))
    assert (found.relation, found.seen, found.rows) == ("lineage", "lead", "full")
    assert found.components == ("text.mlp",)
    assert found.same_basis


def test_one_component_in_another_basis_makes_differences_meaningless():
    other = pair()
    other["components"][1] = {"component": "text.attention", "status": "inherited", "alignment": "rotated"}
    assert not edge_of(other, 0, 1).same_basis
    assert not edge_of(pair(components=[]), 0, 1).same_basis


@pytest.mark.parametrize(
    ("said", "straight", "swapped"),
    [
        ("candidate_from_reference", "b_from_a", "a_from_b"),
        ("reference_from_candidate", "a_from_b", "b_from_a"),
        ("undetermined", "undetermined", "undetermined"),
    ],
)
def test_direction_follows_the_numbers_of_the_models(said: str, straight: str, swapped: str):
    document = pair(direction=said)
    assert edge_of(document, 0, 1).direction == straight
    assert edge_of(document, 1, 0).direction == swapped


@pytest.mark.parametrize("relation", RELATIONS)
def test_only_lineage_and_equal_weights_join(relation: str):
    assert edge(0, 1, relation).joins == (relation in ("lineage", "identical"))
    assert (relation in JOINING) == edge(0, 1, relation).joins
    assert worth_confirming(pair(relation)) == (relation not in ("no_evidence", "untestable"))


def test_reuse_and_a_shared_start_put_nobody_into_a_family():
    ties = [
        edge(0, 1),
        edge(1, 2, "reuse"),
        edge(2, 3, "shared_initialisation"),
        edge(3, 4, "lead"),
        edge(4, 5),
    ]
    assert clusters(6, [e.pair for e in ties if e.joins]) == ((0, 1), (4, 5))


@pytest.mark.parametrize(
    "name",
    [
        "Org/Base",
        "https://huggingface.co/org/base",
        "https://huggingface.co/org/base/tree/main/x",
        "hf.co/ORG/base/",
        "org/base@0123abc",
        "  org/base ",
    ],
)
def test_hub_ids_are_compared_as_the_hub_does(name: str):
    assert normal_id(name) == "org/base"


def test_declared_parents_are_matched_and_held_against_what_was_found():
    nodes = [
        Node(("org/base", "k0")),
        Node(("org/tuned",), ("https://huggingface.co/Org/Base",), "finetune"),
        Node(("org/stranger",), ("org/base",)),
        Node(("org/other",), ("elsewhere/model",)),
        Node(("org/edit",), ("org/other",)),
    ]
    edges = [edge(0, 1), edge(3, 4, direction="a_from_b")]
    relations = relate(edges, [], [], {})
    links, found = judge(nodes, edges, relations, [], frozenset())
    assert [(link.child, link.parents, link.status) for link in links] == [
        (1, (0,), "consistent"),
        (2, (0,), "no_evidence"),
        (3, (), "not_here"),
        (4, (3,), "reversed"),
    ]
    assert [(d.code, d.a, d.b) for d in found] == [("no_evidence", 0, 2), ("reversed", 3, 4)]


def test_an_edit_in_the_declared_order_is_as_found():
    nodes = [Node(("a",)), Node(("b",), ("a",))]
    edges = [edge(0, 1, direction="b_from_a")]
    links, found = judge(nodes, edges, relate(edges, [], [], {}), [], frozenset())
    assert (links[0].status, found) == ("as_found", ())


def test_undeclared_dependence_is_listed_once_a_connection_the_strongest_first():
    nodes = [Node((str(k),)) for k in range(4)]
    edges = [edge(0, 1, log10_evalue=50.0), edge(0, 2, log10_evalue=70.0), edge(1, 2, log10_evalue=60.0)]
    _, found = judge(nodes, [*edges, edge(2, 3, "reuse")], relate(edges, [], [], {}), [], frozenset())
    assert [(d.code, d.a, d.b) for d in found] == [
        ("undeclared", 0, 2),
        ("undeclared", 1, 2),
        ("undeclared", 2, 3),
    ]


def test_two_models_that_declare_one_parent_that_is_not_here_are_connected():
    nodes = [Node(("a",), ("Org/Base",)), Node(("b",), ("org/base@main",))]
    edges = [edge(0, 1)]
    _, found = judge(nodes, edges, relate(edges, [], [], {}), [], frozenset())
    assert found == ()


def test_a_declared_parent_without_evidence_connects_nobody():
    nodes = [Node(("a",)), Node(("b",), ("a", "c")), Node(("c",))]
    edges = [edge(0, 1)]
    _, found = judge(nodes, edges, relate(edges, [], [], {}), [], frozenset())
    assert [d.code for d in found] == ["no_evidence"]
    _, wrong = judge([nodes[0], Node(("b",), ("c",)), nodes[2]], edges, (), [], frozenset())
    assert [(d.code, d.a, d.b) for d in wrong] == [("no_evidence", 2, 1), ("undeclared", 0, 1)]


def test_a_mixture_whose_card_leaves_a_parent_out():
    nodes = [Node(("a",)), Node(("b",)), Node(("m",), ("a",), "merge")]
    edges = [edge(0, 1), edge(0, 2), edge(1, 2)]
    _, found = judge(nodes, edges, (), [Merge(2, (0, 1), (0.5, 0.5), 0.0)], frozenset())
    assert ("parent_not_declared", 1, 2) in [(d.code, d.a, d.b) for d in found]


def test_an_untested_declaration_is_no_contradiction():
    nodes = [Node(("a",)), Node(("b",), ("a",))]
    links, found = judge(nodes, [], [], [], frozenset({(0, 1)}))
    assert links[0].status == "not_tested"
    assert verdict_of({"no_evidence": 1}, 0, found) == ("unclear", 11)


@pytest.mark.parametrize(
    ("counts", "failed", "expected"),
    [
        ({"no_evidence": 5}, 0, ("nothing", 0)),
        ({"no_evidence": 5}, 1, ("unclear", 11)),
        ({"untestable": 1}, 0, ("unclear", 11)),
        ({"lineage": 1, "inconclusive": 1}, 0, ("unclear", 11)),
        ({"lineage": 2, "reuse": 1}, 0, ("as_declared", 0)),
    ],
)
def test_exit_status_without_disagreements(counts: dict[str, int], failed: int, expected: tuple[str, int]):
    assert verdict_of(counts, failed, []) == expected


def test_marks_on_values_give_parents_ancestors_and_siblings():
    grid = {"direction": "b_from_a", "marks": ("quantised_grid",)}
    edges = [
        edge(0, 1, **grid),
        edge(0, 2, **grid),
        edge(0, 3, **grid),
        edge(1, 2, **grid),
        edge(1, 3),
        edge(2, 3),
    ]
    here = [Frame((0, 1, 2, 3), np_square([[0, 0], [1, 0], [1, 1], [0, 1]]))]
    found = {(r.a, r.b): r for r in relate(edges, here, [], {})}
    assert (found[0, 1].kind, found[0, 1].parent) == ("parent_child", 0)
    assert (found[0, 2].kind, found[0, 2].parent, found[0, 2].via) == ("ancestor", 0, (1,))
    assert found[1, 2].kind == "undetermined"  # 0 may be the origin of both
    assert (found[1, 3].kind, found[1, 3].via) == ("siblings", (0,))


def test_of_two_deepened_models_one_may_come_from_the_other():
    deeper = [edge(0, 1, direction="b_from_a"), edge(0, 2, direction="b_from_a"), edge(1, 2)]
    found = {(r.a, r.b): r for r in relate(deeper, [], [], {})}
    assert (found[0, 1].kind, found[0, 1].via) == ("ancestor", (2,))
    assert (found[0, 2].kind, found[0, 2].via) == ("ancestor", (1,))
    assert found[1, 2].kind == "undetermined"


def test_a_mark_on_values_speaks_only_between_models_of_one_shape():
    """What was cut or copied from an original looks like it, to whatever was rounded from the original."""
    grid = edge(0, 1, direction="b_from_a", marks=("quantised_grid",))
    assert relate([grid], [], [], {})[0].kind == "undetermined"
    here = [Frame((0, 1), np_square([[0, 0], [1, 0]]))]
    assert relate([grid], here, [], {})[0].kind == "parent_child"


def test_a_relative_in_another_basis_hides_who_is_next_to_whom():
    """Its distance means nothing, so it may lie between any two."""
    d = np_square([[0, 0], [3, 0], [0, 4]])
    plain = [edge(0, 1), edge(0, 2), edge(1, 2)]
    here = [Frame((0, 1, 2), d)]
    assert relate(plain, here, [], {})[0].kind == "adjacent"
    turned = [edge(0, 1), edge(0, 2), edge(1, 2, same_basis=False)]
    assert {r.kind for r in relate(turned, here, [], {})} == {"undetermined"}
    assert relate(plain, here, [], {}, complete=False)[0].kind == "undetermined"


def np_square(points: list[list[float]]) -> Any:
    import numpy as np

    array = np.array(points, dtype=float)
    return ((array[:, None] - array) ** 2).sum(-1)[None]


def test_an_equal_average_that_came_later_is_no_place_where_its_base_and_its_parent_met():
    """Half a parent and half of a model that is not here stands at a right angle, as an ancestor would."""
    points = [[0, 0], [1, 1], [1, 0]]  # base, parent, average
    frame, edges = [Frame((0, 1, 2), np_square(points))], [edge(0, 1), edge(0, 2), edge(1, 2)]
    late = {0: "2023-01-01", 1: "2023-06-01", 2: "2024-01-01"}
    assert relate(edges, frame, [], {})[0].kind == "through"
    assert relate(edges, frame, [], late)[0].kind == "undetermined"


def test_dates_name_who_was_first_and_never_a_parent():
    found = relate(
        [edge(0, 1)], [Frame((0, 1), np_square([[0, 0], [1, 0]]))], [], {0: "2024-02-01", 1: "2023-02-01"}
    )
    assert (found[0].kind, found[0].first, found[0].parent) == ("adjacent", 1, None)


def test_the_drawing_is_one_tree_a_family_and_every_parent_of_a_mixture():
    document = tree_document()
    strokes = document["drawing"]
    tree = [s for s in strokes if s["tree"]]
    assert len(tree) == len(document["clusters"][0]) - 1
    assert [(s["start"], s["end"]) for s in strokes if s["kind"] == "merge"] == [(1, 3), (2, 3)]
    assert [s["kind"] for s in strokes if s["kind"] == "lead"] == ["lead"]


def test_no_two_models_share_a_row_and_the_drawing_is_the_same_every_time():
    count = 300
    relations = [Relation(k // 3, k, "undetermined") for k in range(1, count)]
    edges = [edge(r.a, r.b) for r in relations]
    strokes = skeleton(count, edges, relations, [], {})
    names = {k: f"m{k:03d}" for k in range(count)}
    laid = lay_out([tuple(range(count))], [], strokes, names)
    assert sorted(spot.row for spot in laid.spots.values()) == list(range(count))
    assert all(
        spot.parent is None or laid.spots[spot.parent].row == spot.parent_row < spot.row
        for spot in laid.spots.values()
    )
    assert laid == lay_out([tuple(range(count))], [], tuple(reversed(strokes)), names)


def test_a_model_made_from_no_other_stands_left():
    strokes = [Stroke(2, 0, "parent_child", True, True), Stroke(2, 1, "parent_child", True, True)]
    assert lay_out([(0, 1, 2)], [], strokes, dict.fromkeys(range(3), "")).families[0][0].model == 2


def test_the_schema_lists_every_kind_and_every_relation():
    assert tuple(schema()["$defs"]["relation"]["properties"]["kind"]["enum"]) == KINDS
    assert tuple(schema()["$defs"]["edge"]["properties"]["relation"]["enum"]) == RELATIONS


def test_a_document_is_read_back_as_it_was_written():
    document = tree_document(HOSTILE[1:7])
    assert parse_tree(canonical_bytes(document)) == document


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("edges"), "'edges' is missing"),
        (lambda d: d["clusters"].append([0, 1]), "contradict each other"),
        (lambda d: d["clusters"].__setitem__(0, [0, 99]), "speaks of number 99"),
        (lambda d: d["edges"][0].update(a=-1), "edges"),
        (lambda d: d["relations"][0].update(kind="cousin"), "relations"),
        (lambda d: d["relations"][0].update(via=[77]), "speaks of number 77"),
        (lambda d: d["drawing"][0].update(end=d["drawing"][0]["start"]), "contradict each other"),
        (lambda d: d["models"][0].update(extra=1), "extra"),
        (lambda d: d["verdict"].update(exit_status=1), "exit_status"),
    ],
)
def test_a_damaged_document_is_refused(change: Any, message: str):
    document = copy.deepcopy(tree_document())
    change(document)
    with pytest.raises(EvidenceError, match=message):
        check(document, where="tree.json")


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'{"schema": "jokbo.tree/1"}', b"\xff", b'{"a": NaN}'])
def test_what_is_no_tree_is_refused(data: bytes):
    with pytest.raises(EvidenceError):
        parse_tree(data)


def test_canonical_bytes_do_not_depend_on_the_order_of_keys():
    document = tree_document()
    assert canonical_bytes(document) == canonical_bytes(json.loads(json.dumps(document)))
