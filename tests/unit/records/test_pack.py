"""What is packed is what was declared; what is opened is what was packed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from jokbo.errors import ChangedError, NotFoundError, UsageError
from jokbo.formats.base import run_plan
from jokbo.formats.dtypes import DType, decode
from jokbo.formats.safetensors import plan_catalog
from jokbo.records import gather
from jokbo.records import pack as pack_module
from jokbo.records.manifest import MANIFEST, parse_manifest, read_declaration
from jokbo.records.pack import find_mismatches, open_pack, write_pack
from jokbo.records.sampled_rows import weights_digest
from jokbo.sources.local import LocalSource
from jokbo.testing.packs import tiny_weights, write_tiny_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_tiny_run(tmp_path / "run")


def test_a_pack_holds_the_declaration_and_every_file_with_its_digest(run: Path, tmp_path: Path):
    record = write_pack(run, tmp_path / "pack")
    assert record.declaration == read_declaration(run.read_bytes(), where="record.toml")
    on_disk = {
        str(p.relative_to(record.folder)): p.read_bytes() for p in record.folder.rglob("*") if p.is_file()
    }
    manifest = on_disk.pop(MANIFEST)
    assert record.digest == hashlib.sha256(manifest).hexdigest()
    assert {path: (f.size, f.sha256) for path, f in record.files.items()} == {
        path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in on_disk.items()
    }
    assert json.loads(manifest)["schema"] == "jokbo.record/1"
    assert find_mismatches(record) == ()


def test_of_a_checkpoint_only_weights_and_texts_are_taken(run: Path, tmp_path: Path):
    record = write_pack(run, tmp_path / "pack")
    names = {path for path in record.files if path.startswith("checkpoints/step-0/")}
    assert names == {"checkpoints/step-0/config.json", "checkpoints/step-0/model.safetensors"}


def test_the_same_record_has_the_same_digest(run: Path, tmp_path: Path):
    first, second = (write_pack(run, tmp_path / name) for name in ("a", "b"))
    assert first.digest == second.digest
    (run.parent / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    assert write_pack(run, tmp_path / "c").digest != first.digest


def test_packing_a_pack_gives_the_same_declaration(run: Path, tmp_path: Path):
    record = write_pack(run, tmp_path / "pack")
    document = json.loads((record.folder / MANIFEST).read_bytes())["declaration"]
    (record.folder / "record.json").write_text(json.dumps(document))
    again = write_pack(record.folder / "record.json", tmp_path / "again")
    assert again.digest == record.digest


def test_arrays_of_the_data_are_mapped(run: Path, tmp_path: Path):
    record = write_pack(run, tmp_path / "pack")
    assert record.windows.shape == (8, 3)
    assert record.windows.dtype == np.uint16
    assert record.order.tolist()[-1] == [6, -1]
    assert record.held_out is None


def test_links_are_hard_where_that_was_asked_for(run: Path, tmp_path: Path):
    record = write_pack(run, tmp_path / "pack", copy=False)
    assert os.stat(record.folder / "log.jsonl").st_ino == os.stat(run.parent / "log.jsonl").st_ino
    copied = write_pack(run, tmp_path / "copied")
    assert os.stat(copied.folder / "log.jsonl").st_ino != os.stat(run.parent / "log.jsonl").st_ino
    assert copied.digest == record.digest


def test_paths_may_be_relative_to_another_folder(run: Path, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere.toml"
    shutil.move(run, elsewhere)
    assert write_pack(elsewhere, tmp_path / "pack", root=tmp_path / "run").declaration.name == "tiny"


def test_digests_in_place_of_weights(run: Path, tmp_path: Path):
    record = write_pack(run, tmp_path / "pack", digest_only=True)
    whole = write_pack(run, tmp_path / "whole")
    assert not [path for path in record.files if path.startswith("checkpoints/")]
    for entry in record.declaration.checkpoint:
        assert (entry.path, entry.rows) == ("", "")
        assert entry.digest == whole.files[f"checkpoints/{entry.name}/model.safetensors"].sha256
    assert record.declaration.checkpoint[1].optimizer == "optimizer/step-2.safetensors"


def test_some_checkpoints_stay_whole(run: Path, tmp_path: Path):
    record = write_pack(run, tmp_path / "pack", digest_only=True, whole=["step-0"])
    assert [bool(entry.path) for entry in record.declaration.checkpoint] == [True, False, False]
    with pytest.raises(UsageError, match="no checkpoint is called 'step-9'"):
        write_pack(run, tmp_path / "other", digest_only=True, whole=["step-9"])


def rows_of(record, name: str):
    """Everything that one file of sampled rows holds."""
    (entry,) = (entry for entry in record.declaration.checkpoint if entry.name == name)
    source = LocalSource(record.path(entry.rows))
    catalog = run_plan(plan_catalog(source.files), source)
    values = {
        key: np.frombuffer(source.read(e.file, *e.span), "<i8")
        if e.dtype is DType.I64
        else decode(source.read(e.file, *e.span), e.dtype).reshape(e.shape)
        for key, e in catalog.items()
    }
    return values, catalog.metadata


def test_sampled_rows_are_those_of_the_weights_and_the_same_in_every_checkpoint(run: Path, tmp_path: Path):
    record = write_pack(run, tmp_path / "pack", sample_rows=3)
    indices = []
    for step in (0, 2, 4):
        values, metadata = rows_of(record, f"step-{step}")
        weights = tiny_weights(step)
        index = values["index/embed.weight"]
        assert len(index) == 3
        assert (np.diff(index) > 0).all()
        np.testing.assert_array_equal(values["rows/embed.weight"], weights["embed.weight"][index])
        np.testing.assert_array_equal(
            values["rows/norm.weight"][:, 0], weights["norm.weight"][values["index/norm.weight"]]
        )
        assert metadata["shape/embed.weight"] == "10,4"
        assert metadata["shape/norm.weight"] == "4,1"
        assert metadata["dtype/embed.weight"] == "F32"
        indices.append(index.tolist())
    assert indices[0] == indices[1] == indices[2]


def test_which_rows_follows_from_the_seed_and_from_all_weights(run: Path, tmp_path: Path):
    def index(name: str, seed: int) -> list[int]:
        return rows_of(write_pack(run, tmp_path / name, sample_rows=3, seed=seed), "step-0")[0][
            "index/embed.weight"
        ].tolist()

    first = index("a", 0)
    assert index("b", 0) == first
    assert any(index(f"s{seed}", seed) != first for seed in (1, 2, 3))
    last = run.parent / "checkpoints/step-4/model.safetensors"
    for k in range(3):
        data = bytearray(last.read_bytes())
        data[-1 - k] ^= 1
        last.write_bytes(data)
        if index(f"w{k}", 0) != first:
            return
    pytest.fail("the rows did not change with the weights of another checkpoint")


def test_a_configuration_is_kept_where_checkpoints_are_not(run: Path, tmp_path: Path):
    run.write_text(run.read_text().replace('[model]\nconfig = "config.json"\n', ""))
    assert write_pack(run, tmp_path / "whole").declaration.model.config == ""
    record = write_pack(run, tmp_path / "pack", digest_only=True)
    assert record.declaration.model.config == "checkpoints/step-0/config.json"
    assert record.declaration.model.config in record.files


def test_the_digest_of_several_files_is_that_of_their_table():
    one = weights_digest({"a": "00"})
    two = weights_digest({"a": "00", "b": "11"})
    assert one == "00"
    assert two == hashlib.sha256(b'{"a":"00","b":"11"}').hexdigest()


def test_a_pack_never_replaces_anything(run: Path, tmp_path: Path):
    (tmp_path / "pack").mkdir()
    with pytest.raises(UsageError, match="exists already, and a pack never replaces anything"):
        write_pack(run, tmp_path / "pack")
    with pytest.raises(UsageError, match="choose one"):
        write_pack(run, tmp_path / "other", digest_only=True, sample_rows=2)
    with pytest.raises(UsageError, match="expected 1 to 1,000,000 rows"):
        write_pack(run, tmp_path / "other", sample_rows=-1)
    assert list((tmp_path / "pack").iterdir()) == []


def test_a_pack_that_fails_leaves_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def killed(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pack_module, "_write_durably", killed)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Exception, match="No space left on device"):
        write_pack(run, tmp_path / "pack")
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_changes_while_it_is_packed_is_an_error(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = run.parent / "log.jsonl"
    real = gather.hashlib.sha256

    class Meddling:
        def __init__(self) -> None:
            self.inner = real()

        def update(self, data: bytes) -> None:
            if b'"step"' in data:
                log.write_bytes(log.read_bytes() + b"\n")
            self.inner.update(data)

        def hexdigest(self) -> str:
            return self.inner.hexdigest()

    monkeypatch.setattr(gather.hashlib, "sha256", Meddling)
    with pytest.raises(ChangedError, match=r"log\.jsonl changed while it was read"):
        write_pack(run, tmp_path / "pack")


def test_a_partial_pack_discloses_what_is_there(run: Path, tmp_path: Path):
    record = write_pack(run, tmp_path / "pack")
    claimed = record.files["checkpoints/step-2/model.safetensors"].sha256
    shutil.rmtree(record.folder / "checkpoints" / "step-2")
    (record.folder / "log.jsonl").unlink()
    (record.folder / "data" / "order.npy").unlink()
    with pytest.raises(
        NotFoundError, match=r"lists 'checkpoints/step-2/config.json', which is not there \(4 of"
    ):
        open_pack(record.folder)
    held = open_pack(record.folder, partial=True)
    assert held.digest == record.digest
    assert held.declaration.log == ()
    assert held.declaration.data.order == ""
    assert held.declaration.data.windows == "data/windows.npy"
    assert [bool(entry.path) for entry in held.declaration.checkpoint] == [True, False, True]
    assert held.declaration.checkpoint[1].digest == claimed
    assert set(held.files) < set(record.files)


def test_what_is_not_a_pack_is_said_to_be_none(run: Path, tmp_path: Path):
    with pytest.raises(
        NotFoundError, match=r"holds record\.toml and no manifest\.json: it is not packed yet"
    ):
        open_pack(run.parent)
    with pytest.raises(NotFoundError, match=r"holds no manifest\.json, so it is not a pack"):
        open_pack(tmp_path)
    with pytest.raises(NotFoundError, match="there is no such folder"):
        open_pack(tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match="there is no such declaration"):
        write_pack(tmp_path, tmp_path / "pack")


def test_opening_writes_nothing(run: Path, tmp_path: Path):
    folder = write_pack(run, tmp_path / "pack").folder
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.rglob("*")}
    open_pack(folder)
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in tmp_path.rglob("*")} == before


def test_a_manifest_is_read_as_it_was_written(run: Path, tmp_path: Path):
    record = write_pack(run, tmp_path / "pack")
    manifest = parse_manifest((record.folder / MANIFEST).read_bytes())
    assert manifest.declaration == record.declaration
    assert manifest.files == record.files
    assert manifest.jokbo
