"""The table of a claim: one measured number a row, and what the claim makes of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jokbo.errors import FormatError
from jokbo.formats import strict_csv
from jokbo.formats.strict_json import strict_loads
from jokbo.hearing.claims.measures import COUNTS, MEASURES, ROLES, TENSORS

MAX_LAYER = 1_000
MAX_NUMBERS_OF_LAYERS = 500_000
"""Of all rows together."""

MAX_COUNT = 1 << 53

TEXT_COLUMNS = ("id", "role", "reference", "candidate", "tensor", "measure", "counts", "note", "source")
LAYER_COLUMNS = ("layers", "reference_layers", "candidate_layers")
VECTOR_COLUMNS = ("reference_vector", "candidate_vector")
NUMBER_COLUMNS = ("value", "sd")
COUNT_COLUMNS = ("count", "entries", "available")
COLUMNS = (*TEXT_COLUMNS, *LAYER_COLUMNS, *VECTOR_COLUMNS, *NUMBER_COLUMNS, *COUNT_COLUMNS)
"""Columns that a table may have, beside one for each further measure, named as the measure is."""

_CHOICES: Mapping[str, Sequence[str]] = {
    "role": ROLES,
    "tensor": TENSORS,
    "measure": tuple(MEASURES),
    "counts": COUNTS,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number.

    Attributes
    ----------
    id : str
        A name that figures may refer to; empty without one.
    role : str
        Of :data:`~jokbo.hearing.claims.measures.ROLES`.
    reference, candidate : str
        What was compared; equal labels where two layers of one model were.
    tensor : str
        Kind of tensor; empty for the claim's own.
    reference_layers, candidate_layers : frozenset of int
        Empty where they are not told.
    measure : str
        Empty for the claim's own.
    value : float
        A mean, where `count` is more than one.
    sd : float or None
        Standard deviation of the values behind the mean.
    count : int
        Measured values that the row stands for.
    entries, available : int or None
        Entries (tokens, channels) compared, and how many could have been.
    counts : str
        Of :data:`~jokbo.hearing.claims.measures.COUNTS`; empty where the claim makes nothing of it.
    reference_vector, candidate_vector : str
        Names in the file of vectors; empty without.
    source, note : str
    line : int
        Where it stands: line of a CSV file, place in a JSON file from one.
    column : str
        ``value``, or the column of a further measure.
    """

    role: str
    reference: str
    candidate: str
    value: float
    line: int
    id: str = ""
    tensor: str = ""
    measure: str = ""
    reference_layers: frozenset[int] = frozenset()
    candidate_layers: frozenset[int] = frozenset()
    sd: float | None = None
    count: int = 1
    entries: int | None = None
    available: int | None = None
    counts: str = ""
    reference_vector: str = ""
    candidate_vector: str = ""
    source: str = ""
    note: str = ""
    column: str = "value"

    @property
    def layers(self) -> frozenset[int]:
        """Layers on either side."""
        return self.reference_layers | self.candidate_layers

    @property
    def pair(self) -> frozenset[str]:
        """What was compared, in no order."""
        return frozenset((self.reference, self.candidate))

    @property
    def within(self) -> bool:
        """Whether both sides are the same model."""
        return self.reference == self.candidate


def parse_table(data: bytes, *, where: str) -> tuple[Row, ...]:
    """Read a table of CSV or JSON, whichever its first character says.

    JSON is a list of objects, one a row, with the same names.

    Raises
    ------
    FormatError
        It cannot be read; the message names file, line and column.

    Examples
    --------
    >>> rows = parse_table(b"role,reference,candidate,layers,value\\neffect,a,b,10,0.989\\n", where="table.csv")
    >>> rows[0].value, sorted(rows[0].layers)
    (0.989, [10])
    """
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        header, cells, mark = _read_json(data, where)
    else:
        header, cells, mark = strict_csv.read_csv(data, where=where)
    _check_header(header, where)
    found: list[Row] = []
    layers = 0
    for line, values in cells:
        found += (rows := _rows(dict(zip(header, values, strict=True)), line, mark, where))
        layers += sum(len(row.reference_layers) + len(row.candidate_layers) for row in rows)
        if layers > MAX_NUMBERS_OF_LAYERS:
            raise FormatError(
                f"{where}:{line}: more than {MAX_NUMBERS_OF_LAYERS:,} layers in all rows together. Split the table."
            )
    return tuple(found)


