"""Noise, merges, splices and transplants: weights of one model partly in another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jokbo.errors import UsageError
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.skeleton import describe, unit_axes


def fine_tune_noise(checkpoint: Checkpoint, *, size: float = 0.1, rng: np.random.Generator) -> Checkpoint:
    """Add Gaussian noise to every tensor, a stand-in for the drift of a fine-tune.

    Parameters
    ----------
    size : float
        Standard deviation of the noise as a share of the tensor's own deviation from its mean.
    """
    changed = {}
    for name in sorted(checkpoint.tensors):
        values = checkpoint[name].astype(np.float64)
        changed[name] = values + size * values.std() * rng.standard_normal(values.shape)
    return checkpoint.with_tensors(changed)


def derive(checkpoint: Checkpoint, rng: np.random.Generator, *, cosine: float) -> Checkpoint:
    """Mix every row with fresh noise of its own norm, so that it keeps about the cosine given.

    Vectors (gains, biases) are mixed about their mean.

    Parameters
    ----------
    cosine : float
        Expected cosine between old and new rows, from 0 (a fresh model of the same norms) to 1.
    """
    if not 0 <= cosine <= 1:
        raise UsageError(f"cosine is {cosine}; expected 0 to 1.")
    sine = np.sqrt(1 - cosine**2)
    changed = {}
    for name in sorted(checkpoint.tensors):
        values = checkpoint[name].astype(np.float64)
        noise = rng.standard_normal(values.shape)
        if values.ndim == 1:
            changed[name] = values.mean() + cosine * (values - values.mean()) + sine * values.std() * noise
        else:
            size = np.sqrt(np.mean(values**2, axis=-1, keepdims=True))
            changed[name] = cosine * values + sine * size * noise
    return checkpoint.with_tensors(changed)


def merge(checkpoints: Sequence[Checkpoint], *, weights: Sequence[float]) -> Checkpoint:
    """Linear merge of models with equal tensors (Wortsman et al. 2022, "Model soups").

    Parameters
    ----------
    weights : sequence of float
        One a model; they are not normalised.
    """
    if len(checkpoints) != len(weights) or not checkpoints:
        raise UsageError(
            f"{len(checkpoints)} models and {len(weights)} weights; expected one weight a model."
        )
    first = checkpoints[0]
    for other in checkpoints[1:]:
        _check_equal_tensors(first, other)
    return first.with_tensors(
        {
            name: np.sum(
                [w * c[name].astype(np.float64) for w, c in zip(weights, checkpoints, strict=True)], axis=0
            )
            for name in first.tensors
        }
    )


def slerp(first: Checkpoint, second: Checkpoint, *, share: float) -> Checkpoint:
    """Spherical merge, tensor by tensor (Shoemake 1985, as merging tools use it).

    Parameters
    ----------
    share : float
        0 gives the first model, 1 the second.
    """
    _check_equal_tensors(first, second)
    changed = {}
    for name in first.tensors:
        a, b = first[name].astype(np.float64), second[name].astype(np.float64)
        norms = np.linalg.norm(a) * np.linalg.norm(b)
        cosine = float(np.clip(np.vdot(a, b) / norms, -1, 1)) if norms else 1.0
        if abs(cosine) > 0.9995:  # nearly parallel or opposite: sin(angle) is near zero
            changed[name] = (1 - share) * a + share * b
            continue
        angle = np.arccos(cosine)
        changed[name] = (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
    return first.with_tensors(changed)


def _check_equal_tensors(first: Checkpoint, second: Checkpoint) -> None:
    shapes = {name: values.shape for name, values in first.tensors.items()}
    others = {name: values.shape for name, values in second.tensors.items()}
    if shapes != others:
        name = min(set(shapes.items()) ^ set(others.items()))[0]
        raise UsageError(
            f"tensor {name!r} differs in shape or is missing in one model; a merge needs equal tensors."
        )


def splice_units(
    checkpoint: Checkpoint,
    donor: Checkpoint,
    *,
    share: float,
    contiguous: bool = False,
    rng: np.random.Generator,
) -> Checkpoint:
    """Copy a share of the donor's hidden units, in every MLP, to the same places.

    Parameters
    ----------
    share : float
        From 0 to 1; rounded to a whole number of units.
    contiguous : bool
        One run of neighbours instead of scattered units.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"share is {share}; expected 0 to 1.")
    changed: dict[str, np.ndarray] = {}
    for layer, other in zip(describe(checkpoint).layers, describe(donor).layers, strict=True):
        for mlp, from_mlp in zip(layer.mlps, other.mlps, strict=True):
            units = checkpoint[f"{mlp.up}.weight"].shape[0]
            count = round(share * units)
            start = int(rng.integers(0, units - count + 1))
            chosen = np.arange(start, start + count) if contiguous else rng.permutation(units)[:count]
            axes = zip(unit_axes(checkpoint, mlp), unit_axes(donor, from_mlp), strict=True)
            for (name, axis), (donor_name, _) in axes:
                values = np.moveaxis(checkpoint[name].copy(), axis, 0)
                values[chosen] = np.moveaxis(donor[donor_name], axis, 0)[chosen]
                changed[name] = np.moveaxis(values, 0, axis)
    return checkpoint.with_tensors(changed)


def transplant_embedding(checkpoint: Checkpoint, donor: Checkpoint) -> Checkpoint:
    """Put the donor's input embedding into this model; with tied heads the head comes along."""
    name, donor_name = f"{describe(checkpoint).embed}.weight", f"{describe(donor).embed}.weight"
    if checkpoint[name].shape != donor[donor_name].shape:
        raise UsageError(
            f"the donor's embedding is {donor[donor_name].shape}, this model's "
            f"{checkpoint[name].shape}; expected equal."
        )
    return checkpoint.with_tensors({name: donor[donor_name].copy()})
