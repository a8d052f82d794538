"""Reading the plan of a disclosure: ``leak.yaml``, held against ``schemas/leak-1.json`` and then against itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError
from jokbo.evidence.documents import load_schema
from jokbo.league.leak.plan import LIST, ONE_NUMBER, Fact, Figure, Plan, figure_ranges
from jokbo.league.yaml_document import YamlDocument, parse_document, read_small

Plain = Mapping[str, Any]
Problem = tuple[str, str]

NAMED = {"value": 1, "first": 1, "last": 1, "difference": 2}
"""How many teams each kind names; `top` and `bottom` may name one, `order` two or more."""

LARGEST = 1e6
"""Figures are told to thousandths: larger ones leave a solver too few digits."""

ROUNDING = {
    "nearest": ROUND_HALF_UP,
    "down": ROUND_FLOOR,
    "up": ROUND_CEILING,
    "exact": ROUND_HALF_UP,
}


def plan_schema() -> Plain:
    """The JSON Schema of ``leak.yaml``."""
    return load_schema("jokbo.league", "schemas/leak-1.json")


def read_plan(path: Path) -> Plan:
    """Read a plan from its file.

    Raises
    ------
    NotFoundError, SourceError
        It is not there, or cannot be read.
    FormatError
        It is no plan, or contradicts itself; one line a problem.
    """
    return parse_plan(read_small(path), path.name)


def parse_plan(data: bytes, where: str) -> Plan:
    """Read a plan from the bytes of its file; `where` is its name, for messages.

    Raises
    ------
    FormatError
        It is no plan, or contradicts itself; one line a problem.
    """
    document = parse_document(data, plan_schema(), where=where)
    value = document.value
    document.refuse(_figure_problems(value), plan_schema())
    document.refuse(_fact_problems(value), plan_schema())
    figures = tuple(map(_figure, value["figures"]))
    document.refuse(_table_problems(value, figures), plan_schema())
    table = _completed(value.get("table", {}), figures)
    plan = Plan(
        title=_words(value["title"]),
        tolerance=value["tolerance"],
        names={team["id"]: _words(team["name"]) for team in value["teams"]},
        figures=figures,
        facts=tuple(_fact(document, k, row, table) for k, row in enumerate(value["publish"])),
        table=table,
        source=value.get("source", ""),
    )
    if not plan.closed():
        raise FormatError(
            f"{where}: no figure stays closed, so that nothing can be given away. Remove `closed: no`."
        )
    return plan


def _words(value: str | Plain) -> Mapping[str, str]:
    return {"en": value, "ko": value} if isinstance(value, str) else {"en": value["en"], "ko": value["ko"]}


def _figure(row: Plain) -> Figure:
    return Figure(
        id=row["id"],
        title=_words(row["title"]),
        lowest=row.get("lowest"),
        highest=row.get("highest"),
        sum_of=dict(row.get("sum_of", {})),
        rescaled_from=row.get("rescaled_from"),
        first=row.get("first"),
        closed=row.get("closed", True),
    )


def _twice(rows: list[Plain], path: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for k, row in enumerate(rows):
        if row["id"] in seen:
            yield f"{path}/{k}/id", f"expected an id of its own, found {row['id']!r} again"
        seen.add(row["id"])


def _figure_problems(document: Plain) -> Iterator[Problem]:
    yield from _twice(document["teams"], "teams")
    yield from _twice(document["figures"], "figures")
    above: dict[str, Figure] = {}
    for k, row in enumerate(document["figures"]):
        figure, at = _figure(row), f"figures/{k}"
        ways = [
            bool(row.keys() & {"lowest", "highest"}),
            "sum_of" in row,
            bool(row.keys() & {"rescaled_from", "first"}),
        ]
        if sum(ways) != 1:
            yield at, "expected either lowest and highest, or sum_of, or rescaled_from and first"
            return
        if ways[0] and (
            figure.lowest is None or figure.highest is None or not figure.lowest < figure.highest
        ):
            yield at, "expected lowest and highest, lowest below highest"
            return
        if ways[1] and not figure.sum_of:
            yield f"{at}/sum_of", "expected at least one figure and its factor"
            return
        if ways[2] and (figure.rescaled_from is None or figure.first is None):
            yield at, "expected rescaled_from and first together"
            return
        for part in (*figure.sum_of, *filter(None, (figure.rescaled_from,))):
            if part not in above:
                yield (
                    at,
                    f"expected a figure that stands above this one ({', '.join(above) or 'none'}), found {part!r}",
                )
                return
        if figure.rescaled_from is not None:
            low, high = figure_ranges(tuple(above.values()))[figure.rescaled_from]
            if low < 0 or not high > 0:
                yield f"{at}/rescaled_from", "expected a figure whose scale begins at zero or above"
                return
        above[figure.id] = figure
        if max(map(abs, figure_ranges(tuple(above.values()))[figure.id])) > LARGEST:
            yield at, f"expected a scale within {LARGEST:,.0f} on both sides of zero; use larger units"
            return


def _fact_problems(document: Plain) -> Iterator[Problem]:
    teams = [team["id"] for team in document["teams"]]
    figures = [figure["id"] for figure in document["figures"]]
    for k, row in enumerate(document["publish"]):
        at, kind = f"publish/{k}", row["fact"]
        if row["of"] not in figures:
            yield f"{at}/of", f"expected a figure ({', '.join(figures)}), found {row['of']!r}"
        if {"team", "teams"} <= row.keys():
            yield at, "expected team or teams, not both"
        named = _named(row)
        for team in named:
            if team not in teams:
                yield at, f"expected a team ({', '.join(teams)}), found {team!r}"
        if len(set(named)) < len(named):
            yield f"{at}/teams", "expected each team once"
        wanted = NAMED.get(kind)
        fits = len(named) == wanted if wanted else _may_name(kind, len(named))
        if not fits:
            yield at, f"expected {_wanted(kind)} for {kind!r}, found {len(named)}"
        yield from _number_problems(row, at, kind, len(teams), "table" in document)


def _named(row: Plain) -> tuple[str, ...]:
    return tuple(row.get("teams", ())) or ((row["team"],) if "team" in row else ())


def _may_name(kind: str, count: int) -> bool:
    return count >= 2 if kind == "order" else count <= (1 if kind in ("top", "bottom") else 0)


def _wanted(kind: str) -> str:
    if kind in NAMED:
        return "one team" if NAMED[kind] == 1 else "two teams"
    return {"order": "two teams or more", "top": "one team or none", "bottom": "one team or none"}.get(
        kind, "no team"
    )


def _number_problems(row: Plain, at: str, kind: str, teams: int, has_table: bool) -> Iterator[Problem]:
    key = "is" if kind in ONE_NUMBER else "are" if kind == LIST else None
    for other in {"is", "are"} - {key}:
        if other in row:
            yield f"{at}/{other}", f"expected no {other!r} for {kind!r}"
    if key is None:
        if row.keys() & {"decimals", "rounded", "count"}:
            yield at, f"expected no decimals, rounded or count for {kind!r}: it publishes no number"
        return
    if "count" in row and (key == "is" or "are" in row):
        yield f"{at}/count", "expected only for 'unnamed' without 'are'"
    if max(row.get("count", 0), len(row.get("are", ()))) > teams:
        yield at, f"expected at most {teams} values, one a team"
    if key in row and "decimals" in row:
        yield f"{at}/decimals", f"expected either {key!r}, whose decimals count, or decimals"
    if key not in row and not ("decimals" in row and has_table):
        yield at, f"expected {key!r}, or decimals and a table to compute it from"


def _table_problems(document: Plain, figures: tuple[Figure, ...]) -> Iterator[Problem]:
    teams = {team["id"] for team in document["teams"]}
    ranges = figure_ranges(figures)
    for team, cells in document.get("table", {}).items():
        if team not in teams:
            yield f"table/{team}", f"expected a team ({', '.join(sorted(teams))})"
            continue
        for figure, value in cells.items():
            at = f"table/{team}/{figure}"
            if figure not in ranges:
                yield at, f"expected a figure ({', '.join(ranges)})"
            elif not ranges[figure][0] <= value <= ranges[figure][1]:
                yield at, f"expected {ranges[figure][0]:g} to {ranges[figure][1]:g}, found {value:g}"


def _completed(table: Plain, figures: tuple[Figure, ...]) -> dict[str, dict[str, float]]:
    """The table with sums and rescaled figures that it leaves out, where their parts are there."""
    found = {team: dict(cells) for team, cells in table.items()}
    for figure in figures:
        for cells in found.values():
            if figure.sum_of and figure.id not in cells and figure.sum_of.keys() <= cells.keys():
                cells[figure.id] = sum(factor * cells[part] for part, factor in figure.sum_of.items())
        of = figure.rescaled_from
        if of is not None and all(of in cells for cells in found.values()):
            top = max((cells[of] for cells in found.values()), default=0.0)
            for cells in found.values():
                if top > 0:
                    cells.setdefault(figure.id, cells[of] * float(figure.first or 0) / top)
    return found


def _fact(document: YamlDocument, k: int, row: Plain, table: Mapping[str, Mapping[str, float]]) -> Fact:
    fact = Fact(
        kind=row["fact"],
        of=row["of"],
        teams=_named(row),
        values=(row["is"],) if "is" in row else tuple(sorted(row.get("are", ()), key=float, reverse=True)),
        rounded=row.get("rounded", "nearest"),
        source=row.get("source", ""),
    )
    if not table:
        return fact
    teams = [team["id"] for team in document.value["teams"]]
    truth = _truth(fact, table, teams, row.get("count"))
    if truth is None:
        if "decimals" in row:
            document.refuse(
                [(f"publish/{k}", f"expected every team's {fact.of} in the table, to compute it from")]
            )
        return fact
    if not _holds(fact, {team: table[team][fact.of] for team in teams}):
        document.refuse([(f"publish/{k}", "expected the order that the table has, found another")])
    if "decimals" in row:
        return Fact(
            fact.kind,
            fact.of,
            fact.teams,
            tuple(_rounded(value, row["decimals"], fact.rounded) for value in truth),
            fact.rounded,
            fact.source,
        )
    for value, (low, high) in zip(truth, fact.intervals(), strict=False):
        if not low - 1e-9 <= value <= high + 1e-9:
            document.refuse(
                [
                    (
                        f"publish/{k}",
                        f"expected what the table gives, {value:.6g}, found {', '.join(fact.values)}",
                    )
                ]
            )
    return fact


def _holds(fact: Fact, column: Mapping[str, float]) -> bool:
    """Whether teams that a fact puts first, last or in order are so in the table, ties allowed."""
    named = [column[team] for team in fact.teams]
    if fact.kind == "order":
        return named == sorted(named, reverse=True)
    if fact.kind in ("first", "top") and named:
        return named[0] == max(column.values())
    return not (fact.kind in ("last", "bottom") and named) or named[0] == min(column.values())


def _truth(
    fact: Fact, table: Mapping[str, Mapping[str, float]], teams: list[str], count: int | None
) -> list[float] | None:
    """The numbers of a fact from the whole column; empty for an order, None where cells are missing."""
    if any(fact.of not in table.get(team, {}) for team in teams):
        return None
    column = {team: table[team][fact.of] for team in teams}
    values = list(column.values())
    if fact.kind == LIST:
        return sorted(values, reverse=True)[: count or len(fact.values) or len(teams)]
    if fact.kind not in ONE_NUMBER:
        return []
    if fact.kind in ("value", "difference"):
        return [column[fact.teams[0]] - (column[fact.teams[1]] if fact.kind == "difference" else 0.0)]
    return [
        {
            "mean": sum(values) / len(values),
            "sum": sum(values),
            "gap": max(values) - min(values),
            "top": max(values),
            "bottom": min(values),
        }[fact.kind]
    ]


def _rounded(value: float, decimals: int, how: str) -> str:
    """A number as it will be published; noise of sums beyond nine decimals does not decide how it is rounded."""
    exact = Decimal(repr(round(value, 9)))
    return f"{exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUNDING[how]):f}"
