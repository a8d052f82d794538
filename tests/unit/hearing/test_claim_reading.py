"""The forms a claim and its table may have, and what is said where they do not follow them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from jokbo.errors import FormatError, NotFoundError, SourceError
from jokbo.evidence.schema import KEYWORDS
from jokbo.hearing.claims.claim import read_claim
from jokbo.hearing.claims.lint import lint_claim
from jokbo.hearing.claims.measures import COUNTS, MEASURES, ROLES, TENSORS
from jokbo.hearing.claims.schema import CLAIM, LINT, schema, typed
from jokbo.hearing.claims.table import parse_table
from jokbo.hearing.claims.template import claim_template, table_template
from jokbo.testing.claims import codes, lint, sound_claim, write_claim

TABLE = "id,role,reference,candidate,layers,tensor,value,count,pearson\n"


def test_csv_and_json_tables_are_the_same_table():
    csv = (TABLE + "one,effect,a,b,0-2 7,norm,0.989,4,0.01\n").encode()
    rows = [
        {
            "id": "one", "role": "effect", "reference": "a", "candidate": "b", "layers": [0, 1, 2, 7],
            "tensor": "norm", "value": 0.989, "count": 4, "pearson": 0.01,
        }
    ]  # fmt: skip
    a, b = parse_table(csv, where="t.csv"), parse_table(json.dumps(rows).encode(), where="t.json")
    assert [row.value for row in a] == [0.989, 0.01]
    assert a[1].measure == a[1].column == "pearson"
    assert sorted(a[0].layers) == [0, 1, 2, 7]
    import dataclasses

    assert [dataclasses.replace(row, line=0) for row in a] == [dataclasses.replace(row, line=0) for row in b]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffrole;reference;candidate;value\neffect;a;b;0,989\n",
        "role\treference\tcandidate\tvalue\neffect\ta\tb\t0,989\n",
        "role\treference\tcandidate\tvalue\r\neffect\ta\tb\t0.989\r\n",
        'role,reference,candidate,value,note\n"effect","a","b","0.989","with, comma and ""quotes"""\n',
        "\nrole , reference,candidate,value\n\n effect, a , b, 0.989\n",
        "role;reference;candidate;value\neffect;a;b;9,89e-1\n",
    ],
)
def test_csv_as_spreadsheets_write_it(text: str):
    (row,) = parse_table(text.encode(), where="t.csv")
    assert (row.role, row.reference, row.candidate, row.value) == ("effect", "a", "b", 0.989)


def test_the_schema_uses_known_keywords_and_says_the_same_as_a_full_validator(tmp_path: Path):
    for name in (CLAIM, LINT):
        whole = schema(name)
        jsonschema.Draft202012Validator.check_schema(whole)
        assert _keywords(whole) <= KEYWORDS
    claim, rows = sound_claim()
    jsonschema.validate(claim, schema(CLAIM))
    document = json.loads(lint(tmp_path, claim, rows).to_json())
    jsonschema.validate(document, schema(LINT))


def _keywords(value: object, *, named: bool = False) -> set[str]:
    if isinstance(value, list):
        return {k for each in value for k in _keywords(each)}
    if not isinstance(value, dict):
        return set()
    found = set() if named else set(value)
    for key, each in value.items():
        if named or key not in ("const", "enum", "required"):
            found |= _keywords(each, named=not named and key in ("properties", "$defs"))
    return found


def test_the_schema_has_the_words_of_the_code():
    whole = schema(CLAIM)
    assert whole["$defs"]["measure"]["properties"]["name"]["enum"] == list(MEASURES)
    assert whole["$defs"]["measure"]["properties"]["tensors"]["items"]["enum"] == list(TENSORS)
    assert set(ROLES) > {"effect", "baseline"}
    assert COUNTS == ("for", "against", "unused")


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_templates_are_sound_claims(lang: str, tmp_path: Path):
    path = tmp_path / "claim.yaml"
    path.write_bytes(claim_template(lang, table="my table.csv"))
    (tmp_path / "my table.csv").write_bytes(table_template())
    result = lint_claim(path)
    assert codes(result) == []
    outcomes = {rule["code"]: rule["outcome"] for rule in result.document["rules"]}
    for code in ("failed_control", "figure_disagrees", "pvalue_beyond_sample", "no_null"):
        assert outcomes[code] == "clear"


