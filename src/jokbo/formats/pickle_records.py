"""Pickles of PyTorch's distributed checkpoints: descriptions of tensors and where their pieces lie.

``.metadata`` is a bare pickle of a few dataclasses of ``torch.distributed.checkpoint``. The interpreter of
:mod:`jokbo.formats.pickles` reads it with two instructions more, NEWOBJ and BUILD, for the classes listed
here; they become plain records of their name and state. Nothing is imported, called or built.

Written by ``torch/distributed/checkpoint/{metadata,filesystem}.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jokbo.formats.pickle_names import NAMES, Known, Table
from jokbo.formats.pickles import _INSTRUCTIONS, Pickle, _kind, _Machine

_CHECKPOINT = "torch.distributed.checkpoint"

RECORDS = (
    f"{_CHECKPOINT}.metadata.Metadata",
    f"{_CHECKPOINT}.metadata.TensorStorageMetadata",
    f"{_CHECKPOINT}.metadata.BytesStorageMetadata",
    f"{_CHECKPOINT}.metadata.ChunkStorageMetadata",
    f"{_CHECKPOINT}.metadata.TensorProperties",
    f"{_CHECKPOINT}.metadata.MetadataIndex",
    f"{_CHECKPOINT}.metadata.StorageMeta",
    f"{_CHECKPOINT}.filesystem._StorageInfo",
    "torch.distributed._shard.sharded_tensor.metadata.TensorProperties",
)
"""Classes whose objects become records."""

WORDS = (
    "torch.serialization._get_layout",
    f"{_CHECKPOINT}.metadata._MEM_FORMAT_ENCODING",
    "torch.distributed._shard.sharded_tensor.metadata.MEM_FORMAT_ENCODING",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
)
"""Calls that stand for a layout, a memory format or a path: of no interest, and replaced by None."""


@dataclass(slots=True, eq=False)
class Recorded:
    """An object of a listed class.

    Attributes
    ----------
    name : str
        Of the class, without its module.
    state : Table, tuple or None
        Its fields, by name or in order, as its class saves them.
    """

    name: str
    state: Any = None

    def get(self, name: str) -> Any:
        """A field by name; None where it is absent, or the state is not by name."""
        return self.state.items.get(name) if type(self.state) is Table else None


def read_record_pickle(data: bytes, where: str) -> Pickle:
    """Read a pickle of listed records without running it.

    Parameters
    ----------
    data : bytes
    where : str
        Opens every error message.

    Raises
    ------
    FormatError
        An instruction, a name or a value that is not on the lists.
    TruncatedPickleError
        The bytes end first.
    """
    return _RecordMachine(data, where, 0).run()


class _RecordMachine(_Machine):
    def __init__(self, data: bytes, where: str, start: int) -> None:
        super().__init__(data, where, start)
        self.names = _NAMES
        self.instructions = _RECORD_INSTRUCTIONS

    def keeps(self, key: Any) -> bool:
        return type(key) is Recorded

    def new_object(self) -> None:
        arguments, kind = self.pop(), self.pop()
        if type(kind) is not Known or kind.kind != "record" or arguments != ():
            name = kind.name if type(kind) is Known else _kind(kind)
            self.refuse(f"the pickle makes an object of {name}, which no checkpoint's metadata does")
        self.stack.append(Recorded(kind.name.rpartition(".")[2]))

    def build(self) -> None:
        state, target = self.pop(), self.pop()
        if type(target) is not Recorded or target.state is not None or type(state) not in (Table, tuple):
            self.refuse(f"the pickle gives {_kind(state)} as the state of {_kind(target)}")
        target.state = state
        self.stack.append(target)

    def describe(self, name: str, given: tuple[Any, ...]) -> Any:
        if name in _WORDS:
            return None
        return super().describe(name, given)


_WORDS = {word.rpartition(".")[2] for word in WORDS}
_NAMES = {
    **NAMES,
    **{name: Known(name, "record") for name in RECORDS},
    **{name: Known(name, "call") for name in WORDS},
}
_RECORD_INSTRUCTIONS = {
    **{code: run for code, run in _INSTRUCTIONS.items() if code not in (ord("Q"), ord("b"))},
    0x81: _RecordMachine.new_object,  # NEWOBJ
    ord("b"): _RecordMachine.build,  # BUILD
}
