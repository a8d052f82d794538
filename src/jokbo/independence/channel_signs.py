"""E9, channel signs: do two models agree in the sign of each residual channel?

Null
    H0, and flipping one residual channel everywhere gives an equally likely model. That
    holds with RMSNorm; LayerNorm subtracts a mean that the flip changes.
Why the e-value is valid
    Rows are matched by something no channel flip changes (token text, unit number), so
    ``t_k = sum over rows of a_ik b_ik`` is symmetric for each channel, independently.
What fools it
    Nothing within its null; but it sees only a shared basis. A copied embedding shows
    through a body trained afresh, so for a body it reads "shared basis", never "derived".
    Erased by a rotation or by flipping channels.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from jokbo.independence.base import (
    Alignment,
    Cluster,
    ClusterRow,
    Family,
    IndependenceResult,
    IndependenceTest,
)
from jokbo.independence.betting import coin_bets
from jokbo.independence.grams import normalise
from jokbo.views.component import Component


class ChannelSigns(IndependenceTest):
    """One coin a residual channel, one family for the whole model."""

    name = "channel_signs"
    code = "E9"
    family = Family.CHANNELS
    symmetry = "channel_sign"
    survives = frozenset({Alignment.SAME_BASIS, Alignment.UNITS_PERMUTED})


def channel_signs(
    reference: Float[np.ndarray, "rows channels"],
    candidate: Float[np.ndarray, "rows channels"],
    *,
    component: Component,
    stage: str,
    matching: str,
) -> IndependenceResult:
    """Run E9 on matched rows.

    Parameters
    ----------
    reference, candidate : arrays (rows, channels)
        Row `i` of one is matched with row `i` of the other.
    matching : str
        How: ``"text"`` or ``"number"``; kept in the evidence.
    """
    products = normalise(reference) * normalise(candidate)
    coins = products.sum(axis=0)
    row = ClusterRow(Cluster(0), float(coin_bets(coins)), float(products.sum(axis=1).mean()), len(coins))
    return IndependenceResult(
        test=ChannelSigns.name,
        version=ChannelSigns.version,
        component=component,
        family=Family.CHANNELS,
        alignment=Alignment.SAME_BASIS,
        stage=stage,
        local=False,
        rows=(row,),
        parameters={"matching": matching, "rows": len(reference)},
    )
