"""What `jokbo league check` found, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jokbo.league.check import Checked
from jokbo.report.parts import Headline
from jokbo.report.terminal import MAX_WIDTH, bullets, heading, verdict_panel
from jokbo.report.texts import Texts, clean, name

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

MAX_SHOWN = 20
"""Problems and files on the terminal; ``--json`` has all."""


def render_check_terminal(found: Checked, *, lang: str, console: Console) -> None:
    """Print what a check found, for people.

    Parameters
    ----------
    lang : str
        ``"en"`` or ``"ko"``.

    Raises
    ------
    UsageError
        The language is not available.
    """
    for piece in _pieces(found, Texts(lang)):
        console.print(piece, width=min(console.width, MAX_WIDTH))


def _pieces(found: Checked, t: Texts) -> Iterator[RenderableType]:
    outcome = {0: "holds", 10: "differs", 11: "not_computed"}[found.exit_status]
    if outcome == "not_computed" and found.recomputed:
        outcome = "evidence_open"
    if found.other_methods is not None:
        outcome = "other_methods"
    yield verdict_panel(
        Headline(
            kind="league_check",
            tone={0: "clear", 10: "found", 11: "open"}[found.exit_status],
            label=t(f"league.check.{outcome}.label"),
            sentence=t(f"league.check.{outcome}.sentence", round=name(found.round)),
            explanation=(),
            strength=t(f"league.check.{outcome}.detail"),
            numbers=(),
        )
    )
    if found.problems:
        yield heading(t("league.check.problems", count=len(found.problems)))
        yield bullets(tuple(clean(problem) for problem in found.problems[:MAX_SHOWN]))
    if found.withheld:
        yield heading(t("league.check.withheld", count=len(found.withheld)))
        yield bullets(tuple(name(file) for file in found.withheld[:MAX_SHOWN]))
    missing = [each.why or each.file for each in found.evidence or () if each.holds is None]
    if missing:
        yield heading(t("league.check.not_run", count=len(missing)))
        yield bullets(tuple(clean(why) for why in missing[:MAX_SHOWN]))
    remarks = list(_evidence(found, t))
    if found.recomputed and not found.pages_compared:
        remarks.append(t("league.check.other_version"))
    if found.last_digits:
        remarks.append(t("league.check.last_digits", count=t.number(found.last_digits)))
    yield bullets(tuple(remarks), dim=True)


def _evidence(found: Checked, t: Texts) -> Iterator[str]:
    """Whether the gate's evidence was run again, and how much of it held."""
    if found.evidence is None:
        yield t("league.check.evidence")
        return
    held = [each for each in found.evidence if each.holds]
    count = sum(each.holds is not None for each in found.evidence)
    yield t("league.check.run_again", held=len(held), count=count)
    if any(not each.names_hold for each in held):
        yield t("league.check.names_unchecked")
