"""Write the reference pages from the code: `python scripts/make_reference.py` (``--check`` only compares).

The evidence schema, the command line and the test catalogue are documented where they are
made; these pages show it. Korean descriptions of the schema are in ``reference_texts.toml``
beside this script, by their English text; one that is missing stops the script.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import click  # noqa: E402

from jokbo.cli.main import COMMANDS, cli  # noqa: E402
from jokbo.evidence.schema import schema  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
TESTS = ROOT / "src" / "jokbo" / "independence"
MADE = "<!-- Written by scripts/make_reference.py; do not edit. -->"

Translate = Callable[[str], str]
Rule = Mapping[str, Any]

TEXTS = tomllib.loads((ROOT / "scripts" / "reference_texts.toml").read_text(encoding="utf-8"))


def translations() -> dict[str, str]:
    """Korean descriptions by English ones."""
    return {row["en"]: row["ko"] for row in TEXTS["phrase"]}


def descriptions(rule: Any) -> Iterator[str]:
    """Every description in the schema."""
    if isinstance(rule, Mapping):
        if isinstance(rule.get("description"), str):
            yield rule["description"]
        for value in rule.values():
            yield from descriptions(value)
    elif isinstance(rule, list):
        for value in rule:
            yield from descriptions(value)


def type_of(rule: Rule, heads: Mapping[str, str]) -> str:
    """What a field holds, in a few words."""
    if "$ref" in rule:
        name = rule["$ref"].removeprefix("#/$defs/")
        return f"[{name}](#{name})"
    if "anyOf" in rule:
        return heads["or"].join(type_of(branch, heads) for branch in rule["anyOf"])
    if "const" in rule:
        return f"`{rule['const']}`"
    if "enum" in rule:
        return ", ".join("null" if value is None else f"`{value}`" for value in rule["enum"])
    if "prefixItems" in rule:
        return "[" + ", ".join(type_of(each, heads) for each in rule["prefixItems"]) + "]"
    if rule.get("type") == "array":
        return heads["list"].format(type_of(rule["items"], heads))
    if rule.get("type") == "object" and "properties" not in rule:
        return heads["map"].format(type_of(rule["additionalProperties"], heads))
    kind = rule["type"]
    return kind if isinstance(kind, str) else heads["or"].join(kind)


def table(rule: Rule, heads: Mapping[str, str], say: Translate, prefix: str = "") -> Iterator[str]:
    """Rows of an object, those of objects inside it below."""
    for name, each in rule["properties"].items():
        described = (
            each.get("description") or schema()["$defs"][each["$ref"].removeprefix("#/$defs/")]["description"]
        )
        yield f"| `{prefix}{name}` | {type_of(each, heads)} | {say(described)} |"
        inner = each.get("items", each) if "$ref" not in each else each
        if "properties" in inner:
            yield from table(inner, heads, say, f"{prefix}{name}{'[]' if 'items' in each else ''}.")


def evidence_page(lang: str) -> str:
    """The schema as tables."""
    heads = TEXTS[lang]
    known = translations() if lang == "ko" else {}

    def say(text: str) -> str:
        return text if lang == "en" else known[text]

    head = [f"| {heads['field']} | {heads['type']} | {heads['meaning']} |", "|---|---|---|"]
    lines = [f"# {heads['title']}", "", MADE, "", heads["intro"], "", f"## {heads['document']}", ""]
    lines += [*head, *table(schema(), heads, say), ""]
    for name, rule in schema()["$defs"].items():
        lines += [f"## {name}", "", say(rule["description"]), ""]
        if "properties" in rule:
            lines += [*head, *table(rule, heads, say), ""]
        elif "pattern" in rule:
            lines += [f"`{rule['pattern']}`", ""]
    return "\n".join(lines)


def cli_page() -> str:
    """Every command's help, as the command line prints it."""
    context = click.Context(cli, info_name="jokbo", terminal_width=100, max_content_width=100)
    lines = ["# Command line", "", MADE, "", "```text", cli.get_help(context), "```", ""]
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        inner = click.Context(
            command, info_name=name, parent=context, terminal_width=100, max_content_width=100
        )
        lines += [f"## jokbo {name}", "", "```text", command.get_help(inner), "```", ""]
    return "\n".join(lines)


def catalogue() -> list[tuple[str, str, str]]:
    """Module name, title and body of every test's docstring, in the order of their codes."""
    found = []
    for path in sorted(TESTS.glob("*.py")):
        documented = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if re.match(r"E\d", documented):
            title, _, body = documented.partition("\n")
            found.append((path.stem, title.strip(), body.strip()))
    return sorted(found, key=lambda row: (int(re.findall(r"\d+", row[1])[0]), row[1]))


def to_markdown(body: str) -> str:
    """A docstring's sections (a word on its own line, its text indented) as Markdown."""
    lines = []
    for line in body.splitlines():
        if line and not line.startswith(" "):
            heading = re.fullmatch(r"[A-Z][^.:,]{2,40}", line)
            lines += ["", f"### {line}", ""] if heading else [line]
        else:
            lines.append(line.strip())
    text = re.sub(r":(?:func|class|mod|data):`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", "\n".join(lines))
    return re.sub(r"\n{3,}", "\n\n", text).replace("``", "`").strip()


def tests_page() -> str:
    """The test catalogue: what each test assumes, why its e-value is valid, and what fools it."""
    intro = (
        "Every independence test, from the docstring of its file. H0 is that the weights of the two models\n"
        "come from separate random initialisations and separate training. An e-value of E is seen under H0\n"
        "with probability at most 1/E. Names are those in evidence documents."
    )
    lines = ["# Test catalogue", "", MADE, "", intro, ""]
    for module, title, body in catalogue():
        lines += [f"## `{module}`", "", f"**{title}**", "", to_markdown(body), ""]
        lines += [f"Source: [`{module}.py`](../../src/jokbo/independence/{module}.py)", ""]
    return "\n".join(lines)


PAGES: Mapping[str, Callable[[], str]] = {
    "evidence.md": lambda: evidence_page("en"),
    "evidence.ko.md": lambda: evidence_page("ko"),
    "cli.md": cli_page,
    "tests.md": tests_page,
}


def main() -> None:
    """Write the pages, or say which are out of step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a page is out of step"
    )
    check = parser.parse_args().check
    stale = []
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make().rstrip() + "\n"
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.exit(f"out of step: {', '.join(stale)}; run python scripts/make_reference.py")


if __name__ == "__main__":
    main()
