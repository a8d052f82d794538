from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import jokbo
from jokbo.architectures.base import Role
from jokbo.errors import EvidenceError, UsageError
from jokbo.evidence.findings import Status, VerdictKind
from jokbo.independence.base import Alignment, Family
from jokbo.independence.bounds import SCRAMBLED, Kind
from jokbo.independence.combine import STAGES
from jokbo.independence.plan import ReadingPlan
from jokbo.report.texts import (
    LANGUAGES,
    NAME_CLOSES,
    NAME_OPENS,
    MissingTextError,
    Texts,
    catalogue,
    clean,
    detect_language,
    name,
    power,
)
from jokbo.views.component import ComponentKind

SOURCE = Path(jokbo.__file__).parent
APART = {"league", "descriptive", "records"}
"""Their reasons have texts of their own, beside the scores and beside each check."""


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


def reasons() -> Iterator[tuple[str, set[str] | None]]:
    """Every reason code that the source can write, with its value names where they are literal."""
    for path in SOURCE.rglob("*.py"):
        if APART & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reason":
                yield from _codes(node, path)


def _codes(node: ast.Call, path: Path) -> Iterator[tuple[str, set[str] | None]]:
    code = node.args[0]
    values: set[str] | None = set()
    if len(node.args) > 1:
        given = node.args[1]
        values = {ast.literal_eval(key) for key in given.keys} if isinstance(given, ast.Dict) else None
    if isinstance(code, ast.Constant):
        yield code.value, values
    elif isinstance(code, ast.JoinedStr):
        # The only formatted codes name a side.
        stem = "".join(part.value for part in code.values if isinstance(part, ast.Constant))
        assert stem == "absent_in_", f"{path}: a formatted code that this test does not know"
        yield from ((f"{stem}{side}", values) for side in ("reference", "candidate"))
    else:
        yield from ((text, None) for text in _assigned(code, path))


def _assigned(code: ast.expr, path: Path) -> list[str]:
    """Codes that reach a call through a variable: all that look like codes where it is assigned."""
    assert isinstance(code, ast.Name), f"{path}: a code that this test cannot follow"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == code.id for t in node.targets)
    ]
    options = [c.value for value in found for c in ast.walk(value) if isinstance(c, ast.Constant)]
    codes = [
        option for option in options if isinstance(option, str) and re.fullmatch(r"[a-z]+(_[a-z]+)+", option)
    ]
    assert codes, f"{path}: no code found for {code.id}"
    return codes


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_reason_code_of_the_source_has_a_text(lang: str) -> None:
    found = list(reasons())
    assert len(found) > 20
    missing = {code for code, _ in found if f"reason.{code}" not in catalogue(lang)}
    assert not missing


@pytest.mark.parametrize("lang", LANGUAGES)
def test_reason_texts_ask_only_for_values_that_are_given(lang: str) -> None:
    for code, values in reasons():
        if values is not None:
            assert placeholders(catalogue(lang)[f"reason.{code}"]) <= values, code


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    ("group", "codes"),
    [
        ("verdict.{}.headline", VerdictKind),
        ("verdict.{}.explanation", VerdictKind),
        ("status.{}.word", Status),
        ("status.{}.meaning", Status),
        ("alignment.{}", [*Alignment, SCRAMBLED]),
        ("found_as.{}", [*Alignment, SCRAMBLED]),
        ("family.{}", Family),
        ("kind.{}", ComponentKind),
        ("stage.{}", STAGES),
        ("limits.{}", Kind),
        ("limits.axis_{}", Kind),
        ("limits.of_{}", Kind),
        ("direction.{}", ["undetermined"]),
        ("declared.{}", ["exactly", "exceeded"]),
        ("source.{}", ["local", "memory", "hub", "http", "s3", "gs"]),
        ("weight.{}", [role for role in Role if role.endswith("norm")]),
        ("plan.{}", ReadingPlan.__dataclass_fields__),
    ],
)
def test_every_value_has_a_text(lang: str, group: str, codes: object) -> None:
    missing = {str(code) for code in codes if group.format(code) not in catalogue(lang)}  # type: ignore[attr-defined]
    assert not missing


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_test_and_tower_has_a_text(lang: str) -> None:
    tests = set(re.findall(r'^    name = "(\w+)"', _all_source("independence"), flags=re.M))
    tests |= {
        "rank_betting",
        "fixed_points",
        "norm_pattern",
        "unit_signs",
        "channel_signs",
        "attention_signs",
    }
    towers = set()
    for path in (SOURCE / "architectures" / "data").glob("*.toml"):
        towers |= set(tomllib.loads(path.read_text(encoding="utf-8")).get("towers", {}))
    missing = {f"test.{test}" for test in tests} | {f"tower.{tower}" for tower in towers}
    assert missing <= set(catalogue(lang))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_checked_axis_has_a_text(lang: str) -> None:
    source = _all_source("independence")
    axes = set(re.findall(r'{self\.component}\.([a-z ]+)"', source))
    assert {"units", "signs", "channels"} <= axes
    assert {f"axis.{axis}" for axis in axes} <= set(catalogue(lang))


