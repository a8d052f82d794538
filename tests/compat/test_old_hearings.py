"""Hearings frozen at earlier states still verify, under the rules that they were held under.

``0.5.0.dev1-small`` is from before keys could be replaced and rules had a number: a hold in it was renewed beyond
30 days, and a vote of the public stayed when its account was named to the panel. ``0.5.0.dev2-rotated`` changes its key
twice, once by the recovery key. Each folder is an archive as it was exported; pages of another version are checked by
their digests, and not drawn again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from jokbo.hearing.archive.verify import Verified, verify_folder
from jokbo.hearing.case.case import open_case
from jokbo.hearing.case.votes import Tally
from jokbo.hearing.terminal import render_state
from jokbo.report.texts import LANGUAGES

FROZEN = Path(__file__).parent / "hearings"
HEADS = {
    "0.5.0.dev1-small": "a6a6981218bb5c33d35de3f931932195af274310454ba7ac8a03711ccdfd7bae",
    "0.5.0.dev2-rotated": "c9804419caa8f15116427f0c5deda43a387a895072f64d5d087aceaf7883087b",
}
KEYS = {
    "0.5.0.dev1-small": ("64e7db8b1823b1c573da7b760617b2b0329a69d41c781a20bfee0c25eb2118db",),
    "0.5.0.dev2-rotated": (
        "45a19e32bdeb907ecc2ee73f56e00c3c0b454b888aaed14173ee6a3fd66afa0f",
        "1c3fa53adcd1b46243ac554c70991a650f1b7207127a1d7657f57d8b89712207",
        "da60a690659770a4c909e6d8c1e857ad313515156a6e3580e04b008033b617de",
    ),
}


def test_every_frozen_hearing_is_listed():
    assert {path.name for path in FROZEN.iterdir()} == set(HEADS)


@pytest.mark.parametrize("name", HEADS)
def test_it_still_verifies(name: str):
    found: Verified = verify_folder(FROZEN / name, head=HEADS[name], keeper=KEYS[name][0])
    assert found.problems == ()
    assert [each.code for each in found.unchecked] == ["other_version"]
    assert found.exit_status == 11
    assert found.keepers == KEYS[name]
    assert found.exhibits >= 1


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_it_is_still_shown(name: str, lang: str):
    with open_case(FROZEN / name) as case:
        assert case.head().digest == HEADS[name]
        assert render_state(case.state, lang=lang)


@pytest.mark.parametrize("name", HEADS)
def test_a_changed_byte_of_it_is_found(name: str, tmp_path: Path):
    shutil.copytree(FROZEN / name, tmp_path / "archive")
    log = tmp_path / "archive" / "log.jsonl"
    data = log.read_bytes()
    log.write_bytes(data.replace(b'"role":"panel"', b'"role":"chair"', 1))
    assert log.read_bytes() != data
    assert verify_folder(tmp_path / "archive", head=HEADS[name]).exit_status == 10


def test_the_first_rules_are_those_of_a_log_that_names_none():
    with open_case(FROZEN / "0.5.0.dev1-small") as case:
        assert case.state.rules == 1
        assert case.state.role("p-two") == "panel"
        (tallies,) = case.state.tallies.values()
        assert tallies == {"public": Tally(2, 0), "parties": Tally(1, 0)}
    with open_case(FROZEN / "0.5.0.dev2-rotated") as case:
        assert case.state.rules == 2
        (tallies,) = case.state.tallies.values()
        assert tallies == {"public": Tally(1, 0), "parties": Tally(1, 0)}
