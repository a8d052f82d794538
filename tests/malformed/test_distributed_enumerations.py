"""Members of enumerations in a distributed checkpoint's metadata, in the two forms that Pythons write.

Python 3.11.0 to 3.11.3 pickle one as ``getattr(Class, "NAME")``, all others as ``Class(value)``. A pickle that
asks for ``getattr`` in any other way is refused. All bytes but the last test's are built here.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from jokbo.errors import FormatError
from jokbo.formats.pickle_names import Known, Table
from jokbo.formats.pickle_records import ENUMERATIONS, Member, Recorded, read_record_pickle
from jokbo.formats.pickles import read_pickle
from jokbo.sources.memory import MemorySource
from jokbo.views.model import open_model

DATA = Path(__file__).parents[1] / "unit/records/data"
METADATA = "torch.distributed.checkpoint.metadata"
ENUMERATION = f"{METADATA}._MEM_FORMAT_ENCODING"
NAMES = ("TORCH_CONTIGUOUS_FORMAT", "TORCH_CHANNELS_LAST", "TORCH_PRESERVE_FORMAT")
REFUSED = "the pickle asks for builtins.getattr, which is not on the list of names a state dict uses"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def name_of(full: str, *, stacked: bool = False) -> bytes:
    module, _, own = full.rpartition(".")
    return text(module) + text(own) + b"\x93" if stacked else f"c{module}\n{own}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


GETATTR = name_of("builtins.getattr")
CLASS = name_of(ENUMERATION)
MEMBER = call(GETATTR, CLASS, text(NAMES[0]))


def read(value: bytes) -> object:
    return read_record_pickle(b"\x80\x02" + value + b".", ".metadata").value


def refused(value: bytes, match: str = REFUSED) -> None:
    with pytest.raises(FormatError, match=match) as caught:
        read(value)
    assert str(caught.value).startswith(".metadata, offset ")
    assert "Nothing in the file was executed" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("enumeration", list(ENUMERATIONS))
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("module", ["builtins", "__builtin__"])
def test_both_forms_are_the_same_member(enumeration: str, stacked: bool, module: str):
    getattr_, kind = (name_of(full, stacked=stacked) for full in (f"{module}.getattr", enumeration))
    for value, name in enumerate(NAMES):
        by_name = read(call(getattr_, kind, text(name)))
        assert by_name == read(call(kind, b"K" + bytes([value])))
        assert by_name == Member(enumeration.rpartition(".")[2], name)


def test_properties_with_a_member_by_name():
    state = b"(" + name_of("torch.bfloat16") + b"N\x89" + MEMBER + b"\x89t"
    found = read(name_of(f"{METADATA}.TensorProperties") + b")\x81" + state + b"b")
    assert type(found) is Recorded
    kind, layout, *rest = found.state
    assert type(kind) is Known
    assert (kind.name, layout) == ("torch.bfloat16", None)
    assert rest == [False, Member("_MEM_FORMAT_ENCODING", NAMES[0]), False]


def test_getattr_may_come_from_the_memo():
    # From the second tensor on, the pickler repeats neither the function, nor the class, nor the member.
    again = b"h\x00(h\x01" + text(NAMES[1]) + b"tR"
    found = read(
        b"](" + call(GETATTR + b"q\x00", CLASS + b"q\x01", text(NAMES[0])) + b"q\x02" + again + b"h\x02e"
    )
    assert [member.name for member in found] == [NAMES[0], NAMES[1], NAMES[0]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [
    "__class__", "__init__", "__reduce__", "__members__", "_value_", "mro", "name", "", "TORCH_STRIDED",
    "torch_channels_last", "TORCH_CHANNELS_LAST ", "TORCH_CHANNELS_LAST.value", NAMES[0] + "\0",
])  # fmt: skip
def test_a_name_that_is_no_member(name: str):
    refused(call(GETATTR, CLASS, text(name)))


@pytest.mark.parametrize("name", [b"N", b"K\x00", b"\x88", b"]", b"}", b"C\x04TORC", b"(t", CLASS, GETATTR])
def test_a_name_that_is_no_text(name: bytes):
    refused(call(GETATTR, CLASS, name))


@pytest.mark.parametrize("full", [
    f"{METADATA}.Metadata", f"{METADATA}.TensorProperties", "torch.Size", "torch.float32", "torch.FloatStorage",
    "torch.device", "torch._utils._rebuild_tensor_v2", "collections.OrderedDict", "pathlib.PosixPath",
    "torch.serialization._get_layout", "builtins.getattr", "__builtin__.getattr",
])  # fmt: skip
def test_another_class_of_the_lists(full: str):
    refused(call(GETATTR, name_of(full), text(NAMES[0])))


@pytest.mark.parametrize("full", [
    "os.path", "posix.system", "builtins.object", "builtins.setattr", "builtins.getattr.x", "operator.attrgetter",
    "enum.Enum", f"{METADATA}._MEM_FORMAT_ENCODING.__class__", f"{METADATA}.MEM_FORMAT_ENCODING",
    "torch.distributed.checkpoint.planner.WriteItemType", "builtins.hasattr", "Builtins.getattr",
])  # fmt: skip
def test_a_class_on_no_list(full: str):
    refused(
        call(GETATTR, name_of(full, stacked=True), text(NAMES[0])),
        f"the pickle asks for {full}, which is not",
    )


@pytest.mark.parametrize("target", [text(ENUMERATION), b"N", b"K\x00", b"]", b"}", b"(t", MEMBER])
def test_a_target_that_is_no_class(target: bytes):
    refused(call(GETATTR, target, text(NAMES[0])))


@pytest.mark.parametrize("arguments", [
    (), (CLASS,), (CLASS, text(NAMES[0]), b"N"), (CLASS, text("x"), CLASS),
    (CLASS, text(NAMES[0]), text(NAMES[0])), (text(NAMES[0]), CLASS),
])  # fmt: skip
def test_arguments_too_few_too_many_or_turned_round(arguments: tuple[bytes, ...]):
    refused(call(GETATTR, *arguments))


@pytest.mark.parametrize("value", [
    call(GETATTR, MEMBER, text("value")), call(GETATTR, MEMBER, text(NAMES[0])),
    call(GETATTR, call(CLASS, b"K\x00"), text("__class__")),
    call(GETATTR, call(GETATTR, CLASS, text("__class__")), text(NAMES[0])),
    call(GETATTR, CLASS, call(GETATTR, CLASS, text(NAMES[0]))),
    call(GETATTR, GETATTR, text("__self__")), call(call(GETATTR, GETATTR, text("__call__")), CLASS),
])  # fmt: skip
def test_nested(value: bytes):
    refused(value)


def test_a_member_is_not_called_built_or_made():
    refused(call(MEMBER, b"K\x00"), "the pickle calls a member with a tuple")
    refused(MEMBER + b")\x81", "makes an object of a member, which no checkpoint's metadata does")
    refused(MEMBER + b"}b", "gives a table as the state of a member")
    refused(GETATTR + b")\x81", "makes an object of builtins.getattr, which no checkpoint's metadata does")
    refused(GETATTR + b"}b", "gives a table as the state of a known")
    refused(GETATTR + b"]R", "calls builtins.getattr with a list")


@pytest.mark.parametrize("value", [
    GETATTR, b"(" + GETATTR + b"t", b"]" + GETATTR + b"a", b"}" + text("a") + GETATTR + b"s",
    b"}" + GETATTR + text("a") + b"s", name_of(f"{METADATA}.StorageMeta") + b")\x81(" + GETATTR + b"tb",
    b"(" + call(GETATTR + b"q\x00", CLASS, text(NAMES[0])) + b"h\x00t",
    call(name_of("pathlib.PosixPath"), GETATTR), call(name_of("torch.device"), GETATTR),
])  # fmt: skip
def test_getattr_left_unapplied(value: bytes):
    refused(value)


def test_the_error_says_where_getattr_that_is_left_was_asked_for():
    refused(b"]" + GETATTR + b"a", r"^\.metadata, offset 3: the pickle asks for builtins\.getattr")


@pytest.mark.parametrize(
    "argument", [b"K\x03", b"J\xff\xff\xff\xff", b"\x88", b"N", text(NAMES[0]), b"", b"K\x00K\x00"]
)
def test_a_value_that_is_no_members(argument: bytes):
    refused(
        call(CLASS, argument), "_MEM_FORMAT_ENCODING is called with something else than the value of one of"
    )


def test_a_file_of_weights_may_not_ask_for_it():
    # Neither torch.save of weights nor an optimizer's state has enumerations: the list of those is unchanged.
    for module in ("builtins", "__builtin__"):
        with pytest.raises(FormatError, match=f"asks for {module}.getattr, which is not on the list"):
            read_pickle(
                b"\x80\x02" + call(name_of(f"{module}.getattr"), CLASS, text(NAMES[0])) + b".", "w.bin"
            )


def as_python_3_11_2_writes(metadata: bytes) -> bytes:
    """The same metadata, its member by name; later mentions of it come from the memo, and its numbers stay."""
    at = metadata.index(b"\x8c\x14_MEM_FORMAT_ENCODING\x94\x93\x94K\x00\x85\x94R\x94") - 2
    assert metadata[at] == ord("h")
    kind = metadata[at : at + 2] + b"\x8c\x14_MEM_FORMAT_ENCODING\x94\x93\x94"
    value = b"K\x00\x85\x94R\x94"
    # The new texts are not memoized, so that what follows finds its numbers where it did.
    name = text(NAMES[0]) + b"\x86\x94R\x94"
    changed = metadata.replace(kind + value, text("builtins") + text("getattr") + b"\x93" + kind + name, 1)
    assert changed != metadata
    return changed


@pytest.mark.parametrize("folder", ["dcp-one", "dcp-rows"])
def test_a_checkpoint_of_either_python_is_the_same_model(folder: str):
    files = {path.name: path.read_bytes() for path in (DATA / folder).iterdir()}
    other = {**files, ".metadata": as_python_3_11_2_writes(files[".metadata"])}
    ours, theirs = open_model(MemorySource(files)), open_model(MemorySource(other))
    assert ours.catalog.keys() == theirs.catalog.keys()
    assert [entry.span for entry in ours.catalog.values()] == [
        entry.span for entry in theirs.catalog.values()
    ]


def test_the_bytes_that_python_3_11_2_wrote():
    # torch.distributed.checkpoint.save({"w": torch.ones(3, 2, dtype=torch.bfloat16)}), PyTorch 2.13, Debian 12.
    data = (DATA / "dcp-python-3.11.2/.metadata").read_bytes()
    assert b"\x8c\x08builtins\x94\x8c\x07getattr\x94\x93" in data
    described = read_record_pickle(data, ".metadata").value.get("state_dict_metadata")
    assert type(described) is Table
    assert described.items["w"].get("properties").state[3] == Member("_MEM_FORMAT_ENCODING", NAMES[0])
    model = open_model(DATA / "dcp-python-3.11.2")
    assert {name: (entry.shape, entry.dtype.name) for name, entry in model.catalog.items()} == {
        "w": ((3, 2), "BF16"), "v": ((4,), "F32"),
    }  # fmt: skip
    entry = model.catalog["w"]
    assert model.source.read(entry.file, *entry.span) == b"\x80\x3f" * 6
    model.close()
