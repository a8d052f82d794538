"""What a checkpoint's pickle may speak of: tensors, the storages they share, and a list of names.

None of these names is ever imported. They are those that ``torch/serialization.py`` and
``torch/_utils.py`` write for tensors of dense layout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jokbo.formats.dtypes import DType


@dataclass(frozen=True, slots=True)
class StorageRecord:
    """Bytes that tensors share: the key that finds them, and how many there are."""

    key: str
    n_bytes: int
    dtype: DType | None


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor as the pickle describes it.

    Attributes
    ----------
    storage : StorageRecord
    dtype : DType or None
        None where the element type is none that Jokbo knows; `type_name` names it.
    offset : int
        Elements of the storage before the first of the tensor.
    shape, strides : tuple of int
        Strides in elements.
    """

    storage: StorageRecord
    dtype: DType | None
    type_name: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


MAX_NUMBER = 1 << 20
"""Numbers from here on are no keys: no optimizer has as many tensors."""


@dataclass(slots=True, eq=False)
class Table:
    """A dictionary: values under names, and pairs of those under anything else that a reader asked to keep.

    Names hash with a secret of the process. Numbers do not, and a file could be made of those that collide:
    they are kept as pairs, and hashed (:attr:`numbered`) only below :data:`MAX_NUMBER`, where too few collide.
    """

    items: dict[str, Any] = field(default_factory=dict)
    n_unnamed: int = 0
    pairs: list[tuple[Any, Any]] | None = None

    @property
    def numbered(self) -> dict[int, Any]:
        """Values under small counts, such as an optimizer's parameters."""
        return {key: value for key, value in self.pairs or () if type(key) is int and 0 <= key < MAX_NUMBER}

    def keep(self, key: Any, value: Any) -> None:
        """Keep a value under something that is no name."""
        if self.pairs is None:
            self.pairs = []
        self.pairs.append((key, value))


@dataclass(frozen=True, slots=True)
class Known:
    """A name on the list: a function to describe, a type of storage or element, or nothing of interest."""

    name: str
    kind: str
    dtype: DType | None = None


def _names() -> dict[str, Known]:
    storages = {
        "Double": DType.F64, "Float": DType.F32, "Half": DType.F16, "BFloat16": DType.BF16, "Long": DType.I64,
        "Int": DType.I32, "Short": DType.I16, "Char": DType.I8, "Byte": DType.U8, "Bool": DType.BOOL,
    }  # fmt: skip
    elements = {
        "float64": DType.F64, "float32": DType.F32, "float16": DType.F16, "bfloat16": DType.BF16,
        "int64": DType.I64, "int32": DType.I32, "int16": DType.I16, "int8": DType.I8, "uint8": DType.U8,
        "uint16": DType.U16, "uint32": DType.U32, "uint64": DType.U64, "bool": DType.BOOL,
        "float8_e4m3fn": DType.F8_E4M3, "float8_e5m2": DType.F8_E5M2, "float8_e8m0fnu": DType.F8_E8M0,
        "float8_e4m3fnuz": None, "float8_e5m2fnuz": None, "complex64": None, "complex128": None,
    }  # fmt: skip
    calls = (
        "collections.OrderedDict", "torch.Size", "torch.device", "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
    )  # fmt: skip
    known = [Known(f"torch.{name}Storage", "storage", dtype) for name, dtype in storages.items()]
    known += [Known(f"torch.{name}", "element", dtype) for name, dtype in elements.items()]
    known += [Known(name, "call") for name in calls]
    known += [Known(name, "bytes") for name in ("torch.UntypedStorage", "torch.storage.UntypedStorage")]
    return {entry.name: entry for entry in known}


NAMES = _names()
"""Every name that a pickle may use; none is imported."""

REFUSED = {
    ord("0"): "POP", ord("1"): "POP_MARK", ord("2"): "DUP", ord("F"): "FLOAT", ord("I"): "INT", ord("L"): "LONG",
    ord("P"): "PERSID", ord("S"): "STRING", ord("V"): "UNICODE", ord("d"): "DICT", ord("g"): "GET",
    ord("i"): "INST", ord("l"): "LIST", ord("o"): "OBJ", ord("p"): "PUT", 0x81: "NEWOBJ", 0x82: "EXT1",
    0x83: "EXT2", 0x84: "EXT4", 0x8B: "LONG4", 0x8D: "BINUNICODE8", 0x8E: "BINBYTES8", 0x8F: "EMPTY_SET",
    0x90: "ADDITEMS", 0x91: "FROZENSET", 0x92: "NEWOBJ_EX", 0x96: "BYTEARRAY8", 0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
}  # fmt: skip
"""Instructions that exist and are not carried out, so that the error can name them."""
