"""The header of a fingerprint: what it says of the model, what was sampled, and the digests of its blocks."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jokbo.errors import FormatError
from jokbo.formats.strict_json import strict_loads
from jokbo.views.sampling import MAX_SALT_LENGTH

METADATA_KEY = "jokbo.fingerprint"

FINGERPRINT = "fingerprint"
"""Kind of a source that is one."""

FINGERPRINT_VERSION = 1
"""Raised whenever the same model would give another file."""

MAX_LIST = 4096
MAX_TEXT = 1024
MAX_LAYERS = 4096
MAX_ROWS = 4096
"""Rows of one kind that a plan may name: what is asked for is bounded before anything is allocated."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLAN = ("units", "values", "rotary", "tokens")


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One weight file of the model, as its source described it."""

    file: str
    size: int
    sha256: str | None
    header_sha256: str


@dataclass(frozen=True, slots=True)
class Declared:
    """What the model's card declares.

    Attributes
    ----------
    base_models : tuple of str
        ``base_model`` of the card's front matter.
    relation : str or None
        ``base_model_relation``: ``adapter``, ``finetune``, ``merge`` or ``quantized``.
    license : str or None
    """

    base_models: tuple[str, ...] = ()
    relation: str | None = None
    license: str | None = None


@dataclass(frozen=True, slots=True)
class FingerprintHeader:
    """What a fingerprint says.

    Attributes
    ----------
    version : int
    name, kind, commit : str
        Of the source, as :class:`jokbo.sources.base.SourceIdentity` has them.
    digest, digest_covers : str
        Of the model: a claim.
    files : tuple of WeightFile
    family, model_type : str
    parameters, data_bytes, hidden_size, num_layers : int
        Of the model; the last two of its largest tower.
    read_bytes : int
        Weight bytes read to make this.
    salt : str
        What the rows were chosen by.
    plan : mapping of str to int
        Rows of each kind.
    layers : mapping of str to tuple of int
        By tower: layers whose rows are held.
    private : bool
        Holds no rows, only the Gram matrices of them.
    declared : Declared
    tokenizer : mapping
        Size, digest of the whole vocabulary and number of merges; empty where there is none.
    blocks : mapping of str to str
        SHA-256 of each block of the file.
    """

    version: int
    name: str
    kind: str
    commit: str | None
    digest: str
    digest_covers: str
    files: tuple[WeightFile, ...]
    family: str
    model_type: str
    parameters: int
    data_bytes: int
    hidden_size: int
    num_layers: int
    read_bytes: int
    salt: str
    plan: Mapping[str, int]
    layers: Mapping[str, tuple[int, ...]]
    private: bool = False
    declared: Declared = Declared()
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    blocks: Mapping[str, str] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return {
            name: _plain(getattr(self, name))
            for name in self.__slots__  # slots keep the order of the fields
        }


def _plain(value: Any) -> Any:
    if isinstance(value, WeightFile | Declared):
        return {name: _plain(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def parse_fingerprint_header(text: str, *, where: str) -> FingerprintHeader:
    """Read a header that somebody else wrote.

    Raises
    ------
    FormatError
        It is not JSON, is of a newer version, or a field is not what it should be.
    """
    try:
        document = strict_loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: its header is not JSON ({error}). Make the fingerprint again.") from None
    version = document.get("version") if isinstance(document, dict) else None
    if type(version) is int and version > FINGERPRINT_VERSION:
        raise FormatError(
            f"{where} is a fingerprint of version {version}; this Jokbo reads up to version {FINGERPRINT_VERSION}. "
            "Install a newer Jokbo."
        )
    if type(version) is not int or version != FINGERPRINT_VERSION:
        raise FormatError(f"{where}: its header names no version of a fingerprint. Make it again.")
    try:
        return _header(document)
    except KeyError as error:
        raise FormatError(f"{where}: its header lacks {error}. Make the fingerprint again.") from None
    except (TypeError, ValueError) as error:
        raise FormatError(
            f"{where}: its header is malformed ({error}). Make the fingerprint again."
        ) from None


def _header(given: Mapping[str, Any]) -> FingerprintHeader:
    extra = set(given) - set(FingerprintHeader.__slots__)
    if extra:
        raise ValueError(f"unknown field {sorted(extra)[0][:40]!r}")
    return FingerprintHeader(
        version=given["version"],
        name=_text(given, "name"),
        kind=_text(given, "kind"),
        commit=_optional(given, "commit"),
        digest=_digest(given["digest"], "digest"),
        digest_covers=_one_of(given, "digest_covers", ("weights", "headers")),
        files=tuple(_file(row) for row in _list(given, "files")),
        family=_text(given, "family"),
        model_type=_text(given, "model_type"),
        parameters=_count(given, "parameters"),
        data_bytes=_count(given, "data_bytes"),
        hidden_size=_count(given, "hidden_size"),
        num_layers=_count(given, "num_layers"),
        read_bytes=_count(given, "read_bytes"),
        salt=_salt(given["salt"]),
        plan=_plan(_mapping(given, "plan")),
        layers={tower: _layers(numbers, tower) for tower, numbers in _mapping(given, "layers").items()},
        private=_flag(given, "private"),
        declared=_declared(_mapping(given, "declared")),
        tokenizer=_tokenizer(_mapping(given, "tokenizer")),
        blocks={name: _digest(value, name) for name, value in _mapping(given, "blocks").items()},
    )


def is_text(value: str) -> bool:
    """Whether a text can be stored and shown: no half of a surrogate pair, and nothing that steers a terminal."""
    return not any(unicodedata.category(mark) in ("Cs", "Cc") for mark in value)


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given[key]
    if not isinstance(value, str) or len(value) > MAX_TEXT or not is_text(value):
        raise ValueError(f"{key} is {str(value)[:40]!r}; expected a short text")
    return value


def _optional(given: Mapping[str, Any], key: str) -> str | None:
    return None if given[key] is None else _text(given, key)


def _one_of(given: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    if given[key] not in allowed:
        raise ValueError(f"{key} is {str(given[key])[:40]!r}; expected {' or '.join(allowed)}")
    return str(given[key])


def _digest(value: Any, key: str) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(f"{key} is {str(value)[:20]!r}; expected a SHA-256")
    return value


def _count(given: Mapping[str, Any], key: str) -> int:
    value = given[key]
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"{key} is {str(value)[:40]}; expected a whole number from 0")
    return value


def _mapping(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = given[key]
    if not isinstance(value, dict) or len(value) > MAX_LIST or any(len(name) > MAX_TEXT for name in value):
        raise ValueError(f"{key} is {str(value)[:40]}; expected an object of few fields")
    return value


def _plan(given: Mapping[str, Any]) -> dict[str, int]:
    plan = {name: _count(given, name) for name in _PLAN}
    if len(given) > len(plan) or not all(0 < rows <= MAX_ROWS for rows in plan.values()):
        raise ValueError(
            f"plan is {str(dict(given))[:80]}; expected {', '.join(_PLAN)}, 1 to {MAX_ROWS:,} each"
        )
    return plan


def _layers(numbers: Any, tower: str) -> tuple[int, ...]:
    known = isinstance(numbers, list) and all(type(n) is int and 0 <= n < MAX_LAYERS for n in numbers)
    if not known or any(a >= b for a, b in itertools.pairwise(numbers)):
        raise ValueError(
            f"layers of {tower[:40]!r} are {str(numbers)[:40]}; expected ascending numbers from 0"
        )
    return tuple(numbers)


def _tokenizer(given: Mapping[str, Any]) -> dict[str, Any]:
    if not given:
        return {}
    if set(given) != {"size", "merges", "special", "sha256"}:
        raise ValueError("tokenizer has other fields than size, merges, special and sha256")
    counts = {name: _count(given, name) for name in ("size", "merges", "special")}
    return {**counts, "sha256": _digest(given["sha256"], "sha256")}


def _flag(given: Mapping[str, Any], key: str) -> bool:
    if type(given[key]) is not bool:
        raise ValueError(f"{key} is {str(given[key])[:40]}; expected true or false")
    return bool(given[key])


def _salt(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_SALT_LENGTH or not is_text(value):
        raise ValueError(f"salt is {str(value)[:40]!r}; expected a short text")
    return value


def _list(given: Mapping[str, Any], key: str) -> list[Any]:
    value = given[key]
    if not isinstance(value, list) or len(value) > MAX_LIST:
        raise ValueError(f"{key} is no list of at most {MAX_LIST}")
    return value


def _file(row: Any) -> WeightFile:
    if not isinstance(row, dict) or set(row) != set(WeightFile.__slots__):
        raise ValueError(f"files holds {str(row)[:40]}; expected {', '.join(WeightFile.__slots__)}")
    sha256 = row["sha256"]
    return WeightFile(
        _text(row, "file"),
        _count(row, "size"),
        None if sha256 is None else _digest(sha256, "sha256"),
        _digest(row["header_sha256"], "header_sha256"),
    )


def _declared(given: Mapping[str, Any]) -> Declared:
    names = _list(given, "base_models")
    if not all(isinstance(name, str) and len(name) <= MAX_TEXT and is_text(name) for name in names):
        raise ValueError("base_models holds something other than short texts")
    return Declared(tuple(names), _optional(given, "relation"), _optional(given, "license"))
