"""Claims and tables that are hostile or broken: each is refused in a sentence with its place, and quickly."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from jokbo.errors import FormatError, SourceError
from jokbo.formats.strict_yaml import MAX_BYTES, parse_yaml
from jokbo.hearing.claims.claim import read_claim
from jokbo.hearing.claims.table import parse_table

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(9))}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
"""A billion laughs: 400 bytes that would be a gigabyte."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"claim\.yaml:1 holds an anchor or alias"),
        ("a: &x 1\n", r"claim\.yaml:1 holds an anchor"),
        ("a: 1\nb: *x\n", r"claim\.yaml:2 holds an anchor or alias"),
        ("a: 1\n<<: {b: 2}\nc: !!python/object/apply:os.system ['true']\n", r"claim\.yaml:3 holds a tag"),
        ("!!set {a}\n", r"claim\.yaml:1 holds a tag"),
        ("a: 1\nb: 2\na: 3\n", r"claim\.yaml:3: the key 'a' is there twice"),
        ("a: {b: 1, b: 2}\n", r"claim\.yaml:1: the key 'b' is there twice"),
        ("a: 1\n---\nb: 2\n", r"claim\.yaml:2 begins a second document"),
        ("[" * 5_000, r"nested deeper than 12"),
        ("a: " * 5_000, r"is not YAML"),
        ("- x\n" * 30_000, r"more than 20,000 parts"),
        ("? [a, b]\n: c\n", r"claim\.yaml:1: a key is a list or a mapping"),
        ("a: 'open\n", r"claim\.yaml:\d+ is not YAML"),
        ("a:\tb: c\n", r"claim\.yaml:1 is not YAML"),
        ("a: \x07\n", r"is not YAML"),
        ("%YAML 9.9\n---\na: 1\n", r"is not YAML"),
    ],
)
def test_yaml_that_is_refused(text: str, message: str):
    started = time.perf_counter()
    with pytest.raises(FormatError, match=message):
        parse_yaml(text.encode(), where="claim.yaml")
    assert time.perf_counter() - started < 5


def test_a_claim_of_ten_megabytes_is_not_parsed(tmp_path: Path):
    path = tmp_path / "claim.yaml"
    path.write_bytes(b"# " + b"x" * (10 << 20))
    with pytest.raises(FormatError, match=f"larger than {MAX_BYTES:,} bytes"):
        read_claim(path)
    with pytest.raises(FormatError, match="expected at most"):
        parse_yaml(path.read_bytes(), where="claim.yaml")


@pytest.mark.parametrize("data", [b"\xff\xfea\x00", b"a: \xe9\n"])
def test_other_encodings_are_named(data: bytes):
    with pytest.raises(FormatError, match="is not UTF-8"):
        parse_yaml(data, where="claim.yaml")


@pytest.mark.parametrize("text", ["", "# nothing\n", "just text\n", "- a\n- b\n", "null\n"])
def test_what_is_no_mapping_is_no_claim(text: str, tmp_path: Path):
    path = tmp_path / "claim.yaml"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"claim\.yaml(:\d+)?: expected object"):
        read_claim(path)


