"""Pickles of PyTorch's distributed checkpoints: descriptions of tensors and where their pieces lie.

``.metadata`` is a bare pickle of a few dataclasses of ``torch.distributed.checkpoint``. The interpreter of
:mod:`jokbo.formats.pickles` reads it with two instructions more, NEWOBJ and BUILD, for the classes listed
here; they become plain records of their name and state. Nothing is imported, called or built.

Members of an enumeration come in two forms: ``Class(value)``, and, from Python 3.11.0 to 3.11.3 (Debian 12 has
3.11.2), ``getattr(Class, "NAME")``. Both become a :class:`Member`; ``getattr`` means nothing else here, and a
pickle that applies it to anything but a listed class and one of its names, or leaves it unapplied, is refused.

Written by ``torch/distributed/checkpoint/{metadata,filesystem}.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

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

_MEMORY_FORMATS = ("TORCH_CONTIGUOUS_FORMAT", "TORCH_CHANNELS_LAST", "TORCH_PRESERVE_FORMAT")

ENUMERATIONS = {
    f"{_CHECKPOINT}.metadata._MEM_FORMAT_ENCODING": _MEMORY_FORMATS,
    "torch.distributed._shard.sharded_tensor.metadata.MEM_FORMAT_ENCODING": _MEMORY_FORMATS,
}
"""Enumerations and the names of their members, whose values count from zero."""

ATTRIBUTE = ("builtins.getattr", "__builtin__.getattr")
"""What names a member of an enumeration; the second in pickles of protocol 2."""

WORDS = (
    "torch.serialization._get_layout",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
)
"""Calls that stand for a layout or a path: of no interest, and replaced by None."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a listed enumeration: the class's name without its module, and the member's."""

    enumeration: str
    name: str


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
        self.unapplied = 0
        self.asked = start

    def run(self) -> Pickle:
        found = super().run()
        if self.unapplied:  # it lies in some value: nothing but a call takes it off the stack
            self.opened = self.asked
            self.refuse_attribute()
        return found

    def look_up(self, module: Any, name: Any) -> None:
        super().look_up(module, name)
        self.watch()

    def get(self, key: int) -> None:
        super().get(key)
        self.watch()

    def watch(self) -> None:
        """Count each getattr that is put on the stack; a call on it counts back."""
        value = self.stack[-1]
        if type(value) is Known and value.name in ATTRIBUTE:
            self.unapplied += 1
            self.asked = self.opened

    def refuse_attribute(self) -> NoReturn:
        self.refuse(
            "the pickle asks for builtins.getattr, which is not on the list of names a state dict uses "
            "(it may only name a member of a listed enumeration)"
        )

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
        if name == "getattr":
            return self.member(given)
        if name in _MEMBERS:
            members = _MEMBERS[name]
            if len(given) != 1 or type(given[0]) is not int or not 0 <= given[0] < len(members):
                self.refuse(f"{name} is called with something else than the value of one of its members")
            return members[given[0]]
        if name in _WORDS:
            return None
        return super().describe(name, given)

    def member(self, given: tuple[Any, ...]) -> Member:
        """What ``getattr(Class, "NAME")`` stands for, where the class is listed and the name is a member's."""
        self.unapplied -= 1
        if len(given) != 2 or type(given[0]) is not Known or type(given[1]) is not str:
            self.refuse_attribute()
        names = ENUMERATIONS.get(given[0].name, ())
        if given[1] not in names:
            self.refuse_attribute()
        return _MEMBERS[given[0].name.rpartition(".")[2]][names.index(given[1])]


_WORDS = {word.rpartition(".")[2] for word in WORDS}
_MEMBERS = {
    own: tuple(Member(own, name) for name in names)
    for own, names in ((full.rpartition(".")[2], names) for full, names in ENUMERATIONS.items())
}
_NAMES = {
    **NAMES,
    **{name: Known(name, "record") for name in RECORDS},
    **{name: Known(name, "call") for name in (*WORDS, *ENUMERATIONS, *ATTRIBUTE)},
}
_RECORD_INSTRUCTIONS = {
    **{code: run for code, run in _INSTRUCTIONS.items() if code not in (ord("Q"), ord("b"))},
    0x81: _RecordMachine.new_object,  # NEWOBJ
    ord("b"): _RecordMachine.build,  # BUILD
}
