"""What a sketch holds: the same bytes from a model and from its fingerprint, signs that keep what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jokbo.lineage.fingerprint import make_fingerprint, read_sketch
from jokbo.lineage.sketch import chosen_channels, gram_signs, make_sketch
from jokbo.lineage.sketch_format import GRAM, HASHED, MAX_SKETCH_BYTES, UNITS, parse_sketch
from jokbo.testing.builders import gpt2, llama, mixtral
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.transforms import derive, rotate
from jokbo.views.model import open_model

BUILDERS = {
    "llama": lambda rng: llama(rng, reserved_tokens=20),
    "mixtral": mixtral,
    "gpt2": gpt2,
}


def sketch_of(model: Checkpoint, **given: object) -> bytes:
    return make_sketch(open_model(model.to_source(name="m")), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_model_and_its_fingerprint_give_the_same_sketch(builder: str):
    model = BUILDERS[builder](np.random.default_rng(1))
    made = make_fingerprint(model.to_source(name="m"))
    assert read_sketch(made.data) == sketch_of(model)


def test_another_salt_gives_other_rows():
    model = llama(np.random.default_rng(1), intermediate_size=512)
    assert sketch_of(model, salt="a") != sketch_of(model, salt="b")
    assert parse_sketch(sketch_of(model, salt="a")).salt == "a"


def test_a_private_sketch_holds_signs_of_grams_alone():
    model = llama(np.random.default_rng(1), reserved_tokens=20)
    kinds = {s.kind for s in parse_sketch(sketch_of(model, private=True)).sections}
    assert kinds == {GRAM, HASHED}


def test_a_deep_model_keeps_a_small_sketch():
    deep = llama(
        np.random.default_rng(1), num_layers=60, hidden_size=256, intermediate_size=300, vocab_size=512
    )
    data = sketch_of(deep)
    section = next(s for s in parse_sketch(data).sections if s.kind == UNITS)
    assert len(data) < 64 << 10 < MAX_SKETCH_BYTES
    assert len(section.places) == 24
    assert section.depth == 60


def test_gram_signs_survive_rotation_and_row_signs_do_not():
    rng = np.random.default_rng(2)
    model = llama(rng, hidden_size=64, intermediate_size=96)
    found = [
        {s.kind: s.data for s in parse_sketch(sketch_of(m)).sections} for m in (model, rotate(model, rng=rng))
    ]
    alike = {kind: 1 - _unlike(found[0][kind], found[1][kind]) for kind in (GRAM, UNITS)}
    assert alike[GRAM] > 0.98
    assert alike[UNITS] < 0.6


@pytest.mark.parametrize("cosine", [0.3, 0.7, 0.95])
def test_signs_agree_as_the_arcsine_law_says(cosine: float):
    rng = np.random.default_rng(3)
    model = llama(rng, hidden_size=256, num_layers=4, intermediate_size=256)
    child = derive(model, rng, cosine=cosine)
    found = [{s.kind: s.data for s in parse_sketch(sketch_of(m)).sections} for m in (model, child)]
    expected = 0.5 + math.asin(cosine) / math.pi
    assert 1 - _unlike(found[0][UNITS], found[1][UNITS]) == pytest.approx(expected, abs=0.02)


def _unlike(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.bitwise_count(a ^ b).sum() / (8 * a.size))


def test_channels_of_a_smaller_count_come_first():
    many = chosen_channels("s", 1000, 256)
    assert (chosen_channels("s", 1000, 64) == many[:64]).all()
    assert len(set(many.tolist())) == 256


def test_gram_signs_do_not_depend_on_the_order_of_sums():
    rows = np.random.default_rng(4).standard_normal((40, 5000)).astype(np.float32)
    back = np.ascontiguousarray(rows[:, ::-1])
    assert (gram_signs(rows) == gram_signs(back)).all()
    assert (gram_signs(rows * np.float32(4)) == gram_signs(rows)).all()
