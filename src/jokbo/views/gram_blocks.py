"""The Gram matrices of a private fingerprint as blocks of its file: written, and read from strangers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int16

from jokbo.architectures.base import Anatomy, Expert, Role
from jokbo.errors import FormatError
from jokbo.views.component import Block
from jokbo.views.private_grams import SCALE, Axis, HeldGrams, Place

MAX_PLACES = 1 << 13
MAX_ROWS = 256
"""Rows of one place; fingerprints hold at most 64."""

AGAIN = "Make the fingerprint again."


def write_grams(grams: Mapping[Place, HeldGrams]) -> tuple[bytes, bytes]:
    """The index, as JSON, and the numbers, two bytes each.

    The index lists, place by place: tower, axis, layer, expert or null, whether it is a shared one, first row, rows,
    and the matrices. The numbers of a place follow those of the place before it: of each matrix the upper triangle
    row by row, diagonal included; then of units the ranks of each matrix, and with a gate the cosines.
    """
    rows = [
        [
            place.tower,
            place.axis.value,
            place.block.layer,
            None if place.block.expert is None else place.block.expert.index,
            place.block.expert is not None and place.block.expert.shared,
            held.start,
            held.count,
            [role.value for role in held.grams],
        ]
        for place, held in grams.items()
    ]
    text = json.dumps({"scale": SCALE, "places": rows}, sort_keys=True, separators=(",", ":"))
    return text.encode("ascii"), b"".join(held.data for held in grams.values())


def read_grams(
    document: Mapping[str, Any], data: bytes, anatomy: Anatomy, *, where: str
) -> dict[Place, HeldGrams]:
    """Read what somebody else wrote.

    Raises
    ------
    FormatError
        A number is not what it should be, or no rows have these cosines.
    """
    rows = document.get("places")
    if set(document) != {"scale", "places"} or document["scale"] != SCALE or not isinstance(rows, list):
        raise FormatError(
            f"{where}: the index of its Gram matrices names no scale of {SCALE} and places. {AGAIN}"
        )
    if len(rows) > MAX_PLACES:
        raise FormatError(f"{where}: {len(rows):,} Gram matrices; expected at most {MAX_PLACES:,}. {AGAIN}")
    numbers = np.frombuffer(data, dtype="<i2")
    found: dict[Place, HeldGrams] = {}
    position = 0
    for row in rows:
        place, start, count, roles = _place(row, anatomy, where)
        if place in found:
            raise FormatError(f"{where}: {place} is listed twice. {AGAIN}")
        upper = len(roles) * count * (count + 1) // 2
        ranks = len(roles) * count if place.axis is Axis.UNITS else 0
        cosines = count if place.axis is Axis.UNITS and len(roles) > 1 else 0
        stop = position + upper + ranks + cosines
        if stop > len(numbers):
            raise FormatError(f"{where}: its Gram matrices end inside {place}. {AGAIN}")
        mine = numbers[position:stop].astype(np.int16)
        position = stop
        found[place] = HeldGrams(
            start,
            {
                r: _square(part, count)
                for r, part in zip(roles, np.split(mine[:upper], len(roles)), strict=True)
            },
            mine[upper : upper + ranks].reshape(-1, count),
            mine[upper + ranks :],
        )
        _check(found[place], f"{where}: {place}")
    if position != len(numbers):
        raise FormatError(
            f"{where}: {len(numbers) - position:,} numbers more than its Gram matrices have. {AGAIN}"
        )
    return found


def _place(row: Any, anatomy: Anatomy, where: str) -> tuple[Place, int, int, list[Role]]:
    """One line of the index, held against the tensors that the model is said to have."""
    match row:
        case [
            str(tower),
            ("units" | "values") as axis,
            layer,
            expert,
            bool(shared),
            start,
            count,
            list(names),
        ]:
            whole = [layer, start, count, 0 if expert is None else expert]
        case _:
            whole = [None]
    if not all(type(n) is int and 0 <= n < 1 << 40 for n in whole):
        raise FormatError(f"{where}: the index of its Gram matrices holds {json.dumps(row)[:80]}. {AGAIN}")
    place = Place(tower, Axis(axis), Block(layer, None if expert is None else Expert(expert, shared)))
    parts = {
        role: anatomy.find(tower, role, layer=layer, expert=place.block.expert) for role in place.axis.roles
    }
    known = {role: part for role, part in parts.items() if part is not None and len(part.shape) == 2}
    if [role.value for role in known] != names or not known:
        raise FormatError(
            f"{where}: Gram matrices of {place} name the matrices {json.dumps(names)[:60]}; the model is said to have "
            f"{[str(role) for role in known]} there. {AGAIN}"
        )
    least = min(part.shape[0] for part in known.values())
    if not 0 < count <= MAX_ROWS or start + count > least:
        raise FormatError(
            f"{where}: {place} has {count:,} rows from {start:,}; expected 1 to {MAX_ROWS} of {least:,}. {AGAIN}"
        )
    return place, start, count, list(known)


def _square(upper: Int16[np.ndarray, " pairs"], count: int) -> Int16[np.ndarray, "rows rows"]:
    gram = np.zeros((count, count), dtype=np.int16)
    gram[np.triu_indices(count)] = upper
    return gram + np.triu(gram, 1).T


def _check(held: HeldGrams, where: str) -> None:
    """Whether there can be rows with these cosines and ranks."""
    for role, gram in held.grams.items():
        diagonal = np.diagonal(gram)
        if not np.isin(diagonal, (0, SCALE)).all() or (gram == np.iinfo(np.int16).min).any():
            raise FormatError(
                f"{where}: a cosine of {role} lies above one, or one of a row with itself below. {AGAIN}"
            )
        absent = diagonal == 0
        if gram[absent].any() or not np.array_equal(
            absent, np.diagonal(next(iter(held.grams.values()))) == 0
        ):
            raise FormatError(f"{where}: {role} has cosines of rows that are said to have none. {AGAIN}")
        # Rounding moves no eigenvalue by more than half a step a row; a real one is never negative.
        slack = np.eye(len(gram)) * (0.5 * len(gram) + 1)
        try:
            np.linalg.cholesky(gram.astype(np.float64) + slack)
        except np.linalg.LinAlgError:
            raise FormatError(
                f"{where}: no rows of {role} have these cosines with one another. {AGAIN}"
            ) from None
    absent = np.diagonal(next(iter(held.grams.values()))) == 0
    if (held.ranks[:, absent] != -1).any() or (held.cosines == np.iinfo(np.int16).min).any():
        raise FormatError(f"{where}: its ranks and its Gram matrices are not of the same rows. {AGAIN}")
    for ranks in held.ranks[:, ~absent]:
        if not np.array_equal(np.unique(ranks), np.arange(len(np.unique(ranks)))):
            raise FormatError(
                f"{where}: its ranks are not those of rows: one is left out or negative. {AGAIN}"
            )
    if len(held.cosines) and held.cosines[absent].any():
        raise FormatError(f"{where}: it has cosines of rows that are said to have none. {AGAIN}")
