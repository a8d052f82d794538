"""Standard scores of one section of a sketch against all blocks of its group, by counting differing signs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from jokbo.lineage.sketch_format import (
    GRAM,
    HASHED,
    NORMS,
    TABLES,
    TIERS,
    Section,
    tier_bytes,
    tiers_of,
    width_of,
)
from jokbo.lineage.sketch_index import (
    NO_TOKEN,
    Group,
    gram_bits,
    place_codes,
    section_rows,
    table_channels,
    unpack_tiers,
)

GRID_ROWS = 8
"""Rows of each block that are held against every block of another layer."""

CHUNK = 8192
MIN_TOKENS = 8
MATCH_BLOCKS = 4
LOOK_AGAIN = 3.0
"""Tables whose plain score reaches this are scored channel by channel."""

_LANES = np.uint64(0x00FF00FF00FF00FF)
_ADD = np.uint64(0x0001000100010001)

Scores = Float[np.ndarray, " models"]


def differing(
    mine: np.ndarray, words: np.ndarray, *, size: int | None = None
) -> Float[np.ndarray, " blocks"]:
    """How many signs of one block differ from each of many.

    Parameters
    ----------
    mine : array (words,)
    words : array (blocks, words)
    size : int, optional
        Bytes that count; what follows is another tier's.

    Examples
    --------
    >>> words = np.array([[0, 1], [3, 3]], dtype=np.uint64)
    >>> differing(words[0], words)
    array([0., 3.], dtype=float32)
    """
    out = np.empty(len(words), dtype=np.float32)
    mask = None
    if size is not None and size < 8 * len(mine):
        mask = np.frombuffer((b"\xff" * size).ljust(8 * len(mine), b"\0"), dtype=np.uint64)
    for start in range(0, len(words), CHUNK):
        unlike = words[start : start + CHUNK] ^ mine
        counts = np.bitwise_count(unlike if mask is None else unlike & mask)
        if counts.shape[1] % 8:
            out[start : start + CHUNK] = counts.sum(axis=1, dtype=np.uint32)
        else:  # eight counts of at most 64 lie in one word: add them there
            lanes = np.ascontiguousarray(counts).view(np.uint64)
            pairs = (lanes & _LANES) + ((lanes >> np.uint64(8)) & _LANES)
            sums = pairs.sum(axis=1)  # four sums of 16 bits side by side
            out[start : start + CHUNK] = (sums * _ADD) >> np.uint64(48)
    return out


def same_place(section: Section, group: Group, k: int) -> Int[np.ndarray, " blocks"]:
    """Blocks of the same place, of models of the same depth."""
    code = place_codes(np.array([section.places[k]]))[0]
    return np.flatnonzero((group.codes == code) & (group.depth == section.depth))


def shared_bits(section: Section, group: Group) -> int:
    """Signs of a block that both sketches hold; of a table, of all its rows."""
    rows = min(section.rows, group.rows)
    if section.kind in TIERS:
        return sum(r * c for r, c in tiers_of(section.kind, width_of(section.key), rows))
    if section.kind in (GRAM, HASHED):
        return gram_bits(rows)
    return rows * table_channels(section.key)


class _Best:
    """The highest score of each model over many blocks."""

    def __init__(self, group: Group, count: int, tries: int) -> None:
        self.values = np.full(count, -np.inf)
        edges = np.flatnonzero(np.diff(group.owner)) + 1
        self.starts = np.concatenate([[0], edges]) if len(group.owner) else edges
        self.models = group.owner[self.starts]
        self.pairs = np.bincount(group.owner, minlength=count) * tries

    def add(self, z: Float[np.ndarray, " blocks"]) -> None:
        found = np.maximum.reduceat(z, self.starts) if len(self.starts) else z
        self.values[self.models] = np.maximum(self.values[self.models], found)

    def add_some(self, models: Int[np.ndarray, " some"], z: Float[np.ndarray, " some"]) -> None:
        """Of one block a model."""
        self.values[models] = np.maximum(self.values[models], z)

    def score(self) -> Scores:
        """The standard score that is as rare alone as the highest is among so many."""
        from scipy.special import log_ndtr, ndtri_exp

        with np.errstate(divide="ignore", invalid="ignore"):
            logs = log_ndtr(-self.values) + np.log(np.maximum(self.pairs, 1))
            return np.where(np.isfinite(self.values), -ndtri_exp(np.minimum(logs, -1e-9)), np.nan)


def _summed(total: Scores, blocks: Scores) -> Scores:
    return np.where(blocks > 0, total / np.sqrt(np.maximum(blocks, 1)), np.nan)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What blocks share only because all rows of a block are alike in some channels.

    Attributes
    ----------
    tiers : tuple of (rows, channels)
        That both sketches have.
    whole, few : arrays (candidate's blocks, blocks)
        Agreement that the means alone give, over all rows and over the first :data:`GRID_ROWS`.
    sizes, spread : arrays (candidate's blocks,), (blocks,)
        Mean square of the signs less what is shared.
    """

    tiers: tuple[tuple[int, int], ...]
    whole: Float[np.ndarray, "mine blocks"]
    few: Float[np.ndarray, "mine blocks"]
    sizes: Float[np.ndarray, " mine"]
    spread: Float[np.ndarray, " blocks"]

    @classmethod
    def of(cls, section: Section, group: Group, rows: int) -> _Shared:
        tiers = tiers_of(section.kind, width_of(section.key), rows)
        counts = np.repeat([r for r, _ in tiers], [c for _, c in tiers]).astype(np.float32)
        mine = [tier.mean(axis=1, dtype=np.float32) * 2 - 1 for tier in unpack_tiers(section.data, tiers)]
        means = np.concatenate(mine, axis=1)
        first, few = tiers[0][1], min(GRID_ROWS, tiers[0][0])
        whole = np.empty((len(means), len(group.extra)), dtype=np.float32)
        partly = np.empty_like(whole)
        spread = np.empty(len(group.extra), dtype=np.float32)
        for start in range(0, len(group.extra), CHUNK):
            part = slice(start, start + CHUNK)
            theirs = group.extra[part, : len(counts)] * (2 / counts) - 1
            whole[:, part] = (means * counts) @ theirs.T
            partly[:, part] = few * (means[:, :first] @ theirs[:, :first].T)
            spread[part] = (theirs**2) @ counts
        sizes = np.maximum(1 - (means**2) @ counts / counts.sum(), 1e-3)
        return cls(tiers, whole, partly, sizes, np.maximum(1 - spread / counts.sum(), 1e-3))


