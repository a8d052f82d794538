"""Small fingerprints, and files that look like them and are not."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jokbo.testing.builders import llama

if TYPE_CHECKING:
    from pathlib import Path

    from jokbo.lineage.fingerprint import Fingerprint
    from jokbo.lineage.register import Register

SIZES: dict[str, Any] = {"hidden_size": 16, "num_layers": 1, "intermediate_size": 32, "vocab_size": 32}


@cache
def small_fingerprint(seed: int, *, name: str = "", salt: str = "", private: bool = False) -> Fingerprint:
    """A fingerprint of a tiny model of its own; equal arguments give the same object.

    Examples
    --------
    >>> small_fingerprint(3).header.name
    'model-3'
    """
    from jokbo.lineage.fingerprint import PUBLIC_SALT, make_fingerprint

    source = llama(np.random.default_rng(seed), **SIZES).to_source(name=name or f"model-{seed}")
    return make_fingerprint(source, salt=salt or PUBLIC_SALT, private=private)


def with_header(data: bytes, **changes: Any) -> bytes:
    """A fingerprint's bytes with fields of its header changed: what somebody else may have written."""
    length = int.from_bytes(data[:8], "little")
    top = json.loads(data[8 : 8 + length])
    header = json.loads(top["__metadata__"]["jokbo.fingerprint"])
    top["__metadata__"]["jokbo.fingerprint"] = json.dumps({**header, **changes})
    text = json.dumps(top).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def flipped(data: bytes, position: int) -> bytes:
    """The same bytes, one bit of one of them turned."""
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def leftovers(register: Register) -> list[Path]:
    """Files in a register's folder that are no entry's: nothing may leave any for long."""
    from jokbo.lineage.register import files

    own = {register.path(entry) for entry in register.entries()}
    stored = [path for _, path in files.stored_files(register.folder) if path not in own]
    return [*stored, *(register.folder / files.INCOMING).iterdir()]
