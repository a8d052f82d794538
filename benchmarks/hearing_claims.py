"""The two claims of the rehearsal: a false one, argued as such claims are, and a true one, argued soundly.

The false one says that base1 descends from base0; the zoo trained them apart. Its table is computed here, from the
models: nothing in it is made up. Made up, and said to be, are the ways in which its text goes beyond the table: they
are those of the dispute in `docs/cases/solar-open-glm`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "zoo" / "models"
TRUE_CLAIM = ROOT / "docs" / "cases" / "zoo-fine-tune" / "by-norms.yaml"
"""sft0 was fine-tuned from base0: centred norms, shuffles, an unrelated model, and the vectors to measure again."""

LAYERS = (1, 2, 3)
TOKENS = 100
COLUMNS = (
    *("id", "role", "reference", "candidate", "reference_layers", "candidate_layers", "tensor", "measure"),
    *("value", "pearson", "count", "entries", "available", "counts", "note"),
)
FALSE_CLAIM = """# Constructed for a rehearsal. The table is computed from the models; the text goes
# beyond it on purpose.
schema: jokbo.claim/1
title: base1 descends from base0 (false, and argued badly on purpose)
claimant: the rehearsal
models:
  first: {{name: base0}}
  second: {{name: base1, layers: 4}}
  control: {{name: base2, loaded: base3}}
reference: first
candidate: second
measure:
  name: cosine
  tensors: [norm]
  share: {share:.6f}
  script: {{score: 40, out_of: 100, concluded: moderate}}
null: Norms of unrelated models would agree no better than layers of one model do.
controls:
  - {{kind: random}}
  - {{kind: centred, subtracted: 1.0}}
  - {{kind: unrelated, model: control}}
table: claim.csv
figures:
  - {{says: "{effect:.4f}", is: mean, of: effect}}
  - {{says: "{within:.4f}", is: mean, of: baseline}}
  - {{says: "{size:.1f} sigma", is: sigma, of: effect, against: baseline, computed_as: cohens_d}}
  - {{says: p = 0, is: pvalue, of: effect, against: baseline, computed_as: other}}
  - {{says: "16,384 samples", is: entries, of: effect}}
  - {{says: "0.38", is: mean, of: different-layers}}
conclusion:
  says: derived
  about: model
  text: >
    The input norms of equal layers have a mean cosine of {effect:.4f}, layers of one model {within:.4f}:
    {size:.1f} sigma, p = 0, with 16,384 samples a tensor. Layers of different numbers score 0.38. That attention
    and embeddings are unlike counts in favour too: they were trained again. So base1 was made from base0.
"""


def tensors(model: str) -> dict[str, np.ndarray]:
    """Tensors of a model by name; bfloat16 is the upper half of float32."""
    data = (MODELS / model / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    found = {}
    for name, tensor in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in tensor["data_offsets"])
        half = tensor["dtype"] == "BF16"
        raw = np.frombuffer(data[begin:end], dtype="<u2" if half else "<f4")
        values = (raw.astype("<u4") << 16).view("<f4") if half else raw
        found[name] = values.astype(np.float64).reshape(tensor["shape"])
    return found


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two arrays."""
    a, b = a.ravel(), b.ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _norm(model: Mapping[str, np.ndarray], layer: int) -> np.ndarray:
    return model[f"model.layers.{layer}.input_layernorm.weight"]


def measured() -> Iterator[dict[str, Any]]:
    """Rows of the false claim's table: measured on the models, every one."""
    first, second = tensors("base0"), tensors("base1")
    both = {"reference": "first", "candidate": "second", "tensor": "norm"}
    for layer in (*LAYERS, 0):
        a, b = _norm(first, layer), _norm(second, layer)
        yield both | {
            "id": f"layer-{layer}", "role": "effect", "reference_layers": layer, "candidate_layers": layer,
            "value": cosine(a, b), "pearson": cosine(a - a.mean(), b - b.mean()), "entries": a.size,
            "counts": "for" if layer else "unused",
        }  # fmt: skip
    for layer in LAYERS:
        yield {
            "role": "baseline", "reference": "first", "candidate": "first", "tensor": "norm",
            "reference_layers": 0, "candidate_layers": layer, "value": cosine(_norm(first, 0), _norm(first, layer)),
        }  # fmt: skip
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    apart = [cosine(_norm(first, i), _norm(second, j)) for i, j in pairs]
    yield both | {"id": "different-layers", "role": "other", "value": np.mean(apart), "count": len(pairs)}
    less = [cosine(_norm(first, k) - 1, _norm(second, k) - 1) for k in LAYERS]
    less_apart = [cosine(_norm(first, i) - 1, _norm(second, j) - 1) for i, j in pairs]
    one = {"measure": "other", "note": "cosine after subtracting 1.0"}
    yield both | one | {"role": "other", "value": np.mean(less), "count": len(less), "counts": "unused"}
    yield both | one | {"role": "baseline", "value": np.mean(less_apart), "count": len(pairs)}
    rng = np.random.Generator(np.random.PCG64(0))
    drawn = rng.normal(1, 0.01, (2, 128))
    yield {
        "role": "random",
        "reference": "random",
        "candidate": "random",
        "tensor": "norm",
        "value": cosine(*drawn),
    }
    key = "model.layers.1.self_attn.k_proj.weight"
    yield both | {
        "role": "other", "tensor": "attention", "value": cosine(first[key], second[key]), "counts": "for"
    }  # fmt: skip
    rows = "model.embed_tokens.weight"
    yield both | {
        "role": "other", "tensor": "embedding", "counts": "for", "entries": TOKENS, "available": len(first[rows]),
        "value": np.mean([cosine(first[rows][k], second[rows][k]) for k in range(TOKENS)]),
    }  # fmt: skip


def write_false_claim(folder: Path) -> Path:
    """Write the false claim and its table; the claim's own file is returned."""
    rows = list(measured())
    folder.mkdir(parents=True)
    with (folder / "claim.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        for row in rows:
            numbers = {key: f"{row[key]:.5f}" for key in ("value", "pearson") if key in row}
            table.writerow(row | numbers)
    effect = [row["value"] for row in rows if row["role"] == "effect" and row["counts"] == "for"]
    within = [row["value"] for row in rows if row["role"] == "baseline" and "measure" not in row]
    pooled = np.sqrt((np.var(effect, ddof=1) + np.var(within, ddof=1)) / 2)
    model = tensors("base1")
    share = sum(_norm(model, layer).size for layer in LAYERS) / sum(each.size for each in model.values())
    said = {
        "effect": np.mean(effect), "within": np.mean(within), "share": share,
        "size": (np.mean(effect) - np.mean(within)) / pooled,
    }  # fmt: skip
    path = folder / "claim.yaml"
    path.write_text(FALSE_CLAIM.format(**said), encoding="utf-8")
    return path
