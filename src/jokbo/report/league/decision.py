"""What was decided, in one sentence first; how; and what it does not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.report.league.blocks import Block, Bullets, Cell, Figure, Grid, Head, Part, Prose
from jokbo.report.league.naming import Naming

CAUSES = ("score", "tie_rule", "gate")
SAID = frozenset({"gate_removed", "resolved", "not_resolved", "nobody_out"})
"""Reasons whose content the first sentence and the steps hold."""

TONES: Mapping[str, tuple[str, str]] = {
    "score": ("●", "clear"),
    "tie_rule": ("◑", "open"),
    "gate": ("■", "found"),
    "nobody": ("○", "clear"),
    "pending": ("?", "open"),
}
"""Sign and colour class by what settled the round; where there are several, by the first of them."""


WHOSE = ("same_file", "same_model_named")
"""Notes of an event that the first page repeats."""

MOST_DOUBTS = 6


def decided_by(decision: Mapping[str, Any]) -> str:
    """What settled the round: ``score``, ``tie_rule``, ``gate`` (and nothing else), ``nobody``; or ``pending``."""
    if decision.get("pending"):
        return "pending"
    causes = {row["cause"] for row in decision["eliminated"]}
    # A tie rule is the weakest of them, so it is what a reader has to see first.
    return next((cause for cause in ("tie_rule", "score", "gate") if cause in causes), "nobody")


def decision_head(n: Naming) -> Head:
    """The headline of the round."""
    decision, t = n.board["decision"], n.t
    kind = decided_by(decision)
    sign, tone = TONES[kind]
    lead = []
    if not decision["resolved"] and len(decision["candidates"]) > 1:
        lead.append(t("league.head.candidates", teams=n.teams(decision["candidates"])))
    if decision["kept"]:
        lead.append(t("league.head.kept", teams=n.teams(decision["kept"])))
    return Head(
        sentence=decision_sentence(n),
        label=t(f"league.head.label.{kind}"),
        sign=sign,
        tone=tone,
        lead=tuple(lead),
        numbers=_numbers(n),
    )


def decision_sentence(n: Naming) -> str:
    """Who goes and by what, as a text to quote."""
    decision, t = n.board["decision"], n.t
    by = n.by(decision["by"])
    found = []
    for cause in CAUSES:
        gone = [row["team"] for row in decision["eliminated"] if row["cause"] == cause]
        if gone:
            count = "one" if len(gone) == 1 else "many"
            found.append(t(f"league.head.{cause}.{count}", teams=n.teams(gone), by=by))
    if decision.get("pending"):
        found.insert(0, t("league.head.pending", by=by))
    return " ".join(found) or t("league.head.nobody", round=n.words(n.board["round"]["title"]))


def _numbers(n: Naming) -> tuple[Figure, ...]:
    board, t = n.board, n.t
    rows = board["gate"]["rows"]
    eligible = sum(row["standing"] == "eligible" for row in rows)
    note = t("league.number.eligible", count=t.number(eligible)) if board["gate"]["references"] else ""
    found = [
        Figure(t("league.number.teams"), t.number(len(board["teams"])), note),
        Figure(t("league.number.events"), t.number(len(board["events"])), _questions(n)),
    ]
    gap = _gap(n)
    if gap is not None:
        found.append(gap)
    share = _steadiness(n)
    if share is not None:
        found.append(share)
    return tuple(found)


def _questions(n: Naming) -> str:
    counts = [event["counts"] or {} for event in n.board["events"]]
    items = sum(count.get("items") or 0 for count in counts)
    return n.t("league.number.items", count=n.t.number(items)) if items else ""


def _gap(n: Naming) -> Figure | None:
    """The lead of the last but one over the last."""
    table = n.board["tables"]["eligible"]
    if table is None or len(table["rows"]) < 2:
        return None
    above, below = (row["team"] for row in table["rows"][-2:])
    pair = next((p for p in table["pairs"] if (p["above"], p["below"]) == (above, below)), None)
    if pair is None:
        return None
    key = "resolved" if pair["resolved"] else "unresolved"
    words = n.t(f"league.pair.{key}")
    interval = n.interval(pair["low"], pair["high"], digits=2)
    return Figure(
        n.t("league.number.gap"),
        n.t("league.number.points", value=n.fine(pair["difference"])),
        n.t("league.number.gap_note", interval=interval, resolved=words),
    )


def _steadiness(n: Naming) -> Figure | None:
    """How often the last stays last under other weights."""
    last = n.board["decision"]["last"]
    rows = n.board["multiverse"]["summary"] if n.board["multiverse"] else []
    row = next((each for each in rows if each["kind"] == "weights"), None)
    if last is None or row is None or row["count"] < 2:
        return None
    return Figure(
        n.t("league.number.weights"),
        n.share(row["last"].get(last, 0.0)),
        n.t("league.number.weights_note", team=n.team(last), count=n.t.number(row["count"])),
    )


def decision_part(n: Naming) -> Part:
    """The steps that led to the decision, in their order: gate, rank sets, tie rule."""
    decision, t = n.board["decision"], n.t
    out = [row["team"] for row in decision["eliminated"] if row["cause"] == "gate"]
    gate = t("league.how.gate", teams=n.teams(out)) if out else t("league.how.gate_none")
    if not n.board["gate"]["references"]:
        gate = t("league.how.no_gate")
    rules = "frozen" if n.board["round"]["frozen"] is not None else "not_frozen"
    key = "none" if not decision["teams_out"] else "resolved" if decision["resolved"] else "unresolved"
    blocks: list[Block] = [
        Prose(t(f"league.how.lead_{rules}", count=t.number(decision["teams_out"]), by=n.by(decision["by"]))),
        Bullets((Cell(gate, href="gate.html"), Cell(t(f"league.how.{key}"), href="uncertainty.html"))),
    ]
    if decision["steps"]:
        blocks += [Prose(t("league.how.tie_lead")), _steps(n)]
    said = tuple(Cell(words) for words in decision_reasons(n))
    if said:
        blocks.append(Bullets(said))
    return Part("decision", t("league.how.title"), tuple(blocks))


def decision_reasons(n: Naming) -> tuple[str, ...]:
    """Reasons that the headline and the steps have not said already."""
    reasons = n.board["decision"]["reasons"]
    return tuple(n.reason(each, "league.decision.reason") for each in reasons if each["code"] not in SAID)


def _steps(n: Naming) -> Grid:
    t = n.t
    rows = []
    for step in n.board["decision"]["steps"]:
        figures = step["figures"] or {}
        shown = ", ".join(f"{n.team(team)} {n.measured(value)}" for team, value in figures.items())
        parted = "parted" if step["parted"] else "not_parted"
        note = "" if step.get("note") is None else t.code("league.step_note", step["note"])
        rows.append(
            (
                Cell(n.by(step["by"], step["of"])),
                Cell(shown or t("ui.none")),
                Cell(t(f"league.how.{parted}"), note=note),
                Cell(n.teams(step.get("out", ()))),
                Cell(n.teams(step["left"])),
            )
        )
    head = tuple(t(f"league.how.head_{key}") for key in ("step", "figures", "result", "out", "left"))
    return Grid(t("league.how.caption"), head, tuple(rows))


def caveats_part(n: Naming) -> Part:
    """What the board does not say; only what applies to it."""
    board, t = n.board, n.t
    assumed = [n.event(event["id"]) for event in board["events"] if event["assumed"]]
    keys = ["best", "axes", "gate", "last", "contamination"]
    if not board["gate"]["references"]:
        keys.remove("gate")
    items = [t(f"league.caveat.{key}") for key in keys]
    if assumed:
        items.insert(0, t("league.caveat.assumed", events=", ".join(assumed[:12])))
    if board["round"]["frozen"] is None:
        items.insert(0, t("league.caveat.not_frozen"))
    items[:0] = _whose(n)
    return Part(
        "caveats", t("league.caveat.title"), (Bullets(tuple(Cell(item) for item in items)),), boxed=True
    )


def _whose(n: Naming) -> list[str]:
    """Doubts whose results an event has: too grave to stand on the event's page alone."""
    return [
        n.t("league.caveat.whose", event=n.event(event["id"]), note=n.reason(note, "league.note"))
        for event in n.board["events"]
        for note in event["notes"]
        if note["code"] in WHOSE
    ][:MOST_DOUBTS]
