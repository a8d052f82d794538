"""A season of five teams whose models are zoo models, from frozen rules to the site: ``make league-demo``.

``python -m benchmarks.league_demo --output league-output`` scores the committed results of `zoo/league/season`, checks
that they come out again, and writes the site. That needs no PyTorch. With ``--evaluate`` the models are evaluated,
measured and compared on this machine first (a quarter of an hour), where PyTorch is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

SEASON = Path(__file__).resolve().parents[1] / "zoo" / "league" / "season"
ROUNDS = (1, 2)
TASKS = {
    1: "network_bpb,network_cloze,docs_bpb,docs_cloze,korean_bpb",
    2: "library_bpb,manual_bpb,library_cloze",
}
MARKER = ".league-demo"
LAST_DAY = date(2026, 12, 1)


def prepare(output: Path) -> None:
    """An empty folder; only one that this demo wrote is emptied."""
    from jokbo.errors import UsageError

    if output.exists() and any(output.iterdir()) and not (output / MARKER).exists():
        raise UsageError(
            f"{output} is there already, and was not written by this demo. Choose another folder."
        )
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (output / MARKER).write_text("", encoding="utf-8")


def evaluated(output: Path) -> Path:
    """Evaluate, measure and compare on this machine; the folder of its season."""
    from jokbo.league.round_file import read_round

    folder = output / "evaluated"
    shutil.copytree(SEASON, folder, ignore=shutil.ignore_patterns("runs-*", "gate"))
    run = [sys.executable, "-m"]
    subprocess.run([*run, "zoo.league.gate", "--out", str(folder / "gate")], check=True)
    for k in ROUNDS:
        teams = [team.id for team in read_round(folder / f"round-{k}.yaml").teams]
        out = ["--out", str(folder / f"runs-{k}")]
        subprocess.run([*run, "zoo.league.evaluate", *out, "--tasks", TASKS[k], *teams], check=True)
        races = ["--out", str(folder / f"races-{k}")]
        subprocess.run([*run, "zoo.league.measure", *races, *teams], check=True)
    return folder


def score(season: Path, k: int, output: Path, key: Path) -> dict[str, Any]:
    """Score one round, write its site as a signed bundle, and check that all of it comes out again."""
    from jokbo.errors import EvidenceError
    from jokbo.league.bundle import write_scored
    from jokbo.league.check import check_bundle
    from jokbo.league.score import score_files
    from jokbo.records.commit.keys import load_signer
    from jokbo.report.league.site import site_files

    scored = score_files(
        season / f"round-{k}.yaml", season / f"results-{k}.yaml", frozen=season / f"round-{k}.frozen.json"
    )
    folder = output / f"round-{k}"
    write_scored(scored, folder, pages=site_files(scored.board), signer=load_signer(key))
    found = check_bundle(folder, draw=site_files, keys=[load_signer(key).public])
    if found.exit_status:
        raise EvidenceError(f"{folder} did not come out again: {'; '.join(found.problems)}")
    return scored.board


def write_season(season: Path, boards: Mapping[int, dict[str, Any]], output: Path) -> None:
    """Fill the boards' digests into the season's file, and write its pages."""
    import hashlib

    from jokbo.league.season import state_at
    from jokbo.league.season_file import read_season
    from jokbo.report.league.season import round_sites, season_files

    text = (season / "season.yaml").read_text(encoding="utf-8")
    for k, board in boards.items():
        digest = hashlib.sha256((output / f"round-{k}" / "board.json").read_bytes()).hexdigest()
        out = '", "'.join(row["team"] for row in board["decision"]["eliminated"])
        text = text.replace(f'"{{round-{k}}}"', f'"{digest}"').replace(f"{{out-{k}}}", out)
    (output / "season.yaml").write_text(text, encoding="utf-8")
    read = read_season(output / "season.yaml")
    sites = round_sites(read, output, output)
    for path, data in season_files(read, state_at(read, LAST_DAY), rounds=sites).items():
        (output / path).parent.mkdir(parents=True, exist_ok=True)
        (output / path).write_bytes(data)


def told(board: Mapping[str, Any]) -> Iterator[str]:
    """What a board says, in a few lines."""
    decision = board["decision"]
    for k, row in enumerate(board["gate"]["rows"]):
        standing = row["standing"].replace("_", " ")
        yield f"{'' if k else 'gate':8}{row['team']:10} {standing}"
    for k, row in enumerate(board["tables"]["all"]["rows"]):
        interval = f"{row['low']:.1f} to {row['high']:.1f}"
        rank = f"rank {row['best_rank']} to {row['worst_rank']}"
        yield f"{'' if k else 'total':8}{row['team']:10} {row['score']:.1f}, {interval}, {rank}"
    yield f"{'last':8}{'resolved' if decision['resolved'] else 'not resolved'}"
    left = ", ".join(f"{row['team']} (by {row['cause'].replace('_', ' ')})" for row in decision["eliminated"])
    yield f"{'leave':8}{left or 'nobody'}"


def demo(output: Path, *, evaluate: bool) -> Iterator[str]:
    """Run the demo; yields what happened, line by line."""
    from jokbo.records.commit.keys import make_key

    prepare(output)
    if evaluate:
        season = evaluated(output)
        yield "evaluated, measured and compared on this machine"
    else:
        season = SEASON
        yield "results: those committed in zoo/league/season (evaluated on 26 November 2026; --evaluate repeats that)"
    key = output / "organiser.pem"
    make_key(key)
    boards = {}
    for k in ROUNDS:
        boards[k] = score(season, k, output, key)
        yield f"\nround {k}: scored, and computed again from its bundle to the same bytes"
        yield from (f"  {line}" for line in told(boards[k]))
    write_season(season, boards, output)
    yield f"\nOpen {output / 'index.html'} (the season), {output / 'round-1' / 'index.html'} and"
    yield f"{output / 'round-2' / 'index.html'} (the rounds). Check one yourself:"
    yield f"  jokbo league check {output / 'round-1'}"


def main() -> int:
    """Parse the command line and run."""
    from jokbo.errors import JokboError

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("league-output"))
    parser.add_argument("--evaluate", action="store_true", help="evaluate the models here first")
    chosen = parser.parse_args()
    if chosen.evaluate and importlib.util.find_spec("torch") is None:
        parser.error(
            "--evaluate needs PyTorch and Transformers: pip install torch==2.13.0 transformers==5.23.0"
        )
    try:
        for line in demo(chosen.output, evaluate=chosen.evaluate):
            print(line, flush=True)
    except JokboError as error:
        print(f"league-demo: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
