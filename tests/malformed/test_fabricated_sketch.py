"""A candidate's fingerprint file whose sketch was made to look like nobody's: its rows are what is searched by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fingerprint_files import bytes_block, taken_apart

from jokbo.lineage.fingerprint import SUFFIX, check_fingerprint, make_fingerprint
from jokbo.lineage.pairs import DEPENDENCE
from jokbo.lineage.register import open_register
from jokbo.lineage.search import search
from jokbo.testing.builders import llama
from jokbo.testing.transforms import derive


def test_a_sketch_of_another_model_hides_nobody(tmp_path: Path):
    base, stranger = (llama(np.random.default_rng(k)) for k in (0, 1))
    child = derive(base, np.random.default_rng(2), cosine=0.98)
    register = open_register(tmp_path / "register", create=True)
    register.add(make_fingerprint(base.to_source(name="base")))
    made, other = (make_fingerprint(model.to_source(name="child")) for model in (child, stranger))
    parts = taken_apart(made.data)
    parts.blocks["sketch"] = bytes_block(bytes(taken_apart(other.data).blocks["sketch"].data))
    file = tmp_path / f"child{SUFFIX}"
    file.write_bytes(parts.joined())
    check_fingerprint(file)  # sound, as far as its digests go
    (row,) = search(str(file), register, top=0, measured=0).document["rows"]
    assert row["passed"]
    assert row["pair"]["relation"] in {*DEPENDENCE, "lead"}
