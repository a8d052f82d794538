"""Arrays, optimizer states and checkpoints of a pack that attack: nothing is executed, nothing allocated."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.errors import FormatError, JokboError
from jokbo.formats.base import TensorCatalog, run_plan
from jokbo.formats.choose import plan_catalog
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import build_file, to_raw
from jokbo.records.arrays import open_array
from jokbo.records.optimizer_state import read_optimizer_state
from jokbo.records.pack import write_pack
from jokbo.records.record import Record
from jokbo.sources.memory import MemorySource
from jokbo.testing.packs import write_tiny_run

DATA = Path(__file__).parents[1] / "unit/records/data"
METADATA = (DATA / "dcp-rows/.metadata").read_bytes()
SHARDS = {name: (DATA / "dcp-rows" / name).read_bytes() for name in ("__0_0.distcp", "__1_0.distcp")}


class _Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def record_with(tmp_path: Path, path: str, data: bytes, *, rename: str = "") -> Record:
    """A pack of the tiny run in which one file has other bytes, and perhaps another name."""
    declaration = write_tiny_run(tmp_path / "run")
    if rename:
        declaration.write_text(declaration.read_text().replace(path, rename))
        (tmp_path / "run" / path).unlink()
    (tmp_path / "run" / (rename or path)).write_bytes(data)
    return write_pack(declaration, tmp_path / "pack")


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(text: str, body: bytes = b"", *, version: int = 1) -> bytes:
    padded = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(padded))
    return b"\x93NUMPY" + bytes([version, 0]) + length + padded + body


def described(descr: str = "'<u2'", shape: str = "(8, 3)", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


def objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([[_Runs(os.system, "touch ran")]], dtype=object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (
            objects(),
            r"elements of type O8?; expected integers .*Python objects are never read|not of the form",
        ),
        (header(described("'|O'"), bytes(48)), "not of the form that numpy.save writes"),
        (header(described("'<f4'"), bytes(96)), "elements of type f4; expected integers"),
        (header(described("'<u16'"), bytes(96)), "elements of type u16; expected integers"),
        (header(described("[('a', '<u2')]"), bytes(48)), "not of the form"),
        (header(described("'>u2'"), bytes(48)), "big-endian"),
        (header(described(fortran="True"), bytes(48)), "column after column"),
        (header(described(shape="(24,)"), bytes(48)), "expected two sides"),
        (header(described(shape="(2, 4, 3)"), bytes(48)), "expected two sides"),
        (header(described(shape="(99999999999999999, 3)"), bytes(48)), "expected two sides below"),
        (header(described(shape="(1000000000000, 1000000000000)"), bytes(48)), "takes 2,000,000,.* bytes"),
        (header(described(shape="(9, 3)"), bytes(48)), "the file has"),
        (header(described(), bytes(47)), "takes 176 bytes with its header; the file has 175"),
        (header(described(), bytes(49)), "takes 176 bytes with its header; the file has 177"),
        (header(described(shape="(-8, -3)"), bytes(48)), "not of the form"),
        (header("__import__('os').system('touch ran')"), "not of the form"),
        (header("(" * 3000), "not of the form"),
        (b"\x93NUMPY\x01\x00\xff\xff" + bytes(70_000), "the header claims 65,535 bytes"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100), "the header claims 4,294,967,295 bytes"),
        (b"\x93NUMPY\x03\x00\x01\x00", "begins with 93 4e 55"),
        (b"PK\x03\x04", "begins with 50 4b 03 04; expected a .npy file"),
        (b"", "expected a .npy file"),
    ],
)
def test_arrays_that_attack(tmp_path: Path, data: bytes, match: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    record = record_with(tmp_path, "data/windows.npy", data)
    tracemalloc.start()
    with pytest.raises(FormatError, match=match) as caught:
        open_array(record, "data/windows.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "data/windows.npy" in str(caught.value)
    assert peak < 1 << 20
    assert not (tmp_path / "ran").exists()


def test_arrays_that_are_well_formed(tmp_path: Path):
    assert npy(np.zeros((8, 3), "<u2")) == header(described(), bytes(48))
    record = record_with(tmp_path, "data/windows.npy", header(described(shape="(0, 3)"), version=2))
    assert open_array(record, "data/windows.npy").shape == (0, 3)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_random_headers_only_raise_our_errors(data: bytes):
    from jokbo.records import arrays

    for head in (data, header(described())[:20] + data, header(data.decode("latin-1")[:50])):
        with pytest.raises(FormatError):
            arrays._parse_header(head, "a.npy")


def torch_file(data: bytes, *, packed: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr("o/data.pkl", data, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    return buffer.getvalue()


STATE = "optimizer/step-2.safetensors"


def read_state(record: Record) -> Any:
    return read_optimizer_state(record, record.declaration.checkpoint[1])


def test_an_optimizer_state_that_would_run_a_command_runs_nothing(tmp_path: Path):
    mark = tmp_path / "ran"
    data = pickle.dumps({"state": _Runs(os.system, f"touch {mark}"), "param_groups": []}, protocol=2)
    record = record_with(tmp_path, STATE, torch_file(data), rename="optimizer/step-2.pt")
    with pytest.raises(FormatError, match=r"asks for (posix|nt)\.system, which is not on the list") as caught:
        read_state(record)
    assert "optimizer/step-2.pt" in str(caught.value)
    assert "Nothing in the file was executed" in str(caught.value)
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists(), "the pickle has to be a real one"


@pytest.mark.parametrize(
    ("state", "match"),
    [
        ({}, "the file holds no mapping 'state' of an optimizer"),
        ([], "the file holds no mapping 'state'"),
        ({"state": {}, "param_groups": 3}, "'param_groups' is no list of groups"),
        ({"state": {}, "param_groups": []}, "'param_groups' is no list of groups"),
        ({"state": {}, "param_groups": [{"params": "ab"}]}, "a group's 'params' is no list"),
        ({"state": {}, "param_groups": [{"params": [True]}]}, "a group's 'params' is no list"),
        ({"state": {}, "param_groups": [{"params": ["a", "a"]}]}, "a parameter is listed twice"),
        ({"state": {}, "param_groups": [{"params": [0], "param_names": []}]}, "not as many names"),
        ({"state": {}, "param_groups": [{"params": [0, 1], "param_names": ["a", "a"]}]}, "two parameters have one"),
        ({"state": {"a": 1}, "param_groups": [{"params": ["a"]}]}, "the state of parameter 'a' is no mapping"),
        ({"state": {"b": {}}, "param_groups": [{"params": ["a"]}]}, "a parameter 'b' that no group"),
        ({"state": {"a": {"step": -1}}, "param_groups": [{"params": ["a"]}]}, "step is -1; expected"),
        ({"state": {"a": {"step": 1.5}}, "param_groups": [{"params": ["a"]}]}, "step is 1.5; expected"),
        ({"state": {"a": {"step": float("inf")}}, "param_groups": [{"params": ["a"]}]}, "step is inf; expected"),
        ({"state": {}, "param_groups": [{"params": [0]}]}, "their names would have to be guessed"),
    ],
)  # fmt: skip
def test_optimizer_states_that_are_malformed(tmp_path: Path, state: Any, match: str):
    record = record_with(tmp_path, STATE, torch_file(pickle.dumps(state, 2)), rename="optimizer/step-2.pt")
    with pytest.raises(FormatError, match=match):
        read_state(record)


def test_an_optimizer_state_that_is_a_zip_bomb_is_not_unpacked(tmp_path: Path):
    bomb = torch_file(bytes(8 << 20), packed=True)
    record = record_with(tmp_path, STATE, bomb, rename="optimizer/step-2.pt")
    tracemalloc.start()
    with pytest.raises(FormatError, match="zip bomb, and it was not unpacked"):
        read_state(record)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("tensors", "metadata", "match"),
    [
        ({"momentum_buffer/w": DType.F32}, {"step": "2"}, "expected exp_avg/<parameter>"),
        ({"exp_avg/": DType.F32}, {"step": "2"}, "expected exp_avg/<parameter>"),
        ({"exp_avg/w": DType.I32}, {"step": "2"}, "holds I32; expected numbers such as F32"),
        ({"exp_avg/w": DType.F32}, {"step": "two"}, "step is 'two'; expected a number of updates"),
        ({"exp_avg/w": DType.F32}, {"step": "9" * 99}, "expected a number of updates"),
    ],
)
def test_named_states_that_are_malformed(tmp_path: Path, tensors: Any, metadata: Any, match: str):
    data = build_file({name: to_raw(np.zeros((2, 2)), kind) for name, kind in tensors.items()}, metadata)
    record = record_with(tmp_path, STATE, data)
    with pytest.raises(FormatError, match=match):
        read_state(record)


@pytest.mark.parametrize("options", [{"digest_only": True}, {"sample_rows": 2}])
def test_a_checkpoint_that_is_a_zip_bomb_is_not_unpacked(tmp_path: Path, options: Any):
    declaration = write_tiny_run(tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints/step-0")
    (tmp_path / "run/checkpoints/step-0").mkdir()
    (tmp_path / "run/checkpoints/step-0/pytorch_model.bin").write_bytes(
        torch_file(bytes(8 << 20), packed=True)
    )
    with pytest.raises(FormatError, match="zip bomb, and it was not unpacked"):
        write_pack(declaration, tmp_path / "pack", **options)
    assert {path.name for path in tmp_path.iterdir()} == {"run"}


def distributed(metadata: bytes, **shards: bytes) -> TensorCatalog:
    source = MemorySource({".metadata": metadata, **(shards or SHARDS)})
    return run_plan(plan_catalog(source.files), source)


def refuse(metadata: bytes, match: str, **shards: bytes) -> None:
    with pytest.raises(FormatError, match=match) as caught:
        distributed(metadata, **shards)
    assert len(str(caught.value)) < 900


def test_the_good_checkpoint_is_read():
    assert len(distributed(METADATA)) == 5


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_metadata_that_would_run_a_command_runs_nothing(tmp_path: Path, protocol: int):
    mark = tmp_path / "ran"
    data = pickle.dumps(_Runs(os.system, f"touch {mark}"), protocol=protocol)
    refuse(data, r"asks for (posix|nt)\.system, which is not on the list")
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists(), "the pickle has to be a real one"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def known(name: str) -> bytes:
    module, _, own = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + own.encode() + b"\n"


CHECKPOINT = "torch.distributed.checkpoint.metadata"


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (known("builtins.eval") + text("1") + b"\x85R", "builtins.eval, which is not on the list"),
        (known("collections.OrderedDict") + b")\x81", "makes an object of collections.OrderedDict"),
        (known(f"{CHECKPOINT}.Metadata") + text("a") + b"\x85\x81", "makes an object of .*Metadata"),
        (known(f"{CHECKPOINT}.Metadata") + b")R", "calls .*Metadata"),
        (known(f"{CHECKPOINT}.Metadata") + b")\x81}b}b", "gives a table as the state of a recorded"),
        (known(f"{CHECKPOINT}.Metadata") + b")\x81K\x01b", "gives a int as the state"),
        (b"}}b", "gives a table as the state of a table"),
        (known(f"{CHECKPOINT}.metadata"), "not on the list"),
        (known("torch.distributed.checkpoint.filesystem.FileSystemReader"), "not on the list"),
        (text("storage") + b"Q", "found the instruction|not an instruction"),
        (b"}", "the pickle is no Metadata"),
        (known(f"{CHECKPOINT}.Metadata") + b")\x81", "are not two dictionaries"),
        (known(f"{CHECKPOINT}.MetadataIndex") + b")\x81", "the pickle is no Metadata"),
    ],
)
def test_metadata_that_no_checkpoint_writes(body: bytes, match: str):
    refuse(b"\x80\x02" + body + b".", match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d.replace(b"__0_0.distcp", b"../_0.distcp"), "there is no such file beside the metadata"),
        (lambda d: d.replace(b"__0_0.distcp", b"__0_1.distcp"), "there is no such file beside the metadata"),
        (lambda d: d.replace(b"_StorageInfo", b"_StorageOnfo"), "not on the list"),
        (lambda d: d.replace(b"bfloat16", b"float8_e"), "not on the list"),
        (lambda d: d[:-1], "the pickle ends at"),
        (lambda d: d + b"\0", "bytes follow the pickle"),
        (lambda d: d.replace(b"\x8c\x06offset\x94", b"\x8c\x06affset\x94"), "piece|offset"),
        (lambda d: d.replace(b"\x8c\x06length\x94", b"\x8c\x06longth\x94"), "should be at"),
    ],
)
def test_metadata_that_lies(change: Callable[[bytes], bytes], match: str):
    assert change(METADATA) != METADATA
    refuse(change(METADATA), match)


def test_shards_that_lie_or_lack():
    first, second = SHARDS["__0_0.distcp"], SHARDS["__1_0.distcp"]
    refuse(METADATA, "there is no such file beside the metadata", **{"__0_0.distcp": first})
    refuse(METADATA, "should be at .* which has", **{"__0_0.distcp": first, "__1_0.distcp": second[:-1]})
    for at in (0, 30, 200):
        lying = bytearray(second)
        lying[at] ^= 0xFF
        with pytest.raises(FormatError, match=r"__1_0\.distcp, offset"):
            distributed(METADATA, **{"__0_0.distcp": first, "__1_0.distcp": bytes(lying)})
    source = MemorySource({"__0_0.distcp": first})
    with pytest.raises(FormatError, match=r"no \.metadata, which says what is in them"):
        run_plan(plan_catalog(source.files), source)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6))
def test_mutated_metadata_is_read_or_refused_within_bounded_memory(changes: list[tuple[int, int]]):
    data = bytearray(METADATA)
    for at, value in changes:
        data[at % len(data)] = value
    tracemalloc.start()
    try:
        for entry in distributed(bytes(data)).stored:
            assert 0 <= entry.span.start <= entry.span.stop <= len(SHARDS[entry.file])
    except JokboError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 << 20
