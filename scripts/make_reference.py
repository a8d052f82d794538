"""Write the reference pages from the code: `python scripts/make_reference.py` (``--check`` only compares).

The schemas, the command line, the test catalogue and the checks on records are documented where
they are made; these pages show it. Korean descriptions of the schemas are in ``reference_texts.toml`` and the
``record_``, ``register_`` and ``league_`` ones beside this script, by their English text; one that is missing stops
the script.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import click  # noqa: E402

from jokbo.cli.main import cli  # noqa: E402
from jokbo.evidence.schema import schema  # noqa: E402
from jokbo.records.checks.choose import all_checks  # noqa: E402
from jokbo.records.document import schema as audit_schema  # noqa: E402
from jokbo.report.texts import Texts  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
TESTS = ROOT / "src" / "jokbo" / "independence"
MADE = "<!-- Written by scripts/make_reference.py; do not edit. -->"

Translate = Callable[[str], str]
Rule = Mapping[str, Any]

CHECKS = ROOT / "src" / "jokbo" / "records" / "checks"


def texts(name: str) -> dict[str, Any]:
    """A file of words beside this script."""
    return tomllib.loads((ROOT / "scripts" / f"{name}.toml").read_text(encoding="utf-8"))


TEXTS = texts("reference_texts")
RECORD_TEXTS = texts("record_reference_texts")
REGISTER_TEXTS = texts("register_reference_texts")
LEAGUE_TEXTS = texts("league_reference_texts")


def translations(words: Mapping[str, Any]) -> dict[str, str]:
    """Korean descriptions by English ones."""
    return {row["en"]: row["ko"] for row in words["phrase"]}


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


def definition(rule: Rule) -> str:
    """Name of the definition that a rule refers to."""
    name: str = rule["$ref"].removeprefix("#/$defs/")
    return name


def type_of(rule: Rule, heads: Mapping[str, str], anchor: Translate = str) -> str:
    """What a field holds, in a few words; `anchor` gives the anchor of a definition's section."""
    if "$ref" in rule:
        return f"[{definition(rule)}](#{anchor(definition(rule))})"
    if "anyOf" in rule:
        return heads["or"].join(type_of(branch, heads, anchor) for branch in rule["anyOf"])
    if "const" in rule:
        return f"`{rule['const']}`"
    if "enum" in rule:
        return ", ".join("null" if value is None else f"`{value}`" for value in rule["enum"])
    if "prefixItems" in rule:
        return "[" + ", ".join(type_of(each, heads, anchor) for each in rule["prefixItems"]) + "]"
    if rule.get("type") == "array":
        return heads["list"].format(type_of(rule["items"], heads, anchor))
    if rule.get("type") == "object" and "properties" not in rule and "additionalProperties" in rule:
        return heads["map"].format(type_of(rule["additionalProperties"], heads, anchor))
    kind = rule["type"]
    return kind if isinstance(kind, str) else heads["or"].join(kind)


def inside(rule: Rule) -> tuple[str, Rule] | None:
    """What is written behind a field's name, and the object whose fields follow below it."""
    if "$ref" in rule:
        return None
    if "properties" in rule:
        return "", rule
    for key, written in (("items", "[]"), ("additionalProperties", ".*")):
        within = inside(rule[key]) if isinstance(rule.get(key), Mapping) else None
        if within is not None:
            return written + within[0], within[1]
    return next(filter(None, map(inside, rule.get("anyOf", ()))), None)


def table(
    rule: Rule,
    whole: Rule,
    heads: Mapping[str, str],
    say: Translate,
    prefix: str = "",
    anchor: Translate = str,
) -> Iterator[str]:
    """Rows of an object, those of objects inside it below."""
    for name, each in rule["properties"].items():
        described = each.get("description") or whole["$defs"][definition(each)]["description"]
        yield f"| `{prefix}{name}` | {type_of(each, heads, anchor)} | {say(described)} |"
        within = inside(each)
        if within is not None:
            yield from table(within[1], whole, heads, say, f"{prefix}{name}{within[0]}.", anchor)


def schema_page(whole: Rule, words: Mapping[str, Any], lang: str) -> str:
    """A schema as tables."""
    heads = words[lang]
    known = translations(words) if lang == "ko" else {}

    def say(text: str) -> str:
        return text if lang == "en" else known[text]

    head = [f"| {heads['field']} | {heads['type']} | {heads['meaning']} |", "|---|---|---|"]
    lines = [f"# {heads['title']}", "", MADE, "", heads["intro"], "", f"## {heads['document']}", ""]
    lines += [*head, *table(whole, whole, heads, say), ""]
    for name, rule in whole["$defs"].items():
        lines += [f"## {name}", "", say(rule["description"]), ""]
        if "properties" in rule:
            lines += [*head, *table(rule, whole, heads, say), ""]
        elif "pattern" in rule:
            lines += [f"`{rule['pattern']}`", ""]
    return "\n".join(lines)


