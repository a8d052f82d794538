"""What the record experiments found, as a page in two languages; words are in ``record_texts.toml``."""

from __future__ import annotations

import math
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from scipy.special import betaincinv
from zoo.record.instances import CHEAP

from benchmarks.record_jobs import REPLAY_CHECKS, WEIGHT_CHECKS
from benchmarks.record_sweep import DECAYS, DTYPES, GAPS, decay_sum
from jokbo.records.checks.choose import CHECKS

Result = Mapping[str, Any]
UNTRIED = ""
"""A cell of what was not run."""


@cache
def texts(language: str) -> Mapping[str, str]:
    """Words of the page."""
    path = Path(__file__).with_name("record_texts.toml")
    found: Mapping[str, Mapping[str, str]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return found[language]


def forgery_of(name: str) -> str:
    """The forgery that a recipe is an instance of."""
    if name in CHEAP:
        return str(CHEAP[name].forgery)
    return "untraining" if name == "untrained" else "anchored"


def groups(results: Iterable[Result], group: str, *, replay: bool) -> dict[str, list[Result]]:
    """Results of one group by name."""
    found: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        job = result["job"]
        if job["group"] == group and job["replay"] is replay:
            found[job["name"]].append(result)
    return dict(found)


def interval(found: int, tried: int) -> tuple[float, float]:
    """Clopper and Pearson's bounds, each one-sided at 95 %.

    Examples
    --------
    >>> [round(bound, 3) for bound in interval(59, 59)]
    [0.95, 1.0]
    """
    lower = float(betaincinv(found, tried - found + 1, 0.05)) if found else 0.0
    upper = float(betaincinv(found + 1, tried - found, 0.95)) if found < tried else 1.0
    return lower, upper


def is_found(result: Result) -> bool:
    """Whether an audit called the record inconsistent."""
    return bool(result["verdict"] == "inconsistent")


def failures(results: Sequence[Result]) -> list[str]:
    """What breaks a bar: false alarms, an anchored run called consistent, a forgery missed in silence."""
    problems = []
    named = _named(results)
    for result in results:
        job = result["job"]
        label = f"{job['name']}-{job['number']}{job['option'] and ' ' + job['option']}"
        if job["group"] in ("honest", "sweep") and is_found(result):
            problems.append(f"honest {label} is called inconsistent by {', '.join(result['violated'])}")
        if job["group"] in ("cheap", "trained") and result["verdict"] == "consistent":
            problems.append(f"forged {label} is called consistent")
    for group in ("cheap", "trained"):
        for name, rows in groups(results, group, replay=False).items():
            missed = sum(not is_found(row) for row in rows)
            if missed and name not in named:
                problems.append(f"{name}: {missed} of {len(rows)} missed, and no full audit names it")
    return problems


def _named(results: Iterable[Result]) -> frozenset[str]:
    """Forgeries whose full audits either found them or left them among what is not excluded."""
    found: dict[str, bool] = {}
    for group in ("cheap", "trained"):
        for name, rows in groups(results, group, replay=True).items():
            found[name] = all(is_found(row) or forgery_of(name) in row["not_excluded"] for row in rows)
    return frozenset(name for name, holds in found.items() if holds)


def page(results: Sequence[Result], problems: Sequence[str], language: str) -> str:
    """The whole page."""
    words = texts(language)
    honest = [row for row in results if row["job"]["group"] in ("honest", "sweep")]
    alarms = sum(is_found(row) for row in honest)
    runs = {(r["job"]["name"], r["job"]["number"], r["job"]["option"]) for r in honest}
    parts = [
        words["title"],
        words["intro"].format(honest=len(runs), audits=len(honest), alarms=alarms),
        words["bars_hold"] if not problems else words["bars_fail"] + "\n\n" + _list(problems),
        words["found"],
        words["found_note"],
        _found_table(results, words),
        words["matrix"],
        words["matrix_note"],
        _matrix(results, words),
        words["blind"],
        words["blind_note"],
        _blind(results, words),
        words["honest"],
        words["honest_note"],
        _honest_table(results, words),
        words["margins"],
        words["margins_note"],
        _margins(results, words),
        words["sweep"],
        words["sweep_note"],
        _sweep_table(results, words),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _forged(results: Sequence[Result], *, replay: bool) -> dict[str, list[Result]]:
    return groups(results, "cheap", replay=replay) | groups(results, "trained", replay=replay)


def _found_table(results: Sequence[Result], words: Mapping[str, str]) -> str:
    full = _forged(results, replay=True)
    rows = []
    for name, tries in _forged(results, replay=False).items():
        found = sum(is_found(row) for row in tries)
        lower, upper = interval(found, len(tries))
        again = full.get(name, [])
        rows.append(
            (
                f"`{name}`",
                f"`{forgery_of(name)}`",
                f"{found} / {len(tries)}",
                f"{lower:.0%}–{upper:.0%}",
                f"{sum(is_found(row) for row in again)} / {len(again)}" if again else UNTRIED,
                ", ".join(sorted({check for row in again for check in row["violated"]})) or UNTRIED,
            )
        )
    return _table(words["found_columns"].split("|"), rows)


def _cell(rows: Sequence[Result], check: str) -> str:
    seen = [row["checks"][check] for row in rows if check in row["checks"]]
    found = sum(check in row["violated"] for row in rows)
    asked = sum(one["observation"] == "violated" and one["kind"] == "soft" for one in seen)
    if not found and not asked:
        return "·" if seen else UNTRIED
    return str(found) if found else f"({asked})"


def _matrix(results: Sequence[Result], words: Mapping[str, str]) -> str:
    plain, full = _forged(results, replay=False), _forged(results, replay=True)
    rows = []
    for name, every in plain.items():
        # Instances that one check alone was shown say nothing of the others.
        tries, again = [row for row in every if not row["job"]["alone"]], full.get(name, [])
        cells = [
            (_cell(again, check) if again else UNTRIED) if check in REPLAY_CHECKS else _cell(tries, check)
            for check in CHECKS
        ]
        rows.append((f"`{name}`", len(tries), len(again), *cells))
    heads = [f"{number}" for number in range(1, len(CHECKS) + 1)]
    return _table([words["forgery"], "n", words["full"], *heads], rows)


def _blind(results: Sequence[Result], words: Mapping[str, str]) -> str:
    rows = []
    full = _forged(results, replay=True)
    for name, tries in _forged(results, replay=False).items():
        again = full.get(name, [])
        missed = [row for row in again if not is_found(row)]
        if not missed:
            continue
        named = all(forgery_of(name) in row["not_excluded"] for row in missed)
        rows.append(
            (
                f"`{name}`",
                f"`{forgery_of(name)}`",
                f"{sum(not is_found(row) for row in tries)} / {len(tries)}",
                f"{len(missed)} / {len(again)}",
                words["yes"] if named else words["no"],
            )
        )
    return _table(words["blind_columns"].split("|"), rows) if rows else words["none"]


def _honest_table(results: Sequence[Result], words: Mapping[str, str]) -> str:
    rows = []
    full = groups(results, "honest", replay=True)
    for name, tries in groups(results, "honest", replay=False).items():
        again = full.get(name, [])
        passed = _passes(again or tries)
        excluded = again[0]["excluded"] if again else tries[0]["excluded"]
        soft = sorted(
            {
                check
                for row in (*tries, *again)
                for check, one in row["checks"].items()
                if one["kind"] == "soft" and one["observation"] == "violated"
            }
        )
        alarms = sum(is_found(row) for row in (*tries, *again))
        rows.append((f"`{name}`", len(tries), alarms, f"{passed:.1f}", len(excluded), ", ".join(soft) or "–"))
    return _table(words["honest_columns"].split("|"), rows)


def _passes(rows: Sequence[Result]) -> float:
    counts = [sum(one["outcome"] == "consistent" for one in row["checks"].values()) for row in rows]
    return sum(counts) / max(len(counts), 1)


def _margins(results: Sequence[Result], words: Mapping[str, str]) -> str:
    rows = []
    honest = [r for r in results if r["job"]["group"] in ("honest", "sweep")]
    forged = [r for r in results if r["job"]["group"] in ("cheap", "trained")]
    for check in CHECKS:
        least = _pvalues(honest, check)
        caught = sorted(value for value in _pvalues(forged, check) if value < math.log10(1e-6))
        if least:
            worst = f"{min(least):.1f}"
            weakest = f"{caught[-1]:.1f}" if caught else "–"
            rows.append((f"`{check}`", len(least), worst, len(caught), weakest))
    return _table(words["margins_columns"].split("|"), rows)


def _pvalues(rows: Iterable[Result], check: str) -> list[float]:
    found = (row["checks"].get(check, {}).get("log10_pvalue") for row in rows)
    return [float(value) for value in found if value is not None]


def _sweep_table(results: Sequence[Result], words: Mapping[str, str]) -> str:
    by = {row["job"]["option"]: row for row in results if row["job"]["group"] == "sweep"}
    rows = []
    for decay in DECAYS:
        for dtype in DTYPES:
            for gap in GAPS:
                row = by.get(f"{decay:g}_{dtype}_{gap}")
                if row is not None:
                    cells = [_word(row["checks"].get(check)) for check in WEIGHT_CHECKS]
                    rows.append((f"{decay_sum(decay):.2f}", dtype, gap, *cells))
    heads = [str(list(CHECKS).index(check) + 1) for check in WEIGHT_CHECKS]
    return _table([*words["sweep_columns"].split("|"), *heads], rows)


def _word(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return UNTRIED
    return {"consistent": "✓", "inconsistent": "✗"}.get(one["outcome"], "?")
