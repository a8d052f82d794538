"""Relations told by angles are true on every tree, whatever is hidden and however like the trainings were.

Models are points: a child is its parent plus a step. Steps of siblings share a direction, up to the likeness that
trained models show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.lineage.graph.edges import Edge
from jokbo.lineage.graph.geometry import Frame, sum_of_squares, triangle
from jokbo.lineage.graph.merges import find_merges, mixture
from jokbo.lineage.graph.relations import Relation, relate

DIMENSIONS, GROUPS = 6000, 4


@dataclass(frozen=True)
class Grown:
    """Points on a tree, and each one's parent."""

    points: np.ndarray
    parents: tuple[int | None, ...]

    def way(self, a: int, b: int) -> set[int]:
        """All models on the path, the ends included."""
        up: list[list[int]] = []
        for k in (a, b):
            line: list[int] = [k]
            while (parent := self.parents[line[-1]]) is not None:
                line.append(parent)
            up.append(line)
        common = next(k for k in up[0] if k in up[1])
        return {*up[0][: up[0].index(common) + 1], *up[1][: up[1].index(common)]}


def grow(seed: int, count: int, *, likeness: float, spread: float, chain: bool = False) -> Grown:
    """A random tree: steps of siblings have about this cosine, lengths differ by up to `spread`."""
    rng = np.random.default_rng(seed)
    points = [np.zeros(DIMENSIONS)]
    parents: list[int | None] = [None]
    shared: dict[int, np.ndarray] = {}
    for k in range(1, count):
        parent = k - 1 if chain else int(rng.integers(k))
        common = shared.setdefault(parent, rng.standard_normal(DIMENSIONS))
        step = np.sqrt(likeness) * common + np.sqrt(1 - likeness) * rng.standard_normal(DIMENSIONS)
        length = spread ** rng.uniform(0, 1)
        points.append(points[parent] + length * step)
        parents.append(parent)
    return Grown(np.array(points), tuple(parents))


def frame(points: np.ndarray, members: list[int]) -> Frame:
    pieces = np.split(points, GROUPS, axis=1)
    return Frame(tuple(members), np.stack([sum_of_squares([piece]) for piece in pieces]))


def edges(count: int) -> list[Edge]:
    plain = ("lineage", "lineage", "undetermined", (), 80.0, 9.0, 1.0, ("text.mlp",), True, "full", "0" * 64)
    return [Edge(a, b, *plain) for a in range(count) for b in range(a + 1, count)]


def told(tree: Grown, visible: list[int], dates: dict[int, str] | None = None) -> tuple[Relation, ...]:
    """Relations of the visible models, called by their numbers among these."""
    here = frame(tree.points[visible], list(range(len(visible))))
    comparable = {edge.pair: True for edge in edges(len(visible))}
    merges = find_merges(here, comparable, comparable)
    assert merges == ()
    return relate(edges(len(visible)), [here], merges, dates or {})


def is_true(relation: Relation, tree: Grown, visible: list[int]) -> bool:
    a, b = visible[relation.a], visible[relation.b]
    way = tree.way(a, b) - {a, b}
    if relation.kind == "adjacent":
        return not way & set(visible)
    near = {n for v in relation.via for n in _near(tree, visible[v])}
    if relation.kind == "through":
        return bool(way & near)
    descends = tree.way(a, b) in (
        tree.way(a, 0) - tree.way(b, 0) | {b},
        tree.way(b, 0) - tree.way(a, 0) | {a},
    )
    return relation.kind == "undetermined" or (relation.kind == "siblings" and not descends)


def _near(tree: Grown, model: int) -> set[int]:
    parent = tree.parents[model]
    children = {k for k, p in enumerate(tree.parents) if p == model}
    return {model, *children, *(set() if parent is None else {parent})}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 9))
def test_a_whole_tree_of_unlike_trainings_is_recovered(seed: int, count: int):
    tree = grow(seed, count, likeness=0.0, spread=1.4)
    for relation in told(tree, list(range(count))):
        direct = relation.a in (tree.parents[relation.b],) or relation.b in (tree.parents[relation.a],)
        assert (relation.kind == "adjacent") == direct
        if relation.kind == "through" and len(relation.via) == 1:
            assert relation.via[0] in tree.way(relation.a, relation.b)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(4, 10),
    st.floats(0, 0.28),
    st.floats(1, 8),
    st.floats(0, 0.5),
)
def test_nothing_told_is_false_whatever_is_hidden(
    seed: int, count: int, likeness: float, spread: float, hidden: float
):
    tree = grow(seed, count, likeness=likeness, spread=spread)
    rng = np.random.default_rng(seed)
    visible = [k for k in range(count) if rng.uniform() >= hidden] or [0]
    for relation in told(tree, visible):
        assert is_true(relation, tree, visible), (relation, tree.parents, visible)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 9), st.floats(0, 0.28))
