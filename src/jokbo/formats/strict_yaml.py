"""YAML that somebody else wrote, as a plain tree of texts, and the line of everything in it.

Only mappings, lists and texts: no anchors or aliases (which make a short file a long one), no tags, no second
document, no key twice. All scalars stay texts, so that ``no`` is not False, a commit of digits is not a number, and
a figure keeps the decimals that its author wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.errors import FormatError

MAX_BYTES = 256 << 10
MAX_EVENTS = 20_000
MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class YamlTree:
    """A parsed file.

    Attributes
    ----------
    value : dict, list, str or None
    lines : mapping of str to int
        Line, from one, of each path (``figures/1/says``).
    """

    value: Any
    lines: Mapping[str, int]

    def line(self, path: str) -> int | None:
        """Line of a path, or of the nearest thing around it that has one."""
        while path and path not in self.lines:
            path = path.rpartition("/")[0]
        return self.lines.get(path)


def parse_yaml(data: bytes, *, where: str, most_bytes: int = MAX_BYTES) -> YamlTree:
    """Parse a small YAML file without trusting it.

    Parameters
    ----------
    most_bytes : int
        More are refused unread.

    Raises
    ------
    FormatError
        It is too large or nested too deep, no YAML, not UTF-8, or uses what is refused here.

    Examples
    --------
    >>> parse_yaml(b"a: 1\\nb: [no, 2.50]\\n", where="claim.yaml").value
    {'a': '1', 'b': ['no', '2.50']}
    """
    import yaml

    if len(data) > most_bytes:
        raise FormatError(
            f"{where} is {len(data):,} bytes; expected at most {most_bytes:,}. Move numbers to a table."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{where} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from None
    try:
        _refuse(text, where)
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise FormatError(f"{where}{line} is not YAML ({said[:200]}). Correct this line.") from None
    lines: dict[str, int] = {}
    return YamlTree(None if node is None else _plain(node, "", lines, where), lines)


def _refuse(text: str, where: str) -> None:
    """Refuse what makes a file larger or other than it looks, before anything is built from it."""
    import yaml

    depth = documents = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.BaseLoader)):
        line = f"{where}:{event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise FormatError(f"{line} holds an anchor or alias (& or *). Write the value out, or quote it.")
        if getattr(event, "tag", None):
            raise FormatError(f"{line} holds a tag ({event.tag[:60]}). Write plain text, or quote it.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > MAX_DEPTH or count > MAX_EVENTS:
            raise FormatError(
                f"{line}: nested deeper than {MAX_DEPTH}, or more than {MAX_EVENTS:,} parts. Such a file is short."
            )
        if documents > 1:
            raise FormatError(f"{line} begins a second document. Put each into a file of its own.")


def _plain(node: Any, path: str, lines: dict[str, int], where: str) -> Any:
    import yaml

    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(node, path, lines, where))
    if isinstance(node, yaml.SequenceNode):
        return [_plain(each, _below(path, k), lines, where) for k, each in enumerate(node.value)]
    if any("\ud800" <= c <= "\udfff" for c in node.value):
        raise FormatError(f"{where}:{node.start_mark.line + 1} spells half a character (\\ud800 to \\udfff).")
    # An empty value is no text; a quoted one is.
    return None if node.style is None and node.value in ("", "~", "null") else node.value


def _pairs(node: Any, path: str, lines: dict[str, int], where: str) -> Iterator[tuple[str, Any]]:
    import yaml

    seen = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise FormatError(f"{where}:{line}: a key is a list or a mapping; expected a word.")
        if key.value in seen:
            raise FormatError(f"{where}:{line}: the key {key.value[:60]!r} is there twice. Keep one.")
        seen.add(key.value)
        below = _below(path, key.value)
        lines[below] = line
        yield key.value, _plain(value, below, lines, where)


def _below(path: str, key: object) -> str:
    return f"{path}/{key}".lstrip("/")