def test_both_templates_are_one_claim(tmp_path: Path):
    found = []
    for lang in ("en", "ko"):
        path = tmp_path / f"{lang}.yaml"
        path.write_bytes(claim_template(lang))
        (tmp_path / "claim.csv").write_bytes(table_template())
        claim = read_claim(path)
        found.append((claim.models.keys(), claim.figures, claim.measure, claim.share, claim.says, claim.rows))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titel": "x"}, r"claim\.yaml:1: unknown field 'titel'\. Did you mean 'title'\?"),
        ({"schema": "jokbo.claim/2"}, r"claim\.yaml:2 \(schema\): expected 'jokbo\.claim/1'"),
        (
            {"candidate": "z"},
            r"\(candidate\): expected the label of a model \('a', 'b', 'c', 'd'\), found 'z'",
        ),
        ({"candidate": "a"}, r"\(candidate\): expected another model than the reference"),
        ({"date": "yesterday"}, r"\(date\): expected text like"),
        ({"table": "../table.json"}, r"\(table\): expected text like"),
        ({"figures": [{"says": "1"}]}, r"\(figures/0\): field 'is' is missing"),
        ({"figures": [{"says": "1", "is": "meen"}]}, r"\(figures/0/is\): expected one of 'mean'"),
        ({"controls": [{"kind": "random", "model": "z"}]}, r"\(controls/0/model\): expected the label"),
        ({"vectors": "table.json"}, r"expected different files"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change: dict, message: str, tmp_path: Path):
    claim, rows = sound_claim()
    with pytest.raises(FormatError, match=message):
        read_claim(write_claim(tmp_path, claim | change, rows))


def test_every_problem_is_told_at_once(tmp_path: Path):
    claim, rows = sound_claim()
    claim["measure"] = {"name": "cosin", "share": "lots", "tensors": ["norms"]}
    claim["figures"] = [{"says": "1", "is": "x"}] * 20
    with pytest.raises(FormatError) as told:
        read_claim(write_claim(tmp_path, claim, rows))
    lines = str(told.value).splitlines()
    assert len(lines) == 13
    assert all(line.startswith("claim.yaml:") for line in lines)
    assert "11 more problems" in lines[-1]


def test_texts_become_numbers_only_where_the_schema_wants_them():
    rule = {
        "properties": {
            "n": {"type": "integer"},
            "x": {"type": "number"},
            "b": {"type": "boolean"},
            "s": {"type": "string"},
        }
    }
    tree = {"n": "102.6B", "x": "1e-3", "b": "no", "s": "007"}
    assert typed(tree, rule, {}) == {"n": 102_600_000_000, "x": 0.001, "b": False, "s": "007"}
    for text in ("1.5", "nan", "1e999", ".inf", "1_000", "", "0x10"):
        assert typed({"n": text}, rule, {}) == {"n": text}
    for text in ("nan", "inf", "1e999", "0,5", "--1"):
        assert typed({"x": text}, rule, {}) == {"x": text}


def test_only_files_beside_the_claim_are_read(tmp_path: Path):
    claim, rows = sound_claim()
    path = write_claim(tmp_path, claim, rows)
    (tmp_path / "secret.json").write_text("[]")
    (tmp_path / "table.json").unlink()
    (tmp_path / "table.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(SourceError, match="leads out of the claim's folder"):
        read_claim(path)
    (tmp_path / "table.json").unlink()
    with pytest.raises(NotFoundError, match=r"table\.json is not there"):
        read_claim(path)
    with pytest.raises(NotFoundError, match=r"nothing\.yaml is not there"):
        read_claim(tmp_path / "nothing.yaml")
    with pytest.raises(SourceError, match="cannot be read"):
        read_claim(tmp_path)


def test_rows_are_about_models_of_the_claim(tmp_path: Path):
    claim, rows = sound_claim()
    rows[2]["candidate"] = "z"
    with pytest.raises(FormatError, match=r"table\.json:3: 'z' is none of the claim's models \(a, b, c, d\)"):
        read_claim(write_claim(tmp_path, claim, rows))


def test_yaml_as_people_write_it(tmp_path: Path):
    text = """
    # Norway is no, commits may be digits, and figures keep their decimals.
    schema: jokbo.claim/1
    title: no
    models:
      no: {repository: org/no, commit: 1234567890123456789012345678901234567890}
      yes: {repository: org/yes}
    reference: no
    candidate: yes
    measure: {name: other, higher_is_closer: no}
    null:
    figures:
      - {says: 0.50, is: other}
    conclusion: {says: not_shown, about: measured, text: 0.50}
    """
    path = tmp_path / "claim.yaml"
    path.write_text(text)
    claim = read_claim(path)
    assert (claim.title, claim.reference, claim.null, claim.figures[0].says) == ("no", "no", "", "0.50")
    assert claim.models["no"].commit == "1234567890123456789012345678901234567890"
    assert claim.measure.higher_is_closer is False