def _read_json(data: bytes, where: str) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    if len(data) > strict_csv.MAX_BYTES:
        raise FormatError(f"{where} is {len(data):,} bytes; expected at most {strict_csv.MAX_BYTES:,}.")
    try:
        document = strict_loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is not JSON ({str(error)[:200]}). Correct it.") from None
    if not isinstance(document, list) or not document or not all(isinstance(row, dict) for row in document):
        raise FormatError(f"{where}: expected a list of objects, one a row.")
    if len(document) > strict_csv.MAX_ROWS:
        raise FormatError(f"{where}: {len(document):,} rows; expected at most {strict_csv.MAX_ROWS:,}.")
    header = list(dict.fromkeys(key for row in document for key in row))
    _check_header(header, where)  # before a cell is made for each row and name
    rows = []
    for k, row in enumerate(document, 1):
        cells = [_json_cell(row.get(name), f"{where}:{k} ({name[:60]})") for name in header]
        for name, cell in zip(header, cells, strict=True):
            strict_csv.check_cell(cell, where=f"{where}:{k} ({name[:60]})")
        rows.append((k, cells))
    return header, rows, "."


def _json_cell(value: Any, where: str) -> str:
    """As the same cell stands in CSV, so that both go one way from here."""
    if value is None:
        return ""
    if isinstance(value, list) and all(
        isinstance(each, int) and not isinstance(each, bool) for each in value
    ):
        return " ".join(map(str, value[: MAX_LAYER + 1]))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FormatError(f"{where}: expected a text, a number, or a list of layers.")
    return str(value).strip()


def _check_header(header: Sequence[str], where: str) -> None:
    known = (*COLUMNS, *MEASURES)
    wrong = next((name for name in header if name not in known), None)
    if wrong is not None:
        import difflib

        near = difflib.get_close_matches(wrong, known, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise FormatError(
            f"{where}: unknown column {wrong[:60]!r}; expected some of {', '.join(COLUMNS)}, or a measure.{meant}"
        )
    for needed in ("role", "reference", "candidate", "value"):
        if needed not in header:
            raise FormatError(f"{where}: the column {needed!r} is missing. Add it to the header.")


def _rows(cells: Mapping[str, str], line: int, mark: str, where: str) -> list[Row]:
    """The row itself, and one more for each further measure beside it."""
    at = f"{where}:{line}"
    texts = {name: cells.get(name, "") for name in (*TEXT_COLUMNS, *VECTOR_COLUMNS)}
    for name, allowed in _CHOICES.items():
        if texts[name] not in allowed and (texts[name] or name == "role"):
            raise FormatError(
                f"{at} ({name}): found {texts[name][:60]!r}; expected one of {', '.join(allowed)}."
            )
    for name in ("reference", "candidate"):
        if not texts[name]:
            raise FormatError(f"{at} ({name}) is empty; expected the label of what was compared.")
    same = parse_layers(cells.get("layers", ""), where=f"{at} (layers)")
    sides = {
        name: parse_layers(cells[name], where=f"{at} ({name})") if cells.get(name) else same
        for name in LAYER_COLUMNS[1:]
    }
    numbers = {
        name: strict_csv.number(cells.get(name, ""), mark=mark, where=f"{at} ({name})")
        for name in (*NUMBER_COLUMNS, *COUNT_COLUMNS, *MEASURES)
    }
    value, sd = numbers["value"], numbers["sd"]
    if value is None:
        raise FormatError(f"{at} (value) is empty; expected the number that was measured.")
    if sd is not None and sd < 0:
        raise FormatError(f"{at} (sd): found {sd:g}; expected a standard deviation, which is never negative.")
    counts = {name: _count(numbers[name], f"{at} ({name})") for name in COUNT_COLUMNS}
    common: dict[str, Any] = {
        **texts, **sides, "line": line,
        "count": counts["count"] or 1, "entries": counts["entries"], "available": counts["available"],
    }  # fmt: skip
    found = [Row(**common, value=value, sd=sd)]
    for name in MEASURES:
        more = numbers[name]
        if more is not None:
            found.append(Row(**common | {"measure": name, "counts": ""}, value=more, column=name))
    return found


def _count(value: float | None, where: str) -> int | None:
    if value is None:
        return None
    if value != math.floor(value) or not 1 <= value <= MAX_COUNT:
        raise FormatError(f"{where}: found {value:g}; expected a count of at least 1.")
    return int(value)


def parse_layers(text: str, *, where: str) -> frozenset[int]:
    """Layers such as ``10``, ``10 20 30`` or ``0-47``.

    Examples
    --------
    >>> sorted(parse_layers("0-3 8", where="layers"))
    [0, 1, 2, 3, 8]
    """
    if text in strict_csv.DASHES:
        return frozenset()
    found: set[int] = set()
    for part in text.split():
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not low <= high <= MAX_LAYER:
            raise FormatError(f"{where}: found {part[:40]!r}; expected layers such as 10, 10 20 30, or 0-47.")
        found.update(range(low, high + 1))
    return frozenset(found)
