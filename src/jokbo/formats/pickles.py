"""A reader of the pickles inside PyTorch checkpoints that runs nothing.

A pickle is a program. This is an interpreter of the few instructions that a state dict needs, each on
an explicit list; the objects it builds are plain values and records that *describe* tensors. Names of
functions and classes are looked up in a table of our own and never imported. Whatever is not listed is
an error that names the instruction and where it stands.

The standard library's disassembler (``pickletools``) is not used: it parses every instruction there is,
including text forms of any length, and imports the unpickler. Forty instructions of fixed layout are
fewer lines than guarding it. Format: https://docs.python.org/3/library/pickletools.html; what PyTorch
writes: ``torch/serialization.py`` and ``torch/_utils.py``.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from jokbo.errors import FormatError
from jokbo.formats.pickle_names import NAMES, REFUSED, Known, StorageRecord, Table, TensorRecord

MAX_PICKLE_BYTES = 16 << 20
"""A state dict spends about 200 bytes a tensor: room for 80,000 tensors in one file."""

MAX_INSTRUCTIONS = 2_000_000
"""Bounds objects, hence memory: the dearest instruction allowed keeps about a hundred bytes."""

MAX_STACK = 50_000
"""PyTorch's own pickler works in batches of a thousand."""

MAX_TEXT_BYTES = 64 << 10
MAX_INTEGER_BYTES = 16
MAX_SIDES = 16

ADVICE = (
    "Nothing in the file was executed. If you trust it, convert it to safetensors where it was made "
    "(safetensors.torch.save_file on the state dict)."
)


class TruncatedPickleError(FormatError):
    """The bytes end before the pickle does."""


@dataclass(frozen=True, slots=True)
class Pickle:
    """What a pickle describes, where it ends, and the storages it speaks of."""

    value: Any
    stop: int
    storages: Mapping[str, StorageRecord]


def read_pickle(data: bytes, where: str, *, start: int = 0) -> Pickle:
    """Read one pickle without running it.

    Parameters
    ----------
    data : bytes
        At most :data:`MAX_PICKLE_BYTES` of it are looked at.
    where : str
        Opens every error message: the file, and the member that holds the pickle.
    start : int
        Where the pickle begins.

    Raises
    ------
    FormatError
        An instruction or a name that is not on the list, a value that is not of the kind expected, or
        more of anything than a state dict has.
    TruncatedPickleError
        The bytes end first.

    Examples
    --------
    >>> read_pickle(b"\\x80\\x02}X\\x01\\x00\\x00\\x00aK\\x07s.", "example").value.items
    {'a': 7}
    """
    return _Machine(data, where, start).run()


