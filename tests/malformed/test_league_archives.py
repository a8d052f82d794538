"""Archives and parquet files of strangers: bombs, lies about sizes, damage."""

from __future__ import annotations

import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
import zstandard

from jokbo.errors import ChangedError, FormatError
from jokbo.league.results import lighteval, reading, zip_members
from jokbo.league.results.base import ResultFile
from jokbo.league.results.zip_members import open_archive
from jokbo.testing.results import read_folder

WRITTEN = Path(__file__).resolve().parents[1] / "unit" / "league" / "written"
LOCAL, CENTRAL, END = 30, 46, 22


def member(
    name: bytes, packed: bytes, *, method: int, size: int, crc: int, at: int = 0, flags: int = 0
) -> tuple[bytes, bytes]:
    """A member and its entry in the directory, with whatever it says of itself."""
    facts = struct.pack("<HHHHHIII", 20, flags, method, 0, 0, crc, len(packed), size)
    local = b"PK\x03\x04" + facts + struct.pack("<HH", len(name), 0) + name + packed
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + facts
    entry += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, at) + name
    return local, entry


def archive(tmp_path: Path, *members: dict, tail: bytes | None = None) -> ResultFile:
    """A file of such members."""
    body, directory = b"", b""
    for each in members:
        local, entry = member(**{"at": len(body), "flags": 0, **each})
        body, directory = body + local, directory + entry
    end = struct.pack(
        "<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(members), len(members), len(directory), len(body), 0
    )
    path = tmp_path / "log.eval"
    path.write_bytes(body + directory + (end if tail is None else tail))
    return ResultFile("log.eval", path, path.stat().st_size)


def stored(name: bytes, data: bytes, **lies) -> dict:
    return {"name": name, "packed": data, "method": 0, "size": len(data), "crc": zlib.crc32(data), **lies}


def read(file: ResultFile, name: str = "a", **options) -> bytes:
    with open_archive(file) as opened:
        return opened.read(name, **options)


def test_what_the_helper_writes_is_an_archive(tmp_path):
    data = b"x" * 1000
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflated.compress(data) + deflated.flush()
    file = archive(
        tmp_path,
        stored(b"a", data),
        stored(b"b", data, packed=packed, method=8),
        stored(b"c", data, packed=zstandard.compress(data), method=93),
        stored(b"d", data, packed=zstandard.compress(data[:400]) + zstandard.compress(data[400:]), method=93),
    )
    assert zipfile.ZipFile(file.path).read("b") == data
    with open_archive(file) as opened:
        assert [opened.read(name) for name in "abcd"] == [data] * 4


def test_a_bomb_that_states_its_size_is_refused_unread(tmp_path):
    file = archive(tmp_path, stored(b"a", b"", size=1 << 31))
    with pytest.raises(
        FormatError, match=r"log\.eval#a states 2,147,483,648 bytes; expected at most 134,217,728"
    ):
        read(file)


@pytest.mark.parametrize("method", [8, 93])
def test_a_bomb_that_states_another_size_is_left_at_that_size(tmp_path, method):
    data = b"\0" * (64 << 20)
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflated.compress(data) + deflated.flush() if method == 8 else zstandard.compress(data)
    file = archive(tmp_path, stored(b"a", data, packed=packed, method=method, size=10))
    with pytest.raises(FormatError, match=r"#a unpacks to 11 bytes or more, and states 10"):
        read(file)


def test_all_members_together_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_members, "MAX_UNPACKED_BYTES", 1500)
    file = archive(tmp_path, stored(b"a", b"x" * 1000))
    with open_archive(file) as opened:
        opened.read("a")
        with pytest.raises(FormatError, match="unpacks to more than 1,500 bytes"):
            opened.read("a")


@pytest.mark.parametrize(
    ("lies", "said"),
    [
        ({"crc": 1}, "#a: its checksum does not fit its bytes"),
        ({"size": 3}, "#a unpacks to 4 bytes or more, and states 3"),
        ({"size": 9}, "#a unpacks to 5 bytes or more, and states 9"),
        ({"flags": 1}, "#a is encrypted"),
        ({"method": 12}, "#a is compressed by method 12; expected 0, 8 or 93"),
        ({"method": 93}, "#a does not unpack"),
        ({"method": 8}, "#a does not unpack"),
        ({"at": 7}, "offset 7 holds no member"),
    ],
)
def test_members_that_lie(tmp_path, lies, said):
    with pytest.raises(FormatError, match=said):
        read(archive(tmp_path, stored(b"a", b"hello", **lies)))


