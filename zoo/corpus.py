"""The text the zoo reads: the Python standard library's own sources, cut into slices by path."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
RESERVED = tuple(f"<|reserved_{index}|>" for index in range(32))
VOCAB_SIZE = 1024
CONTEXT = 256
HELD_OUT_EVERY = 50
HELD_OUT_WINDOWS = 32

# Number tables and installed third-party code are not prose about anything; they would teach only digits.
SKIPPED = frozenset({"site-packages", "dist-packages", "encodings", "lib2to3", "__pycache__", "__phello__"})
SKIPPED_PREFIXES = ("config-",)
# Files of test *data* rather than tests: codec tables, broken sources, generated archives.
SKIPPED_IN_TESTS = (
    "data",
    "cjkencodings",
    "encoded_modules",
    "tokenizedata",
    "badsyntax",
    "bad_coding",
    "re_tests",
)
NETWORK = frozenset({"email", "http", "html", "json", "urllib", "xmlrpc", "wsgiref"})


def library() -> Path:
    """The directory of the running interpreter's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def slice_of(relative: Path) -> str | None:
    """Which slice a source file belongs to; None for files no model reads."""
    top = relative.parts[0]
    if top in SKIPPED or top.startswith(SKIPPED_PREFIXES):
        return None
    if "idlelib" in relative.parts:
        return "idlelib"
    if "test" in relative.parts or "tests" in relative.parts:
        skipped = any(part.startswith(SKIPPED_IN_TESTS) for part in relative.parts)
        return None if skipped else "tests"
    return "network" if top in NETWORK else "library"


@cache
def files(name: str) -> tuple[Path, ...]:
    """The sources of one slice in sorted order; `library_even` and `library_odd` take every other file."""
    root = library()
    chosen = sorted(path.relative_to(root) for path in root.rglob("*.py"))
    kind, _, half = name.partition("_")
    members = [path for path in chosen if slice_of(path) == kind]
    if half:
        members = members[0 if half == "even" else 1 :: 2]
    return tuple(root / path for path in members)


def documents(name: str) -> Iterator[str]:
    """The texts of one slice. Files that are not UTF-8 are left out: they are tests of exactly that."""
    for path in files(name):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        # A reserved token must never be trained on, even should a source one day mention one.
        if text and not any(token in text for token in (END_OF_TEXT, "<|reserved_")):
            yield text


def train_tokenizer(extra: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE; `extra` special tokens go after the shared vocabulary, as LLaVA's do."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END_OF_TEXT, *RESERVED],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents("library_even"), trainer)
    tokenizer.add_special_tokens(list(extra))
    if tokenizer.get_vocab_size() != VOCAB_SIZE + len(extra):
        raise ValueError(f"vocabulary: expected {VOCAB_SIZE + len(extra)}, got {tokenizer.get_vocab_size()}")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        additional_special_tokens=[*RESERVED, *extra],
        model_max_length=CONTEXT,
    )


def windows(name: str, tokenizer: PreTrainedTokenizerFast) -> tuple[np.ndarray, np.ndarray]:
    """Cut one slice into windows of CONTEXT tokens: (training windows, held-out windows)."""
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    stream: list[int] = []
    for encoding in tokenizer.backend_tokenizer.encode_batch(list(documents(name))):
        stream += encoding.ids
        stream.append(end)
    count = len(stream) // CONTEXT
    table = np.asarray(stream[: count * CONTEXT], dtype=np.int64).reshape(count, CONTEXT)
    held_out = np.arange(count) % HELD_OUT_EVERY == 0
    return table[~held_out], table[held_out][:HELD_OUT_WINDOWS]


def batches(table: np.ndarray, *, size: int, order: int) -> Iterator[np.ndarray]:
    """Endless batches, a new permutation per epoch; `order` alone decides the sequence."""
    rng = np.random.default_rng(order)
    while True:
        shuffled = rng.permutation(len(table))
        for start in range(0, len(table) - size + 1, size):
            yield table[shuffled[start : start + size]]
