"""What `jokbo hearing` prints: the board, entries, and what a verification found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jokbo.hearing.archive.verify import Verified
from jokbo.hearing.case.chain import Problem
from jokbo.hearing.case.entry import Entry
from jokbo.hearing.case.state import RULES, CaseState
from jokbo.hearing.case.views import residuals, timers
from jokbo.hearing.case.votes import in_force
from jokbo.hearing.case.withheld import public_state
from jokbo.hearing.case.witness import spelled
from jokbo.hearing.pages.contexts import Contexts
from jokbo.report.texts import NAME_CLOSES, NAME_OPENS, Texts, clean


def render_verified(found: Verified, *, lang: str) -> str:
    """A verification in words."""
    t = Texts(lang)
    code = "fails" if found.problems else "unchecked" if found.unchecked else "holds"
    entries = t.number(found.state.length)
    lines = [t(f"hearing.verify.{code}", entries=entries, count=len(found.problems))]
    lines += [f"  ✗ {_reason(t, 'hearing.problem', each)}" for each in found.problems]
    lines += [f"  ? {_reason(t, 'hearing.unchecked', each)}" for each in found.unchecked]
    if found.keeper:
        lines.append(t("hearing.verify.keeper", key=found.keeper))
        lines += _earlier_keys(found, t)
    if found.state.head:
        lines.append(t("hearing.cli.head", entries=entries, digest=spelled(found.state.head)))
    lines += list(_checked(found, t))
    return "\n".join(lines)


def _earlier_keys(found: Verified, t: Texts) -> Iterator[str]:
    acts = [act for act in found.state.acts if act.kind == "key_rotated"]
    for key, act in zip(found.keepers, acts, strict=False):
        yield "  " + t.code(
            "hearing.verify.replaced", act.payload["signed_by"], key=key, entry=t.number(act.sequence)
        )


def votes_text(state: CaseState, t: Texts) -> str:
    """Votes in force in three tallies, which are never added."""
    return "; ".join(
        t(
            "hearing.tally",
            group=t.code("hearing.group", group),
            up=t.number(tally.up),
            down=t.number(tally.down),
        )
        for group, tally in in_force(state.tallies).items()
    )


def _checked(found: Verified, t: Texts) -> Iterator[str]:
    for code, count in (("exhibits", found.exhibits), ("pages", found.pages), ("reruns", found.reruns)):
        if count:
            yield t(f"hearing.verify.{code}", count=t.number(count))
    if found.holes:
        yield t("hearing.verify.holes", count=found.holes)
    if found.state.clock_steps:
        yield t("hearing.verify.clock", count=len(found.state.clock_steps))
    if found.overdue:
        entries = ", ".join(map(t.number, found.overdue))
        yield t("hearing.verify.overdue", entries=entries, count=len(found.overdue))
    if found.state.facts is not None and found.state.rules < RULES:
        yield t("hearing.verify.rules", rules=found.state.rules, latest=RULES)
    if found.key is not None and found.key in found.keepers[:-1]:
        yield t("hearing.verify.earlier_key")
    if found.head is None:
        yield t("hearing.verify.no_witness" if found.key not in found.keepers else "hearing.verify.no_digest")
    elif found.witnessed is not None:
        later = found.state.length - 1 - found.witnessed
        yield t("hearing.verify.witness", head=found.head[:16], entry=t.number(found.witnessed))
        if later > 0:
            yield t("hearing.verify.later", count=t.number(later))


def _reason(t: Texts, group: str, reason: Problem) -> str:
    values = {
        key: clean(value, limit=400) if isinstance(value, str) else t.number(value)
        for key, value in reason.values.items()
    }
    return t.code(group, reason.code, **values)


def verified_document(found: Verified) -> dict[str, Any]:
    """A verification as plain JSON (``jokbo.hearing-verification/1``)."""

    def plain(reasons: tuple[Problem, ...]) -> list[dict[str, Any]]:
        return [{"code": each.code, "values": dict(each.values)} for each in reasons]

    facts = found.state.facts
    return {
        "schema": "jokbo.hearing-verification/1",
        "holds": not found.problems,
        "exit_status": found.exit_status,
        "archive": found.archive,
        "case": None if facts is None else facts.case,
        "entries": found.state.length,
        "head": found.state.head,
        "keeper": found.keeper,
        "keepers": list(found.keepers),
        "against": found.head,
        "against_key": found.key,
        "problems": plain(found.problems),
        "unchecked": plain(found.unchecked),
        "pages": found.pages,
        "exhibits": found.exhibits,
        "reruns": found.reruns,
        "holes": found.holes,
        "rules": found.state.rules,
        "witnessed": found.witnessed,
        "overdue_holds": list(found.overdue),
        "clock_steps": [list(step) for step in found.state.clock_steps],
    }


def render_state(state: CaseState, *, lang: str) -> str:
    """The board of a case for a terminal, as the public sees it."""
    state = public_state(state)
    page = Contexts(state, lang, lambda name, number: "").board()
    t = Texts(lang)
    lines = [
        clean(page["case_title"], limit=300),
        t("hearing.cli.show_entries", entries=t.number(state.length)),
        t("hearing.cli.show_votes", votes=votes_text(state, t)),
    ]
    for code in ("settled", "open"):
        lines += ["", t(f"hearing.board.{code}")]
        rows = page[code]
        for row in rows:
            claim = row["claim"]
            title = clean(claim["title"] or claim["gone"], limit=200)
            lines.append(
                f"  {row['mark']} {row['word']}: {title} ({t('hearing.entry', number=claim['number'])})"
            )
        if not rows:
            lines.append(f"  {t(f'hearing.board.none_{code}')}")
    if timers(state):
        lines += ["", t("hearing.board.timers")]
        lines += [f"  {row['word']}: {clean(row['who'])} ({row['until']})" for row in page["timers"]]
    if residuals(state):
        lines += ["", t("hearing.last.residual")]
        lines += [f"  {clean(row['text'] or row['gone'], limit=200)}" for row in page["residuals"]]
    lines += ["", t("hearing.cli.head", entries=t.number(state.length), digest=spelled(state.head))]
    return "\n".join(lines).replace(NAME_OPENS, "").replace(NAME_CLOSES, "")


def render_entry(entry: Entry) -> str:
    """An entry as indented JSON; no control character of a text reaches the terminal."""
    return json.dumps(json.loads(entry.to_line()), indent=2, ensure_ascii=True, sort_keys=True)