def test_directories_that_lie(tmp_path, monkeypatch):
    with pytest.raises(FormatError, match="holds the member 'a' twice"):
        read(archive(tmp_path, stored(b"a", b"x"), stored(b"a", b"y")))
    with pytest.raises(FormatError, match="the member 'b' is missing"):
        read(archive(tmp_path, stored(b"a", b"x")), "b")
    huge = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, 300 << 20, 0, 0)
    with pytest.raises(FormatError, match="its directory takes 314,572,800 bytes"):
        read(archive(tmp_path, stored(b"a", b"x"), tail=huge))
    monkeypatch.setattr(zip_members, "MAX_MEMBERS", 1)
    with pytest.raises(FormatError, match="holds 2 members; expected at most 1"):
        read(archive(tmp_path, stored(b"a", b"x"), stored(b"b", b"y")))


def test_zip64_directories_are_bounded(tmp_path):
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, 1 << 40, 0)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, 0, 1)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, 47, 0, 0)
    with pytest.raises(FormatError, match="its directory takes 1,099,511,627,776 bytes"):
        read(archive(tmp_path, stored(b"a", b"x"), tail=record + locator + end))


def test_a_file_that_grew_is_not_read(tmp_path):
    file = archive(tmp_path, stored(b"a", b"x"))
    file.path.write_bytes(file.path.read_bytes() + b"more")
    with pytest.raises(ChangedError, match=r"log\.eval changed while it was read"):
        read(file)


@pytest.fixture
def details(tmp_path: Path) -> Path:
    (source,) = (WRITTEN / "lighteval" / "details" / "jokbo" / "one").rglob("details_mini_law*")
    shutil.copy(source, tmp_path)
    return tmp_path / source.name


def test_footers_that_lie(details):
    data = details.read_bytes()
    details.write_bytes(data[:-8] + struct.pack("<I", len(data) * 2) + b"PAR1")
    with pytest.raises(FormatError, match="is cut off: it does not end as a parquet file"):
        read_folder(details.parent)
    details.write_bytes(data[:-4])
    with pytest.raises(FormatError, match="is cut off"):
        read_folder(details.parent)


@pytest.mark.parametrize(
    ("bound", "value", "said"),
    [
        ("MAX_FOOTER_BYTES", 100, r"its footer takes [\d,]+ bytes; expected at most 100"),
        ("MAX_ROWS", 5, "claims 12 rows and"),
        ("MAX_COLUMNS", 5, "claims 12 rows and"),
        ("MAX_GROUP_BYTES", 100, r"row group 0 claims [\d,]+ bytes unpacked; expected at most 100"),
    ],
)
def test_claims_of_a_parquet_file_are_bounded(details, monkeypatch, bound, value, said):
    monkeypatch.setattr(lighteval, bound, value)
    with pytest.raises(FormatError, match=said):
        read_folder(details.parent)


def test_parquet_of_something_else(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "details_x.parquet")
    with pytest.raises(
        FormatError, match=r"details_x\.parquet#row 0 has no doc or no metric|details_x\.parquet is empty"
    ):
        read_folder(tmp_path)


def test_lines_and_documents_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 50)
    (tmp_path / "samples_x.jsonl").write_text(
        '{"doc_id": 0, "acc": 1}\n{"doc_id": 1, "acc": 1, "doc": "%s"}\n' % ("x" * 99)
    )
    with pytest.raises(FormatError, match=r"samples_x\.jsonl:2 is longer than 50 bytes"):
        read_folder(tmp_path)


def test_half_a_character_in_a_question(tmp_path):
    text = '{"metrics": {}, "info": {"dataset_name": "x"}, "samples": [{"input": "\\ud800", "is_correct": true}]}'
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FormatError, match=r"x\.json#samples/0: the question cannot be hashed"):
        read_folder(tmp_path)
