"""The exam of the residual basis: embedding, output head and norms, along their channels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from jokbo.architectures.base import Part, Role
from jokbo.independence.alignment import procrustes
from jokbo.independence.base import Cluster, Family
from jokbo.independence.channel_signs import channel_signs
from jokbo.independence.exams.base import AxisSize, Bench, ExamRecord, Rotation
from jokbo.independence.exams.tokens import examine_tokens
from jokbo.independence.grams import AxisGrams, normalise, ranks
from jokbo.independence.index_structure import axis_features, row_products, sign_checks
from jokbo.independence.learned import subspace_overlap
from jokbo.independence.norm_pattern import align_norms, centred_correlation, norm_pattern
from jokbo.independence.rank_betting import LOCAL_BLOCK, rank_betting
from jokbo.views.component import Component, ComponentKind, Reason, both_hold
from jokbo.views.ledger import Ledger
from jokbo.views.rows import RowsWish
from jokbo.views.samples import fetch_matrix_rows, fetch_norms
from jokbo.views.tokens import match_tokens, reserved_tokens

SCATTERED_TOKENS = 256
"""Rows read where shared tokens do not lie side by side: each may cost a request."""

MIN_ROWS_A_CHANNEL = 4
"""Tables that share fewer rows than this a channel could be fitted by a rotation."""

_TABLES = {
    ComponentKind.EMBEDDING: (Role.TOKEN_EMBD, Role.PATCH_EMBD),
    ComponentKind.OUTPUT: (Role.OUTPUT,),
    ComponentKind.ROUTER: (Role.FFN_GATE_INP,),
    ComponentKind.PROJECTOR: (Role.PROJECTOR,),
}


@dataclass(slots=True)
class TableExam:
    """An embedding, an output head, or another matrix whose rows are matched by text or by number.

    Attributes
    ----------
    rows : pair of arrays (rows, channels), or None
        What the rows stage read; bounds are planted into them.
    overlap : float or None
        Leading subspace overlap of those rows: learned content in common.
    unread : Reason or None
        Why rows were last asked for in vain.
    kept : float
        Share of the rows read that carry anything.
    """

    bench: Bench
    component: Component
    record: ExamRecord = field(init=False)
    parts: tuple[Part | None, Part | None] = field(init=False)
    rows: tuple[np.ndarray, np.ndarray] | None = None
    overlap: float | None = None
    unread: Reason | None = None
    kept: float = 1.0

    def __post_init__(self) -> None:
        self.record = ExamRecord(self.component)
        self.parts = self._table(0), self._table(1)
        self.record.reason = self._compare_shapes()

    def _table(self, side: int) -> Part | None:
        """The first matrix of the component; of routers the first that fingerprints hold."""
        anatomy, tower = self.bench.anatomies[side], self.component.tower
        parts = [part for role in _TABLES[self.component.kind] for part in anatomy.select(tower, role)]
        parts = [part for part in parts if len(part.shape) == 2]
        if self.bench.sampled:
            parts.sort(key=lambda part: part.entry.name)  # the order in which fingerprints list them
        held = self.bench.held(side, tower) if self.component.kind is ComponentKind.ROUTER else None
        if held is not None:
            ledgers = self.bench.ledgers
            parts.sort(key=lambda p: not (p.layer in held and self._held_by_all(p, ledgers)))
        return parts[0] if parts else None

    def _held_by_all(self, part: Part, ledgers: tuple[Ledger, Ledger]) -> bool:
        """Whether both models hold the matrix at this place."""
        found = [ledger.model.anatomy.find(part.tower, part.role, layer=part.layer) for ledger in ledgers]
        return not self.bench.lacks(*([] if p is None else [RowsWish(p)] for p in found))

    def _compare_shapes(self) -> Reason | None:
        for part, where in zip(self.parts, ("reference", "candidate"), strict=True):
            if part is None:
                return Reason(f"absent_in_{where}")
        a, b = self.parts
        assert a is not None and b is not None
        towers = self.bench.towers(self.component.tower)
        if towers is None and self.component.tower != "projector":
            return Reason("tower_absent")
        if a.shape[1] != b.shape[1]:
            return Reason("hidden_sizes_differ", {"reference": a.shape[1], "candidate": b.shape[1]})
        if "hidden" not in (a.axes[1], b.axes[1]) or towers is None:
            return Reason("no_channel_symmetry")
        if not (both_hold(towers, "channel_sign") or both_hold(towers, "channel_permutation")):
            return Reason("no_channel_symmetry")
        return None

    def _matched(self, count: int) -> tuple[np.ndarray, np.ndarray, str]:
        """Row numbers of both models that stand for the same token, or the same number."""
        a, b = self.parts
        assert a is not None and b is not None
        vocabularies = [ledger.model.vocabulary for ledger in self.bench.ledgers]
        if self.bench.sampled and (a.axes[0] != "vocab" or None in vocabularies):
            return self._numbered(a.shape[0], b.shape[0], count)
        if a.axes[0] == "vocab":
            mine, theirs, how = match_tokens(
                *vocabularies, reference_rows=a.shape[0], candidate_rows=b.shape[0]
            )
        elif a.shape[0] == b.shape[0]:
            mine = theirs = np.arange(a.shape[0])
            how = "number"
        else:
            return np.empty(0, int), np.empty(0, int), "none"
        if self.bench.sampled and how == "text":
            mine, theirs = self._used(mine, theirs)
        # An accuser may relabel or rotate channels, and may choose which tokens its tokenizer shares.
        self._note_axes(len(mine))
        if len(mine) > count and not self.bench.sampled:
            window = self.bench.lot.window(f"{self.component}/rows", len(mine), count)
            together = all(np.ptp(ids[window]) == count - 1 for ids in (mine, theirs))
            if not together:
                rng = self.bench.lot.draw(f"{self.component}/scattered")
                window = np.sort(rng.choice(len(mine), min(count, SCATTERED_TOKENS), replace=False))
            mine, theirs = mine[window], theirs[window]
        return mine, theirs, how

    def _note_axes(self, rows: int, chosen: float = 0.0) -> None:
        """How many rows a channel an accuser would have to fit, and what choosing these rows adds."""
        width, rows = self.parts[0].shape[1] if self.parts[0] is not None else 0, int(rows * self.kept)
        rotation = width / rows if rows >= MIN_ROWS_A_CHANNEL * width else math.inf
        self.record.axes[Family.CHANNELS] = AxisSize(width, max(rows, 1), rotation, chosen)

    def _numbered(self, mine: int, theirs: int, count: int) -> tuple[np.ndarray, np.ndarray, str]:
        """The window of rows that fingerprints hold; a file may claim a table of any length, which is never listed."""
        if mine != theirs:
            return np.empty(0, int), np.empty(0, int), "none"
        rows = self.bench.lot.window(f"{self.component}/rows", mine, count)
        # Tokens without texts, and units of a projector, may stand in any order.
        self._note_axes(
            len(rows), 2 * math.log(max(mine, 1)) / self.parts[0].shape[1] if self.parts[0] else 0.0
        )
        return rows, rows, "number"

    def _used(self, mine: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Without unused tokens, of which fingerprints hold more than their share: E7 looks at them apart."""
        vocabulary = self.bench.reference.model.vocabulary
        assert vocabulary is not None  # rows were matched by its texts
        unused = [vocabulary.ids[token] for token in reserved_tokens(vocabulary)]
        keep = ~np.isin(mine, unused)
        return (mine[keep], theirs[keep]) if keep.any() else (mine, theirs)

    def fetch(self, count: int) -> tuple[np.ndarray, np.ndarray, str] | None:
        """Fetch matched rows of both models; None where :attr:`unread` says why not."""
        mine, theirs, how = self._matched(count)
        a, b = self.parts
        assert a is not None and b is not None
        wishes = [RowsWish(a, mine)], [RowsWish(b, theirs)]
        self.unread = self.bench.refusal(*wishes, over_budget=Reason("budget_excludes_rows"))
        if self.unread is not None:
            return None
        return (
            fetch_matrix_rows(self.bench.reference, a, mine),
            fetch_matrix_rows(self.bench.candidate, b, theirs),
            how,
        )

    def read_rows(self, stage: str) -> None:
        """Stage one or two: a window of matched rows, tested along their channels."""
        if self.record.reason is not None:
            return
        found = self.fetch(self.bench.plan.tokens)
        if found is None:
            self.record.reason = self.unread
            return
        a, b, how = found
        # Rows that are zero, constant or equal in one model carry nothing of that model.
        keep = (np.ptp(a, axis=1) > 0) & (np.ptp(b, axis=1) > 0)
        a, b = a[keep], b[keep]
        if not keep.all():  # a rotation need not fit them either
            self.kept = float(keep.mean())
            axis = self.record.axes[Family.CHANNELS]
            self._note_axes(axis.d, axis.basis)
        if len(a) < 2:
            self.record.reason = Reason("too_few_shared_rows", {"rows": len(a)})
            return
        self.rows = (a, b)
        self.overlap = subspace_overlap(a, b)
        towers = self.bench.towers(self.component.tower)
        assert towers is not None
        if both_hold(towers, "channel_sign"):
            checks = sign_checks(a, b, axis=f"{self.component}.channel signs")
            self.record.checks += checks
            self.record.signs_refused |= not all(check.passed for check in checks)
            if not self.record.signs_refused:
                result = channel_signs(a, b, component=self.component, stage=stage, matching=how)
                self.record.results.append(result)
        if both_hold(towers, "channel_permutation") and len(a) >= 16:
            self._test_order(a, b, stage)
        if not self.record.results:
            self.record.reason = Reason("order_refused")
        elif self.component.kind is ComponentKind.EMBEDDING and self.bench.methods >= 2:
            part_a, part_b = self.parts
            assert part_a is not None and part_b is not None
            examine_tokens(self.bench, self.record, (part_a, part_b), stage=stage)

    def _test_order(self, a: np.ndarray, b: np.ndarray, stage: str) -> None:
        lot = self.bench.lot
        channels = lot.channel_blocks(
            f"{self.component.tower}/channels", a.shape[1], self.bench.plan.channels
        )
        grams = channel_grams(a, b, channels)
        for who, rows, own in (("reference", a, grams.reference), ("candidate", b, grams.candidate)):
            features = axis_features(row_products([rows[:, channels].T[None]]))
            rng = lot.draw(f"{self.component}/index structure/{who}")
            axis = f"{self.component}.channels"
            self.record.check_order(who, axis, Family.CHANNELS, features, own, channels, rng)
        if not self.record.order_refused:
            order = lot.draw(f"{self.component}/order").permutation(len(channels))
            self.record.results += rank_betting(
                grams, component=self.component, stage=stage, order=order, family=Family.CHANNELS
            )

    def rotation(self, width: int) -> Rotation | None:
        """The rotation that takes the reference's rows to the candidate's, from up to 4 rows a channel."""
        if self.record.reason is not None:
            return None
        found = self.fetch(4 * width)
        if found is None or len(found[0]) < width:
            return None
        return procrustes(found[0], found[1])


