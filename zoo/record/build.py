"""Make the zoo's record: ``python -m zoo.record.build``; every file of ``zoo/records/small`` comes from here.

The seed of step 0 is drawn from a beacon that was fixed before, and every checkpoint is committed to a
signed chain as it is written. Needs PyTorch, Transformers, wandb and cryptography (``zoo/requirements.txt``).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from zoo.record import honest, text, write
from zoo.record.declare import to_toml
from zoo.record.recipes import Recipe
from zoo.record.trainer import Observer, choose_data, train

from jokbo.records.commit.keys import Signer, make_key
from jokbo.records.commit.writer import CHAIN, SEED_PURPOSE, commit
from jokbo.records.declaration import Commitments, LogEntry
from jokbo.records.initialise import seed_from_beacon
from jokbo.records.pack import write_pack

RECORDS = Path(__file__).parent.parent / "records"
BEACON = Path(__file__).parent / "beacon.txt"
NAME = "small"
CHECKPOINTS = (0, 8, 16, 32, 64, 100, 150, 200, 250, 284, 292, 300)
STATES = (284, 292)
LOGS = (
    LogEntry("console.log", format="console", pattern=write.CONSOLE_PATTERN),
    LogEntry("trainer_state.json"),
    LogEntry("run.wandb"),
)


class Chain(Observer):
    """Commit to every checkpoint, and to what the console log has grown by, as soon as it is written."""

    def __init__(self, folder: Path, key: Signer) -> None:
        self.folder, self.key = folder, key

    def kept(self, step: int) -> None:
        log = self.folder / "console.log"
        items = [self.folder / f"checkpoints/step-{step}", *([log] if log.exists() else [])]
        state = self.folder / f"optimizer/step-{step}.safetensors"
        if state.exists():
            items.append(state)
        commit(self.folder, items, key=self.key, step=step)


def recipe(beacon: bytes) -> Recipe:
    """The recipe; the beacon alone decides its seed."""
    seed = seed_from_beacon(beacon, SEED_PURPOSE)
    return Recipe(NAME, seed, checkpoints=CHECKPOINTS, states=STATES)


def build(out: Path, *, cache: Path) -> Path:
    """Train and write the pack to `out`, which must not exist."""
    desk = Path(tempfile.mkdtemp(prefix=".small-", dir=out.parent))
    folder = desk / NAME
    folder.mkdir()
    try:
        shutil.copy(BEACON, folder / "beacon.txt")
        key = make_key(desk / "key")
        made = recipe(BEACON.read_bytes())
        run = choose_data(made, *text.windows(cache))
        for name in ("windows", "order", "held_out"):
            write.array(folder / f"{name}.npy", getattr(run, name))
        committed = [folder / f"{name}.npy" for name in ("windows", "order", "held_out")]
        commit(folder, committed, key=key, name=NAME, beacon=folder / "beacon.txt", step=0)
        wandb_log = write.WandbOffline(desk, made)
        state = write.TrainerState(folder / "trainer_state.json", made, made.steps)
        console = write.Console(folder / "console.log", made.steps)
        train(run, folder, observers=(console, state, wandb_log, Chain(folder, key)))
        shutil.copy(wandb_log.finish(), folder / "run.wandb")
        write.publish(run, folder)
        shutil.copy(desk / "key.pub", folder / "key.pub")
        commit(
            folder,
            [folder / "run.wandb", folder / "trainer_state.json", folder / "published"],
            key=key,
            step=made.steps,
        )
        return _pack(run, made, folder, out)
    finally:
        shutil.rmtree(desk, ignore_errors=True)


def _pack(run, made: Recipe, folder: Path, out: Path) -> Path:
    said = honest.declaration(made, windows=run.windows, log=LOGS)
    law = said.initialisation
    said = replace(
        said,
        name="zoo-small",
        initialisation=replace(law, beacon="beacon.txt") if law is not None else None,
        commitments=Commitments(chain=CHAIN, keys=("key.pub",)),
    )
    (folder / "record.toml").write_text(to_toml(said), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    write_pack(folder / "record.toml", out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RECORDS / NAME)
    parser.add_argument("--cache", type=Path, default=Path(".cache/record-experiments/windows.npz"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    print(build(arguments.out, cache=arguments.cache))


if __name__ == "__main__":
    main()
