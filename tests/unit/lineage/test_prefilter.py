"""The prefilter: relatives are passed, independent models seldom, and bounds hold for planted ones.

Null: sketches of independent coins, and models from separate generators.
Why valid: a model that is not passed counts as an e-value of 0; only power rests on these scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jokbo.lineage.prefilter import PASSES, Scored, score_sketch
from jokbo.lineage.prefilter_bounds import needed_score, shape_classes, smallest_cosine
from jokbo.lineage.sketch import make_sketch
from jokbo.lineage.sketch_format import TIERS, UNITS, Section, Sketch, parse_sketch, write_sketch
from jokbo.lineage.sketch_index import build_index
from jokbo.testing.builders import llama, mixtral
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.transforms import (
    depth_up,
    derive,
    disguise,
    prune_layers,
    prune_units,
    quantise,
    transplant_embedding,
    upcycle,
)
from jokbo.views.model import open_model

SIZES = {"hidden_size": 64, "num_layers": 4, "intermediate_size": 172, "vocab_size": 256}


def sketch_of(model: Checkpoint) -> bytes:
    return make_sketch(open_model(model.to_source(name="m")))


def score(place: Path, candidate: bytes, others: list[bytes], workers: int = 2) -> Scored:
    named = [(f"{k:064x}", data) for k, data in enumerate(others)]
    index = build_index(place / "index", named, digest="d", salt="jokbo-1")
    return score_sketch(parse_sketch(candidate), index, workers=workers)


BASE = llama(np.random.default_rng(0), **SIZES)
STRANGER = llama(np.random.default_rng(1), **SIZES)

RELATIVES: dict[str, Callable[[np.random.Generator], Checkpoint]] = {
    "fine-tuned": lambda rng: derive(BASE, rng, cosine=0.9),
    "weak": lambda rng: derive(BASE, rng, cosine=0.3),
    "rotated": lambda rng: disguise(BASE, ["rotate"], rng=rng),
    "channels": lambda rng: disguise(BASE, ["permute_channels", "flip_channels"], rng=rng),
    "units permuted": lambda rng: disguise(BASE, ["permute_units"], rng=rng),
    "heads rebased": lambda rng: disguise(BASE, ["rebase_heads"], rng=rng),
    "layer dropped": lambda rng: prune_layers(BASE, drop=[1]),
    "deepened": lambda rng: depth_up(BASE),
    "units pruned": lambda rng: prune_units(BASE, keep=0.6, by="random", rng=rng),
    "int4": lambda rng: quantise(BASE, "int4"),
    "upcycled": lambda rng: upcycle(BASE, rng=rng),
    "embedding alone": lambda rng: transplant_embedding(STRANGER, BASE),
}


@pytest.mark.parametrize("kind", RELATIVES)
def test_relatives_are_passed_and_a_stranger_is_not(kind: str, tmp_path: Path):
    child = RELATIVES[kind](np.random.default_rng(7))
    others = [sketch_of(model) for model in (BASE, llama(np.random.default_rng(2), **SIZES))]
    scored = score(tmp_path, sketch_of(child), others)
    assert scored.passed().tolist() == [0]


def coins(rng: np.random.Generator, like: Sketch) -> bytes:
    """A sketch of an independent model: every sign a fair coin."""
    made = []
    for s in like.sections:
        data = rng.integers(0, 256, s.data.shape, dtype=np.uint8)
        made.append(Section(s.kind, s.tower, s.key, s.depth, s.places, s.rows, data))
    return write_sketch(like.salt, made)


def planted(rng: np.random.Generator, like: Sketch, cosine: float, kinds: tuple[str, ...]) -> bytes:
    """Signs of some kinds agree as rows at this cosine do; all others are fresh."""
    made = []
    for s in like.sections:
        fresh = rng.integers(0, 256, s.data.shape, dtype=np.uint8)
        flips = np.packbits(rng.random((*s.data.shape, 8)) < math.acos(cosine) / math.pi, axis=-1)[..., 0]
        data = s.data ^ flips if s.kind in kinds else fresh
        made.append(Section(s.kind, s.tower, s.key, s.depth, s.places, s.rows, data))
    return write_sketch(like.salt, made)


def test_few_independent_sketches_are_passed(tmp_path: Path):
    like = parse_sketch(sketch_of(llama(np.random.default_rng(3), **{**SIZES, "hidden_size": 256})))
    rng = np.random.default_rng(4)
    others = [coins(rng, like) for _ in range(600)]
    passed = sum(len(score(tmp_path, coins(rng, like), others).passed()) for _ in range(4))
    # 2400 pairs at 10^-3.5: .8 expected; more than 6 has a chance of 2e-5.
    assert passed <= 6


def test_scores_of_independent_models_are_standard(tmp_path: Path):
    models = [sketch_of(llama(np.random.default_rng(100 + k), **SIZES)) for k in range(20)]
    for heavy in range(6):
        models.append(
            sketch_of(
                llama(np.random.default_rng(500 + heavy), heavy_tailed=3.0, massive_channels=2, **SIZES)
            )
        )
    found: dict[str, list[float]] = {}
    for k, data in enumerate(models):
        scored = score(tmp_path, data, models)
        for kind, values in scored.kinds.items():
            found.setdefault(kind, []).extend(np.delete(values, k))
    for kind in ("units:place", "unit_gram:place", "values:place", "rotary:place", "token_embd"):
        values = np.array(found[kind])
        assert abs(values.mean()) < 0.35, kind
        assert values.std() < 1.3, kind


@pytest.mark.parametrize("kinds", [(UNITS,), ("values",), ("unit_gram",)])
def test_models_at_the_stated_bound_are_passed(kinds: tuple[str, ...], tmp_path: Path):
    like = parse_sketch(sketch_of(llama(np.random.default_rng(3), **{**SIZES, "hidden_size": 256})))
    scored = score(tmp_path, write_sketch(like.salt, like.sections), [coins(np.random.default_rng(5), like)])
    overlap = next(o for o in scored.overlaps if o.kind == kinds[0])
    bits = overlap.bits * int(overlap.places[0])
    cosine = smallest_cosine(bits, score=needed_score(int(scored.tested[0])))
    assert cosine is not None
    rng = np.random.default_rng(6)
    others = [planted(rng, like, cosine, kinds) for _ in range(300)]
    passed = len(score(tmp_path, write_sketch(like.salt, like.sections), others).passed())
    assert passed >= 290  # .99 of 300 is 297; fewer than 290 has a chance of 1e-3


def test_bounds_are_stated_by_shape(tmp_path: Path):
    others = [sketch_of(STRANGER), sketch_of(llama(np.random.default_rng(2), **SIZES))]
    others.append(sketch_of(llama(np.random.default_rng(2), **{**SIZES, "hidden_size": 96})))
    others.append(sketch_of(mixtral(np.random.default_rng(2), hidden_size=48, intermediate_size=80)))
    scored = score(tmp_path, sketch_of(BASE), others)
    classes = shape_classes(scored)
    assert classes[0].models.tolist() == [0, 1]
    told = {(b["component"], b["alignment"], b["scope"]): b["cosine"] for b in classes[0].bounds}
    assert told["mlp", "same_basis", "all_layers"] < told["mlp", "same_basis", "one_layer"]
    assert told["mlp", "same_basis", "all_layers"] < told["mlp", "rotated", "all_layers"]
    assert not scored.body[3]
    # Of another width only what does not see the width can be compared.
    assert scored.body[2]
    assert {b["alignment"] for b in classes[1].bounds} == {"rotated"}


def test_scores_do_not_depend_on_threads_or_company(tmp_path: Path):
    others = [sketch_of(model) for model in (BASE, STRANGER)]
    child = sketch_of(derive(BASE, np.random.default_rng(3), cosine=0.2))
    one, two = (score(tmp_path, child, others, workers=n) for n in (1, 4))
    alone = score(tmp_path, child, others[1:])
    assert (one.score == two.score).all()
    assert alone.score[0] == one.score[1]


def test_sketches_of_fewer_rows_meet_those_of_more(tmp_path: Path):
    whole = parse_sketch(sketch_of(BASE))
    few = []
    for s in whole.sections:
        if s.kind == UNITS:
            rows, size = 16, 16 * 8
            assert TIERS[UNITS][0] == (16, 256)
            few.append(Section(s.kind, s.tower, s.key, s.depth, s.places, rows, s.data[:, :size]))
    scored = score(tmp_path, write_sketch(whole.salt, few), [sketch_of(BASE), sketch_of(STRANGER)])
    assert scored.score[0] > 100
    assert scored.score[1] < PASSES


def test_nothing_in_common_gives_no_score(tmp_path: Path):
    other = sketch_of(llama(np.random.default_rng(1), hidden_size=96, intermediate_size=200, vocab_size=128))
    scored = score(tmp_path, sketch_of(mixtral(np.random.default_rng(0))), [other])
    assert not scored.body.any()
    assert scored.nearest(3).size == 0
