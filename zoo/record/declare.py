"""Declarations as ``record.toml``: written from the same dataclasses that the audit reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from jokbo.records.declaration import Declaration


def to_toml(declaration: Declaration) -> str:
    """The declaration as a person would write it; parts that say what is the default are left out."""
    top = _plain(declaration)
    lines = [f"{key} = {_value(value)}" for key, value in top.items() if not _is_table(value)]
    for key, value in top.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{key}]", *_lines(value)]
        elif _is_table(value):
            for member in value:
                lines += ["", f"[[{key}]]", *_lines(member)]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        found = {}
        for field in fields(value):
            member = getattr(value, field.name)
            if member is not None and member != _default(field) and member not in ((), {}):
                found[field.name] = _plain(member)
        return found
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_plain(member) for member in value]
    return dict(value) if isinstance(value, Mapping) else value


def _default(field: Any) -> Any:
    # A field with a factory is written whenever it holds anything.
    from dataclasses import MISSING

    return field.default if field.default is not MISSING else object()


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
    )


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(member)}" for key, member in value.items()) + " }"
    return "[" + ", ".join(_value(member) for member in value) + "]"
