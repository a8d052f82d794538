"""Reference pages are what the code says; every command, test and field is in them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from jokbo.cli.main import COMMANDS, cli
from jokbo.evidence.schema import schema

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def test_the_pages_are_in_step():
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts/make_reference.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("page", ["evidence.md", "evidence.ko.md"])
def test_every_field_of_evidence_is_explained(page: str):
    text = (REFERENCE / page).read_text(encoding="utf-8")
    for name, rule in {"": schema(), **schema()["$defs"]}.items():
        for field in rule.get("properties", {}):
            assert f"| `{field}` |" in text, f"{name}.{field}"


def documents() -> list[dict[str, Any]]:
    """Schemas that stand on a page together, as the script's words list them."""
    words = tomllib.loads((ROOT / "scripts/register_reference_texts.toml").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = words["document"]
    return found


def read_schema(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "src/jokbo" / document["schema"]).read_text(encoding="utf-8"))
    return found


def field_names(rule: Any, prefix: str = "") -> Iterator[str]:
    """Names of all fields of an object, those of objects within lists, maps and choices behind them."""
    if not isinstance(rule, dict) or "$ref" in rule:
        return
    for name, each in rule.get("properties", {}).items():
        yield prefix + name
        yield from field_names(each, f"{prefix}{name}.")
    yield from field_names(rule.get("items"), prefix.removesuffix(".") + "[].")
    yield from field_names(rule.get("additionalProperties"), prefix.removesuffix(".") + ".*.")
    for branch in rule.get("anyOf", ()):
        yield from field_names(branch, prefix)


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("document", documents(), ids=lambda document: document["schema"].split("/")[-1])
def test_every_field_of_kept_documents_is_explained(document: dict[str, Any], lang: str):
    ending = ".md" if lang == "en" else ".ko.md"
    text = (REFERENCE / f"{document['page']}{ending}").read_text(encoding="utf-8")
    section = text.partition(f"## {document[lang]['heading']}\n")[2]
    section = re.split(r"^## ", section, flags=re.MULTILINE)[0]
    whole, elsewhere = read_schema(document), document.get("elsewhere", {})
    parts = re.split(r"^### ", section, flags=re.MULTILINE)
    told = {part.partition("\n")[0]: part for part in parts[1:]} | {"": parts[0]}
    inner = {f"{document['name']} {name}": rule for name, rule in whole.get("$defs", {}).items()}
    skipped = {f"{document['name']} {name}" for name in elsewhere}
    assert set(told) == {"", *inner} - skipped
    for name, rule in {"": whole, **inner}.items():
        for field in field_names(rule) if name not in skipped else ():
            assert f"| `{field}` |" in told[name], f"{name}: {field}"


def test_what_is_told_elsewhere_has_the_fields_told_there():
    """A search's copy of the pair is told once, at the pair."""
    rules = {}
    for document in documents():
        whole = read_schema(document)
        rules[document["name"]] = whole
        rules |= {f"{document['name']} {name}": rule for name, rule in whole.get("$defs", {}).items()}
    told = [
        (f"{document['name']} {name}", place)
        for document in documents()
        for name, place in document.get("elsewhere", {}).items()
    ]
    assert len(told) == 3
    for name, place in told:
        assert set(rules[name]["properties"]) == set(rules[place]["properties"]), name


@pytest.mark.parametrize("schema_file", sorted((ROOT / "src/jokbo").glob("lineage/schemas/*.json")))
def test_every_schema_of_lineage_has_a_page(schema_file: Path):
    """The parents of a merge are told in their how-to."""
    if schema_file.name != "parents-1.json":
        assert f"lineage/schemas/{schema_file.name}" in {each["schema"] for each in documents()}


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_field_of_a_fingerprints_header_is_explained(lang: str):
    """The page is written with its measurements; its words are a file of their own."""
    from jokbo.views.fingerprint_header import FingerprintHeader

    words = tomllib.loads((ROOT / "benchmarks/fingerprint_texts.toml").read_text(encoding="utf-8"))
    rows = [line for line in words[lang]["head"].splitlines() if line.startswith("| `")]
    fields = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert set(FingerprintHeader.__slots__) <= fields


@pytest.mark.parametrize("page", ["evidence.ko.md", "register-documents.ko.md", "claim.ko.md"])
def test_the_korean_page_is_in_korean(page: str):
    """Every meaning has Korean letters, or is a plain number or name."""
    for line in (REFERENCE / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            assert re.search(r"[가-힣]", line.rsplit("|", 2)[1]), line


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def test_every_command_and_option_is_explained():
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    found = dict(commands(cli, "jokbo"))
    assert len(found) > len(COMMANDS)
    for path, command in found.items():
        section = text.partition(f"## {path}\n")[2].partition("\n## ")[0]
        assert section, path
        for parameter in command.params:
            assert parameter.opts[0] in section or parameter.opts[0].upper() in section, (
                f"{path} {parameter.opts}"
            )
            if parameter.param_type_name == "option":
                assert parameter.help, f"{path} {parameter.opts} has no help"


def test_every_exit_status_is_explained():
    text = " ".join((REFERENCE / "cli.md").read_text(encoding="utf-8").split())
    for status in ("0 no evidence", "10 dependence", "11 untestable or inconclusive", "2 bad usage or input"):
        assert status in text


def independence_tests() -> list[type]:
    from jokbo.independence.base import IndependenceTest

    for path in sorted((ROOT / "src/jokbo/independence").glob("*.py")):
        import_module(f"jokbo.independence.{path.stem}" if path.stem != "__init__" else "jokbo.independence")
    return sorted(IndependenceTest.__subclasses__(), key=lambda test: test.name)


def test_every_independence_test_is_in_the_catalogue():
    text = (REFERENCE / "tests.md").read_text(encoding="utf-8")
    assert len(independence_tests()) >= 6
    for test in independence_tests():
        section = text.partition(f"## `{test.name}`")[2].partition("\n## ")[0]
        assert section, test.name
        assert f"**{test.code}," in section, f"{test.name}: {test.code}"
        for heading in ("### Null", "valid", "### What fools it"):
            assert heading in section, f"{test.name}: {heading}"


def test_every_independence_test_states_its_facts():
    from jokbo.independence.base import Alignment, Family

    codes = [test.code for test in independence_tests()]
    assert len(set(codes)) == len(codes)
    for test in independence_tests():
        assert isinstance(test.family, Family)
        assert test.version >= 1
        assert test.symmetry
        assert test.survives <= frozenset(Alignment)
        assert Path(sys.modules[test.__module__].__file__).stem == test.name
