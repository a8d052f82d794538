"""Rounds and seasons of people with something to hide: refused, with a sentence, and nothing built from them."""

from __future__ import annotations

import json

import pytest

from jokbo.errors import EvidenceError, FormatError
from jokbo.league.freeze import check_frozen, freeze, parse_frozen
from jokbo.league.round_file import parse_round, read_round
from jokbo.league.season_file import parse_season
from jokbo.league.template import round_template

TEMPLATE = round_template("en")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "expected keys with values, found nothing"),
        (b"- a\n", "expected keys with values, found a list"),
        (b"just words\n", "expected keys with values, found the text 'just words'"),
        (b"a: &x 1\nb: *x\n", "anchor or alias"),
        (b"a: !!python/object/apply:os.system [x]\n", "holds a tag"),
        (b"a: 1\na: 2\n", "there twice"),
        (b"a: 1\n---\nb: 2\n", "second document"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: [1\n", "not YAML"),
        (b"a:\n" + b"  - [" * 40, "nested deeper|not YAML"),
        (b"#" * (256 << 10) + b"\n", "expected at most 262,144"),
    ],
    ids=["empty", "list", "text", "alias", "tag", "twice", "documents", "bytes", "broken", "deep", "long"],
)
@pytest.mark.parametrize("parse", [parse_round, parse_season])
def test_what_is_no_file_of_the_league(parse, data: bytes, said: str):
    with pytest.raises(FormatError, match=said):
        parse(data, "file.yaml")


@pytest.mark.parametrize("number", ["nan", "inf", "1e999", "0x10", "1_000", "1e-", "١"])
def test_numbers_are_plain_and_finite(number: str):
    data = TEMPLATE.replace(b"floor: 0.25", f"floor: {number}".encode())
    with pytest.raises(FormatError, match=r"events/0/floor\): expected a number such as 2\.5, found"):
        parse_round(data, "round.yaml")


def test_more_teams_than_allowed_are_not_built():
    team = "  - {id: t%d, name: T, model: {name: m}}\n"
    data = TEMPLATE.replace(b"teams:\n", b"teams:\n" + "".join(team % k for k in range(200)).encode(), 1)
    with pytest.raises(FormatError, match=r"\(teams\): expected 2 to 100 items, found 203"):
        parse_round(data, "round.yaml")


def test_long_texts_are_not_shown_whole():
    data = TEMPLATE.replace(b"id: team-b", b"id: " + b"x" * 5000)
    with pytest.raises(FormatError) as raised:
        parse_round(data, "round.yaml")
    assert len(str(raised.value)) < 400


def test_messages_hold_no_control_characters():
    data = TEMPLATE.replace(b"seed: 20", b'"se\\e[2Jed": 20')
    with pytest.raises(FormatError) as raised:
        parse_round(data, "round.yaml")
    assert str(raised.value).replace("\n", "").isprintable()
    odd = json.loads(freeze(parse_round(TEMPLATE, "round.yaml")).to_bytes())["content"] | {
        "a\x1b[2J": "\u202e"
    }
    with pytest.raises(EvidenceError) as changed:
        check_frozen(parse_round(TEMPLATE, "round.yaml"), {"digest": "0" * 64, "content": odd})
    assert str(changed.value).replace("\n", "").isprintable()


def test_a_large_file_is_not_read_whole(tmp_path):
    path = tmp_path / "round.yaml"
    path.write_bytes(b"#" * (1 << 20))
    with pytest.raises(FormatError, match="larger than 262,144 bytes"):
        read_round(path)


def frozen() -> dict:
    return json.loads(freeze(parse_round(TEMPLATE, "round.yaml")).to_bytes())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["content"].update(seed=1), "The file was edited"),
        (lambda d: d.update(digest="0" * 64), "The file was edited"),
        (lambda d: d.update(more=1), "unknown field 'more'"),
        (lambda d: d.update(schema="jokbo.league.freeze/9"), "expected 'jokbo.league.freeze/1'"),
        (lambda d: d.update(date="yesterday"), "at date"),
        (lambda d: d.pop("content"), "'content' is missing"),
    ],
)
def test_a_frozen_round_that_was_edited(change, said: str):
    document = frozen()
    change(document)
    with pytest.raises(EvidenceError, match=said):
        parse_frozen(json.dumps(document).encode(), where="round.frozen.json")


def test_bytes_that_are_no_frozen_round():
    for data in (
        b"",
        b"[]",
        b'{"a": 1, "a": 2}',
        b"\x80",
        b'{"payloadType": "x", "payload": "", "signatures": []}',
    ):
        with pytest.raises(EvidenceError, match=r"round\.frozen\.json"):
            parse_frozen(data, where="round.frozen.json")


def test_a_file_of_another_kind_is_called_what_it_is():
    data = b"jokbo_results: 1\nround: r1\nresults: []\n"
    said = r"^results\.yaml is a results list \(jokbo_results\); expected a round's rules \(jokbo_round\)\."
    with pytest.raises(FormatError, match=said):
        parse_round(data, "results.yaml")
