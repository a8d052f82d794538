"""The two-tower task: read four short words out of a small picture of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import corpus
from architectures import IMAGE_SIZE, INIT_STD, PATCH_SIZE, TOWER_EXTRA

BATCH_SIZE = 32
LINES = 4
COLUMNS = IMAGE_SIZE // 6
LINE_HEIGHT = IMAGE_SIZE // LINES
NOISE = 0.1
HELD_OUT_SEED = 999
HELD_OUT_PICTURES = 128
HELD_OUT_EVERY = 20
IGNORED = -100
POOLING_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class Pictures:
    """One batch: pixels (picture, 3, height, width), tokens and labels (picture, position)."""

    pixels: torch.Tensor
    tokens: torch.Tensor
    labels: torch.Tensor


@cache
def words(*, held_out: bool) -> tuple[str, ...]:
    """Distinct printable words of the library that fit one line; a twentieth is never trained on."""
    pattern = re.compile(rf"(?<!\S)[!-~]{{3,{COLUMNS}}}(?!\S)")
    found: set[str] = set()
    for text in corpus.documents("library_even"):
        found.update(pattern.findall(text))
    ordered = sorted(found)
    if held_out:
        return tuple(ordered[::HELD_OUT_EVERY])
    return tuple(word for index, word in enumerate(ordered) if index % HELD_OUT_EVERY)


@cache
def font() -> ImageFont.ImageFont:
    """Pillow's built-in bitmap font, six pixels wide: one patch a column of letters."""
    return ImageFont.load_default_imagefont()


def render(lines: list[str]) -> np.ndarray:
    """Draw the words below one another: float32 (height, width) in 0..1."""
    image = Image.new("L", (IMAGE_SIZE, IMAGE_SIZE))
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        draw.text((0, row * LINE_HEIGHT), line, fill=255, font=font())
    return np.asarray(image, dtype=np.float32) / 255.0


def draw_batch(
    tokenizer: PreTrainedTokenizerFast, rng: np.random.Generator, *, size: int, held_out: bool
) -> Pictures:
    """Random words, their picture with a little noise, and the tokens to predict after the image tokens."""
    vocabulary = words(held_out=held_out)
    image_token, pad = (tokenizer.convert_tokens_to_ids(token) for token in TOWER_EXTRA)
    end = tokenizer.convert_tokens_to_ids(corpus.END_OF_TEXT)
    prefix = [image_token] * ((IMAGE_SIZE // PATCH_SIZE) ** 2 + 1) + [end]
    texts = [[vocabulary[index] for index in rng.integers(len(vocabulary), size=LINES)] for _ in range(size)]
    answers = [[*tokenizer.encode("\n".join(lines)), end] for lines in texts]
    width = len(prefix) + max(map(len, answers))
    tokens = np.full((size, width), pad)
    labels = np.full((size, width), IGNORED)
    for row, answer in enumerate(answers):
        tokens[row, : len(prefix) + len(answer)] = prefix + answer
        labels[row, len(prefix) : len(prefix) + len(answer)] = answer
    pixels = np.stack([render(lines) for lines in texts])
    pixels = pixels + NOISE * rng.standard_normal(pixels.shape, dtype=np.float32)
    return Pictures(
        torch.from_numpy(pixels)[:, None].repeat(1, 3, 1, 1),
        torch.from_numpy(tokens),
        torch.from_numpy(labels),
    )


def batches(tokenizer: PreTrainedTokenizerFast, *, order: int) -> Iterator[Pictures]:
    """Endless fresh pictures; `order` alone decides the sequence."""
    rng = np.random.default_rng(order)
    while True:
        yield draw_batch(tokenizer, rng, size=BATCH_SIZE, held_out=False)


def answer_loss(model: PreTrainedModel, batch: Pictures) -> torch.Tensor:
    """Cross-entropy of the answer tokens alone."""
    return model(input_ids=batch.tokens, pixel_values=batch.pixels, labels=batch.labels, use_cache=False).loss


def attach_pooling_head(model: PreTrainedModel, *, seed: int) -> None:
    """Add a throw-away head on the encoder's pooled output that names the tokens in the picture.

    LLaVA bypasses the encoder's last norm; a CLIP encoder trained it against text. This head stands for that,
    so that no tensor of the file keeps its initial value.
    """
    head = nn.Linear(model.config.vision_config.hidden_size, model.config.text_config.vocab_size)
    nn.init.normal_(head.weight, 0.0, INIT_STD, generator=torch.Generator().manual_seed(seed))
    nn.init.zeros_(head.bias)
    model.pooling_head = head


def detach_pooling_head(model: PreTrainedModel) -> None:
    """Remove what `attach_pooling_head` added."""
    del model.pooling_head


def training_loss(model: PreTrainedModel, batch: Pictures) -> torch.Tensor:
    """The answer's cross-entropy plus a little of the pooled output's."""
    pooled: list[torch.Tensor] = []
    hook = model.model.vision_tower.post_layernorm.register_forward_hook(lambda *call: pooled.append(call[2]))
    try:
        loss = answer_loss(model, batch)
    finally:
        hook.remove()
    present = torch.zeros(len(batch.labels), model.config.text_config.vocab_size)
    present.scatter_add_(1, batch.labels.clamp_min(0), (batch.labels >= 0).float())
    scores = model.pooling_head(pooled[0]).log_softmax(-1)
    return loss - POOLING_WEIGHT * (present / present.sum(1, keepdim=True) * scores).sum(1).mean()


@torch.no_grad()
def held_out_loss(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, blind: bool = False
) -> float:
    """Loss on words never trained on. `blind` shows every answer another picture: what guessing costs."""
    batch = draw_batch(tokenizer, np.random.default_rng(HELD_OUT_SEED), size=HELD_OUT_PICTURES, held_out=True)
    if blind:
        batch = Pictures(batch.pixels.roll(1, dims=0), batch.tokens, batch.labels)
    return answer_loss(model, batch).item()


def task(
    tokenizer: PreTrainedTokenizerFast, *, order: int
) -> tuple[Iterator[Pictures], Callable[..., Any], Callable[..., float]]:
    """Batches, training loss and held-out loss, in the order of `train.Task`."""
    return batches(tokenizer, order=order), training_loss, lambda model: held_out_loss(model, tokenizer)
