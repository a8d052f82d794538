"""Laws of the linter: harmless changes of a sound claim change nothing; order and form do not count."""

from __future__ import annotations

import contextlib
import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.errors import FormatError
from jokbo.formats.strict_yaml import parse_yaml
from jokbo.hearing.claims.groups import group
from jokbo.hearing.claims.numbers import parse_stated
from jokbo.hearing.claims.table import Row, parse_table
from jokbo.hearing.claims.vectors import measure_again
from jokbo.testing.claims import codes, lint, raw_claim, sound_claim

FEW = settings(max_examples=40)
labels = st.text("abcdefghijklmnop0123456789", min_size=1, max_size=12).map("m".__add__)
letters = st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="=+-@0123456789")
plain = st.text(letters, min_size=1, max_size=30)


def linted(claim: Any, rows: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return lint(Path(folder), claim, rows)


def rename(claim: Any, rows: Any, names: dict[str, str]) -> None:
    claim["models"] = {names[label]: model for label, model in claim["models"].items()}
    for side in ("reference", "candidate"):
        claim[side] = names[claim[side]]
    for row in rows:
        for side in ("reference", "candidate"):
            row[side] = names[row[side]]


@FEW
@given(
    build=st.sampled_from([sound_claim, raw_claim]),
    names=st.lists(labels, min_size=4, max_size=4, unique=True),
    title=plain,
    note=plain,
    order=st.randoms(use_true_random=False),
    swap=st.booleans(),
)
def test_names_notes_order_and_sides_do_not_count(
    build: Any, names: list[str], title: str, note: str, order: Any, swap: bool
):
    claim, rows = build()
    rename(claim, rows, dict(zip("abcd", names, strict=True)))
    claim |= {"title": title, "claimant": note}
    for row in rows:
        row["note"] = note
        if swap:
            row["reference"], row["candidate"] = row["candidate"], row["reference"]
    order.shuffle(rows)
    assert codes(linted(claim, rows)) == []


@FEW
@given(
    noise=st.lists(st.floats(-0.004, 0.004), min_size=4, max_size=4),
    more=st.lists(st.floats(-0.2, 0.2), min_size=0, max_size=12),
    drop=st.sampled_from([None, 4, 7]),
)
def test_other_values_of_the_same_kind_are_sound_too(noise: list[float], more: list[float], drop: int | None):
    claim, rows = sound_claim()
    for row, off in zip(rows[:4], noise, strict=True):
        row["value"] = round(row["value"] + off, 4)
    rows += [
        {"role": "unrelated", "reference": "a", "candidate": "c", "layers": k, "value": round(value, 3)}
        for k, value in enumerate(more)
    ]
    if drop is not None:
        del rows[drop]
        claim["controls"] = []
    mean = sum(row["value"] for row in rows[:4]) / 4
    claim["figures"][0]["says"] = f"{mean:.3f}"
    claim["conclusion"]["text"] = f"The mean is {mean:.3f}."
    assert codes(linted(claim, rows)) == []


@FEW
@given(digits=st.integers(1, 6), percent=st.booleans())
def test_any_rounding_of_a_true_mean_is_true(digits: int, percent: bool):
    claim, rows = sound_claim()
    mean = 0.875
    says = f"{100 * mean:.{max(digits - 2, 0)}f} %" if percent else f"{mean:.{digits}f}"
    claim["figures"][0]["says"] = says
    claim["conclusion"]["text"] = f"It is {says}."
    assert codes(linted(claim, rows)) == []


@FEW
@given(factor=st.floats(0.01, 100), seed=st.integers(0, 9), size=st.integers(64, 256))
def test_measuring_again_does_not_depend_on_scale_or_on_the_order_of_channels(
    factor: float, seed: int, size: int
):
    rng = np.random.default_rng(seed)
    a = 1 + 0.1 * rng.standard_normal(size)
    b = a + 0.02 * rng.standard_normal(size)
    order = rng.permutation(size)
    one = measure_again([(a, b)], digest="x")
    two = measure_again([(factor * a[order], b[order])], digest="x")
    assert abs(one.raw - two.raw) < 1e-9
    assert abs(one.centred - two.centred) < 1e-9
    assert one.pvalue == two.pvalue == 0.001


@FEW
@given(values=st.lists(st.floats(-1, 1), min_size=1, max_size=20), split=st.integers(1, 19))
def test_a_mean_of_means_is_the_mean(values: list[float], split: int):
    rows = [Row("effect", "a", "b", value, 1) for value in values]
    whole, parts = group(rows), [group(part) for part in (rows[:split], rows[split:]) if part]
    again = group(
        [Row("effect", "a", "b", part.mean, 1, count=part.n, sd=part.sd or 0.0) for part in parts if part]
    )
    assert whole is not None
    assert again is not None
    assert again.n == whole.n
    assert abs(again.mean - whole.mean) < 1e-9
    if whole.sd is not None:
        assert abs((again.sd or 0.0) - whole.sd) < 1e-7


cells = st.text(st.characters(codec="utf-8"), max_size=12)


@settings(max_examples=150)
@given(st.lists(st.lists(cells, min_size=1, max_size=5), min_size=1, max_size=5), st.sampled_from(",;\t"))
def test_any_table_is_read_or_refused_on_purpose(rows: list[list[str]], mark: str):
    text = "role,reference,candidate,value,note\n".replace(",", mark)
    text += "\n".join(mark.join(row) for row in rows)
    with contextlib.suppress(FormatError):
        parse_table(text.encode(), where="t.csv")


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=60), st.text("ab:-[]{}&*!|>'\"#%?,\n \t0", max_size=60).map(str.encode)))
def test_any_bytes_are_yaml_or_refused_on_purpose(data: bytes):
    with contextlib.suppress(FormatError):
        json.dumps(parse_yaml(data, where="claim.yaml").value)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.integers(0, 9))
def test_a_number_agrees_with_what_it_was_rounded_from(value: float, digits: int):
    found = parse_stated(f"{value:.{digits}f}")
    assert found is not None
    if abs(value) < 1e9:
        assert found.agrees(value, value)


@FEW
@given(st.data())
def test_a_fault_is_found_wherever_its_row_stands(data: st.DataObject):
    claim, rows = sound_claim()
    bad = {"role": "random", "reference": "r", "candidate": "r", "value": data.draw(st.floats(0.876, 1.0))}
    rows.insert(data.draw(st.integers(0, len(rows))), bad)
    assert codes(linted(copy.deepcopy(claim), rows)) == ["random_above_effect"]
