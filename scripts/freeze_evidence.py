"""Freeze evidence at a release: `python scripts/freeze_evidence.py`.

Writes evidence on pairs of the zoo to ``tests/compat/evidence/<version>-<pair>.json``, an audit of the zoo's
record to ``tests/compat/audits``, a scored round to ``tests/compat/leagues``, and fingerprints to
``tests/compat/fingerprints/v<their version>-*``.
Files of earlier versions are never touched: every later version must still verify them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests" / "unit" / "league")]

from jokbo import __version__, compare  # noqa: E402
from jokbo.league.bundle import write_scored  # noqa: E402
from jokbo.league.score import score_files  # noqa: E402
from jokbo.lineage.fingerprint import SUFFIX, make_fingerprint  # noqa: E402
from jokbo.records.audit import audit  # noqa: E402
from jokbo.views.fingerprint_header import FINGERPRINT_VERSION  # noqa: E402
from league_rounds import write_round  # noqa: E402

PAIRS = (("base0", "sft0"), ("base0", "base1"), ("tower-a", "tower-b"), ("gpt2-0", "gpt2-0-sft"))


FINGERPRINTS = (("gpt2-0", False), ("gpt2-0-sft", False), ("base0", True))
"""Model, and whether its fingerprint is private."""

N_PLANTS = 3
"""Plants a check: a frozen audit is there to be repeated often, not to say much."""


def main() -> None:
    """Write one file a pair and one a record, of this version."""
    folder = ROOT / "tests" / "compat" / "evidence"
    folder.mkdir(parents=True, exist_ok=True)
    models = ROOT / "zoo" / "models"
    for reference, candidate in PAIRS:
        found = compare(models / reference, models / candidate, bounds=False, descriptive=False)
        (folder / f"{__version__}-{reference}-{candidate}.json").write_bytes(found.evidence.to_json())
    audits = ROOT / "tests" / "compat" / "audits"
    audits.mkdir(parents=True, exist_ok=True)
    seen = audit(ROOT / "zoo" / "records" / "small", seed=7, replay=False, n_plants=N_PLANTS)
    (audits / f"{__version__}-small.json").write_bytes(seen.to_json())
    with tempfile.TemporaryDirectory() as place:
        # Without pages: what has to come out again are the figures.
        scored = score_files(*write_round(Path(place)))
        write_scored(scored, ROOT / "tests" / "compat" / "leagues" / f"{__version__}-small", pages={})
    fingerprints = ROOT / "tests" / "compat" / "fingerprints"
    fingerprints.mkdir(parents=True, exist_ok=True)
    for name, private in FINGERPRINTS:
        made = make_fingerprint(models / name, private=private)
        form = "private" if private else "rows"
        made.write(fingerprints / f"v{FINGERPRINT_VERSION}-{name}-{form}{SUFFIX}")


if __name__ == "__main__":
    main()
