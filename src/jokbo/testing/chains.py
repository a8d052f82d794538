"""A small run that commits to what it writes, for tests of chains and for experiments."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from jokbo.records.commit.keys import Signer, make_key
from jokbo.records.commit.writer import Committed, commit

BEGIN = datetime(2026, 1, 2, tzinfo=UTC)


def committed_run(folder: Path, *, signer: Signer | None = None, links: int = 4) -> list[Committed]:
    """Write a run's files link by link and commit to them: every hour 10 updates, a log that grows, "weights".

    Parameters
    ----------
    folder : Path
        Made if it is not there; a key is made beside it where no signer is given.
    links : int
        The first holds the beacon alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    signer = signer or make_key(folder.parent / f"{folder.name}.key")
    beacon = folder / "beacon.json"
    beacon.write_text('{"round": 1234567, "randomness": "9f3a"}')
    made = [commit(folder, [beacon], key=signer, beacon=beacon, name="run", step=0, note="before", now=BEGIN)]
    for k in range(1, links):
        time = BEGIN + timedelta(hours=k)
        with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
            for step in range(10 * k - 9, 10 * k + 1):
                log.write(json.dumps({"step": step, "loss": 6 - step / 100, "time": time.timestamp()}) + "\n")
        (folder / f"step-{10 * k}.safetensors").write_bytes(b"weights %d" % k)
        made.append(commit(folder, key=signer, step=10 * k, now=time))
    return made
