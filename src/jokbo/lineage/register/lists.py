"""Lists of models in TOML: what is to be registered, and what somebody declares of it.

::

    schema = "jokbo.models/1"

    [[model]]
    id = "org/name"            # or path = "folder", from the folder of the list
    revision = "v1.0"          # a branch, tag or commit; may be left out
    parents = ["org/base"]
    relation = "finetune"
    license = "apache-2.0"
    public_since = "2024-07-23"
    public_since_source = "https://example.org/announcement"

Unknown keys are errors; every problem is told with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError, NotFoundError
from jokbo.formats.strict_toml import strict_toml
from jokbo.lineage.register.entries import Facts, problems_of, tidy
from jokbo.sources.open import HUB_ID

SCHEMA = "jokbo.models/1"
MAX_LIST_BYTES = 16 << 20
MAX_MODELS = 100_000
MAX_TOLD = 20

REVISION = re.compile(r"[\w./-]{1,255}", re.ASCII)

_TEXTS = (
    "id",
    "path",
    "revision",
    "name",
    "relation",
    "license",
    "public_since",
    "public_since_source",
    "group",
)
KEYS = (*_TEXTS, "parents")
"""What a list may say of a model."""

_HEAD = re.compile(r"\s*\[\[\s*model\s*\]\]")


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model of a list.

    Attributes
    ----------
    spec : str
        What opens it: ``org/name``, ``org/name@revision`` or a path.
    facts : Facts
    group : str or None
        A heading of the list.
    """

    spec: str
    facts: Facts
    group: str | None = None