def channel_grams(a: np.ndarray, b: np.ndarray, channels: Int[np.ndarray, " m"]) -> AxisGrams:
    """Cosines between columns of matched rows."""
    x, y = normalise(normalise(a)[:, channels].T), normalise(normalise(b)[:, channels].T)
    role = Role.TOKEN_EMBD
    return AxisGrams(
        index=channels,
        pairs=np.zeros((1, 2), dtype=int),
        clusters=(Cluster(0),),
        cross={role: (y @ x.T)[None]},
        reference={role: (x @ x.T)[None]},
        candidate={role: (y @ y.T)[None]},
    )


@dataclass(slots=True)
class NormExam:
    """All norms of a tower.

    Attributes
    ----------
    correlation : float or None
        Mean centred correlation of the paired gains: descriptive here, calibrated in
        :mod:`jokbo.independence.learned`.
    """

    bench: Bench
    component: Component
    record: ExamRecord = field(init=False)
    correlation: float | None = None

    def __post_init__(self) -> None:
        self.record = ExamRecord(self.component)
        towers = self.bench.towers(self.component.tower)
        if towers is None:
            self.record.reason = Reason("tower_absent")
        elif towers[0].hidden_size != towers[1].hidden_size:
            sizes = {"reference": towers[0].hidden_size, "candidate": towers[1].hidden_size}
            self.record.reason = Reason("hidden_sizes_differ", sizes)
        elif not both_hold(towers, "channel_permutation"):
            self.record.reason = Reason("no_channel_symmetry")
        else:
            self.record.axes[Family.CHANNELS] = AxisSize(towers[0].hidden_size, 0)

    def read_rows(self, stage: str) -> None:
        """Stage one or two: every norm vector, whole; they are a few kilobytes."""
        if self.record.reason is not None:
            return
        width = self.record.axes[Family.CHANNELS].n
        norms = [fetch_norms(ledger, self.component.tower, channels=width) for ledger in self.bench.ledgers]
        a, b = align_norms(*norms)
        if not len(a):
            absent = self.bench.sampled and not all(norms)
            self.record.reason = Reason("fingerprint_holds_rows") if absent else Reason("constant_norms")
            return
        self.correlation = centred_correlation(a, b)
        self.record.axes[Family.CHANNELS] = AxisSize(width, len(a))
        lot = self.bench.lot
        channels = lot.channel_blocks(
            f"{self.component.tower}/norm channels", width, self.bench.plan.channels
        )
        for who, vectors in (("reference", a), ("candidate", b)):
            pattern = normalise(ranks(vectors).T - (width + 1) / 2)[channels]
            mean = ranks(vectors.mean(axis=0)[None, channels]) - (len(channels) + 1) / 2
            rng = lot.draw(f"{self.component}/index structure/{who}")
            gram = {Role.OUTPUT_NORM: (pattern @ pattern.T)[None]}
            axis = f"{self.component}.channels"
            self.record.check_order(who, axis, Family.CHANNELS, [mean], gram, channels, rng)
        if self.record.order_refused:
            self.record.reason = Reason("order_refused")
            return
        order = lot.draw(f"{self.component}/order").permutation(len(channels))
        for labels in (None, channels // LOCAL_BLOCK):
            self.record.results.append(
                norm_pattern(
                    a, b, component=self.component, stage=stage, channels=channels, order=order, labels=labels
                )
            )
