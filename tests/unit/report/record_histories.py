"""Curves of a run that was never trained, for reports of audits to show."""

from __future__ import annotations

import math
from typing import Any

STEPS = 300
EVERY = 25


def noise(step: int) -> float:
    """Something uneven that is the same on every machine."""
    return (
        sum((step * step * a + step * b) % 997 / 997 for a, b in ((7919, 31), (104729, 57), (613, 401))) / 1.5
        - 1
    )


def loss_at(step: int) -> float:
    return 2.6 + 3.6 * math.exp(-step / 45)


def curve(steps: list[int], values: list[float]) -> dict[str, Any]:
    return {"steps": steps, "values": [round(value, 5) for value in values]}


def history() -> dict[str, Any]:
    """Curves of a run of 300 steps with a rollback from 160 to 150."""
    steps = list(range(1, STEPS + 1))
    logged = list(range(1, STEPS + 1, 2))
    rates = [3e-3 * min(k / 30, 1) * (1 if k < 240 else (STEPS - k + 1) / 61) for k in steps]
    marks = list(range(0, STEPS + 1, EVERY))
    return {
        "loss": {
            "curve": curve(steps, [loss_at(k) + 0.22 * noise(k) for k in steps]),
            "trend": curve(steps, [loss_at(k) for k in steps]),
            "residuals": curve(steps, [0.22 * noise(k) for k in steps]),
            "spread": 0.0814,
            "replaced": curve(
                list(range(150, 161)), [loss_at(k) + 0.09 * (k - 149) for k in range(150, 161)]
            ),
        },
        "learning_rate": {
            "logged": curve(logged, [rates[k - 1] for k in logged]),
            "declared": curve(steps, rates),
        },
        "tokens": {
            "logged": curve(logged, [4096.0 * k for k in logged]),
            "declared": curve(steps, [4096.0 * k for k in steps]),
        },
        "updates": [
            {
                "from": a,
                "to": a + EVERY,
                "largest": round(0.05 / (1 + a / 90) + 0.004 * noise(a + 3), 5),
                "mean": round(0.009 / (1 + a / 90), 6),
            }
            for a in marks[:-1]
        ],
        "distance": {
            "first_step": 0,
            "points": [
                {
                    "step": k,
                    "from_first": round(0.9 * (1 - math.exp(-k / 120)), 5),
                    "cosine": round(1 / math.sqrt(1 + (k / 260) ** 2), 4),
                    "from_previous": None if k == 0 else round(0.28 * math.exp(-k / 160), 5),
                }
                for k in marks
            ],
        },
        "log": [
            {"file": "logs/run.wandb", "first_step": 1, "last_step": 160},
            {"file": "logs/run-2.wandb", "first_step": 150, "last_step": STEPS},
        ],
    }
