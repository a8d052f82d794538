"""A frozen round: what its digest is over, what it is not, signatures, and what was changed since."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.league.freeze import (
    Frozen,
    changed_fields,
    check_frozen,
    content,
    freeze,
    parse_frozen,
    read_frozen,
    round_digest,
)
from jokbo.league.round import Round
from jokbo.league.round_file import parse_round
from jokbo.league.template import round_template
from jokbo.records.attest import dsse
from jokbo.records.commit.keys import load_public_key, make_key

TEMPLATE = round_template("en").decode()
DATE = "2026-07-01T00:00:00Z"


def read(text: str = TEMPLATE) -> Round:
    return parse_round(text.encode(), "round.yaml")


def changed(old: str, new: str) -> Round:
    assert old in TEMPLATE
    return read(TEMPLATE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# A round: who competes", "# Nothing"),
        ("draws: 10000  ", "draws: 10000"),
        ("draws: 10000               # bootstrap draws\n", ""),
        ("    floor: 0.25 ", "    floor: 2.5e-1 "),
        ("    weight: 1\n", ""),
        ("parameters: 100e9", "parameters: 100000000000"),
        ("lowest: 0, highest: 35, drop_each_side: 1", "drop_each_side: 1, highest: 35.0, lowest: 0"),
        ("gate_counts: no", "gate_counts: false"),
        ("title: {en: Experts, ko: 전문가}", "title: {ko: 전문가, en: Experts}"),
    ],
)
def test_comments_order_of_keys_and_spelling_change_nothing(old: str, new: str):
    assert round_digest(changed(old, new)) == round_digest(read())


def test_the_order_of_teams_is_no_rule():
    round = read()
    moved = Round(**{**{f: getattr(round, f) for f in Round.__slots__}, "teams": round.teams[::-1]})
    assert round_digest(moved) == round_digest(round)


CHANGES = {
    "seed: 20260101": ("seed: 1", "seed", "20260101", "1"),
    "level: 0.95": ("level: 0.9", "level", "0.95", "0.9"),
    "draws: 10000": ("draws: 2000", "draws", "10000", "2000"),
    "    floor: 0.25": ("    floor: 0.2", "events/exam/floor", "0.25", "0.2"),
    "{value: 0.7,": ("{value: 0.8,", "events/exam/anchor/value", "0.7", "0.8"),
    "points: 40}": ("points: 45}", "categories/benchmark/points", "40", "45"),
    "drop_each_side: 1": ("drop_each_side: 0", "events/expert/panel/drop_each_side", "1", "0"),
    "standard_error: 0.8": ("standard_error: 0.1", "events/user/published/standard_error", "0.8", "0.1"),
    "data: the same 10B tokens": ("data: any", "events/speed/race/fixed/data", '"the same 10B tokens"', '"any"'),
    "teams_out: 1": ("teams_out: 2", "elimination/teams_out", "1", "2"),
    "gate_counts: no": ("gate_counts: yes", "elimination/gate_counts", "false", "true"),
    "untestable: stays": ("untestable: removes", "gate/untestable", '"stays"', '"removes"'),
    "of: expert}, {by: lot}": ("of: user}, {by: lot}", "elimination/tie_rule/1/of", '"expert"', '"user"'),
    'num_fewshot: "5"': ('num_fewshot: "0"', "events/exam/pins/num_fewshot", '"5"', '"0"'),
    "average: groups": ("average: items", "events/exam/average", '"groups"', '"items"'),
    "components: [text.embedding]": (
        "components: [text.mlp]", "teams/team-a/declared_ancestors/0/components/0", '"text.embedding"', '"text.mlp"',
    ),
}  # fmt: skip


@pytest.mark.parametrize("old", list(CHANGES))
def test_every_rule_is_in_the_digest_and_a_change_is_named_with_both_values(old: str):
    new, path, was, now = CHANGES[old]
    round, frozen = changed(old, new), freeze(read(), date=DATE)
    assert round_digest(round) != frozen.digest
    assert [(c.path, c.was, c.now) for c in changed_fields(round, frozen.document)] == [(path, was, now)]
    with pytest.raises(EvidenceError) as raised:
        check_frozen(round, frozen, where="round.frozen.json")
    assert f"\n  {path}: was {was}, is {now}\n" in str(raised.value)
    assert "round.frozen.json" in str(raised.value)


def test_a_team_that_came_later_is_named_by_its_id():
    more = TEMPLATE.replace(
        "  - id: team-b\n", "  - {id: team-ab, name: AB, model: {name: m}}\n  - id: team-b\n"
    )
    paths = [change.path for change in changed_fields(read(more), freeze(read()).document)]
    assert paths[0] == "teams (order)"
    assert all(path.startswith(("teams (order)", "teams/team-ab/")) for path in paths)


def test_many_changes_are_cut_and_counted():
    text = TEMPLATE.replace("author: ", "author: X ").replace("unit: ", "unit: X").replace("Team ", "Group ")
    text = text.replace("title: {en: ", "title: {en: X")
    with pytest.raises(EvidenceError, match=r"\n  and \d+ more\n"):
        check_frozen(read(text), freeze(read()).document)


def test_unchanged_is_silent():
    assert check_frozen(read(), freeze(read()).document) is None


def test_the_digest_is_that_of_the_canonical_content():
    found = freeze(read(), date=DATE)
    assert found.digest == hashlib.sha256(canonical_bytes(content(read()))).hexdigest()
    assert found.document["content"]["schema"] == "jokbo.round/1"
    assert (found.date, found.keyid) == (DATE, None)
    assert parse_frozen(found.to_bytes(), where="x") == found


def test_the_digest_of_the_template_does_not_move():
    """A later version has to find the digests of rounds that this one froze."""
    assert round_digest(read()) == "60bf25a2b559d1cfe46976f3a58409e23e3304beb0b2f6e981d62aa94cdc2d70"


def test_a_signed_round_holds_under_its_key_alone(tmp_path: Path):
    signer = make_key(tmp_path / "key")
    make_key(tmp_path / "other")
    found = freeze(read(), signer=signer, date=DATE)
    path = tmp_path / "round.frozen.json"
    path.write_bytes(found.to_bytes())
    again = read_frozen(path)
    key, other = (load_public_key(tmp_path / f"{name}.pub") for name in ("key", "other"))
    assert again.check_signature([key], where="x") == signer.public.keyid == again.keyid
    assert again.digest == freeze(read()).digest
    with pytest.raises(EvidenceError, match="the signature is of another key"):
        again.check_signature([other], where="x")
    with pytest.raises(EvidenceError, match="is not signed"):
        freeze(read()).check_signature([key], where="x")


def test_a_signature_over_other_bytes_does_not_hold(tmp_path: Path):
    signer = make_key(tmp_path / "key")
    signed = freeze(read(), signer=signer, date=DATE)
    other = freeze(changed("seed: 20260101", "seed: 1"), date=DATE)
    assert signed.envelope is not None
    forged = dsse.Envelope(
        signed.envelope.payload_type, canonical_bytes(other.document), signed.envelope.signatures
    )
    found = parse_frozen(Frozen(other.document, forged).to_bytes(), where="x")
    with pytest.raises(EvidenceError, match="the signature does not hold"):
        found.check_signature([signer.public], where="x")


def test_an_envelope_of_another_type_is_no_frozen_round(tmp_path: Path):
    signer = make_key(tmp_path / "key")
    payload = canonical_bytes(dict(freeze(read()).document))
    envelope = dsse.sign(payload, "application/vnd.jokbo.record-link+json", [signer])
    with pytest.raises(EvidenceError, match="expected a signed document of type"):
        parse_frozen(envelope.to_json(), where="x")


def test_a_date_that_is_none_is_refused():
    with pytest.raises(EvidenceError, match="at date"):
        freeze(read(), date="soon")


def test_content_is_json_of_everything():
    plain = json.loads(canonical_bytes(content(read())))
    assert set(plain) == {"schema", *Round.__slots__}
