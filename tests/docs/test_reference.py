"""Reference pages are what the code says; every command, test and field is in them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

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


def test_the_korean_page_is_in_korean():
    """Every meaning has Korean letters, or is a plain number or name."""
    for line in (REFERENCE / "evidence.ko.md").read_text(encoding="utf-8").splitlines():
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
