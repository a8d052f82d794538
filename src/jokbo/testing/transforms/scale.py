"""Signs and scales that keep a model's function.

Two matrices that meet in a product can hand a factor to one another. Sources:
Neyshabur et al. 2015 (rescaling), Godfrey et al. 2022 "On the symmetries of deep
learning models" (intertwiner groups), Ashkboos et al. 2024 "SliceGPT" (folding of norms).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from jokbo.errors import UsageError
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.skeleton import Use, describe, present


def _signs(rng: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, 2, size=shape) * 2.0 - 1.0


def _times(values: np.ndarray, factors: np.ndarray, axis: int) -> np.ndarray:
    """Multiply along one axis."""
    shape = [1] * values.ndim
    shape[axis] = -1
    return np.asarray(values * factors.reshape(shape))


def flip_units(checkpoint: Checkpoint, *, rng: np.random.Generator) -> Checkpoint:
    """Flip the sign of random hidden units: row of up (and its bias) and column of down.

    In ``act(gate) * up`` the unit is linear in up, so two minus signs cancel (Shazeer
    2020 for the form). The gate is not touched.
    """
    return _scale_up_down(checkpoint, lambda units: _signs(rng, units))


def scale_units(checkpoint: Checkpoint, *, rng: np.random.Generator, spread: float = 0.5) -> Checkpoint:
    """Scale hidden units: row of up by s, column of down by 1/s.

    The unit is linear in up (Neyshabur et al. 2015).

    Parameters
    ----------
    spread : float
        Standard deviation of log s.
    """
    return _scale_up_down(checkpoint, lambda units: np.exp(spread * rng.standard_normal(units)))


def _scale_up_down(checkpoint: Checkpoint, draw: Callable[[Any], np.ndarray]) -> Checkpoint:
    changed: dict[str, np.ndarray] = {}
    for layer in describe(checkpoint).layers:
        for mlp in layer.mlps:
            factors = draw(checkpoint[f"{mlp.up}.weight"].shape[0])
            changed |= {name: _times(checkpoint[name], factors, 0) for name in present(checkpoint, mlp.up)}
            changed[f"{mlp.down}.weight"] = _times(checkpoint[f"{mlp.down}.weight"], 1 / factors, 1)
    return checkpoint.with_tensors(changed)


def flip_channels(checkpoint: Checkpoint, *, rng: np.random.Generator) -> Checkpoint:
    """Flip the sign of random residual channels, jointly in every matrix.

    RMSNorm keeps the sign of a channel, so its gains stay as they are (Zhang and
    Sennrich 2019). Not an invariance under LayerNorm, which subtracts a mean.
    """
    skeleton = describe(checkpoint)
    signs = _signs(rng, skeleton.hidden_size)
    return checkpoint.with_tensors(
        {
            name: _times(checkpoint[name], signs, axis)
            for name, axis, use in skeleton.residual(checkpoint)
            if use is not Use.GAIN
        }
    )


def flip_values(checkpoint: Checkpoint, *, rng: np.random.Generator) -> Checkpoint:
    """Flip the sign of random value channels: row of V and its columns of O.

    All query heads of a group share a value head and flip together; the output is linear
    in the values.
    """
    skeleton = describe(checkpoint)
    kv, width = skeleton.num_kv_heads, skeleton.head_dim
    changed: dict[str, np.ndarray] = {}
    for layer in skeleton.layers:
        signs = _signs(rng, (kv, width))
        changed |= {
            name: _times(checkpoint[name], signs.reshape(-1), 0) for name in present(checkpoint, layer.v)
        }
        wide = np.repeat(signs, skeleton.num_heads // kv, axis=0).reshape(-1)
        changed[f"{layer.o}.weight"] = _times(checkpoint[f"{layer.o}.weight"], wide, 1)
    return checkpoint.with_tensors(changed)


def flip_rotary(checkpoint: Checkpoint, *, rng: np.random.Generator, rope: str = "half") -> Checkpoint:
    """Flip the sign of random rotary pairs in K, and in Q for all query heads of the group.

    A rotation by half a turn commutes with the rotary rotation of the pair and cancels
    in the scalar product of query and key (Su et al. 2021). Norms of query
    and key scale single dimensions, so both signs pass through them.

    Parameters
    ----------
    rope : {"half", "interleaved"}
        Pairs are dimensions c and c + d/2, or 2c and 2c + 1. The configuration does not say.
    """
    if rope not in ("half", "interleaved"):
        raise UsageError(f"rope is {rope!r}; expected 'half' or 'interleaved'.")
    skeleton = describe(checkpoint)
    kv, pairs = skeleton.num_kv_heads, skeleton.head_dim // 2
    changed: dict[str, np.ndarray] = {}
    for layer in skeleton.layers:
        coins = _signs(rng, (kv, pairs))
        signs = np.tile(coins, (1, 2)) if rope == "half" else np.repeat(coins, 2, axis=1)
        wide = np.repeat(signs, skeleton.num_heads // kv, axis=0).reshape(-1)
        changed |= {
            name: _times(checkpoint[name], signs.reshape(-1), 0) for name in present(checkpoint, layer.k)
        }
        changed |= {name: _times(checkpoint[name], wide, 0) for name in present(checkpoint, layer.q)}
    return checkpoint.with_tensors(changed)


def untie(checkpoint: Checkpoint) -> Checkpoint:
    """Give a tied model an output head of its own, equal to its embedding: the same function."""
    skeleton = describe(checkpoint)
    if skeleton.head is not None:
        return checkpoint
    root = skeleton.prefix.removesuffix("model.")
    head = f"{root}lm_head.weight"
    copied = checkpoint.with_tensors({head: checkpoint[f"{skeleton.embed}.weight"].copy()})
    copied = replace(copied, config=copied.config | {"tie_word_embeddings": False})
    return copied.with_config(tie_word_embeddings=False)


def scale_norms(checkpoint: Checkpoint, *, rng: np.random.Generator, spread: float = 0.5) -> Checkpoint:
    """Move a factor per channel from every norm gain into the matrices that read the norm.

    A gain followed by a matrix is one linear map (Ashkboos et al. 2024). A tied head is untied first.

    Parameters
    ----------
    spread : float
        Standard deviation of the factors' logarithms.
    """
    return _move_gains(checkpoint, lambda gain: np.exp(spread * rng.standard_normal(gain.shape)))


def fold_norms(checkpoint: Checkpoint) -> Checkpoint:
    """Move every norm gain wholly into the matrices that read it; gains become one.

    A gain followed by a matrix is one linear map (Ashkboos et al. 2024). A tied head
    is untied first. Norms of query and key are not on the residual stream and stay.

    Raises
    ------
    UsageError
        A gain is zero: what follows cannot tell it from a pruned channel.
    """
    return _move_gains(checkpoint, lambda gain: 1 / gain)


def _move_gains(checkpoint: Checkpoint, draw: Callable[[Any], np.ndarray]) -> Checkpoint:
    checkpoint = untie(checkpoint)
    changed: dict[str, np.ndarray] = {}
    for norm, readers in describe(checkpoint).norm_readers():
        gain: Float[np.ndarray, " hidden"] = checkpoint[f"{norm}.weight"].astype(np.float64)
        if not gain.all():
            raise UsageError(f"tensor '{norm}.weight' holds a zero; its gains cannot be divided out.")
        factors = draw(gain)
        changed[f"{norm}.weight"] = gain * factors
        for module in readers:
            changed[f"{module}.weight"] = _times(
                checkpoint[f"{module}.weight"].astype(np.float64), 1 / factors, 1
            )
    return checkpoint.with_tensors(changed)
