"""How often each cluster is drawn: rescaled resampling, the same for every entrant.

Of n clusters n - 1 are drawn with replacement (Rao and Wu 1988, J. Am. Stat. Assoc. 83, 231-241): the
variance of a resampled mean is then the unbiased one, where n draws would understate it by (n - 1)/n, which is a fifth
for five clusters. Counts are whole numbers made from raw 64-bit words, so they are the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

PICKS_AT_ONCE = 1 << 20
"""Memory of one chunk: about 60 bytes a pick."""


def event_generator(seed: int, name: str) -> np.random.Generator:
    """The generator of one event (or one team of a race), from the round's seed and its id.

    Leaving another event out does not move it.

    Examples
    --------
    >>> a, b = event_generator(7, "kmmlu"), event_generator(7, "haerae")
    >>> int(a.integers(1000)) == int(event_generator(7, "kmmlu").integers(1000))
    True
    >>> int(a.integers(2**62)) == int(b.integers(2**62))
    False
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, key])))


def child_generator(rng: np.random.Generator, name: str) -> np.random.Generator:
    """A generator that depends on `rng`'s state on entry and on a name, not on which other names are asked for.

    Call it for all names with generators in the same state: it takes the state from a copy and leaves `rng` alone.
    """
    bits = type(rng.bit_generator)(0)
    bits.state = rng.bit_generator.state
    word = int(np.random.Generator(bits).integers(0, 2**64 - 1, endpoint=True, dtype=np.uint64))
    return event_generator(word, name)


def resample_counts(
    rng: np.random.Generator, sizes: Sequence[int], rows: int, *, at_once: int = PICKS_AT_ONCE
) -> Iterator[tuple[int, np.ndarray]]:
    """How often each cluster is drawn, in chunks of rows.

    Parameters
    ----------
    sizes : sequence of int
        Clusters of each stratum, at least 2 each; n - 1 of the n are drawn within every stratum.
    rows : int
        Draws.
    at_once : int
        Picks made at once; what comes out does not depend on it.

    Yields
    ------
    first : int
        Row that the chunk starts at.
    counts : numpy.ndarray, shape (rows of the chunk, clusters), int64
        Clusters of the first stratum first.

    Examples
    --------
    >>> (first, counts), *_ = resample_counts(np.random.default_rng(0), [3, 4], 5)
    >>> counts.shape, sorted(set(counts[:, :3].sum(1).tolist())), sorted(set(counts[:, 3:].sum(1).tolist()))
    ((5, 7), [2], [3])
    """
    counts = np.asarray(sizes, np.int64)
    if counts.size == 0 or counts.min() < 2:
        raise ValueError("a stratum of fewer than two clusters has no spread to resample")
    picks = counts - 1
    size = np.repeat(counts, picks).astype(np.uint64)
    start = np.repeat(np.cumsum(counts) - counts, picks)
    total, clusters = int(picks.sum()), int(counts.sum())
    words = (total + 1) // 2  # two picks a word, whole words a row: chunks do not show
    step = max(1, at_once // clusters)
    for first in range(0, rows, step):
        n = min(step, rows - first)
        raw = rng.integers(0, 2**64 - 1, size=(n, words), endpoint=True, dtype=np.uint64)
        halves = np.concatenate([raw >> np.uint64(32), raw & np.uint64(0xFFFFFFFF)], axis=1)[:, :total]
        # Multiply and shift: no rejection, and off uniform by less than size / 2^32.
        index = ((halves * size) >> np.uint64(32)).astype(np.int64)
        index += start + clusters * np.arange(n)[:, None]
        yield first, np.bincount(index.ravel(), minlength=n * clusters).reshape(n, clusters)


def spread(rng: np.random.Generator, influence: np.ndarray, sizes: Sequence[int], draws: int) -> np.ndarray:
    """Deviations of resampled estimates from the estimate.

    With `influence` the change that leaving a cluster out makes (estimate - estimate without it), the variance of what
    comes out is that of the jackknife: (n - 1)/n times the sum of squares about the mean, in each stratum. For
    a plain mean this is the resampled mean itself.

    Parameters
    ----------
    influence : numpy.ndarray, shape (clusters, entrants), float64
    sizes : sequence of int
        Clusters of each stratum, in order.

    Returns
    -------
    numpy.ndarray, shape (draws, entrants)
    """
    from threadpoolctl import threadpool_limits

    out = np.empty((draws, influence.shape[1]))
    share = np.repeat([(n - 1) / n for n in sizes], list(sizes))
    centre = share @ influence
    # One thread: the products are small beside the drawing, and threads that wait for each other on a busy machine
    # take several times as long.
    with threadpool_limits(1, user_api="blas"):
        for first, counts in resample_counts(rng, sizes, draws):
            out[first : first + len(counts)] = counts.astype(np.float64) @ influence - centre
    return out
