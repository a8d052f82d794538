"""From which rules and files the board was computed, and how to compute it again."""

from __future__ import annotations

from jokbo.report.league.blocks import Block, Bullets, Cell, Command, Facts, Grid, Head, Page, Part, Prose
from jokbo.report.league.naming import Naming
from jokbo.report.texts import clean

SHEETS = ("table", "results", "pairs", "gate", "multiverse", "panel", "items", "inputs")
"""CSV files of the site, without their ending."""

MAX_INPUTS = 2000


def inputs_page(n: Naming) -> Page:
    """Build the page."""
    t = n.t
    head = Head(t("league.inputs.title"), lead=(t("league.inputs.lead"),))
    parts = (_rerun(n), _rules(n), _models(n), _files(n), _sheets(n))
    return Page("inputs.html", "inputs", t("league.inputs.title"), head, parts)


def _rerun(n: Naming) -> Part:
    t = n.t
    withheld = sum(not row["public"] for row in n.board["inputs"])
    blocks: list[Block] = [Prose(t("league.inputs.rerun_lead")), Command("jokbo league check DIR")]
    if withheld:
        blocks += [
            Prose(t("league.inputs.withheld", count=t.number(withheld))),
            Command("jokbo league check DIR --inputs FOLDER"),
        ]
    return Part("rerun", t("league.inputs.rerun"), tuple(blocks))


def _rules(n: Naming) -> Part:
    t, round_ = n.t, n.board["round"]
    frozen = round_["frozen"]
    facts = [
        (t("league.inputs.id"), clean(round_["id"])),
        (t("league.inputs.digest"), clean(round_["digest"])),
        (t("league.sure.seed"), str(round_["seed"])),
        (t("league.sure.draws"), t.number(round_["draws"])),
    ]
    lot = round_.get("lot")
    if lot is not None:
        facts.append((t("league.inputs.lot"), n.long(lot["source"])))
        facts.append((t("league.inputs.lot_after"), n.words(lot["after"])))
        facts.append((t("league.inputs.randomness"), n.words(round_.get("randomness"))))
    if frozen is not None:
        facts.append((t("league.inputs.frozen_digest"), clean(frozen["digest"])))
        facts.append((t("league.inputs.frozen_date"), n.words(frozen["date"])))
        facts.append((t("league.inputs.frozen_key"), n.words(frozen["keyid"])))
    key = "frozen" if frozen is not None else "not_frozen"
    return Part("rules", t("league.inputs.rules"), (Prose(t(f"league.inputs.{key}")), Facts(tuple(facts))))


def _models(n: Naming) -> Part:
    t = n.t
    rows = []
    for team in n.board["teams"]:
        model = team["model"]
        size = model.get("parameters")
        rows.append(
            (
                Cell(n.team(team["id"]), note=n.listed(team["affiliations"])),
                Cell(n.words(model["name"])),
                Cell(t("ui.none") if size is None else n.size(size)),
                Cell(n.words(model.get("commit")), note=clean(model.get("repository") or "")),
                Cell(clean(model.get("digest") or t("ui.none"))),
            )
        )
    head = (
        t("league.head_team"),
        *(t(f"league.inputs.head_{key}") for key in ("model", "parameters", "commit")),
        t("league.head_digest"),
    )
    grid = Grid(t("league.inputs.models_caption"), head, tuple(rows), numeric=(2,), code=(3, 4))
    return Part("models", t("league.inputs.models"), (grid,))


def _files(n: Naming) -> Part:
    t = n.t
    inputs = n.board["inputs"]
    rows = tuple(
        (
            Cell(clean(row["name"])),
            Cell(t.code("league.role", row["role"])),
            Cell(n.words(row["reader"])),
            Cell(t.bytes(row["size"])),
            Cell(t("league.yes") if row["public"] else t("league.no")),
            Cell(clean(row["sha256"])),
        )
        for row in inputs[:MAX_INPUTS]
    )
    head = (
        t("league.head_file"),
        *(t(f"league.inputs.head_{key}") for key in ("role", "reader", "size", "public")),
        t("league.head_digest"),
    )
    blocks: list[Block] = [Grid(t("league.inputs.files_caption"), head, rows, numeric=(3,), code=(0, 5))]
    left = len(inputs) - MAX_INPUTS
    if left > 0:
        blocks.append(Bullets((Cell(t("league.csv_more", count=t.number(left)), href="../csv/inputs.csv"),)))
    return Part("files", t("league.inputs.files"), tuple(blocks))


def _sheets(n: Naming) -> Part:
    t = n.t
    items = [Cell(t(f"league.sheet.{name}"), href=f"../csv/{name}.csv") for name in SHEETS]
    items.append(Cell(t("league.sheet.board"), href="../board.json"))
    return Part(
        "sheets", t("league.inputs.sheets"), (Prose(t("league.inputs.sheets_lead")), Bullets(tuple(items)))
    )
