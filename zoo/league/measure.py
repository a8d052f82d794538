"""Measure the races: `python -m zoo.league.measure --out FOLDER MODEL ...`. Linux, PyTorch and Transformers.

Writes `throughput.csv` and `memory.csv`, a row a run. Every run is a process of its own, on one thread, and the models
take turns, so that a busy minute of the machine meets them all.

- throughput: tokens that the forward pass reads in a second of processor time of the process (other programs take
  wall time, not processor time), over 20 batches of 8 windows of 256 tokens, after one that is not counted.
- memory: the most memory that the process held at any time from loading the weights to the last batch, less what it
  held before. Peak of `/proc/self/status`, in bytes.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
RUNS = 5
BATCHES = 20
WINDOWS = 8
CONTEXT = 256


def held(key: str) -> int:
    """A figure of `/proc/self/status` in bytes: `VmRSS` now, `VmHWM` at the peak."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def measure(model: str) -> dict[str, float]:
    """One run, in this process."""
    import torch
    import transformers
    from zoo.league.evaluate import Scorer

    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    torch.ones(64, 64) @ torch.ones(64, 64)  # what the first product allocates is not the model's
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = held("VmRSS")
    scorer = Scorer(MODELS / model)
    rows = (HERE / "texts" / "network_bpb.jsonl").read_text(encoding="utf-8").splitlines()
    ids = scorer.tokenizer.encode("".join(json.loads(row)["text"] for row in rows)).ids
    count = BATCHES * WINDOWS * CONTEXT
    batches = torch.tensor((ids * (count // len(ids) + 1))[:count]).reshape(BATCHES, WINDOWS, CONTEXT)
    with torch.no_grad():
        scorer.model(input_ids=batches[0], use_cache=False)
        began = time.process_time()
        for batch in batches:
            scorer.model(input_ids=batch, use_cache=False)
        seconds = time.process_time() - began
    return {"throughput": round(count / seconds, 1), "memory": held("VmHWM") - before}


def main() -> None:
    """Measure all models in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder of the tables")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each model [default: %(default)s]")
    parser.add_argument("--once", action="store_true", help="one run of one model, printed")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    chosen = parser.parse_args()
    if chosen.once:
        print(json.dumps(measure(chosen.models[0])))
        return
    rows: dict[str, list[list[object]]] = {"throughput": [], "memory": []}
    for run in range(1, chosen.runs + 1):
        for model in chosen.models:
            command = [sys.executable, "-m", "zoo.league.measure", "--once", model]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(run, model, found, flush=True)
            for name, table in rows.items():
                table.append([model, run, found[name], "yes"])
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, table in rows.items():
        with (chosen.out / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["team", "run", "value", "finished"])
            writer.writerows(table)


if __name__ == "__main__":
    main()