def read_list(path: Path) -> tuple[ListedModel, ...]:
    """Read a list that somebody wrote.

    Raises
    ------
    NotFoundError
        It cannot be read.
    FormatError
        It is not TOML, or entries are not as they should be; the message names each line and what was expected.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise NotFoundError(
            f"the list {path} cannot be read: {error.strerror}. Check its name and permissions."
        ) from None
    return parse_list(data, where=path.name, folder=path.parent)


@cache
def known_models() -> tuple[ListedModel, ...]:
    """Well-known open base models: the list that comes with Jokbo. Nothing is fetched."""
    data = resources.files("jokbo.lineage.register").joinpath("data/base_models.toml").read_bytes()
    return parse_list(data, where="base_models.toml", folder=None)


def parse_list(data: bytes, *, where: str, folder: Path | None) -> tuple[ListedModel, ...]:
    """Read a list's bytes; `folder` is where its paths begin, None where it may name none.

    Raises
    ------
    FormatError
        See :func:`read_list`.

    Examples
    --------
    >>> text = b'schema = "jokbo.models/1"\\n[[model]]\\nid = "org/name"\\nlicence = "mit"\\n'
    >>> parse_list(text, where="list.toml", folder=None)
    Traceback (most recent call last):
    jokbo.errors.FormatError: list.toml: line 4: unknown key 'licence'; did you mean 'license'?
    """
    document = _parse(data, where)
    rows = document["model"]
    lines = _Lines(data.decode(), len(rows))
    problems: list[str] = []
    found: list[ListedModel] = []
    seen: dict[str, int] = {}
    for k, row in enumerate(rows):
        mine = [f"{lines.of(k, key)}: {text}" for key, text in _problems(row, folder)]
        if not mine:
            model = _model(row, folder)
            if model.spec in seen:
                before = lines.of(seen[model.spec], "")
                mine = [
                    f"{lines.of(k, '')}: {tidy(model.spec, 80)} stands at {before} already; expected it once."
                ]
            seen.setdefault(model.spec, k)
            found.append(model)
        problems += mine
    if problems:
        more = (
            f"\n… and {len(problems) - MAX_TOLD} more problems of this list."
            if len(problems) > MAX_TOLD
            else ""
        )
        raise FormatError("\n".join(f"{where}: {problem}" for problem in problems[:MAX_TOLD]) + more)
    return tuple(found)


def _parse(data: bytes, where: str) -> Mapping[str, Any]:
    if len(data) > MAX_LIST_BYTES:
        raise FormatError(f"{where} is larger than {MAX_LIST_BYTES:,} bytes. Split the list.")
    try:
        document = strict_toml(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{where} is not TOML: {tidy(str(error), 200)}. Correct the list at that place."
        ) from None
    if document.get("schema") != SCHEMA:
        raise FormatError(
            f"{where} names the schema {tidy(str(document.get('schema')), 40)!r}; expected schema = {SCHEMA!r} as its "
            "first line. A newer one needs a newer Jokbo."
        )
    extra = sorted(set(document) - {"schema", "model"})
    if extra:
        raise FormatError(
            f"{where}: unknown key {tidy(extra[0], 40)!r}; expected schema and [[model]] alone."
        )
    rows = document.get("model")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_MODELS:
        raise FormatError(f"{where} holds no models; expected 1 to {MAX_MODELS:,} tables [[model]].")
    return document


def _problems(row: Any, folder: Path | None) -> Iterator[tuple[str, str]]:
    """Key and sentence of all that is wrong with one model."""
    if not isinstance(row, dict):
        yield "", "expected a table [[model]]."
        return
    for key, value in row.items():
        if key not in KEYS:
            yield key, f"unknown key {tidy(key, 40)!r}; {_suggestion(key)}"
        elif key == "parents":
            if not isinstance(value, list) or not all(isinstance(parent, str) for parent in value):
                yield key, f"{key} is {tidy(repr(value), 40)}; expected a list of texts."
        elif not isinstance(value, str):
            yield (
                key,
                f"{key} is {tidy(repr(value), 40)}; expected a text in quotation marks.",
            )
    if any(not isinstance(row.get(key, ""), str) for key in _TEXTS) or not _is_texts(row.get("parents", [])):
        return
    yield from _place_problems(row, folder)
    for text in problems_of(_facts(row)):
        yield text.partition(" ")[0] if text.partition(" ")[0] in KEYS else "", text
    if "public_since" in row and "public_since_source" not in row:
        yield (
            "public_since",
            "public_since has no public_since_source; expected where the date is from (an address or words).",
        )


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _place_problems(row: Mapping[str, Any], folder: Path | None) -> Iterator[tuple[str, str]]:
    if ("id" in row) is ("path" in row):
        yield "", "expected either id (org/name) or path, and not both."
    elif "id" in row and (not HUB_ID.fullmatch(row["id"]) or "@" in row["id"]):
        yield (
            "id",
            f"id is {tidy(row['id'], 80)!r}; expected a Hugging Face id, org/name. A revision has its own key.",
        )
    elif "path" in row:
        yield from _path_problems(row["path"], folder)
    if "group" in row and (not row["group"].strip() or row["group"] != tidy(row["group"], 80)):
        yield "group", f"group is {tidy(row['group'], 40)!r}; expected a heading of at most 80 characters."
    if "revision" in row and ("path" in row or not REVISION.fullmatch(row["revision"])):
        yield (
            "revision",
            f"revision is {tidy(row['revision'], 40)!r}; expected a branch, tag or commit, beside an id.",
        )


def _path_problems(path: str, folder: Path | None) -> Iterator[tuple[str, str]]:
    if folder is None:
        yield "path", "path is not allowed in this list; expected an id."
    elif not path.strip() or path != tidy(path, 4096):
        yield "path", f"path is {tidy(path, 80)!r}; expected a folder or file of weights."
    elif ".." in Path(path).parts or path.startswith("~"):
        yield (
            "path",
            f"path is {tidy(path, 80)!r}; expected one below the folder of the list, or one from the root (/).",
        )


def _suggestion(key: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key[:40], KEYS, n=1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(KEYS)}."


def _facts(row: Mapping[str, Any]) -> Facts:
    return Facts(
        name=row.get("name"),
        parents=tuple(row.get("parents", ())),
        relation=row.get("relation"),
        license=row.get("license"),
        public_since=row.get("public_since"),
        public_since_source=row.get("public_since_source"),
    )


def _model(row: Mapping[str, Any], folder: Path | None) -> ListedModel:
    if "id" in row:
        spec = f"{row['id']}@{row['revision']}" if "revision" in row else row["id"]
    else:
        spec = str((folder or Path()) / row["path"])
    return ListedModel(spec, _facts(row), row.get("group"))


class _Lines:
    """Where the models of a list begin; a list whose tables are written another way has numbers instead."""

    def __init__(self, text: str, count: int) -> None:
        self._text = text.split("\n")  # as TOML counts lines
        heads = [n for n, line in enumerate(self._text) if _HEAD.match(line)]
        self._heads = heads if len(heads) == count else []

    def of(self, model: int, key: str) -> str:
        """``line 12``, or ``model 3`` where the line is not known."""
        if not self._heads:
            return f"model {model + 1}"
        start = self._heads[model]
        stop = self._heads[model + 1] if model + 1 < len(self._heads) else len(self._text)
        pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=") if key else _HEAD
        for n in range(start, stop):
            if pattern.match(self._text[n]):
                return f"line {n + 1}"
        return f"line {start + 1}"
