"""The costs on the page are arithmetic on what was measured, and the page says what the figures say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from benchmarks.cluster_cost import (
    BEGIN,
    END,
    FIGURES,
    PAGES,
    Measured,
    NoiseContent,
    costs,
    model_files,
    table,
    tokenizer,
)
from hypothesis import given
from hypothesis import strategies as st

from jokbo.formats.base import run_plan
from jokbo.formats.safetensors import plan_catalog
from jokbo.testing.hub import LocalHub

ONE = Measured(
    model_bytes=16_000_000_000,
    parameters=8_000_000_000,
    read_bytes=40_000_000,
    small_bytes=10_000_000,
    api_requests=1,
    resolver_requests=10,
    content_requests=480,
    fingerprint_bytes=20_000_000,
    result_bytes=1500,
    fingerprint_seconds=2.0,
    pair_seconds=1.0,
    fingerprint_mb=300.0,
    pair_mb=300.0,
    plan_seconds_a_pair=1e-5,
)


def test_by_hand():
    found = costs(ONE, models=10_000, workers=64, bits_per_second=1e9)
    assert found.bytes_all == 400e9
    assert found.bytes_whole == 160e12
    assert found.seconds_bandwidth == pytest.approx(3200)  # 400 GB at 125 MB/s
    assert found.seconds_rounds == pytest.approx(10_000 * (11 + 30) * 0.03 / 64)
    assert found.seconds_processors == pytest.approx(312.5)
    assert found.seconds_api == pytest.approx(3000)  # 10 windows of five minutes
    assert found.seconds_resolver == pytest.approx(6000)
    assert found.seconds_all == pytest.approx(6000)
    assert found.seconds_pairs_1000 == pytest.approx(499_500 / 64)


@given(st.integers(1, 10**6), st.integers(1, 1000), st.floats(1e6, 1e12))
def test_more_models_cost_more_and_more_workers_or_line_never_do(models: int, workers: int, bits: float):
    one = costs(ONE, models=models, workers=workers, bits_per_second=bits)
    assert costs(ONE, models=2 * models, workers=workers, bits_per_second=bits).seconds_all == pytest.approx(
        2 * one.seconds_all
    )
    assert costs(ONE, models=models, workers=2 * workers, bits_per_second=bits).seconds_all <= one.seconds_all
    assert costs(ONE, models=models, workers=workers, bits_per_second=2 * bits).seconds_all <= one.seconds_all
    more = replace(ONE, read_bytes=2 * ONE.read_bytes)
    assert costs(more, models=models, workers=workers, bits_per_second=bits).seconds_all >= one.seconds_all


@pytest.mark.parametrize("lang", PAGES)
def test_the_pages_are_what_the_command_writes_from_the_figures(lang: str):
    page = PAGES[lang].read_text(encoding="utf-8")
    kept = Measured(**json.loads(FIGURES.read_text())["measured"])
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == table(kept, lang)


def test_noise_is_the_same_whichever_way_it_is_read():
    content = NoiseContent(b"h" * 16, 10_000_000, seed=1)
    whole = content.read(0, 5_000_000)
    assert whole[:16] == b"h" * 16
    for start, stop in ((0, 1), (7, 16), (10, 40), (2_000_000, 2_000_100), (4_000_010, 4_100_000)):
        assert content.read(start, stop) == whole[start:stop]
    assert NoiseContent(b"h" * 16, 10_000_000, seed=2).read(16, 80) != whole[16:80]


def test_the_model_has_the_shapes_and_the_tokenizer_the_size_of_the_real_one():
    assert 7_000_000 < len(tokenizer(128_256)) < 10_000_000
    with LocalHub({"local/m": model_files(1)}) as hub:
        from jokbo.sources.hub import HubSource

        source = HubSource("local/m", endpoint=hub.endpoint)
        catalog = run_plan(plan_catalog(source.files), source)
        assert catalog.parameters == 8_030_261_248
        source.close()
