"""How far a run of tasks is, as one line in the reader's language."""

from __future__ import annotations

from jokbo.lineage.task_progress import Progress
from jokbo.report.texts import Texts

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def task_line(progress: Progress, *, lang: str) -> str:
    """Done, failed, rate and time left.

    Examples
    --------
    >>> from jokbo.lineage.task_progress import measure
    >>> task_line(measure(total=10, done=5, failed=1, resumed=2, seconds=8.0), lang="en")
    '5 of 10 done, 1 failed, 30 per minute, about 8 s left, 2 of them were done before'
    """
    t = Texts(lang)
    parts = t(
        "tasks.line" if progress.failed else "tasks.line_whole",
        done=t.number(progress.done),
        total=t.number(progress.total),
        rate=_rate(progress, t),
        left=_left(progress, t),
        **({"failed": t.number(progress.failed)} if progress.failed else {}),
    )
    if progress.resumed:
        parts += ", " + t("tasks.resumed", count=t.number(progress.resumed))
    return parts


def duration(seconds: float, t: Texts) -> str:
    """A length of time with one unit, rounded up from the smallest that gives at most two digits or so.

    Examples
    --------
    >>> [duration(s, Texts("en")) for s in (0.2, 59.0, 90.0, 7000.0, 200_000.0)]
    ['1 s', '59 s', '2 min', '1.9 h', '2.3 days']
    """
    if seconds < MINUTE:
        return t("tasks.seconds", count=t.number(max(1, round(seconds))))
    if seconds < HOUR:
        return t("tasks.minutes", count=t.number(round(seconds / MINUTE)))
    if seconds < DAY:
        return t("tasks.hours", count=t.number(seconds / HOUR, digits=1))
    return t("tasks.days", count=t.number(seconds / DAY, digits=1))


def _rate(progress: Progress, t: Texts) -> str:
    rate = progress.tasks_per_second
    if rate is None:
        return t("tasks.unknown_rate")
    if rate >= 1:
        return t("tasks.per_second", count=t.number(rate, digits=1))
    if rate * MINUTE >= 1:
        return t("tasks.per_minute", count=t.number(rate * MINUTE, digits=1))
    return t("tasks.per_hour", count=t.number(rate * HOUR, digits=1))


def _left(progress: Progress, t: Texts) -> str:
    if progress.done + progress.failed >= progress.total:
        return t("tasks.finished", time=duration(progress.seconds, t))
    if progress.seconds_left is None:
        return t("tasks.unknown_left")
    return t("tasks.left", time=duration(progress.seconds_left, t))