def test_dates_and_angles_tell_siblings_only_of_models_that_are(seed: int, count: int, likeness: float):
    tree = grow(seed, count, likeness=likeness, spread=1.5)
    dates = {k: f"2024-01-{k + 1:02d}" for k in range(count)}
    for relation in told(tree, list(range(count)), dates):
        assert is_true(relation, tree, list(range(count)))


def test_a_star_tells_its_middle():
    tree = grow(0, 6, likeness=0.0, spread=1.0)
    star = Grown(np.vstack([np.zeros(DIMENSIONS), tree.points[1:] - tree.points[list(tree.parents[1:])]]),
                 (None, 0, 0, 0, 0, 0))  # fmt: skip
    found = told(star, list(range(6)))
    assert {r.kind for r in found if 0 in (r.a, r.b)} == {"adjacent"}
    assert {(r.kind, r.via) for r in found if 0 not in (r.a, r.b)} == {("through", (0,))}


def test_a_chain_tells_its_neighbours_and_nobody_is_called_siblings():
    tree = grow(1, 5, likeness=0.0, spread=1.0, chain=True)
    found = told(tree, list(range(5)))
    assert {(r.a, r.b) for r in found if r.kind == "adjacent"} == {(k, k + 1) for k in range(4)}
    assert "siblings" not in {r.kind for r in found}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9), st.floats(0, 0.28))
def test_a_mixture_is_found_with_its_weights(seed: int, weight: float, likeness: float):
    tree = grow(seed, 4, likeness=likeness, spread=1.3)
    mixed = weight * tree.points[2] + (1 - weight) * tree.points[3]
    here = frame(np.vstack([tree.points, mixed]), [10, 11, 12, 13, 14])
    pairs = {(a, b): True for a in range(10, 15) for b in range(a + 1, 15)}
    (merge,) = find_merges(here, pairs, pairs)
    assert (merge.child, merge.parents) == (14, (12, 13))
    np.testing.assert_allclose(merge.weights, (weight, 1 - weight), atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 0.4), st.floats(0.2, 0.4))
def test_three_parents_are_found(seed: int, first: float, second: float):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((5, DIMENSIONS))
    points[4] = first * points[0] + second * points[1] + (1 - first - second) * points[2]
    pairs = {(a, b): True for a in range(5) for b in range(a + 1, 5)}
    (merge,) = find_merges(frame(points, list(range(5))), pairs, pairs)
    assert (merge.child, merge.parents) == (4, (0, 1, 2))


def test_a_parent_that_shows_no_dependence_is_not_named():
    points = np.array([[0.0, 0.0], [10.0, 0.0], [4.0, 0.0]])
    here = Frame((0, 1, 2), np.array([((points[:, None] - points) ** 2).sum(-1)]))
    every = {(0, 1): True, (0, 2): True, (1, 2): True}
    assert len(find_merges(here, every, every)) == 1
    assert find_merges(here, every, every | {(1, 2): False}) == ()


def test_a_mixture_of_two_near_copies_is_not_pinned_to_one_of_them():
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, DIMENSIONS))
    copy = a + 1e-3 * rng.standard_normal(DIMENSIONS)
    mixed = 0.5 * a + 0.5 * b + 1e-3 * rng.standard_normal(DIMENSIONS)
    pairs = {(i, j): True for i in range(4) for j in range(i + 1, 4)}
    found = find_merges(frame(np.stack([a, b, copy, mixed]), [0, 1, 2, 3]), pairs, pairs)
    assert all(merge.child != 3 for merge in found)


def test_mixture_of_a_point_with_itself_is_none():
    d = np.zeros((3, 3))
    assert mixture(d, 0, (1, 2)) is None


def test_corners_of_a_flat_triangle_have_no_angle():
    here = Frame((0, 1, 2), np.zeros((1, 3, 3)))
    assert triangle(here, 0, 1, 2).at_z == 0.0
    assert not triangle(here, 0, 1, 2).z_between