def _row_signs(section: Section, group: Group, rows: int, count: int) -> Iterator[tuple[str, Scores]]:
    """Blocks of the same place, and every block against every block on few rows.

    Under independence the numbers of the rows are exchangeable, so what all rows of a block share (its mean in each
    channel) is taken away, and the rest has mean 0.
    """
    shared = _Shared.of(section, group, rows)
    tiers, bits = shared.tiers, sum(r * c for r, c in shared.tiers)
    size = tier_bytes(tiers)
    mine, words = _words(section.data[:, :size], group.words)
    few, channels = min(GRID_ROWS, tiers[0][0]), tiers[0][1]
    width = few * -(-channels // 8) // 8
    best = _Best(group, count, len(mine))
    total, blocks = np.zeros(count), np.zeros(count)
    for k in range(len(section.places)):
        if width:
            agree = few * channels - 2 * differing(mine[k, :width], words[:, :width]) - shared.few[k]
            best.add(agree / np.sqrt(few * channels * shared.sizes[k] * shared.spread))
        same = same_place(section, group, k)
        if len(same):
            agree = bits - 2 * differing(mine[k], words[same], size=size) - shared.whole[k, same]
            z = agree / np.sqrt(bits * shared.sizes[k] * shared.spread[same])
            best.add_some(group.owner[same], z)
            total[group.owner[same]] += z
            blocks[group.owner[same]] += 1
    yield f"{section.kind}:place", _summed(total, blocks)
    yield f"{section.kind}:grid", best.score()


def _words(data: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The candidate's bytes as whole words, and as many words of the others."""
    padded = np.pad(data, ((0, 0), (0, -data.shape[1] % 8)))
    mine = padded.view(np.uint64)
    return mine, words[:, : mine.shape[1]]


def _gram_signs(section: Section, group: Group, rows: int, count: int) -> Iterator[tuple[str, Scores]]:
    """Signs of Gram matrices: nothing that turns the residual stream changes them."""
    bits, size = gram_bits(rows), -(-gram_bits(rows) // 8)
    mine, words = _words(section.data[:, :size], group.words)
    tilt = 2.0 * group.extra[:, 0] / gram_bits(group.rows) - 1
    my_tilt = 2 * np.bitwise_count(section.data).sum(axis=1, dtype=np.int64) / gram_bits(section.rows) - 1
    best = _Best(group, count, len(mine))
    total, blocks = np.zeros(count), np.zeros(count)
    for k in range(len(section.places)):
        unlike = differing(mine[k], words, size=size)
        z = (1 - 2 * unlike / bits - my_tilt[k] * tilt) * math.sqrt(bits)
        best.add(z)
        same = same_place(section, group, k)
        total[group.owner[same]] += z[same]
        blocks[group.owner[same]] += 1
    yield f"{section.kind}:place", _summed(total, blocks)
    yield f"{section.kind}:grid", best.score()


def _reserved_signs(section: Section, group: Group, rows: int, count: int) -> Iterator[tuple[str, Scores]]:
    mine, words = _words(section.data, group.words)
    bits = gram_bits(section.rows)
    my_tilt = 2 * np.bitwise_count(mine).sum(dtype=np.int64) / bits - 1
    out = np.full(count, np.nan)
    z = 1 - 2 * differing(mine[0], words) / bits - my_tilt * (2.0 * group.extra[:, 0] / bits - 1)
    out[group.owner] = z * math.sqrt(bits)
    yield section.kind, out


# Channels -----------------------------------------------------------------------------------------------------------


def _norm_signs(section: Section, group: Group, rows: int, count: int) -> Iterator[tuple[str, Scores]]:
    """Correlation of which gains lie above their median; norms of one model resemble each other, so none adds."""
    mine, _ = _words(section.data, group.words)
    channels = table_channels(section.key)
    tilt, my_tilt = (
        2.0 * np.asarray(ones, dtype=float) / channels - 1
        for ones in (group.extra[:, 0], np.bitwise_count(mine).sum(axis=1, dtype=np.int64))
    )
    total, blocks = np.zeros(count), np.zeros(count)
    for k in range(len(section.places)):
        same = same_place(section, group, k)
        agree = 1 - 2 * differing(mine[k], group.words[same]) / channels - my_tilt[k] * tilt[same]
        size = (1 - my_tilt[k] ** 2) * (1 - tilt[same] ** 2)
        total[group.owner[same]] += agree / np.sqrt(np.maximum(size, 1e-3))
        blocks[group.owner[same]] += 1
    mean = total / np.maximum(blocks, 1)
    yield section.kind, np.where(blocks > 0, mean * math.sqrt(max(channels - 1, 1)), np.nan)


def _token_signs(section: Section, group: Group, rows: int, count: int) -> Iterator[tuple[str, Scores]]:
    """Rows of tokens that both have: one coin a channel, as in the exact test of residual signs (E9)."""
    places, data = section_rows(section)
    channels, numbers = table_channels(section.key), places[0]
    # Padding to whole words is cut off again: a table has TABLE_ROWS rows of whole bytes.
    mine = data[0, : len(numbers) * -(-channels // 8)].reshape(len(numbers), -1)
    order = np.argsort(numbers, kind="stable")
    out = np.full(count, np.nan)
    step = CHUNK // 8
    for start in range(0, len(group.owner), step):
        part = slice(start, start + step)
        theirs = group.places[part]
        row = order[np.minimum(np.searchsorted(numbers[order], theirs), len(order) - 1)]
        both = (numbers[row] == theirs) & (theirs != NO_TOKEN)
        signs = np.ascontiguousarray(group.words[part]).view(np.uint8)[:, : mine.size]
        unlike = signs.reshape(-1, *mine.shape) ^ mine[row]
        shared = both.sum(axis=1)
        counts = (np.bitwise_count(unlike).sum(axis=2, dtype=np.int32) * both).sum(axis=1)
        z = (shared * channels - 2.0 * counts) / np.sqrt(np.maximum(shared * channels, 1))
        for k in np.flatnonzero(z >= LOOK_AGAIN):
            coins = (1.0 - 2.0 * np.unpackbits(unlike[k][both[k]], axis=1)[:, :channels]).sum(axis=0)
            z[k] = coins.sum() / max(math.sqrt(float((coins**2).sum())), 1.0)
        out[group.owner[part]] = np.where(shared >= MIN_TOKENS, z, np.nan)
    yield section.kind, out


# Units that differ in number ----------------------------------------------------------------------------------------


def matched_units(section: Section, group: Group, count: int) -> Scores:
    """Whether rows of the candidate find partners, of any number, in the same layer of a model of equal depth.

    The mean over the candidate's rows of their best agreement; its mean and spread where nothing agrees are
    those of the largest of so many standard normal values.
    """
    rows = min(section.rows, group.rows)
    tiers = tiers_of(section.kind, width_of(section.key), rows)
    channels = min(channels for _, channels in tiers)
    mine_all = _centred(section.data, tiers)
    mean, spread = _largest_of(rows)
    total, blocks = np.zeros(count), np.zeros(count)
    step = max(CHUNK // 64, 1)
    for k in range(0, len(section.places), -(-len(section.places) // MATCH_BLOCKS)):
        same = same_place(section, group, k)
        for start in range(0, len(same), step):
            part = same[start : start + step]
            theirs = _centred(group.words[part], tiers)
            found = (theirs.reshape(-1, channels) @ mine_all[k].T).reshape(len(part), rows, rows)
            best = found.max(axis=1).mean(axis=1) * math.sqrt(channels)
            total[group.owner[part]] += (best - mean) / (spread / math.sqrt(rows))
            blocks[group.owner[part]] += 1
    return _summed(total, blocks)


def _centred(
    words: np.ndarray, tiers: Sequence[tuple[int, int]]
) -> Float[np.ndarray, "blocks rows channels"]:
    """Rows in the channels that all tiers have, without what their block shares, of unit length."""
    channels = min(channels for _, channels in tiers)
    bits = np.concatenate([tier[:, :, :channels] for tier in unpack_tiers(words, tiers)], axis=1)
    signs = bits.astype(np.float32) * 2 - 1
    rest = signs - signs.mean(axis=1, keepdims=True)
    return np.asarray(rest / np.maximum(np.linalg.norm(rest, axis=2, keepdims=True), 1e-9))


def _largest_of(count: int) -> tuple[float, float]:
    """Mean and standard deviation of the largest of `count` standard normal values, by quadrature."""
    from scipy.special import ndtr

    x = np.linspace(-6, 9, 3001)
    mass = np.diff(ndtr(x) ** count)
    middle = (x[1:] + x[:-1]) / 2
    mean = float((middle * mass).sum())
    return mean, math.sqrt(float(((middle - mean) ** 2 * mass).sum()))


_SCORES: dict[str, Callable[[Section, Group, int, int], Iterator[tuple[str, Scores]]]] = {
    **dict.fromkeys(TIERS, _row_signs),
    GRAM: _gram_signs,
    NORMS: _norm_signs,
    **dict.fromkeys(TABLES, _token_signs),
    HASHED: _reserved_signs,
}


def section_scores(section: Section, group: Group, count: int) -> list[tuple[str, Scores]]:
    """Standard scores of `count` models, by what was compared, on the rows that section and group share."""
    return list(_SCORES[section.kind](section, group, min(section.rows, group.rows), count))