def to_anchor(heading: str) -> str:
    """The anchor that a heading gets on a page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def documents_page(page: str, lang: str, words: Mapping[str, Any] = REGISTER_TEXTS) -> str:
    """Several schemas as tables on one page, a section each."""
    heads, about = words[lang], words["page"][page][lang]
    known = translations(words) if lang == "ko" else {}
    documents = [each for each in words["document"] if each["page"] == page]
    headings = {each["name"]: each[lang]["heading"] for each in documents}
    lines = [f"# {about['title']}", "", MADE, "", heads["other"].format(page), "", about["intro"].strip(), ""]

    def say(text: str) -> str:
        return text if lang == "en" else known[text]

    for document in documents:
        name, elsewhere = document["name"], document.get("elsewhere", {})
        whole = json.loads((ROOT / "src" / "jokbo" / document["schema"]).read_text(encoding="utf-8"))

        def anchor(inner: str, name: str = name, elsewhere: Mapping[str, str] = elsewhere) -> str:
            place: str = elsewhere.get(inner, f"{name} {inner}")
            return to_anchor(headings.get(place, place))

        def fields(rule: Rule, whole: Rule = whole, anchor: Translate = anchor) -> Iterator[str]:
            yield from (f"| {heads['field']} | {heads['type']} | {heads['meaning']} |", "|---|---|---|")
            yield from (*table(rule, whole, heads, say, anchor=anchor), "")
            optional = [key for key in rule["properties"] if key not in rule.get("required", ())]
            if optional:
                yield from (heads["optional"].format(", ".join(f"`{key}`" for key in optional)), "")

        lines += [f"## {headings[name]}", "", document[lang]["intro"].strip(), "", *fields(whole)]
        for inner, rule in whole.get("$defs", {}).items():
            if inner in elsewhere:
                continue
            lines += [f"### {name} {inner}", "", say(rule["description"]), ""]
            if "properties" in rule:
                lines += fields(rule)
            elif "pattern" in rule:
                lines += [f"`{rule['pattern']}`", ""]
    return "\n".join(lines)


def commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Every command with the context of its help, those of a group after the group."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(
            command, info_name=name, parent=context, terminal_width=100, max_content_width=100
        )
        yield command, inner
        if isinstance(command, click.Group):
            yield from commands(command, inner)


def cli_page() -> str:
    """Every command's help, as the command line prints it."""
    context = click.Context(cli, info_name="jokbo", terminal_width=100, max_content_width=100)
    lines = ["# Command line", "", MADE, "", "```text", cli.get_help(context), "```", ""]
    for command, inner in commands(cli, context):
        names = []
        at: click.Context | None = inner
        while at is not None:
            names.append(at.info_name or "")
            at = at.parent
        lines += [f"## {' '.join(reversed(names))}", "", "```text", command.get_help(inner), "```", ""]
    return "\n".join(lines)


def catalogue(folder: Path, letter: str) -> list[tuple[str, str, str]]:
    """Module name, title and body of every docstring that opens with such a code, in the order of the codes."""
    found = []
    for path in sorted(folder.glob("*.py")):
        documented = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if re.match(rf"{letter}\d", documented):
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
    for module, title, body in catalogue(TESTS, "E"):
        lines += [f"## `{module}`", "", f"**{title}**", "", to_markdown(body), ""]
        lines += [f"Source: [`{module}.py`](../../src/jokbo/independence/{module}.py)", ""]
    return "\n".join(lines)


def checks_page(lang: str) -> str:
    """The checks on records: a table in the reader's language, and in English each check's own page."""
    say, words = Texts(lang), RECORD_TEXTS[lang]
    lines = [
        f"# {words['catalogue']}",
        "",
        MADE,
        "",
        words["catalogue_intro"].strip(),
        "",
        words["other"],
        "",
    ]
    lines += [f"| {' | '.join(words['head'])} |", "|---|---|---|---|---|"]
    for check in all_checks():
        key = f"record.check.{check.name}"
        cells = [say(f"{key}.{part}") for part in ("what", "catches", "cannot")]
        title = f"C{check.number} `{check.name}`: {say(f'{key}.title')}"
        lines.append(f"| {title} | {words['kinds'][check.kind]} | {' | '.join(cells)} |")
    if lang == "en":
        for module, title, body in catalogue(CHECKS, "C"):
            lines += ["", f"## `{module}`", "", f"**{title}**", "", to_markdown(body), ""]
            lines += [f"Source: [`{module}.py`](../../src/jokbo/records/checks/{module}.py)"]
    return "\n".join(lines)


PAGES: Mapping[str, Callable[[], str]] = {
    "evidence.md": lambda: schema_page(schema(), TEXTS, "en"),
    "evidence.ko.md": lambda: schema_page(schema(), TEXTS, "ko"),
    "record-audit.md": lambda: schema_page(audit_schema(), RECORD_TEXTS, "en"),
    "record-audit.ko.md": lambda: schema_page(audit_schema(), RECORD_TEXTS, "ko"),
    "record-checks.md": lambda: checks_page("en"),
    "record-checks.ko.md": lambda: checks_page("ko"),
    "register-documents.md": lambda: documents_page("register-documents", "en"),
    "register-documents.ko.md": lambda: documents_page("register-documents", "ko"),
    "league-documents.md": lambda: documents_page("league-documents", "en", LEAGUE_TEXTS),
    "league-documents.ko.md": lambda: documents_page("league-documents", "ko", LEAGUE_TEXTS),
    "claim.md": lambda: documents_page("claim", "en"),
    "claim.ko.md": lambda: documents_page("claim", "ko"),
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