def _all_source(package: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in (SOURCE / package).rglob("*.py"))


def test_languages_have_the_same_keys_and_placeholders() -> None:
    english, korean = (catalogue(lang) for lang in LANGUAGES)
    assert set(english) == set(korean)
    for key, text in english.items():
        assert placeholders(text) == placeholders(korean[key]), key
        assert text
        assert korean[key]


def test_korean_texts_are_korean() -> None:
    latin_only = {
        key
        for key, text in catalogue("ko").items()
        if not re.search(r"[가-힣]", text) and re.search(r"[A-Za-z]{3}", re.sub(r"{\w+}", "", text))
    }
    assert latin_only == {"repeat.command", "evidence.log10"}


def test_keys_that_code_names_exist() -> None:
    asked = set()
    for path in (SOURCE / "report").rglob("*"):
        if path.suffix in {".py", ".html"} and path.name not in {"anatomy.py", "verification.py"}:
            asked |= set(re.findall(r'\bt\("([a-z0-9_.]+)"', path.read_text(encoding="utf-8")))
    assert len(asked) > 80
    assert asked <= set(catalogue("en"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_stated_levels_are_those_in_use(lang: str) -> None:
    from jokbo.independence.learned import MIN_NORM_CORRELATION, MIN_SUBSPACE_OVERLAP

    last = catalogue(lang)["learning.scale"].split(". ")[-1]
    assert re.findall(r"\.\d+", last)[-2:] == [
        f"{level:.1f}"[1:] for level in (MIN_NORM_CORRELATION, MIN_SUBSPACE_OVERLAP)
    ]


FORBIDDEN = {
    "en": r"theft|stole|steal|plagiar|guilt|victim|suspect|culprit|proven independent|fraud",
    "ko": r"도용|표절|훔|절도|범인|피해자|용의|사기|독립임이 (증명|입증)되",
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_text_accuses(lang: str) -> None:
    bad = {key: text for key, text in catalogue(lang).items() if re.search(FORBIDDEN[lang], text, re.I)}
    assert not bad


def test_missing_code_is_an_error_and_names_it() -> None:
    with pytest.raises(EvidenceError, match=r"reason 'made_up'.*Show it with the version that wrote it"):
        Texts("en").reason({"code": "made_up", "values": {}})
    with pytest.raises(EvidenceError, match=r"without its value 'level'"):
        Texts("en").reason({"code": "relabelling_guard", "values": {"effect": 0.1}})
    with pytest.raises(MissingTextError, match=r"no\.such\.key"):
        Texts("en")("no.such.key")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko"}, "ko"),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "ko_KR", "LANG": "de_DE"}, "ko"),
        ({"LANG": "kok_IN"}, "en"),
    ],
)
def test_language_follows_the_locale(environ: dict[str, str], expected: str) -> None:
    assert detect_language(None, environ) == expected


def test_language_option_wins_and_is_checked() -> None:
    assert detect_language("ko", {"LANG": "en_US"}) == "ko"
    with pytest.raises(UsageError, match="'fr' is not available; expected en or ko"):
        detect_language("fr", {})


@pytest.mark.parametrize(
    ("log10", "english", "korean"),
    [
        (6.0, "1 million", "100만"),
        (6.99, "9 million", "900만"),
        (6.6989700043, "5 million", "500만"),
        (12.1, "1 trillion", "1조"),
        (15.0, "10¹⁵", "10¹⁵"),
        (341.9, "10¹⁰⁰", "10¹⁰⁰"),
        (3.5, "3,000", "3,000"),
        (-0.2, "1", "1"),
    ],
)
def test_tries_are_rounded_down_and_capped(log10: float, english: str, korean: str) -> None:
    assert Texts("en").tries(log10) == english
    assert Texts("ko").tries(log10) == korean


def test_percent_says_all_only_of_all() -> None:
    t = Texts("en")
    assert t.percent(1.0) == "100%"
    assert t.percent(0.9999) == "99.9%"
    assert t.percent(0.26532) == "26.5%"
    assert t.percent(0.0004) == "0.04%"
    assert t.percent(0.000004) == "under 0.001%"
    assert t.percent(0.0) == "0%"


def test_evalue_of_a_table() -> None:
    t = Texts("en")
    assert [t.evalue(x) for x in (None, -0.6, 0.0, 3.0, 4.4, 342.7)] == [
        "–",
        "0.25",
        "1.00",
        "1,000",
        "10⁴",
        "10³⁴²",
    ]
    assert power(-3) == "10⁻³"


@pytest.mark.parametrize(
    "bad", ["\u202e", "\u2066", "\u200f", "\x1b", "\n", "\x00", "\u2028", "\ud800", "\u00a0"]
)
def test_names_cannot_turn_or_break_a_line(bad: str) -> None:
    shown = clean(f"a{bad}b")
    assert bad not in shown
    assert f"[U+{ord(bad):04X}]" in shown


def test_names_are_isolated_and_cut() -> None:
    assert name("x") == f"{NAME_OPENS}x{NAME_CLOSES}"
    long = clean("m" * 5000)
    assert len(long) <= 125
    assert "…" in long
