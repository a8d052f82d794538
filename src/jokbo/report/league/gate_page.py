"""The gate: who is eligible, why not, on which evidence, down to which bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.report.league.blocks import Block, Bullets, Cell, Grid, Head, Legend, Page, Part, Prose
from jokbo.report.league.naming import Naming
from jokbo.report.league.standings import SIGNS, standing_cell
from jokbo.report.texts import clean

MAX_PARTS = 12
DECLARED = {True: "yes", False: "no", None: "nothing"}
VERIFIED = {True: "yes", False: "no", None: "not_run"}


def gate_page(n: Naming) -> Page:
    """Build the page."""
    t = n.t
    parts = [_standings(n), _evidence(n), _compute(n), _references(n), _ancestors(n), _caveats(n)]
    head = Head(t("league.gate.title"), lead=(t("league.gate.lead"), *_rules(n)))
    return Page("gate.html", "gate", t("league.gate.title"), head, tuple(p for p in parts if p is not None))


def _rules(n: Naming) -> list[str]:
    """What the round's gate does."""
    t, gate = n.t, n.board["gate"]
    if not gate["references"]:
        return [t("league.gate.none")]
    if not gate["required"]:
        return [t("league.gate.not_required")]
    stays = "removes" if gate.get("untestable") == "removes" else "stays"
    return [t("league.gate.required"), t(f"league.gate.untestable_{stays}")]


def _standings(n: Naming) -> Part:
    t = n.t
    rows = []
    for row in n.board["gate"]["rows"]:
        said = [n.reason(reason, "league.gate.reason") for reason in row["reasons"]]
        rows.append(
            (
                Cell(n.team(row["team"])),
                standing_cell(row["standing"], n),
                Cell(" ".join(said) or t("ui.none")),
            )
        )
    head = (t("league.head_team"), t("league.head_standing"), t("league.gate.head_why"))
    present = [key for key in SIGNS if any(row["standing"] == key for row in n.board["gate"]["rows"])]
    legend = tuple(
        (SIGNS[key][0], t(f"league.standing.{key}"), t(f"league.gate.meaning.{key}")) for key in present
    )
    blocks: list[Block] = [Grid(t("league.gate.caption"), head, tuple(rows))]
    if legend:
        blocks.append(Legend(legend, t("league.gate.legend")))
    return Part("standings", t("league.gate.standings"), tuple(blocks))


def _evidence(n: Naming) -> Part:
    t = n.t
    rows = []
    for row in n.board["gate"]["rows"]:
        for each in row["evidence"]:
            parts = [n.component(str(part)) for part in each["components"][:MAX_PARTS]]
            rows.append(
                (
                    Cell(n.team(row["team"])),
                    Cell(n.words(each["reference"]), note=_role(each, n)),
                    Cell(_verdict(each, n), note=_verified(each, n)),
                    Cell(", ".join(parts) or t("ui.none")),
                    Cell(t(f"league.gate.declared_{DECLARED[each['declared']]}")),
                    Cell(clean(each["file"]), note=clean(each["sha256"])),
                )
            )
    if not rows:
        return Part("evidence", t("league.gate.evidence"), (Prose(t("league.gate.no_evidence")),))
    head = (t("league.head_team"), *(
        t(f"league.gate.head_{key}") for key in ("reference", "verdict", "components", "declared", "file")
    ))  # fmt: skip
    grid = Grid(t("league.gate.evidence_caption"), head, tuple(rows), code=(5,))
    return Part("evidence", t("league.gate.evidence"), (Prose(t("league.gate.evidence_lead")), grid))


def _role(each: Mapping[str, Any], n: Naming) -> str:
    role = each.get("role")
    return "" if role is None else n.t.code("league.gate.role", role)


def _verified(each: Mapping[str, Any], n: Naming) -> str:
    """Whether the comparison was run again; where not, the document is a claim."""
    return n.t(f"league.gate.verified_{VERIFIED[each.get('verified')]}")


def _verdict(each: Mapping[str, Any], n: Naming) -> str:
    return n.t("ui.none") if each["verdict"] is None else n.t.code("league.verdict", str(each["verdict"]))


def _compute(n: Naming) -> Part | None:
    t = n.t
    rows = []
    for row in n.board["gate"]["rows"]:
        compute = row["compute"]
        if compute is not None:
            said = [n.reason(reason, "league.compute.reason") for reason in compute["reasons"]]
            rows.append(
                (
                    Cell(n.team(row["team"])),
                    Cell(n.share(compute["share"])),
                    Cell(" ".join(said) or t("ui.none")),
                )
            )
    if not rows:
        return None
    head = (t("league.head_team"), t("league.gate.head_share"), t("league.gate.head_remarks"))
    grid = Grid(t("league.gate.compute_caption"), head, tuple(rows), numeric=(1,))
    return Part("compute", t("league.gate.compute"), (Prose(t("league.gate.compute_lead")), grid))


def _references(n: Naming) -> Part:
    t = n.t
    references = n.board["gate"]["references"]
    if not references:
        return Part("references", t("league.gate.references"), (Prose(t("league.gate.no_references")),))
    rows = tuple((Cell(n.words(each["name"])), Cell(clean(each["digest"]))) for each in references)
    head = (t("league.gate.head_reference"), t("league.head_digest"))
    grid = Grid(t("league.gate.references_caption"), head, rows, code=(1,))
    return Part("references", t("league.gate.references"), (Prose(t("league.gate.references_lead")), grid))


def _ancestors(n: Naming) -> Part | None:
    """Declared ancestors, where the board names them."""
    t = n.t
    rows = []
    for team in n.board["teams"]:
        for each in team.get("declared_ancestors", ()):
            parts = [n.component(str(part)) for part in each["components"][:MAX_PARTS]]
            rows.append(
                (
                    Cell(n.team(team["id"])),
                    Cell(n.words(each["name"])),
                    Cell(", ".join(parts) or t("league.gate.whole")),
                    Cell(clean(each["digest"])),
                )
            )
    if not rows:
        return None
    head = (
        t("league.head_team"),
        t("league.gate.head_ancestor"),
        t("league.gate.head_components"),
        t("league.head_digest"),
    )
    grid = Grid(t("league.gate.ancestors_caption"), head, tuple(rows), code=(3,))
    return Part("ancestors", t("league.gate.ancestors"), (grid,))


def _caveats(n: Naming) -> Part:
    items = tuple(
        Cell(n.t(f"league.gate.caveat.{key}")) for key in ("bound", "direction", "untestable", "references")
    )
    return Part("gate-caveats", n.t("league.caveat.title"), (Bullets(items),), boxed=True)
