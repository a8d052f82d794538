"""PyTorch checkpoints (``.bin``, ``.pt``, ``.pth``), read without running the pickle inside.

The pickle says which tensors there are (:mod:`jokbo.formats.pickles`); their bytes are read by range,
from members of a zip archive (PyTorch 1.6 and later) or one after another at the end of the file (before).

Which mapping is the weights: the one mapping of names that holds weights itself, looked for at most four
mappings deep. What lies under a name that begins with ``optim`` is an optimizer's and is not looked at.
Two such mappings (weights and their moving average) are an error that names both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.errors import FormatError
from jokbo.formats import pickle_legacy, zips
from jokbo.formats.base import TensorCatalog, TensorEntry
from jokbo.formats.choose import NOT_WEIGHTS
from jokbo.formats.pickle_names import StorageRecord, Table, TensorRecord
from jokbo.formats.pickles import ADVICE, MAX_PICKLE_BYTES, read_pickle
from jokbo.formats.shards import NUMBERED, check_numbering
from jokbo.sources.base import ByteRange, FileInfo, Read

SUFFIXES = (".bin", ".pt", ".pth")
INDEX_SUFFIX = ".bin.index.json"
MAX_INDEX_BYTES = 100_000_000
MAX_DEPTH = 4
USUAL = "pytorch_model"
"""How Transformers names the weights; other files beside them are then not the model's."""

