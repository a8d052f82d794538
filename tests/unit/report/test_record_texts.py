"""Every check, reason and disclosure of an audit has its words in both languages; codes are read from the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import jokbo
from jokbo.records.checks.choose import CHECKS
from jokbo.records.declaration import CheckpointRole, EventKind
from jokbo.records.forgeries import VARIANTS, Forgery
from jokbo.records.policy import DISCLOSURE_COST
from jokbo.records.verdict import Outcome
from jokbo.report.texts import LANGUAGES, catalogue

FOLDER = Path(jokbo.__file__).parent / "records"
FIELDS = ("title", "what", "catches", "cannot", "statistic")
MAKERS = {"Reason", "unknown", "_unknown", "_reason", "CannotRun"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def constants(node: ast.AST) -> Iterator[str]:
    """Strings that an expression may come to, conditions left out."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from constants(body)
            yield from constants(other)
        case ast.BoolOp(values=values):
            for value in values:
                yield from constants(value)


def called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")


def codes(place: Path | ast.AST) -> set[str]:
    """Codes that a file or a part of one gives to reasons, directly or through a name that is assigned in it."""
    within = tree(place) if isinstance(place, Path) else place
    found: set[str] = set()
    names: set[str] = set()
    for node in ast.walk(within):
        if isinstance(node, ast.Call) and called(node) in MAKERS:
            for given in node.args if called(node) == "unknown" else node.args[:1]:
                found |= set(constants(given))
                names |= {given.id} if isinstance(given, ast.Name) else set()
    for node in ast.walk(within):
        if isinstance(node, ast.Assign):
            for name, value in assigned(node):
                found |= set(constants(value)) if name in names else set()
    return {code for code in found if re.fullmatch(r"[a-z][a-z0-9_.]*", code)}


def assigned(node: ast.Assign) -> Iterator[tuple[str, ast.AST]]:
    """Names and what each is given, also several at once."""
    for target in node.targets:
        if isinstance(target, ast.Name):
            yield target.id, node.value
        elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for name, value in zip(target.elts, node.value.elts, strict=True):
                if isinstance(name, ast.Name):
                    yield name.id, value


