"""Text of the record runs: the zoo's slices, under a byte-level BPE of 512 tokens, in windows of 64."""

from __future__ import annotations

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from zoo.corpus import END_OF_TEXT, RESERVED, documents

VOCAB_SIZE = 512
CONTEXT = 64
HELD_OUT_EVERY = 20
SLICES = ("library_even", "library_odd")
# Enough windows that 300 updates of 32 never see one twice, and no more than a minute of tokenising.
MAX_TOKENS = 2_500_000


def tokenizer() -> Tokenizer:
    """Train the tokenizer; the reserved entries are in no text."""
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END_OF_TEXT, *RESERVED],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found.train_from_iterator(documents("library_even"), trainer)
    return found


def windows(cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """All windows (training, held out), each (count, 64) of uint16; kept in `cache`, a ``.npz`` file."""
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        made = _cut(tokenizer())
        part = cache.with_name(f"{cache.stem}-{os.getpid()}.npz")
        np.savez(part, training=made[0], held_out=made[1])
        part.rename(cache)
    with np.load(cache) as stored:
        return stored["training"], stored["held_out"]


def _cut(found: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    end = found.token_to_id(END_OF_TEXT)
    stream: list[int] = []
    for name in SLICES:
        for text in documents(name):
            stream += found.encode(text).ids
            stream.append(end)
            if len(stream) > MAX_TOKENS:
                break
    count = len(stream) // CONTEXT
    table = np.asarray(stream[: count * CONTEXT], dtype=np.uint16).reshape(count, CONTEXT)
    apart = np.arange(count) % HELD_OUT_EVERY == 0
    return table[~apart], table[apart]
