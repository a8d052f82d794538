"""Write the evidence that golden reports are made of: `python scripts/golden_evidence.py`.

Only where the schema changes before a release; then ``pytest tests/golden --update-golden``, and read the change.
"""

from __future__ import annotations

from pathlib import Path

import jokbo

ROOT = Path(__file__).resolve().parents[1]
CASES = {
    "common_lineage": ("sft0", False),
    "component_reuse": ("embx0", False),
    "identical": ("base0", False),
    "no_evidence": ("base1", False),
    "inconclusive": ("sameinit0", False),
    "shared_initialisation": ("sameinit0", True),
}


def main() -> None:
    """Compare base0 with each."""
    for name, (candidate, vouched) in CASES.items():
        models = (ROOT / "zoo" / "models" / model for model in ("base0", candidate))
        found = jokbo.compare(*models, reference_first=vouched)
        (ROOT / "tests" / "golden" / "evidence" / f"{name}.json").write_bytes(found.evidence.to_json())


if __name__ == "__main__":
    main()