def needs(path: Path) -> set[str]:
    """Disclosures that a file calls missing, where it names them."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.keyword) and node.arg == "missing":
            found |= {
                text for part in ast.walk(node.value) if isinstance(part, ast.List | ast.Tuple)
                for each in part.elts for text in constants(each)
            }  # fmt: skip
    return found


def helper(module: str | None) -> Path | None:
    """The file of a module that gives checks reasons of their own: what runs the model, or plants, for them."""
    if module and (module.startswith("jokbo.records.replay.") or module == "jokbo.records.plants"):
        return FOLDER.joinpath(*module.split(".")[2:]).with_suffix(".py")
    return None


def reached(path: Path) -> set[str]:
    """Codes that a check can hand on: those in functions and classes that its file leads to, by name."""
    found: set[str] = set()
    seen: set[tuple[Path, str]] = set()
    left = [(path, name) for name in ("", *(n.name for n in tree(path).body if hasattr(n, "name")))]
    while left:
        file, name = left.pop()
        if (file, name) in seen:
            continue
        seen.add((file, name))
        parts = [node for node in tree(file).body if getattr(node, "name", "") == name and name]
        used = {n.id for part in parts for n in ast.walk(part) if isinstance(n, ast.Name)}
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.ImportFrom) and (place := helper(node.module)) is not None:
                left += [(place, alias.name) for alias in node.names if alias.name in used]
        left += [
            (file, other) for other in used if any(getattr(n, "name", "") == other for n in tree(file).body)
        ]
        found |= {code for part in parts for code in codes(part)} if file != path else set()
    return found


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


def check_files() -> list[Path]:
    return sorted(path for path in (FOLDER / "checks").glob("*.py") if path.stem in CHECKS)


def given_values(node: ast.Call, path: Path) -> set[str] | None:
    """Names of the values that a call gives to its reason; None where they cannot be read off the source."""
    if called(node) in ("unknown", "CannotRun"):
        return None if any(k.arg is None for k in node.keywords) else {str(k.arg) for k in node.keywords}
    if len(node.args) < 2:
        return set()
    return keys(node.args[1], path)


def keys(node: ast.AST, path: Path) -> set[str] | None:
    """Keys of a mapping that an expression makes, or a name of the same file is assigned."""
    match node:
        case ast.Dict(keys=given) if all(isinstance(key, ast.Constant) for key in given):
            return {str(key.value) for key in given if isinstance(key, ast.Constant)}
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            both = keys(left, path), keys(right, path)
            return None if None in both else both[0] | both[1]  # type: ignore[operator]
        case ast.Name(id=name):
            assigned = [
                keys(each.value, path) for each in ast.walk(tree(path))
                if isinstance(each, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in each.targets)
            ]  # fmt: skip
            return set().union(*assigned) if assigned and None not in assigned else None  # type: ignore[arg-type]
    return None


@pytest.mark.parametrize("path", check_files(), ids=lambda path: path.stem)
def test_reasons_ask_only_for_values_that_are_given(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and called(node) in MAKERS and node.args:
            values = given_values(node, path)
            for code in constants(node.args[0]):
                shared = code.startswith("policy.")
                text = catalogue("en")[f"record.reason.{'' if shared else f'{path.stem}.'}{code}"]
                assert values is None or placeholders(text) <= values, code


def test_the_source_is_read() -> None:
    assert len(check_files()) == len(CHECKS) == 27
    assert sum(len(codes(path)) for path in check_files()) > 100
    assert "too_far" in codes(FOLDER / "checks" / "step_bound.py")
    assert "no_log" in reached(FOLDER / "checks" / "re_evaluation.py")
    assert "no_optimizer" in reached(FOLDER / "checks" / "memorisation.py")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_its_words(name: str, lang: str) -> None:
    missing = {f"record.check.{name}.{field}" for field in FIELDS} - set(catalogue(lang))
    assert not missing


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", CHECKS)
def test_every_reason_has_its_words(name: str, lang: str) -> None:
    path = FOLDER / "checks" / f"{name}.py"
    missing = {
        code
        for code in codes(path) | reached(path)
        if f"record.reason.{'' if code.startswith('policy.') else f'{name}.'}{code}" not in catalogue(lang)
    }
    assert not missing


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_disclosure_has_its_words(lang: str) -> None:
    asked = set(DISCLOSURE_COST).union(*(needs(path) for path in FOLDER.rglob("*.py")))
    assert {"log", "chain", "optimizer_declared"} <= asked
    assert {need for need in asked if f"record.need.{need}" not in catalogue(lang)} == set()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_value_of_an_audit_has_its_words(lang: str) -> None:
    wanted = {f"record.forgery.{each}.{field}" for each in Forgery for field in ("title", "text")}
    wanted |= {f"record.variant.{each}.{way}" for each, ways in VARIANTS.items() for way in ways}
    wanted |= {f"record.event.{each}" for each in EventKind} | {
        f"record.role.{each}" for each in CheckpointRole
    }
    wanted |= {f"record.outcome.{each}.{field}" for each in Outcome for field in ("word", "meaning")}
    wanted |= {f"record.{part}.{each}" for each in Outcome for part in ("label", "headline")}
    wanted |= {
        f"record.reason.{code}"
        for path in FOLDER.glob("*.py")
        for code in codes(path)
        if code[:7] == "policy."
    }
    assert wanted - set(catalogue(lang)) == set()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_fault_of_a_log_has_its_words(lang: str) -> None:
    found: set[str] = set()
    for path in (FOLDER / "readers").glob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and called(node) in ("fault", "_told"):
                found |= {code for given in node.args[:2] for code in constants(given)}
    assert {"step_back", "not_finite", "cut_end"} <= found
    assert {code for code in found if f"record.log.fault.{code}" not in catalogue(lang)} == set()


def test_both_languages_ask_for_the_same_values() -> None:
    english, korean = (catalogue(lang) for lang in LANGUAGES)
    mine = {key for key in english if key.startswith("record.")}
    assert mine == {key for key in korean if key.startswith("record.")}
    differing = {key for key in mine if placeholders(english[key]) != placeholders(korean[key])}
    assert differing == set()


def test_keys_of_this_report_are_all_used() -> None:
    """A text that nothing shows is a text that nobody reads again."""
    folder = FOLDER.parent / "report"
    source = "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("record*") if path.is_file()
                       and path.suffix in (".py", ".html"))  # fmt: skip
    text = (folder / "locales" / "en" / "record_report.toml").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", source)) | {str(v) for kind in (Forgery, EventKind, Outcome) for v in kind}
    words |= {way for ways in VARIANTS.values() for way in ways}
    unused = {
        key for key in re.findall(r"^(\w+) = ", text, flags=re.M) if key.removesuffix("_meaning") not in words
    }
    assert unused == set()