HEADER = "role,reference,candidate,layers,value,note\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.csv is empty"),
        ("\n\n", r"t\.csv is empty"),
        (HEADER + "effect,a,b,1,NaN,\n", r"t\.csv:2 \(value\): found 'NaN'; expected a number"),
        (HEADER + "effect,a,b,1,inf,\n", r"found 'inf'"),
        (HEADER + "effect,a,b,1,1e999,\n", r"found '1e999'"),
        (HEADER + "effect,a,b,1,,\n", r"t\.csv:2 \(value\) is empty"),
        (HEADER + 'effect,a,b,1,"0,989",\n', r"t\.csv:2 \(value\): found '0,989'; expected a number such as 0\.989"),
        (HEADER + 'effect,a,b,1,"1,234.5",\n', r"no separator of thousands"),
        (HEADER + "effect,a,b,1,0.9\n", r"t\.csv:2 has 5 cells; the header has 6"),
        (HEADER + "effect,a,b,1,0.9,x,y\n", r"t\.csv:2 has 7 cells"),
        (HEADER + 'effect,a,b,1,0.9,"open\n', r"t\.csv:\d is not CSV"),
        (HEADER + "effect,a,b,1,0.9,=HYPERLINK(1)\n", r"t\.csv:2 \(note\): '=HYPERLINK\(1\)' is a formula"),
        (HEADER + "effect,a,b,1,0.9,@SUM(A1)\n", r"is a formula to a spreadsheet"),
        (HEADER + "effect,a,b,1,0.9,+1+cmd|' /C calc'!A0\n", r"is a formula"),
        (HEADER + "effect,a,b,1,0.9,-2+3\n", r"is a formula"),
        (HEADER + "effect,a,b,5-3,0.9,\n", r"\(layers\): found '5-3'; expected layers such as"),
        (HEADER + "effect,a,b,0-99999,0.9,\n", r"\(layers\): found '0-99999'"),
        (HEADER + "effect,a,b,0-1000,0.9,\n" * 300, r"t\.csv:251: more than 500,000 layers in all rows together"),
        (HEADER + "efect,a,b,1,0.9,\n", r"\(role\): found 'efect'; expected one of effect"),
        (HEADER + ",a,b,1,0.9,\n", r"\(role\): found ''"),
        (HEADER + "effect,,b,1,0.9,\n", r"\(reference\) is empty"),
        (HEADER + "effect,a,b,1,0.9," + "x" * 2_001 + "\n", r"2,001 characters; expected at most 2,000"),
        ("role,role,value\nx,y,1\n", r"column 'role' is there twice"),
        ("role,,value\nx,y,1\n", r"has no name"),
        ("role,reference,candidate,valeu\neffect,a,b,1\n", r"unknown column 'valeu'.*Did you mean 'value'\?"),
        ("role,reference,value\neffect,a,1\n", r"the column 'candidate' is missing"),
        ("role,reference,candidate,value,count\neffect,a,b,1,0\n", r"\(count\): found 0; expected a count"),
        ("role,reference,candidate,value,count\neffect,a,b,1,2.5\n", r"\(count\): found 2\.5"),
        ("role,reference,candidate,value,sd\neffect,a,b,1,-1\n", r"\(sd\): found -1; expected a standard deviation"),
        ("role;reference;candidate;value;sd\neffect;a;b;0,9;0.1\n", r"\(sd\): found '0\.1'; expected .* as 0,989"),
        ("role\0,value\n", r"holds a NUL character"),
        (",".join(f"c{k}" for k in range(70)) + "\n", r"rows of 64 columns"),
        (HEADER + "effect,a,b,1,0.9,\n" * 20_001, r"at most 20,000 rows"),
    ],
)  # fmt: skip
def test_csv_that_is_refused(text: str, message: str):
    with pytest.raises(FormatError, match=message):
        parse_table(text.encode(), where="t.csv")


ROW = '[{"reference": "a", "candidate": "b", "value": 1, %s}]'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"role": "effect", "value": NaN}]', r"t\.csv is not JSON \(NaN is no JSON number\)"),
        ('[{"role": "effect", "role": "x"}]', r"named twice"),
        ('{"role": "effect"}', r"expected a list of objects"),
        ("[]", r"expected a list of objects"),
        ("[1]", r"expected a list of objects"),
        ("[" * 100_000, r"is not JSON"),
        (json.dumps([{f"c{k}": k} for k in range(20_000)]), r"unknown column 'c0'"),
        (
            ROW % '"role": {"a": 1}',
            r"t\.csv:1 \(role\): expected a text, a number, or a list of layers",
        ),
        (ROW % '"role": true', r"expected a text, a number"),
        (
            ROW % '"role": "effect", "note": "=1+1"',
            r"is a formula",
        ),
        (f'[{{"value": {"9" * 5_000}}}]', r"is not JSON|characters"),
    ],
)
def test_json_tables_that_are_refused(text: str, message: str):
    with pytest.raises(FormatError, match=message):
        parse_table(text.encode(), where="t.csv")


def test_tables_of_ten_megabytes_are_refused():
    for data in (HEADER.encode() + b"x" * (10 << 20), b"[" + b" " * (10 << 20)):
        with pytest.raises(FormatError, match="expected at most"):
            parse_table(data, where="t.csv")


def test_what_a_claim_says_reaches_no_terminal_as_control_characters(tmp_path: Path):
    import io

    from rich.console import Console

    from jokbo.hearing.claims.lint import lint_claim
    from jokbo.hearing.claims.terminal import render_lint_terminal

    evil = "a\x1b[2Jb\u202ec[red]d"
    claim = {
        "schema": "jokbo.claim/1", "title": evil, "claimant": evil, "source": evil,
        "models": {"a": {"name": evil, "loaded": evil + "2"}, "b": {"name": evil}}, "reference": "a", "candidate": "b",
        "measure": {"name": "cosine", "tensors": ["norm"]},
        "figures": [{"says": evil, "is": "mean"}],
        "conclusion": {"says": "derived", "about": "model", "text": "x"},
    }  # fmt: skip
    path = tmp_path / "claim.yaml"
    path.write_text(json.dumps(claim))
    out = io.StringIO()
    for lang in ("en", "ko"):
        console = Console(file=out, width=100)
        render_lint_terminal(lint_claim(path).document, lang=lang, console=console)
    shown = out.getvalue()
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[red]" in shown


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_a_pipe_in_the_place_of_a_table_keeps_nobody_waiting(tmp_path: Path, make: object):
    template = Path(__file__).parents[2] / "src/jokbo/hearing/claims/templates/claim.en.yaml"
    (tmp_path / "claim.yaml").write_bytes(template.read_bytes())
    assert callable(make)
    make(tmp_path / "claim.csv")
    with pytest.raises(SourceError, match=r"claim\.csv is no ordinary file"):
        read_claim(tmp_path / "claim.yaml")
