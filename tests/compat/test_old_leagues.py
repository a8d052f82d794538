"""Bundles of scored rounds, frozen at a release, still come out to the same figures.

Where a figure comes out otherwise on purpose, the number of the set of methods
(:data:`jokbo.league.board.METHODS`) is raised, and the old bundle is "not computed again", never "wrong".
"""

from __future__ import annotations

from pathlib import Path

import pytest

from jokbo.league.check import check_bundle

FROZEN = Path(__file__).resolve().parent / "leagues"
BUNDLES = sorted(path for path in FROZEN.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda path: path.name)
def test_a_frozen_bundle_comes_out_again(folder: Path) -> None:
    found = check_bundle(folder, draw=lambda board: {})
    assert found.problems == ()
    assert found.recomputed or found.other_methods is not None


def test_there_is_one_at_least() -> None:
    assert BUNDLES
