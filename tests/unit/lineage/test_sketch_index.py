"""Packed sketches beside a register: made once, again when anything changed, never believed when damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jokbo.errors import FormatError, UsageError
from jokbo.lineage import sketch_index
from jokbo.lineage.sketch import make_sketch
from jokbo.lineage.sketch_index import SketchIndex, build_index, cached_index, open_index
from jokbo.testing.builders import llama
from jokbo.views.model import open_model

SKETCHES = [
    (f"{k:064x}", make_sketch(open_model(llama(np.random.default_rng(k)).to_source(name=f"m{k}"))))
    for k in range(3)
]


def made(place: Path, digest: str = "d") -> SketchIndex:
    return cached_index(place, SKETCHES, digest=digest, salt="jokbo-1")


def test_it_is_packed_once_and_again_for_another_register(tmp_path: Path):
    place = tmp_path / "sketches"
    first = made(place)
    kept = cached_index(place, iter([]), digest="d", salt="jokbo-1")
    assert kept.keys == first.keys
    assert cached_index(place, iter(SKETCHES[:1]), digest="e", salt="jokbo-1").keys == (SKETCHES[0][0],)


def test_little_is_held_in_memory_and_the_result_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = made(tmp_path / "a")
    monkeypatch.setattr(sketch_index, "FLUSH_BYTES", 1000)
    parts = made(tmp_path / "b")
    assert whole.groups.keys() == parts.groups.keys()
    for key, group in whole.groups.items():
        assert (group.words == parts.groups[key].words).all()
        assert (group.extra == parts.groups[key].extra).all()


@pytest.mark.parametrize("damage", ["cut", "json", "version", "order", "missing"])
def test_a_damaged_pack_is_refused_and_made_again(tmp_path: Path, damage: str):
    place = tmp_path / "sketches"
    made(place)
    document = json.loads((place / "index.json").read_bytes())
    words = next(place.glob("*.words"))
    if damage == "cut":
        words.write_bytes(words.read_bytes()[:-8])
    elif damage == "json":
        (place / "index.json").write_bytes(b"{")
    elif damage == "version":
        (place / "index.json").write_text(json.dumps({**document, "index": 99}))
    elif damage == "order":
        head = next(place.glob("*.head"))
        head.write_bytes(head.read_bytes()[::-1])
    else:
        words.unlink()
    with pytest.raises(FormatError, match="made again"):
        open_index(place)
    assert made(place).keys == tuple(key for key, _ in SKETCHES)


def test_a_failure_leaves_nothing_behind(tmp_path: Path):
    with pytest.raises(FormatError, match="fingerprint bad"):
        build_index(tmp_path / "i", [*SKETCHES, ("bad", b"x")], digest="d", salt="jokbo-1")
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_sketch_can_be_named_and_left_out(tmp_path: Path):
    named: list[str] = []
    index = build_index(
        tmp_path / "i",
        [("bad", b"x"), *SKETCHES],
        digest="d",
        salt="jokbo-1",
        skip=lambda key, error: named.append(key),
    )
    assert named == ["bad"]
    assert len(index) == 3


def test_another_salt_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="another salt"):
        build_index(tmp_path / "i", SKETCHES, digest="d", salt="other")
