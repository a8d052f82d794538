"""Audits of training records, as the contract of ``jokbo.record-audit/1`` has them, for reports to show."""

from __future__ import annotations

import copy
from typing import Any

from record_histories import EVERY, STEPS, history, noise

CHECKS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("bytes", "exact", ("swapped_weights",)),
    ("precedence", "exact", ("backdating",)),
    ("duplicates", "exact", ("padding",)),
    ("continuity", "exact", ("spliced_log",)),
    ("arithmetic", "exact", ("inflated_totals",)),
    ("clock", "exact", ("invented_log", "spliced_log")),
    ("compute", "exact", ("inflated_totals",)),
    ("number_grid", "soft", ("invented_log", "spliced_log")),
    ("residual_noise", "soft", ("invented_log",)),
    ("borrowed_noise", "calibrated", ("recycled_log",)),
    ("curve_law", "soft", ("invented_log",)),
    ("first_loss", "calibrated", ("trained_start",)),
    ("init_law", "calibrated", ("trained_start", "planted_start")),
    ("init_spectrum", "calibrated", ("trained_start", "planted_start")),
    ("init_regeneration", "exact", ("trained_start", "planted_start", "untraining")),
    ("foreign_lineage", "calibrated", ("known_model",)),
    ("step_bound", "exact", ("interpolation", "swapped_middle", "trained_start")),
    ("unused_rows", "exact", ("unrelated_start", "anchored")),
    ("init_imprint", "calibrated", ("unrelated_start", "anchored")),
    ("neuron_identity", "calibrated", ("swapped_middle", "anchored")),
    ("geometry", "soft", ("interpolation",)),
    ("optimizer_state", "exact", ("fake_optimizer_state",)),
    ("re_evaluation", "calibrated", ("invented_log", "swapped_weights")),
    ("batch_echo", "calibrated", ("invented_log", "false_order")),
    ("memorisation", "calibrated", ("false_data",)),
    ("palimpsest", "calibrated", ("false_order", "swapped_weights")),
    ("replay", "calibrated", ("anchored", "false_data", "interpolation")),
)
"""Name, kind and what a pass may exclude; places are the numbers of the catalogue."""

WAYS: dict[str, tuple[str, ...]] = {
    "swapped_weights": ("another_model", "earlier_state", "trained_further"),
    "padding": ("repeated", "shaken", "gap"),
    "backdating": ("afterwards",),
    "spliced_log": ("cut", "pasted"),
    "invented_log": ("careful",),
    "recycled_log": ("moved",),
    "inflated_totals": ("totals", "throughout"),
    "trained_start": ("trained", "rescaled", "noisy"),
    "unrelated_start": ("fresh",),
    "planted_start": ("mixed",),
    "interpolation": ("straight", "curved", "noisy"),
    "swapped_middle": ("another_model", "relabelled"),
    "untraining": ("reversed",),
    "anchored": ("pulled",),
    "false_order": ("shuffled",),
    "false_data": ("other_data",),
    "fake_optimizer_state": ("foreign", "misplaced"),
    "known_model": ("listed",),
}
FORGERIES = tuple(WAYS)

COUNTS = {"precedence", "duplicates", "continuity", "arithmetic", "clock", "number_grid"}
"""Checks that count what contradicts."""


def check(name: str, outcome: str = "consistent", **more: Any) -> dict[str, Any]:
    """One check; a pass has found every plant unless told otherwise."""
    number = next(k for k, row in enumerate(CHECKS, 1) if row[0] == name)
    _, kind, catches = CHECKS[number - 1]
    passed = outcome == "consistent"
    observation = {"consistent": "holds", "inconsistent": "violated", "cannot_tell": "unknown"}[outcome]
    pvalue = (-0.3 if passed else -41.5) if kind == "calibrated" and outcome != "cannot_tell" else None
    return {
        "number": number,
        "check": name,
        "kind": kind,
        "version": 1,
        "outcome": outcome,
        "observation": observation,
        "reasons": [],
        "statistic": None
        if outcome == "cannot_tell"
        else 0.0
        if name in COUNTS
        else 0.912
        if passed
        else 18.2,
        "threshold": None if outcome == "cannot_tell" else 0.0 if name in COUNTS else 1.0,
        "log10_pvalue": pvalue,
        "planted": [planted(forgery, way, name) for forgery in catches for way in WAYS[forgery]]
        if passed
        else [],
        "missing": [],
        "events": [],
        "catches": list(catches),
        "details": {},
        **more,
    }


