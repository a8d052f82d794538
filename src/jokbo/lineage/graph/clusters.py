"""Families: models that lineage connects, directly or through others."""

from __future__ import annotations

from collections.abc import Iterable


class Union:
    """Disjoint sets of the numbers below `count`.

    Examples
    --------
    >>> sets = Union(4)
    >>> sets.join(0, 2), sets.join(2, 0), sets.groups()
    (True, False, ((0, 2), (1,), (3,)))
    """

    def __init__(self, count: int) -> None:
        self._up = list(range(count))

    def find(self, k: int) -> int:
        """The smallest number in the set of `k`."""
        while self._up[k] != k:
            self._up[k] = self._up[self._up[k]]
            k = self._up[k]
        return k

    def join(self, a: int, b: int) -> bool:
        """Put two sets together; False where they were one."""
        low, high = sorted((self.find(a), self.find(b)))
        self._up[high] = low
        return low != high

    def groups(self) -> tuple[tuple[int, ...], ...]:
        """All sets, each in order, the one of the smallest number first."""
        found: dict[int, list[int]] = {}
        for k in range(len(self._up)):
            found.setdefault(self.find(k), []).append(k)
        return tuple(tuple(group) for group in found.values())


def clusters(count: int, pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Connected sets of two models and more, the largest first.

    Examples
    --------
    >>> clusters(6, [(1, 2), (4, 5), (2, 3)])
    ((1, 2, 3), (4, 5))
    """
    sets = Union(count)
    for a, b in pairs:
        sets.join(a, b)
    found = [group for group in sets.groups() if len(group) > 1]
    return tuple(sorted(found, key=lambda group: (-len(group), group)))
