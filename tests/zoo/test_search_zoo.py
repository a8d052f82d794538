"""A register of the zoo: every relative of each model is found, none is invented.

Null: models trained from their own start, or distilled.
Why valid: each pair pays for the whole register; the prefilter can only lose.
What fools it: on a fingerprint a weak relation may stay a lead, until somebody vouches for dates.
What it survives: quantisation, a dropped layer, a rotation, a disguise of channels.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from relations import ZOO

from jokbo.lineage.fingerprint import Fingerprint, make_fingerprint
from jokbo.lineage.pairs import DEPENDENCE
from jokbo.lineage.register import Register, open_register
from jokbo.lineage.search import search
from jokbo.testing.checkpoint import load_checkpoint
from jokbo.testing.transforms import disguise, prune_layers, quantise, rotate

NAMES = sorted(place.name for place in (ZOO / "models").iterdir())
FOUND = {*DEPENDENCE, "lead"}


@cache
def fingerprint(name: str) -> Fingerprint:
    return make_fingerprint(ZOO / "models" / name)


@pytest.fixture(scope="module")
def register(tmp_path_factory: pytest.TempPathFactory) -> Register:
    made = open_register(tmp_path_factory.mktemp("zoo") / "register", create=True)
    for name in NAMES:
        made.add(fingerprint(name))
    return made


@cache
def related(name: str) -> frozenset[str]:
    """Models of the zoo that are not independent of one."""
    rows = tomllib.loads((ZOO / "truth.toml").read_text(encoding="utf-8"))["relation"]
    pairs = [(r["reference"], r["candidate"]) for r in rows if r["truth"] != "independent"]
    return frozenset({b for a, b in pairs if a == name} | {a for a, b in pairs if b == name})


def found(document: Any) -> set[str]:
    return {row["name"] for row in document["rows"] if row["pair"]["relation"] in FOUND}


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_is_found_and_none_is_invented(name: str, register: Register):
    document = search(fingerprint(name), register, measured=0, top=1).document
    assert found(document) == related(name)
    assert {row["name"] for row in document["rows"] if row["named"]} == related(name)
    expected = {"found", "leads"} if related(name) else {"clean"}
    assert document["answer"]["outcome"] in expected


@pytest.mark.parametrize("kind", ["int4", "layer dropped", "rotated", "channels"])
def test_disguised_models_are_found(kind: str, register: Register, tmp_path: Path):
    base, rng = load_checkpoint(ZOO / "models" / "sft0"), np.random.default_rng(0)
    child = {
        "int4": lambda: quantise(base, "int4"),
        "layer dropped": lambda: prune_layers(base, drop=[2]),
        "rotated": lambda: rotate(base, rng=rng),
        "channels": lambda: disguise(base, ["permute_channels", "flip_channels"], rng=rng),
    }[kind]()
    made = make_fingerprint(child.to_source(name="disguised"))
    seen = found(search(made, register, measured=0, top=0).document)
    assert {"sft0", "base0", "lora0", "sft0b"} <= seen
    assert not seen & {"base1", "base2", "base3", "distil0", "gpt2-0", "mixtral-0"}
