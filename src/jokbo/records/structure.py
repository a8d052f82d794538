"""From parsed TOML or JSON to a declaration: strictly typed, unknown keys are errors, lengths bounded.

``cattrs`` would make a number of a text and a list of letters of a word. A declaration is somebody's
claim, so that nothing in it is converted: what is not of its type is an error that names the field.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin

from jokbo.errors import FormatError
from jokbo.records.declaration import CheckpointRole, Declaration, EventKind

if TYPE_CHECKING:
    from cattrs import Converter

MAX_TEXT = 10_000
"""Characters of one text: notes and patterns are the longest."""

MAX_TABLE = 10_000
"""Entries of a table of texts (environment, metrics)."""

MAX_LIST = 1_000_000
"""Members of a list whose own limit (:data:`MAX_MEMBERS`) is not stated."""

MAX_MEMBERS: Mapping[str, int] = {
    "CheckpointEntry": 100_000,
    "Event": 10_000,
    "BatchPhase": 10_000,
    "LogEntry": 1_000,
}
"""How many tables of a kind a declaration may hold."""

ADVICE = "Correct the declaration."


def structure_declaration(document: Any, *, where: str) -> Declaration:
    """Check parsed values against :class:`~jokbo.records.declaration.Declaration`.

    Parameters
    ----------
    document : dict
        As ``tomllib`` or ``json`` parsed it.
    where : str
        Opens every message: the file.

    Raises
    ------
    FormatError
        A field is unknown, missing, of the wrong type or too long; the message names the first three.

    Examples
    --------
    >>> structure_declaration({"name": "tiny", "steps": "many"}, where="record.toml")
    Traceback (most recent call last):
    jokbo.errors.FormatError: record.toml: field steps: expected a whole number, found 'many'. Correct the declaration.
    """
    import cattrs

    if not isinstance(document, dict):
        raise FormatError(f"{where}: expected a table of fields, found {brief(document)}. {ADVICE}")
    try:
        return _converter().structure(document, Declaration)
    except cattrs.BaseValidationError as error:
        lines = cattrs.transform_error(error, path="", format_exception=_explain)
        shown = "; ".join(_placed(line) for line in lines[:3])
        more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise FormatError(f"{where}: {shown}{more}. {ADVICE}") from None


def brief(value: Any) -> str:
    """A hostile value, without repeating megabytes of it."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length():,} bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class _FieldError(ValueError):
    """What was expected and found; the path is cattrs's to add."""


def _explain(error: BaseException, _: Any) -> str:
    import cattrs

    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        known = [field.name for field in dataclasses.fields(error.cl)]
        unknown = sorted(map(str, error.extra_fields))
        near = difflib.get_close_matches(unknown[0][:80], known, n=1)
        hint = f"; did you mean {near[0]}" if near else f"; known are {', '.join(known)}"
        return f"unknown field {', '.join(brief(name) for name in unknown[:3])}{hint}"
    if isinstance(error, KeyError):
        return "expected a value, found nothing"
    if isinstance(error, _FieldError):
        return str(error)
    return f"expected another kind of value ({type(error).__name__})"


def _placed(line: str) -> str:
    """``"message @ .path"`` as ``"field path: message"``."""
    message, _, path = line.rpartition(" @ ")
    path = path.lstrip(".")
    return f"field {path}: {message}" if path else message


@cache
def _converter() -> Converter:
    import cattrs
    from cattrs.gen import make_dict_structure_fn

    converter = cattrs.Converter(forbid_extra_keys=True, prefer_attrib_converters=True)
    for kind, hook in ((str, _text), (bool, _flag), (int, _whole), (float, _real)):
        converter.register_structure_hook(kind, hook)
    for words in (CheckpointRole, EventKind):  # by class: cattrs asks for hooks of their base, str, first
        converter.register_structure_hook(words, _word)
    converter.register_structure_hook_func(lambda t: _origin(t) is tuple, _list_hook(converter))
    converter.register_structure_hook_func(lambda t: _origin(t) is Mapping, _texts)

    def table_hook(kind: Any) -> Callable[[Any, Any], Any]:
        inner = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

        def hook(value: Any, _: Any) -> Any:
            if not isinstance(value, dict):
                raise _FieldError(f"expected a table, found {brief(value)}")
            return inner(value, kind)

        return hook

    converter.register_structure_hook_factory(dataclasses.is_dataclass, table_hook)
    return converter


def _origin(kind: Any) -> object:
    return get_origin(kind)


def _word(value: Any, kind: type[StrEnum]) -> StrEnum:
    words = [member.value for member in kind]
    if not isinstance(value, str) or value not in words:
        raise _FieldError(f"expected one of {', '.join(words)}, found {brief(value)}")
    return kind(value)


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise _FieldError(f"expected text, found {brief(value)}")
    if len(value) > MAX_TEXT:
        raise _FieldError(f"expected at most {MAX_TEXT:,} characters, found {len(value):,}")
    if not value.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise _FieldError("expected text, found half a surrogate pair")
    return value


def _flag(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise _FieldError(f"expected true or false, found {brief(value)}")
    return value


def _whole(value: Any, _: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _FieldError(f"expected a whole number, found {brief(value)}")
    return value


def _real(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise _FieldError(f"expected a number, found {brief(value)}")
    return float(value)


def _texts(value: Any, _: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _FieldError(f"expected a table of texts, found {brief(value)}")
    if len(value) > MAX_TABLE:
        raise _FieldError(f"expected at most {MAX_TABLE:,} entries, found {len(value):,}")
    for name, text in value.items():
        _text(name, None)
        if not isinstance(text, str):
            raise _FieldError(f"expected text under {brief(name)}, found {brief(text)}")
        _text(text, None)
    return dict(value)


def _list_hook(converter: Converter) -> Callable[[Any, Any], tuple[Any, ...]]:
    from cattrs.errors import IterableValidationError, IterableValidationNote

    def hook(value: Any, kind: Any) -> tuple[Any, ...]:
        member = get_args(kind)[0]
        if not isinstance(value, list):
            raise _FieldError(f"expected a list, found {brief(value)}")
        most = MAX_MEMBERS.get(getattr(member, "__name__", ""), MAX_LIST)
        if len(value) > most:
            raise _FieldError(f"expected at most {most:,} members, found {len(value):,}")
        found, errors = [], []
        for index, each in enumerate(value):
            try:
                found.append(converter.structure(each, member))
            except Exception as error:  # collected: cattrs joins them to one report with their places
                note = IterableValidationNote(f"member {index}", index, member)
                error.__notes__ = [*getattr(error, "__notes__", []), note]
                errors.append(error)
                if len(errors) == 10:
                    break
        if errors:
            raise IterableValidationError("list", errors, kind)
        return tuple(found)

    return hook
