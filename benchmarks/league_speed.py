"""Seconds and memory of the league's statistics: ``python -m benchmarks.league_speed [--markdown FILE]``.

50 models, 20 events, 12,000 items in all, 10,000 draws: resampled, scored, added and ranked, each case in a process of
its own; then twice and four times the items. Floor: the operations of the sums over resampled items alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

TEXTS = tomllib.loads(Path(__file__).with_name("league_speed_texts.toml").read_text(encoding="utf-8"))
TEAMS, EVENTS, ITEMS, DRAWS = 50, 20, 12_000, 10_000
SECONDS_BAR, MEGABYTES_BAR = 60.0, 2000.0
FACTORS = (1, 2, 4)
FLOPS = 20e9
"""What one core does a second in float64 matrix products."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One case, in a process of its own.

    Attributes
    ----------
    items : int
        In all events together.
    drawing, ranking : float
        Processor seconds of resampling and scoring, and of adding and ranking; inputs made before are not counted.
    seconds, peak_mb : float
        Of the whole process.
    """

    items: int
    drawing: float
    ranking: float
    seconds: float
    peak_mb: float

    @property
    def floor(self) -> float:
        """Seconds of the products alone, on one core."""
        return 2 * TEAMS * self.items * DRAWS / FLOPS


def work(items: int) -> dict[str, float]:
    """Resample, score, add and rank one round."""
    import numpy as np

    from benchmarks.league_scenarios import event
    from benchmarks.league_scenarios import items as rows
    from jokbo.league.scores.events import score_event, weighted_sum
    from jokbo.league.statistics.bootstrap import draw_event
    from jokbo.league.statistics.ranks import rank_sets
    from jokbo.league.statistics.resampling import event_generator

    rng = np.random.default_rng(0)
    each = items // EVENTS
    results = [(rng.random((TEAMS, each)) < 0.6).astype(np.float64) for _ in range(EVENTS)]
    started = time.process_time()
    points = []
    for number, scores in enumerate(results):
        rule = event(id=f"event{number}")
        measured = rows(scores, np.arange(each), id=rule.id)
        drawn = draw_event(rule, measured, rng=event_generator(1, rule.id), draws=DRAWS)
        points.append(score_event(rule, drawn, measured.entrants).points)
    drawn_at = time.process_time()
    whole = weighted_sum("total", points, [1 / EVENTS] * EVENTS)
    sets = rank_sets(whole.value, whole.draws, level=0.95, degrees=whole.degrees)
    assert sets.critical > 0
    return {"drawing": drawn_at - started, "ranking": time.process_time() - drawn_at}


def measure(items: int) -> Cost:
    """One case; the process's own account of memory."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.league_speed", "--work", str(items)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the case of {items} items ended with {process.returncode}")
    return Cost(
        items, found["drawing"], found["ranking"], time.perf_counter() - started, usage.ru_maxrss / 1024
    )


def to_markdown(costs: list[Cost], lang: str = "en") -> str:
    """The page, in English or Korean; the bar is of the first case, the others show growth."""
    texts, first = TEXTS[lang], costs[0]
    intro = texts["intro"].format(
        teams=TEAMS, events=EVENTS, draws=DRAWS, cores=os.cpu_count(), rate=FLOPS / 1e9, items=first.items
    )
    columns = [c.format(seconds=SECONDS_BAR, megabytes=MEGABYTES_BAR) for c in texts["columns"]]
    lines = [texts["title"], "", intro, "", "| " + " | ".join(columns) + " |", "|---:" * 7 + "|---|"]
    for cost in costs:
        growth = f"{cost.drawing / first.drawing:.2f} / {cost.items / first.items:.0f}"
        met = cost.seconds <= SECONDS_BAR and cost.peak_mb <= MEGABYTES_BAR
        verdict = texts["yes" if met else "no"] if cost is first else ""
        lines.append(
            f"| {cost.items:,} | {cost.drawing:.1f} | {cost.ranking:.1f} | {cost.seconds:.1f} | {cost.peak_mb:,.0f} "
            f"| {cost.floor:.1f} | {growth} | {verdict} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--markdown", type=Path, help="Page to write, its Korean one beside it.")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.work is not None:
        print(json.dumps(work(options.work)))
        return
    # The median of three: other work on the machine must not look like growth.
    costs = [sorted((measure(ITEMS * n) for _ in range(3)), key=lambda c: c.drawing)[1] for n in FACTORS]
    print(to_markdown(costs))
    if options.markdown:
        options.markdown.write_text(to_markdown(costs), encoding="utf-8")
        options.markdown.with_suffix(".ko.md").write_text(to_markdown(costs, "ko"), encoding="utf-8")
    if options.json:
        options.json.write_text(
            json.dumps([asdict(cost) for cost in costs], indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