Plan = Generator[list[Read], list[bytes], TensorCatalog]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One file: its weights as described, where each storage lies, and a digest of the description."""

    tensors: Mapping[str, TensorRecord]
    spans: Mapping[str, ByteRange]
    header_sha256: str


def plan_catalog(files: Mapping[str, FileInfo]) -> Plan:
    """Yield the reads that a checkpoint's catalog needs and return it.

    Parameters
    ----------
    files : mapping of str to FileInfo
        All files of the source; an index among them decides which shards count.

    Raises
    ------
    FormatError
        A file is malformed, asks for code to be run, lacks a shard, or holds several sets of weights.
    """
    indexes = sorted(name for name in files if name.endswith(INDEX_SUFFIX))
    if len(indexes) > 1:
        raise FormatError(
            f"found {len(indexes)} indexes ({', '.join(indexes)}); expected one. Name the checkpoint you mean."
        )
    weight_map: dict[str, str] | None = None
    if indexes:
        weight_map = yield from _read_index(indexes[0], files)
        shards = sorted(set(weight_map.values()))
    else:
        shards = _choose_files(files)
    entries: dict[str, TensorEntry] = {}
    digests: dict[str, str] = {}
    for shard in shards:
        checkpoint = yield from _plan_file(shard, files[shard].size)
        digests[shard] = checkpoint.header_sha256
        for entry in _entries(shard, checkpoint):
            if entry.name in entries:
                raise FormatError(
                    f"tensor {entry.name!r} is in {entries[entry.name].file} and again in {shard}; "
                    "expected each tensor once. Remove the file that does not belong."
                )
            entries[entry.name] = entry
    if weight_map is not None:
        _check_index(indexes[0], weight_map, entries)
    return TensorCatalog(entries, digests)


def _choose_files(files: Mapping[str, FileInfo]) -> list[str]:
    """The weights among the files, all shards of them."""
    found = sorted(name for name in files if name.endswith(SUFFIXES) and not NOT_WEIGHTS.fullmatch(name))
    if len(files) == 1:  # what was named alone is meant, whatever its name
        found = [name for name in files if name.endswith(SUFFIXES)]
    found = [name for name in found if name.startswith(USUAL)] or found
    if not found:
        raise FormatError(
            f"found no weights in PyTorch's format among {len(files)} files; expected a file that ends in "
            f"{', '.join(SUFFIXES)}. Point at a folder, file or repository that holds them."
        )
    single = [name for name in found if not NUMBERED.fullmatch(name)]
    if len(single) > 1 or (single and len(found) > 1):
        raise FormatError(
            f"found {len(found)} files that could each be the weights: {', '.join(found[:8])}; expected one, "
            "or numbered shards. Name the file you mean."
        )
    check_numbering(found)
    return found


def _read_index(
    index: str, files: Mapping[str, FileInfo]
) -> Generator[list[Read], list[bytes], dict[str, str]]:
    size = files[index].size
    if size > MAX_INDEX_BYTES:
        raise FormatError(
            f"{index} is {size:,} bytes; an index has at most {MAX_INDEX_BYTES:,}. Check the file."
        )
    (data,) = yield [Read(index, ByteRange(0, size))]
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise FormatError(f"{index} is not JSON. Fetch it again.") from None
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise FormatError(
            f"{index}: expected an object 'weight_map' of tensor names to files. Fetch it again."
        )
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not shard.endswith(SUFFIXES) or "/" in shard or "\\" in shard:
            raise FormatError(
                f"{index}: tensor {name!r} points at {str(shard)[:80]!r}; expected the name of a .bin file beside it."
            )
        if shard not in files:
            raise FormatError(
                f"{index}: tensor {name!r} is in {shard}, and that shard is missing. "
                "A verdict is never given on part of a model: complete the download."
            )
    return weight_map


def _check_index(index: str, weight_map: Mapping[str, str], entries: Mapping[str, TensorEntry]) -> None:
    for name, shard in weight_map.items():
        if name not in entries or entries[name].file != shard:
            found = f"it is in {entries[name].file}" if name in entries else "no shard has it"
            raise FormatError(f"{index}: tensor {name!r} should be in {shard}; {found}. The index lies.")
    for name, entry in entries.items():
        if name not in weight_map:
            raise FormatError(f"{index}: {entry.file} holds tensor {name!r}, which the index does not name.")


@dataclass(frozen=True, slots=True)
class Description:
    """One file as its pickle describes it: any value, where each storage lies, and a digest of the description."""

    value: Any
    spans: Mapping[str, ByteRange]
    header_sha256: str


def _plan_file(file: str, size: int) -> Generator[list[Read], list[bytes], Checkpoint]:
    found = yield from plan_description(file, size)
    return Checkpoint(find_weights(found.value, file), found.spans, found.header_sha256)


def plan_description(file: str, size: int) -> Generator[list[Read], list[bytes], Description]:
    """Yield the reads that say what a file of ``torch.save`` holds, whatever that is, and return it.

    Raises
    ------
    FormatError
        The file is malformed, or asks for code to be run.
    """
    (head,) = yield [Read(file, ByteRange(0, min(size, 32)))]
    if head.startswith(b"PK\3\4"):
        return (yield from _plan_zip(file, size))
    if head.startswith(pickle_legacy.MAGIC):
        legacy = yield from pickle_legacy.plan_legacy(file, size)
        return Description(legacy.value, legacy.spans, legacy.header_sha256)
    raise FormatError(
        f"{file}, offset 0: begins with {head[:8].hex(' ') or 'nothing'}; a file of torch.save begins as a zip archive "
        "or with PyTorch's own number. It is something else, or older than PyTorch 0.1.10: load it where it "
        "was made, and save its state dict as safetensors."
    )


def _plan_zip(file: str, size: int) -> Generator[list[Read], list[bytes], Description]:
    archive = yield from zips.plan_archive(file, size)
    pickles = [name for name in archive.members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise FormatError(
            f"{file}: the archive holds {len(pickles)} members data.pkl in a folder of their own; torch.save "
            "writes one. This is another kind of archive, or a damaged one."
        )
    folder = pickles[0].removesuffix("data.pkl")
    if any(name.startswith(f"{folder}code/") for name in archive.members):
        raise FormatError(f"{file}: this is a TorchScript program, not a state dict. {ADVICE}")
    data = yield from zips.plan_small_member(archive, archive.members[pickles[0]], max_bytes=MAX_PICKLE_BYTES)
    if order := archive.members.get(f"{folder}byteorder"):
        said = yield from zips.plan_small_member(archive, order, max_bytes=16)
        if said != b"little":
            raise FormatError(
                f"{file}, member {order.name!r}: the weights are {said[:16]!r}-endian; expected 'little'. "
                "Save them again on a little-endian machine."
            )
    pickle = read_pickle(data, f"{file}, {pickles[0]}")
    if pickle.stop != len(data):
        raise FormatError(f"{file}, {pickles[0]}, offset {pickle.stop:,}: bytes follow the pickle. {ADVICE}")
    stored = [_stored_member(archive, folder, record) for record in pickle.storages.values()]
    spans = yield from zips.plan_spans(archive, stored)
    digest = hashlib.sha256(data + archive.directory).hexdigest()
    by_key = {key: spans[f"{folder}data/{key}"] for key in pickle.storages}
    return Description(pickle.value, by_key, digest)


def _stored_member(archive: zips.Archive, folder: str, record: StorageRecord) -> zips.Member:
    name = f"{folder}data/{record.key}"
    member = archive.members.get(name)
    if member is None:
        raise FormatError(
            f"{archive.file}: the pickle speaks of storage {record.key}, and there is no member {name!r}. "
            "The file is damaged: fetch it again."
        )
    if member.method != zips.STORED:
        raise FormatError(
            f"{archive.file}, member {name!r}: tensors are packed by method {member.method}; torch.save stores "
            "them as they are. Save the checkpoint again with torch.save, or as safetensors."
        )
    if member.size != record.n_bytes:
        raise FormatError(
            f"{archive.file}, member {name!r} has {member.size:,} bytes; the pickle says {record.n_bytes:,}. "
            "The file is damaged: fetch it again."
        )
    return member


def find_weights(root: Any, file: str) -> dict[str, TensorRecord]:
    """The one mapping of names to weights, by the rule at the head of this module.

    Raises
    ------
    FormatError
        None, or several; the message lists them.
    """
    found: list[tuple[str, Table]] = []
    seen: set[int] = set()
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    while waiting:
        path, value, depth = waiting.pop(0)
        if type(value) is not Table or id(value) in seen or depth > MAX_DEPTH:
            continue
        seen.add(id(value))  # a mapping may hold itself, or be held a million times
        if any(_is_weights(item) for item in value.items.values()):
            found.append((path, value))
        waiting += [
            (f"{path}[{name[:40]!r}]", item, depth + 1)
            for name, item in value.items.items()
            if type(item) is Table and not name.lower().startswith("optim")
        ]
    if not found:
        kind = "no mapping" if type(root) is Table else f"a {type(root).__name__.lower()}, not a mapping,"
        raise FormatError(
            f"{file}: found {kind} of names to weights; expected a state dict, or one inside a checkpoint. "
            "Save the model's state_dict() alone."
        )
    if len(found) > 1:
        places = ", ".join(path or "the outermost" for path, _ in found[:8])
        raise FormatError(
            f"{file}: {len(found)} mappings hold weights ({places}); which one is the model is not guessed. "
            "Save the one you mean alone."
        )
    return {name: item for name, item in found[0][1].items.items() if type(item) is TensorRecord}


def _is_weights(value: Any) -> bool:
    """A tensor of numbers with fractions; counters and random states of a trainer are none."""
    return type(value) is TensorRecord and (value.dtype is None or value.dtype.is_weight)


def _entries(file: str, checkpoint: Checkpoint) -> list[TensorEntry]:
    entries = [
        tensor_entry(file, name, tensor, checkpoint.spans[tensor.storage.key])
        for name, tensor in checkpoint.tensors.items()
    ]
    return sorted(entries, key=lambda entry: (entry.span.start, entry.span.stop))


def tensor_entry(file: str, name: str, tensor: TensorRecord, span: ByteRange) -> TensorEntry:
    """Where a described tensor lies, its storage at `span` of `file`.

    Raises
    ------
    FormatError
        Its element type is not read, its elements do not follow each other, or it leaves its storage.
    """
    where = f"{file}, tensor {name[:200]!r}"
    if tensor.dtype is None:
        raise FormatError(
            f"{where}: elements of type {tensor.type_name} are not read. Save it in another type."
        )
    if not _is_contiguous(tensor):
        raise FormatError(
            f"{where}: shape {list(tensor.shape)} with strides {list(tensor.strides)} is a view whose elements do not "
            "follow each other; expected row after row. Save the state dict again with .contiguous() on each tensor."
        )
    count = 1
    for side in tensor.shape:
        count *= side
    start = span.start + tensor.offset * tensor.dtype.itemsize
    own = ByteRange(start, start + count * tensor.dtype.itemsize)
    if own.stop > span.stop:
        raise FormatError(
            f"{where}: needs bytes {own.start:,} to {own.stop:,}; its storage {tensor.storage.key} ends at "
            f"{span.stop:,}. The file is damaged or hostile: fetch it again."
        )
    return TensorEntry(name, tensor.dtype, tensor.shape, file, own)


def _is_contiguous(tensor: TensorRecord) -> bool:
    expected = 1
    for side, stride in zip(reversed(tensor.shape), reversed(tensor.strides), strict=True):
        if side > 1 and stride != expected:
            return 0 in tensor.shape
        expected *= max(side, 1)
    return True
