"""Compare every entrant with every reference of the gate: `python -m zoo.league.gate`, from the root.

The references are models that were public before the season. A seed drawn after both are fixed
would be the seed of a real gate; here it is written down, so that anybody gets the same bytes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jokbo.evidence.compare import compare

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
OUT = HERE / "season" / "gate"
SEED = 20_261_126
REFERENCES = ("base0", "base2")
ENTRANTS = ("base1", "base3", "gpt2-0", "mixtral-0", "sft0", "distil0")


def main() -> None:
    """Write one evidence file a pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for entrant in ENTRANTS:
        for reference in REFERENCES:
            found = compare(str(MODELS / reference), str(MODELS / entrant), seed=SEED, reference_first=True)
            (out / f"{reference}-{entrant}.json").write_bytes(found.evidence.to_json())
            print(f"{reference} {entrant}: {found.verdict.kind}", flush=True)


if __name__ == "__main__":
    main()