class _Machine:
    """Stack, marks and memo of one pickle; every list is bounded."""

    def __init__(self, data: bytes, where: str, start: int) -> None:
        self.data, self.where, self.at, self.opened = data, where, start, start
        self.limit = min(len(data), start + MAX_PICKLE_BYTES)
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, StorageRecord] = {}
        self.instructions: Mapping[int, Callable[[Any], Any]] = _INSTRUCTIONS
        self.names: Mapping[str, Known] = NAMES

    def run(self) -> Pickle:
        for count in itertools.count():
            self.opened = self.at
            if count == MAX_INSTRUCTIONS:
                self.refuse(f"more than {MAX_INSTRUCTIONS:,} instructions")
            code = self.take(1)[0]
            if code == 0x2E:  # STOP
                value = self.pop()
                if self.stack:
                    self.refuse(f"the pickle stops with {len(self.stack):,} values left over")
                return Pickle(value, self.at, self.storages)
            instruction = self.instructions.get(code)
            if instruction is None:
                name = REFUSED.get(code)
                self.refuse(f"found the instruction {name}, which no state dict needs" if name
                            else f"byte 0x{code:02x} is not an instruction of a pickle")  # fmt: skip
            instruction(self)
            if len(self.stack) > MAX_STACK or len(self.marks) > MAX_STACK:
                self.refuse(f"more than {MAX_STACK:,} values wait on the stack")
        raise AssertionError("itertools.count ends")  # for the type checker

    def refuse(self, what: str) -> NoReturn:
        raise FormatError(f"{self.where}, offset {self.opened:,}: {what}. {ADVICE}")

    def take(self, n_bytes: int) -> bytes:
        stop = self.at + n_bytes
        if stop > self.limit:
            raise TruncatedPickleError(
                f"{self.where}, offset {self.opened:,}: an instruction needs bytes up to {stop:,}; the pickle "
                f"ends at {self.limit:,}. The file is truncated or damaged: fetch it again."
            )
        piece = self.data[self.at : stop]
        self.at = stop
        return piece

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def sized(self, layout: str, most: int = MAX_TEXT_BYTES) -> bytes:
        length = self.number(layout)
        if not 0 <= length <= most:
            self.refuse(f"a text or number of {length:,} bytes; expected at most {most:,}")
        return self.take(length)

    def text(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            self.refuse("a text is not UTF-8")

    def line(self) -> str:
        stop = self.data.find(b"\n", self.at, min(self.at + 256, self.limit))
        if stop < 0:
            if self.at + 256 > self.limit:
                self.take(257)  # says that the bytes end
            self.refuse("a name is longer than 255 bytes")
        line = self.take(stop - self.at)
        self.at += 1
        return self.text(line)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            self.refuse("an instruction takes a value that was never put on the stack")
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        if not self.marks:
            self.refuse("an instruction needs a mark that was never set")
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def top(self, kind: type, what: str) -> Any:
        """The value on top, which has to be a list or a table; it stays there."""
        value = self.pop()
        if type(value) is not kind:
            self.refuse(f"{what} needs a {'list' if kind is list else 'dictionary'}; found {_kind(value)}")
        self.stack.append(value)
        return value

    def append(self, values: list[Any]) -> None:
        self.top(list, "APPEND").extend(values)

    def set_items(self, values: list[Any]) -> None:
        if len(values) % 2:
            self.refuse("a dictionary is given a name without a value")
        table = self.top(Table, "SETITEM")
        for name, value in zip(values[::2], values[1::2], strict=True):
            if isinstance(name, str):
                table.items[name] = value
            else:
                table.n_unnamed += 1
                if self.keeps(name):
                    table.keep(name, value)

    def keeps(self, key: Any) -> bool:
        """Whether values under what is no name are kept: those of an optimizer, which numbers its parameters."""
        return type(key) is int

    def set_item(self) -> None:
        value = self.pop()
        self.set_items([self.pop(), value])

    def put(self, key: int) -> None:
        value = self.pop()
        self.stack.append(value)
        self.memo[key] = value  # at most one an instruction

    def get(self, key: int) -> None:
        if key not in self.memo:
            self.refuse(f"value {key:,} of the memo was never set")
        self.stack.append(self.memo[key])

    def tuple_of(self, length: int) -> None:
        items = [self.pop() for _ in range(length)]
        self.stack.append(tuple(reversed(items)))

    def protocol(self) -> None:
        if (version := self.number("<B")) not in range(2, 6):
            self.refuse(f"the pickle is of protocol {version}; expected 2 to 5")

    def look_up(self, module: Any, name: Any) -> None:
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else ""
        if full not in self.names:
            shown = full[:120] if full.isprintable() and full else "something that is not a name"
            self.refuse(f"the pickle asks for {shown}, which is not on the list of names a state dict uses")
        self.stack.append(self.names[full])

    def stack_global(self) -> None:
        name = self.pop()
        self.look_up(self.pop(), name)

    def build(self) -> None:
        self.pop()
        self.top(Table, "BUILD")  # a state dict's own state is its _metadata: versions of modules

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if type(function) is not Known or function.kind != "call" or type(arguments) is not tuple:
            name = function.name if type(function) is Known else _kind(function)
            self.refuse(f"the pickle calls {name} with {_kind(arguments)}, which no state dict does")
        self.stack.append(self.describe(function.name.rpartition(".")[2], arguments))

    def describe(self, name: str, given: tuple[Any, ...]) -> Any:
        """What a call on the list stands for."""
        if name == "OrderedDict" and given == ():
            return Table()
        if name == "Size" and len(given) == 1 and _are_counts(given[0]):
            return given[0]
        if name == "device":
            return None
        if name.startswith("_rebuild_parameter") and len(given) in (3, 4) and type(given[0]) is TensorRecord:
            return given[0]
        counts = {"_rebuild_tensor": (4,), "_rebuild_tensor_v2": (6, 7), "_rebuild_tensor_v3": (7, 8)}
        if len(given) not in counts.get(name, ()):
            self.refuse(f"{name} is called with {len(given)} arguments, not in the way PyTorch does")
        return self.tensor(given, given[6] if name == "_rebuild_tensor_v3" else None)

    def tensor(self, given: tuple[Any, ...], element: Any) -> TensorRecord:
        storage, offset, shape, strides = given[:4]
        if type(storage) is not _Stored:
            self.refuse(f"a tensor is made of {_kind(storage)}; expected a storage")
        if not _are_counts(shape) or not _are_counts(strides) or len(shape) != len(strides):
            self.refuse("a tensor's shape and strides are not two lists of as many counts")
        if not _are_counts((offset,)):
            self.refuse("a tensor's offset is not a count")
        if element is None:
            kind = storage.type
        elif type(element) is Known and element.kind == "element":
            kind = element
        else:
            self.refuse(f"a tensor's element type is {_kind(element)}")
        return TensorRecord(storage.record, kind.dtype, kind.name, offset, shape, strides)

    def persistent(self) -> None:
        given = self.pop()
        if type(given) is not tuple or len(given) not in (5, 6) or type(given[0]) is not str:
            self.refuse("a persistent id is not the description of a storage")
        tag, kind, key, _, count = given[:5]
        if tag != "storage" or type(kind) is not Known or kind.kind not in ("storage", "bytes"):
            self.refuse("a persistent id is not the description of a storage")
        if type(key) is not str or not 0 < len(key) <= 64 or not key.isascii() or not key.isalnum():
            self.refuse("a storage's key is not a short word")
        if not _are_counts((count,)) or (len(given) == 6 and given[5] is not None):
            self.refuse(f"storage {key}: its size is not a count, or it is a view of another")
        n_bytes = count * (kind.dtype.itemsize if kind.dtype else 1)
        record = self.storages.setdefault(key, StorageRecord(key, n_bytes, kind.dtype))
        if record.n_bytes != n_bytes:
            self.refuse(f"storage {key} has {record.n_bytes:,} bytes at first and {n_bytes:,} here")
        self.stack.append(_Stored(record, kind))


@dataclass(frozen=True, slots=True)
class _Stored:
    """A storage on the stack, with the type that this mention of it gives."""

    record: StorageRecord
    type: Known


def _are_counts(values: Any) -> bool:
    return (
        type(values) is tuple
        and len(values) <= MAX_SIDES
        and all(type(value) is int and 0 <= value < 1 << 62 for value in values)
    )


def _kind(value: Any) -> str:
    """What a value is, without showing it: a value may be megabytes, or hold itself."""
    return f"a {type(value).__name__.removeprefix('_').lower()}"


def _integer(machine: _Machine) -> int:
    return int.from_bytes(machine.sized("<B", MAX_INTEGER_BYTES), "little", signed=True)


def _table() -> dict[int, Callable[[_Machine], Any]]:
    """Every instruction that is carried out."""

    def pushes(value: Callable[[_Machine], Any]) -> Callable[[_Machine], Any]:
        return lambda m: m.stack.append(value(m))

    return {
        0x80: _Machine.protocol,  # PROTO
        0x95: lambda m: m.number("<Q"),  # FRAME: a hint on how much to read at once
        ord("("): lambda m: m.marks.append(len(m.stack)),  # MARK
        ord("N"): pushes(lambda m: None),  # NONE
        0x88: pushes(lambda m: True),  # NEWTRUE
        0x89: pushes(lambda m: False),  # NEWFALSE
        ord("J"): pushes(lambda m: m.number("<i")),  # BININT
        ord("K"): pushes(lambda m: m.number("<B")),  # BININT1
        ord("M"): pushes(lambda m: m.number("<H")),  # BININT2
        0x8A: pushes(_integer),  # LONG1
        ord("G"): pushes(lambda m: m.number(">d")),  # BINFLOAT
        ord("X"): pushes(lambda m: m.text(m.sized("<I"))),  # BINUNICODE
        0x8C: pushes(lambda m: m.text(m.sized("<B"))),  # SHORT_BINUNICODE
        ord("T"): pushes(lambda m: m.text(m.sized("<i"))),  # BINSTRING: names in files of Python 2
        ord("U"): pushes(lambda m: m.text(m.sized("<B"))),  # SHORT_BINSTRING
        ord("B"): pushes(lambda m: m.sized("<I", MAX_PICKLE_BYTES)),  # BINBYTES
        ord("C"): pushes(lambda m: m.sized("<B")),  # SHORT_BINBYTES
        ord("]"): pushes(lambda m: []),  # EMPTY_LIST
        ord("}"): pushes(lambda m: Table()),  # EMPTY_DICT
        ord(")"): pushes(lambda m: ()),  # EMPTY_TUPLE
        ord("a"): lambda m: m.append([m.pop()]),  # APPEND
        ord("e"): lambda m: m.append(m.pop_marked()),  # APPENDS
        ord("s"): _Machine.set_item,  # SETITEM
        ord("u"): lambda m: m.set_items(m.pop_marked()),  # SETITEMS
        ord("t"): pushes(lambda m: tuple(m.pop_marked())),  # TUPLE
        0x85: lambda m: m.tuple_of(1),  # TUPLE1
        0x86: lambda m: m.tuple_of(2),  # TUPLE2
        0x87: lambda m: m.tuple_of(3),  # TUPLE3
        ord("q"): lambda m: m.put(m.number("<B")),  # BINPUT
        ord("r"): lambda m: m.put(m.number("<I")),  # LONG_BINPUT
        0x94: lambda m: m.put(len(m.memo)),  # MEMOIZE
        ord("h"): lambda m: m.get(m.number("<B")),  # BINGET
        ord("j"): lambda m: m.get(m.number("<I")),  # LONG_BINGET
        ord("c"): lambda m: m.look_up(m.line(), m.line()),  # GLOBAL
        0x93: _Machine.stack_global,  # STACK_GLOBAL
        ord("R"): _Machine.reduce,  # REDUCE
        ord("b"): _Machine.build,  # BUILD
        ord("Q"): _Machine.persistent,  # BINPERSID
    }


_INSTRUCTIONS = _table()
