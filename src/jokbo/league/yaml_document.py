"""A YAML file of the league, held against a schema: every problem with its line, its key, and what was expected.

Scalars are texts until the schema says what they are. An empty value is not left out but wrong: in a file that is
fixed beforehand, a blank is a mistake and never a default.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError, NotFoundError, SourceError
from jokbo.evidence import schema as rules
from jokbo.formats.strict_yaml import MAX_BYTES, YamlTree, parse_yaml

MAX_PROBLEMS = 12
MAX_SHOWN = 200
Problem = rules.Problem

_INTEGER = re.compile(r"-?[0-9]{1,15}")
_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?")
_PATTERN_WORDS = {
    r"^[\s\S]{1,1000}$": "a text of 1 to 1,000 characters",
    "^[0-9a-f]{64}$": "64 hexadecimal digits, small letters",
    "^[0-9a-f]{7,64}$": "7 to 64 hexadecimal digits, small letters",
    r"^-?[0-9]{1,10}(\.[0-9]{1,6})?$": "a number as it is published, such as 22.5",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}$": "a day such as 2026-08-18",
    "^[a-z0-9-]{1,64}$": "1 to 64 small letters, digits and hyphens",
    "^[a-z0-9][a-z0-9-]{0,63}$": "1 to 64 small letters, digits and hyphens, the first no hyphen",
    "^[a-z0-9][a-z0-9_-]{0,63}$": "1 to 64 small letters, digits, hyphens and underscores, first a letter or digit",
}
"""What a pattern of the schemas asks for, for people who read no patterns."""
KINDS = {
    "jokbo_round": "a round's rules",
    "jokbo_results": "a results list",
    "jokbo_season": "a season",
    "jokbo_leak": "a plan of figures to be published",
}
"""The key that tells a kind of file, and what people call it."""
_TRUTH = {"yes": True, "true": True, "no": False, "false": False}


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A file that follows its schema.

    Attributes
    ----------
    value : mapping
        Texts, numbers, truth values, lists and mappings, as the schema types them.
    tree : YamlTree
        Where each thing stands.
    where : str
        Name of the file, for messages.
    """

    value: Mapping[str, Any]
    tree: YamlTree
    where: str

    def refuse(self, problems: Iterable[Problem], whole: Mapping[str, Any] | None = None) -> None:
        """Raise what is wrong, if anything is.

        Raises
        ------
        FormatError
            One line a problem, at most twelve.
        """
        _refuse(list(problems), self.tree, self.where, whole or {})


