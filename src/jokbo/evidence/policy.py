"""The thresholds of a verdict: a named, versioned policy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jokbo.independence.exams.base import AxisSize


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds of a verdict; any change makes a new version.

    Attributes
    ----------
    min_evalue : float
        E-value that one component needs, times the number of components tested. The chance of a
        false accusation of two independent models is at most twice its inverse, one in a million:
        twice, because E0 looks at the same labels when it chooses between full and local forms.
    min_witness : float
        E-value of the local form, or of another family, where the first rests on order.
    min_unclear : float
        From here on, evidence below the threshold is called inconclusive, not absent.
    relabelling_factor : float
        Safety factor on the cosine that relabelling one's own units can reach.
    min_reuse_cosine : float
        Mean row cosine from which shared channels of an embedding mean shared rows.
    min_embedding_cosine, min_output_cosine : float
        The same while the residual basis is not pinned by another component: an accuser can rotate
        its own model until tables of shared tokens agree, and tables learn like things from like
        data. Such fits of independent zoo models reach .51 on embeddings and .92 on output heads,
        which tied embeddings are as well.
    min_subspace_overlap : float
        Overlap of leading subspaces from which an embedding's learned content counts as shared. On
        really trained models reuse scores .73 to .99, one start with other data .27 to .41, chance .06.
    """

    name: str = "jokbo"
    version: int = 1
    min_evalue: float = 2e6
    min_witness: float = 1e3
    min_unclear: float = 1e3
    relabelling_factor: float = 1.5
    min_reuse_cosine: float = 0.3
    min_embedding_cosine: float = 0.75
    min_output_cosine: float = 0.97
    min_subspace_overlap: float = 0.55

    def log_threshold(self, hypotheses: int) -> float:
        """Natural log of the e-value that one of `hypotheses` components needs."""
        return math.log(self.min_evalue * max(hypotheses, 1))

    def relabelling_level(self, axis: AxisSize, *, clusters: int = 1, rotated: bool = True) -> float:
        """Mean cosine that an accuser could reach by relabelling, rotating and rebasing its own model.

        ``1.5 x .85 sqrt(2 ln n / d + r / clusters + b)``: the largest of `n` chance cosines of effective
        width `d`; what an orthogonal Procrustes fit of the residual stream adds when it is spent on the
        clusters that fired; what a free basis inside heads adds. The factor is safety.

        Parameters
        ----------
        clusters : int
            Clusters that fired: one rotation serves them all.
        rotated : bool
            Whether the residual basis is still free; False once another component has pinned it.
        """
        if axis.n < 2 or axis.d < 1:
            return 1.0
        rotation = axis.rotation / max(clusters, 1) if rotated else 0.0
        square = 2 * math.log(axis.n) / (axis.effective or axis.d) + rotation + axis.basis
        return min(1.0, self.relabelling_factor * 0.85 * math.sqrt(square))
