"""A fingerprint whose sketch no search could read is refused when it is entered, not at every search."""

from __future__ import annotations

from pathlib import Path

import pytest
from fingerprint_files import bytes_block, good, taken_apart

from jokbo.errors import FormatError
from jokbo.lineage.register import Facts, open_register
from jokbo.lineage.sketch_format import MAGIC, parse_sketch, write_sketch


@pytest.mark.parametrize(
    ("sketch", "said"),
    [
        (b"", "are no sketch of this version"),
        (bytes(100), "are no sketch of this version"),
        (MAGIC + b"\xff\xff\xff\x7f", "ends inside its header"),
        (write_sketch("another", ()), "of another salt than its rows"),
    ],
)
def test_a_sketch_that_is_none_is_refused_by_the_name_of_its_file(
    tmp_path: Path, sketch: bytes, said: str
) -> None:
    parts = taken_apart()
    parts.blocks["sketch"] = bytes_block(sketch)
    register = open_register(tmp_path / "register", create=True)
    with pytest.raises(FormatError, match=rf"^given\.safetensors: .*{said}"):
        register.add_bytes(parts.joined(), Facts(), where="given.safetensors")
    assert register.entries() == ()


def test_the_sketch_of_a_sound_one_is_entered(tmp_path: Path) -> None:
    register = open_register(tmp_path / "register", create=True)
    register.add_bytes(good(), Facts())
    ((_, sketch),) = register.sketches()
    assert parse_sketch(sketch).salt == register.salt
