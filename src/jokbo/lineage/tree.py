"""The family tree of a set of models: all pairs, what they say together, and what was declared.

Fingerprints first; then every pair by its fingerprints; then whole models of those pairs that showed something, where
they can be opened; then the distances within each family. Each step's results are kept as they come, so a run that is
repeated goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo.lineage.cluster_rows import LaidOut, lay_rows
from jokbo.lineage.graph.clusters import clusters
from jokbo.lineage.graph.document import TreeResult
from jokbo.lineage.graph.edges import SHOWING, Edge, edge_of, worth_confirming
from jokbo.lineage.tasks import Task, make_task, plan_confirm, plan_tree
from jokbo.lineage.tree_document import Found, build_document
from jokbo.lineage.tree_models import Execution, TreeModel, gather
from jokbo.views.fingerprint import read_sketch

if TYPE_CHECKING:
    from jokbo.lineage.register import Register

PREFILTER_FROM = 400
"""From this many models on, sketches decide which pairs are compared; fewer are all compared."""

Pair = tuple[int, int]


def find_tree(
    models: Sequence[str] = (),
    *,
    register: Register | None = None,
    execution: Execution,
    confirm: bool = True,
    seed: int = 0,
    keep_going: bool = False,
    prefilter_from: int = PREFILTER_FROM,
) -> TreeResult:
    """Compare all pairs of models and say what they are to each other.

    Parameters
    ----------
    models : sequence of str
        Each the path of a fingerprint, a name or key of the register, or whatever opens a model. Without any, all
        of the register.
    register : Register, optional
    execution : Execution
        Where results are kept, and what runs the tasks.
    confirm : bool
        Compare whole models of those pairs whose fingerprints showed something, where both can be opened.
    seed : int
        Of the pairs.
    keep_going : bool
        Leave out a model whose fingerprint is damaged, and say so, instead of ending.
    prefilter_from : int
        From this many models on, a pair whose sketches show nothing is not compared; the document counts them.

    Returns
    -------
    TreeResult

    Raises
    ------
    UsageError
        Fewer than two models, or fingerprints of different salts.
    JokboError
        A fingerprint cannot be read or believed.
    """
    found, unmade = gather(models, register, execution, keep_going=keep_going)
    pairs = _Pairs(found, execution, seed)
    dropped = _dropped(found, execution) if len(found) >= prefilter_from else frozenset()
    pairs.compare(dropped)
    if confirm:
        pairs.confirm()
    edges = tuple(edge for edge in pairs.edges() if edge.relation in SHOWING)
    families = clusters(len(found), [edge.pair for edge in edges if edge.joins])
    laid = [_lay(family, edges, found, execution) for family in families]
    return build_document(
        Found(
            found,
            edges,
            families,
            laid,
            relations=pairs.relations(),
            failed=pairs.failed,
            unmade=unmade,
            dropped=dropped,
            confirmed=len(pairs.whole),
            seed=seed,
            confirm=confirm,
        )
    )


def _lay(
    family: Sequence[int], edges: Sequence[Edge], models: Sequence[TreeModel], execution: Execution
) -> LaidOut:
    """Rows of those that agree with some relative entry by entry; the others stand in another basis."""
    inside = set(family)
    plain = {k for e in edges if e.joins and e.same_basis and set(e.pair) <= inside for k in e.pair}
    members = [k for k in family if k in plain]
    laid = lay_rows(members, {k: models[k].path for k in members}, execution.options)
    return LaidOut(laid.frames, tuple(sorted({*laid.left_out, *(inside - plain)})))


@dataclass(slots=True)
class _Pairs:
    """All comparisons of a tree."""

    models: tuple[TreeModel, ...]
    execution: Execution
    seed: int
    done: dict[Pair, Mapping[str, Any]]
    whole: dict[Pair, Mapping[str, Any]]
    failed: list[dict[str, Any]]

    def __init__(self, models: tuple[TreeModel, ...], execution: Execution, seed: int) -> None:
        self.models, self.execution, self.seed = models, execution, seed
        self.done, self.whole, self.failed = {}, {}, []

    @property
    def among(self) -> int:
        """Pairs in all; each comparison pays for every one of them, compared or not."""
        return len(self.models) * (len(self.models) - 1) // 2

    def compare(self, dropped: frozenset[Pair]) -> None:
        """Compare by fingerprints."""
        number = {model.end.id: k for k, model in enumerate(self.models)}
        tasks = {}
        for task in plan_tree((model.end for model in self.models), seed=self.seed):
            pair = (number[task.spec["reference_id"]], number[task.spec["candidate_id"]])
            if (min(pair), max(pair)) not in dropped:
                dated, chosen = self._dated(pair, task)
                tasks[dated] = chosen
        self._run(tasks, "pair", self.done)

    def confirm(self) -> None:
        """Compare whole models where fingerprints showed something; linear in the number of such pairs."""
        tasks = {}
        for pair, document in self.done.items():
            sources = [self.models[k].source for k in pair]
            if worth_confirming(document) and sources[0] and sources[1] and sources[0] != sources[1]:
                (task,) = plan_confirm([(sources[0], sources[1])], among=self.among, seed=self.seed)
                tasks[pair] = self._dated(pair, task)[1]
        self._run(tasks, "confirm", self.whole)
        for pair, document in list(self.whole.items()):
            self._check_same(pair, document)

    def _dated(self, pair: Pair, task: Task) -> tuple[Pair, Task]:
        """The comparison with the model first that was public first, where the register's owner vouches for both.

        That lifts the guard against a reference made to match.
        """
        dates = [self.models[k].public_since for k in pair]
        if dates[0] is None or dates[1] is None or dates[0] == dates[1]:
            return pair, task
        spec = dict(task.spec) | {"reference_first": True}
        if dates[1] < dates[0]:
            pair = (pair[1], pair[0])
            for key in ("", "_id"):
                ends = spec[f"reference{key}"], spec[f"candidate{key}"]
                spec[f"candidate{key}"], spec[f"reference{key}"] = ends
        return pair, make_task(task.kind, spec)

    def _check_same(self, pair: Pair, document: Mapping[str, Any]) -> None:
        """A model that changed since its fingerprint was made says nothing of it."""
        for end, k in zip(("reference", "candidate"), pair, strict=True):
            model = self.models[k]
            side, header = document[end], model.header
            same_kind = side["digest_covers"] == header.digest_covers  # of a private one, always all weights
            if same_kind and side["digest"] != header.digest and pair in self.whole:
                del self.whole[pair]
                self._fail(
                    pair,
                    f"{model.source} is no longer the model that its fingerprint was made of. Make it again.",
                    whole=True,
                )

    def _run(self, tasks: Mapping[Pair, Task], stage: str, into: dict[Pair, Mapping[str, Any]]) -> None:
        outcome = self.execution.run(list(tasks.values()), stage)
        for pair, task in tasks.items():
            if task.key in outcome.done:
                into[pair] = outcome.done[task.key]
            else:
                self._fail(pair, outcome.failed[task.key], whole=stage == "confirm")

    def _fail(self, pair: Pair, error: str, *, whole: bool) -> None:
        low, high = sorted(pair)
        self.failed.append({"a": low, "b": high, "whole": whole, "error": error[:1000]})

    def edges(self) -> list[Edge]:
        """One of every pair that was compared, in the order of the models."""
        found = [edge_of(document, *pair, whole=self.whole.get(pair)) for pair, document in self.done.items()]
        return sorted(found, key=lambda edge: edge.pair)

    def relations(self) -> dict[Pair, str]:
        """What each comparison came to."""
        return {edge.pair: edge.relation for edge in self.edges()}


def _dropped(models: Sequence[TreeModel], execution: Execution) -> frozenset[Pair]:
    """Pairs whose sketches show nothing; a model without a sketch is compared with all."""
    from jokbo.evidence.canonical import digest
    from jokbo.lineage.prefilter import score_sketch
    from jokbo.lineage.sketch_format import parse_sketch
    from jokbo.lineage.sketch_index import cached_index

    number = {model.key: k for k, model in enumerate(models)}
    sketches = {model.key: read_sketch(model.path) for model in models}
    keys = digest(sorted(number))
    salt = models[0].header.salt
    folder = Path(execution.results) / f"sketches-{keys[:16]}"
    held = [(key, data) for key, data in sorted(sketches.items()) if data is not None]
    index = cached_index(folder, held, digest=keys, salt=salt)
    kept: set[Pair] = set()
    for key, data in sketches.items():
        here = number[key]
        near = (
            [number[k] for k in number]
            if data is None
            else [number[index.keys[int(k)]] for k in score_sketch(parse_sketch(data), index).passed()]
        )
        kept |= {(min(here, k), max(here, k)) for k in near if k != here}
    count = len(models)
    return frozenset((a, b) for a in range(count) for b in range(a + 1, count) if (a, b) not in kept)
