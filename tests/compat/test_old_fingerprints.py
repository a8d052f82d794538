"""Fingerprints of every version open, say what they said, and are made again byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from jokbo.lineage.fingerprint import SUFFIX, check_fingerprint, make_fingerprint
from jokbo.lineage.pairs import compare_pair
from jokbo.views.fingerprint_header import FINGERPRINT_VERSION

HERE = Path(__file__).parent / "fingerprints"
MODELS = Path(__file__).parents[2] / "zoo" / "models"
FROZEN = sorted(HERE.glob(f"*{SUFFIX}"))
VERSIONS = sorted({path.name.partition("-")[0] for path in FROZEN})


def test_the_present_version_is_frozen() -> None:
    assert f"v{FINGERPRINT_VERSION}" in VERSIONS


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.name.removesuffix(SUFFIX))
def test_a_fingerprint_still_opens(path: Path) -> None:
    header = check_fingerprint(path)
    assert path.name == f"v{header.version}-{header.name}-{'private' if header.private else 'rows'}{SUFFIX}"


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.name.removesuffix(SUFFIX))
def test_the_same_model_gives_the_same_bytes(path: Path) -> None:
    header = check_fingerprint(path)
    if header.version == FINGERPRINT_VERSION:
        made = make_fingerprint(MODELS / header.name, private=header.private, salt=header.salt)
        assert made.data == path.read_bytes()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_fine_tune_is_still_found(version: str) -> None:
    names = (f"{version}-gpt2-0-rows{SUFFIX}", f"{version}-gpt2-0-sft-rows{SUFFIX}")
    assert compare_pair(HERE / names[0], HERE / names[1], reference_first=True)["relation"] == "lineage"