def planted(forgery: str, way: str, name: str = "", found: int = 59, tried: int = 59) -> dict[str, Any]:
    """Plants of one forgery, made one way: few where each is a training run."""
    if name == "replay":
        return {
            "forgery": forgery, "variant": way, "found": 4, "tried": 4, "lower": 0.473, "costly": True,
            "powered": True,
        }  # fmt: skip
    lower = 0.05 ** (1 / tried) if found == tried else 0.8 * found / tried
    return {
        "forgery": forgery, "variant": way, "found": found, "tried": tried, "lower": round(lower, 6),
        "costly": False, "powered": found == tried,
    }  # fmt: skip


def coverage(checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the checks exclude, as the policy finds it."""
    found = []
    for forgery, ways in WAYS.items():
        by: dict[str, list[str]] = {way: [] for way in ways}
        partial, needs = [], {}
        for row in checks:
            for way in ways:
                mine = [e for e in row["planted"] if (e["forgery"], e["variant"]) == (forgery, way)]
                if row["outcome"] == "consistent" and mine and all(each["powered"] for each in mine):
                    by[way].append(row["check"])
                else:
                    partial += [
                        {"check": row["check"], "variant": way, "found": e["found"], "tried": e["tried"]}
                        for e in mine
                    ]
            if row["outcome"] == "cannot_tell" and forgery in row["catches"]:
                needs.update(dict.fromkeys(row["missing"]))
        excluded = all(by.values())
        found.append(
            {
                "forgery": forgery,
                "excluded": excluded,
                "by": list(dict.fromkeys(name for names in by.values() for name in names if excluded)),
                "variants": [{"variant": way, "by": names} for way, names in by.items()],
                "partial": partial,
                "would_need": [] if excluded else list(needs),
            }
        )
    return found


def verdict(checks: list[dict[str, Any]], covered: list[dict[str, Any]]) -> dict[str, Any]:
    """What follows from checks and coverage."""
    violated = [row["check"] for row in checks if row["outcome"] == "inconsistent"]
    open_ = [row["forgery"] for row in covered if not row["excluded"]]
    kind = "inconsistent" if violated else "cannot_tell" if open_ else "consistent"
    needs = [need for row in covered for need in row["would_need"]]
    return {
        "kind": kind,
        "violated": violated,
        "excluded": [row["forgery"] for row in covered if row["excluded"]],
        "not_excluded": open_,
        "next_disclosure": needs[0] if needs else None,
        "reasons": [],
        "exit_status": {"consistent": 0, "inconsistent": 10, "cannot_tell": 11}[kind],
        "policy": {
            "name": "jokbo-record",
            "version": 1,
            "family_alpha": 1e-6,
            "min_clear_pvalue": 1e-3,
            "min_power": 0.95,
        },
    }


def stretches(beyond: int | None = None) -> dict[str, Any]:
    """Shares of the bound between neighbouring checkpoints; one of them far beyond it."""
    marks = range(0, STEPS, EVERY)
    ratios = [round(0.62 + 0.3 * noise(k + 5), 4) for k in marks]
    rows = [
        {"from": k, "to": k + EVERY, "ratio": ratio} for k, ratio in zip(marks, ratios, strict=True)
    ]  # fmt: skip
    if beyond is not None:
        rows[beyond]["ratio"] = 18.2
    return {"stretches": rows}


def document(
    checks: list[dict[str, Any]], *, events: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """A whole audit whose coverage and verdict follow from its checks."""
    covered = coverage(checks)
    missing = sorted({need for row in checks for need in row["missing"]})
    return {
        "schema": "jokbo.record-audit/1",
        "jokbo": "0.4.0",
        "question": "training_record",
        "parameters": {
            "methods": 1,
            "seed": 7,
            "budget_bytes": 256 << 20,
            "n_plants": 59,
            "replay": True,
            "flops": 2e14,
            "against": [],
            "tsa_certificates": 0,
            "keys": 1,
            "checks": [row["check"] for row in checks],
        },
        "record": {
            "name": "tiny-han-1",
            "digest": "c0ffee" + "0" * 58,
            "files": 41,
            "bytes": 18_734_112,
            "steps": STEPS,
            "disclosed": [n for n in ("checkpoints", "loss", "log", "order", "step0") if n not in missing],
            "undisclosed": missing,
        },
        "log": log(),
        "checkpoints": checkpoints(),
        "events": copy.deepcopy(EVENTS if events is None else events),
        "checks": checks,
        "coverage": covered,
        "history": history(),
        "verdict": verdict(checks, covered),
        "software": {"python": "3.12.1", "numpy": "2.4.6", "machine": "x86_64"},
        **more,
    }


EVENTS: list[dict[str, Any]] = [
    {"kind": "rollback", "step": 160, "to_step": 150, "note": "loss spike after a bad shard"},
    {"kind": "batch_change", "step": 200, "to_step": None, "note": ""},
]


def log() -> dict[str, Any]:
    """Two processes, the second after a rollback."""
    facts = {"format": "wandb", "resumed": False, "forked_from": None, "sampled": ""}
    return {
        "rows": 311,
        "first_step": 1,
        "last_step": STEPS,
        "metrics": ["gradient_norm", "learning_rate", "loss", "tokens"],
        "segments": [
            {**facts, "file": "logs/run.wandb", "first_row": 0, "last_row": 160},
            {**facts, "file": "logs/run-2.wandb", "first_row": 160, "last_row": 311, "resumed": True},
        ],
        "faults": [],
        "n_faults": 0,
    }


def checkpoints() -> list[dict[str, Any]]:
    """One every 25 steps, the one of step 75 by its digest alone, and what was released."""
    facts = {"role": "training", "tensors": 21, "parameters": 166_912, "rows_read": 3_904, "whole": True}
    found = [
        {**facts, "name": f"step{k}", "step": k, "sha256": f"{k + 1:064x}"}
        for k in range(0, STEPS + 1, EVERY)
    ]  # fmt: skip
    found[3] |= {"tensors": 0, "parameters": 0, "rows_read": 0, "whole": False}
    found.append(
        {**facts, "name": "final", "step": STEPS, "role": "published", "sha256": f"{STEPS + 1:064x}"}
    )
    return found


def consistent() -> dict[str, Any]:
    """Everything disclosed, committed and excluded."""
    checks = [check(name) for name, _, _ in CHECKS]
    for row in checks:
        if row["check"] in ("continuity", "clock", "step_bound"):
            row["events"] = [0]
        if row["check"] == "step_bound":
            row["details"] = stretches()
    return document(checks)


def cannot_tell() -> dict[str, Any]:
    """Nothing contradicts, but no data order, no commitments and no replay."""
    absent = {
        "precedence": ["chain"],
        "init_regeneration": ["seed"],
        "foreign_lineage": ["against"],
        "unused_rows": ["unseen_tokens"],
        "optimizer_state": ["optimizer_state"],
        "re_evaluation": ["windows", "order"],
        "batch_echo": ["windows", "order"],
        "memorisation": ["windows", "order", "held_out"],
        "palimpsest": ["windows", "order"],
        "replay": ["windows", "order", "replay_extra"],
    }
    checks = [
        check(name, "cannot_tell", missing=absent[name]) if name in absent else check(name)
        for name, _, _ in CHECKS
    ]
    imprint = next(row for row in checks if row["check"] == "init_imprint")
    imprint |= {"outcome": "cannot_tell", "observation": "unknown"}
    imprint["planted"] = [planted("unrelated_start", "fresh"), planted("anchored", "pulled", found=31)]
    imprint["reasons"] = [{"code": "policy.no_power", "values": {}}]
    weights = next(row for row in checks if row["check"] == "bytes")
    weights["planted"][2] |= {"found": 20, "lower": 0.24, "powered": False}
    return document(checks)


def inconsistent() -> dict[str, Any]:
    """Another model from the middle on, and a soft question."""
    bad = {"step_bound", "neuron_identity"}
    checks = [check(name, "inconsistent" if name in bad else "consistent") for name, _, _ in CHECKS]
    next(row for row in checks if row["check"] == "step_bound")["details"] = stretches(beyond=6)
    noise_row = next(row for row in checks if row["check"] == "residual_noise")
    noise_row |= {"outcome": "cannot_tell", "observation": "violated", "planted": []}
    noise_row["reasons"] = [{"code": "policy.soft", "values": {}}]
    return document(checks)


def logs_only() -> dict[str, Any]:
    """Nothing but a log: no checkpoints, no events, and oddities in the log."""
    wanted = {"continuity", "arithmetic", "clock", "compute", "number_grid"}
    checks = [
        check(name) if name in wanted else check(name, "cannot_tell", missing=["checkpoints"])
        for name, _, _ in CHECKS
    ]
    found = document(checks, events=[], checkpoints=[])
    found["history"] |= {"updates": None, "distance": None, "tokens": None}
    found["history"]["loss"]["replaced"] = None
    found["history"]["learning_rate"]["declared"] = None
    return found


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one field changed; numbers in the path are indices."""
    found = copy.deepcopy(document)
    *above, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place: Any = found
    for part in above:
        place = place[part]
    place[last] = value
    return found