def read_small(path: Path, *, most_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a small file.

    Raises
    ------
    NotFoundError, SourceError, FormatError
        It is not there, cannot be read, or is too large.
    """
    try:
        # Not blocking: a pipe that nobody writes into would be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise SourceError(f"{path} is no ordinary file. Give a file.")
            data = stream.read(most_bytes + 1)
    except FileNotFoundError:
        raise NotFoundError(f"{path} is not there. Check the name.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}. Name a file that can.") from None
    if len(data) > most_bytes:
        raise FormatError(f"{path.name} is larger than {most_bytes:,} bytes; expected a shorter file.")
    return data


def parse_document(data: bytes, whole: Mapping[str, Any], *, where: str) -> YamlDocument:
    """Parse a file and hold it against a schema.

    Parameters
    ----------
    whole : mapping
        JSON Schema of the keywords that :mod:`jokbo.evidence.schema` knows.

    Raises
    ------
    FormatError
        It is no such file; the message has one line a problem, each with line and key.

    Examples
    --------
    >>> rule = {"type": "object", "properties": {"draws": {"type": "integer"}}, "additionalProperties": False}
    >>> parse_document(b"draws: 10000\\n", rule, where="round.yaml").value
    {'draws': 10000}
    >>> parse_document(b"draw: 10000\\n", rule, where="round.yaml")
    Traceback (most recent call last):
    jokbo.errors.FormatError: round.yaml:1 (draw): expected a known key, found 'draw'. Did you mean 'draws'?
    """
    tree = parse_yaml(data, where=where)
    if not isinstance(tree.value, Mapping):
        raise FormatError(f"{where}: expected keys with values, found {_shown(tree.value)}.")
    wanted = next((kind for kind in KINDS if kind in whole.get("properties", {})), None)
    if wanted is not None:
        refuse_other_kind(tree.value, wanted, where)
    value = typed(tree.value, whole, whole)
    _refuse(list(rules.problems(value, whole)), tree, where, whole)
    return YamlDocument(value, tree, where)


def refuse_other_kind(value: Mapping[str, Any], wanted: str, where: str) -> None:
    """Refuse a file of another kind by one sentence, in place of one for each of its keys.

    Raises
    ------
    FormatError
        It has the key of another kind, and not the one that is wanted.
    """
    found = next((kind for kind in KINDS if kind in value), None)
    if found is not None and wanted not in value:
        raise FormatError(
            f"{where} is {KINDS[found]} ({found}); expected {KINDS[wanted]} ({wanted}). Give the other file here."
        )


def typed(value: Any, rule: Mapping[str, Any], whole: Mapping[str, Any]) -> Any:
    """A tree of texts with numbers and truth values where the schema wants them.

    What does not read as the type wanted stays a text, and is a problem of the schema's.

    Examples
    --------
    >>> typed({"a": "1.5e3", "b": "no"}, {"properties": {"a": {"type": "number"}}}, {})
    {'a': 1500.0, 'b': 'no'}
    """
    if "$ref" in rule:
        return typed(value, whole["$defs"][rule["$ref"].removeprefix("#/$defs/")], whole)
    if isinstance(value, Mapping):
        known, rest = rule.get("properties", {}), rule.get("additionalProperties", {})
        return {
            key: typed(each, known.get(key, rest if isinstance(rest, Mapping) else {}), whole)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [typed(each, rule.get("items", {}), whole) for each in value]
    return _scalar(value, rule.get("type", ())) if isinstance(value, str) else value


def _scalar(text: str, wanted: str | list[str]) -> Any:
    kinds = [wanted] if isinstance(wanted, str) else wanted
    if "boolean" in kinds and text in _TRUTH:
        return _TRUTH[text]
    if "integer" in kinds and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in kinds and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text) + 0.0  # -0.0 and 0.0 are the same number, and have to be the same bytes
    return text


def _refuse(found: list[Problem], tree: YamlTree, where: str, whole: Mapping[str, Any]) -> None:
    if not found:
        return
    lines = [_sentence(tree, where, path, problem, whole) for path, problem in found[:MAX_PROBLEMS]]
    if len(found) > MAX_PROBLEMS:
        lines.append(f"{where}: {len(found) - MAX_PROBLEMS} more problems. Correct these first.")
    raise FormatError("\n".join(lines))


def _sentence(tree: YamlTree, where: str, path: str, problem: str, whole: Mapping[str, Any]) -> str:
    hint = ""
    if problem.startswith("unknown field "):
        key = problem.removeprefix("unknown field ").strip("'\"")
        near = difflib.get_close_matches(key, sorted(_keys_at(whole, path)), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        problem, path = f"expected a known key, found {key!r}", f"{path}/{key}".lstrip("/")
    elif problem.startswith("field ") and problem.endswith(" is missing"):
        key = problem.removeprefix("field ").removesuffix(" is missing").strip("'")
        problem = f"expected the key {key!r}, found none of this name"
    problem = re.sub(r"found None$", "found nothing", problem)
    problem = _in_words(problem)
    line = tree.line(path)
    shown = printable(path)
    return f"{where}{f':{line}' if line else ''}{f' ({shown})' if shown else ''}: {problem}.{hint}"


def _in_words(problem: str) -> str:
    """Patterns as words, numbers as a person writes them.

    Examples
    --------
    >>> _in_words("expected text like ^[0-9a-f]{64}$, found 'x'")
    "expected 64 hexadecimal digits, small letters, found 'x'"
    >>> _in_words("expected 0 to 1000000.0, found -1.0")
    'expected 0 to 1,000,000, found -1'
    """
    for pattern, words in _PATTERN_WORDS.items():
        problem = problem.replace(f"expected text like {pattern}, ", f"expected {words}, ", 1)
    number = r"(-?[0-9.]+(?:e[-+]?[0-9]+)?)"
    bounds = re.fullmatch(f"expected {number} to {number}, found {number}", problem)
    if bounds is not None:
        low, high, found = (_plain_number(text) for text in bounds.groups())
        problem = f"expected {low} to {high}, found {found}"
    return re.sub(r"^expected number, found", "expected a number such as 2.5, found", problem)


def _plain_number(text: str) -> str:
    shown = (
        f"{float(text):,.15f}".rstrip("0").rstrip(".")
        if 1e-6 <= abs(float(text)) < 1e15
        else f"{float(text):g}"
    )
    return shown or "0"


def printable(text: str) -> str:
    """Foreign text for a message: what is no plain character is spelled out, and long text is cut.

    Examples
    --------
    >>> printable("a\\x1b[2Jb")
    'a\\\\u001b[2Jb'
    """
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text[:MAX_SHOWN])
    return shown if len(text) <= MAX_SHOWN else f"{shown}..."


def _keys_at(whole: Mapping[str, Any], path: str) -> Iterator[str]:
    """Keys that the schema knows at a path."""
    rule: Mapping[str, Any] = whole
    for part in filter(None, path.split("/")):
        rule = rule.get("properties", {}).get(part) or rule.get("items") or {}
        while "$ref" in rule:
            rule = whole["$defs"][rule["$ref"].removeprefix("#/$defs/")]
    yield from rule.get("properties", {})


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return "a list" if isinstance(value, list) else f"the text {str(value)[:40]!r}"
