"""Real trainings, made in NumPy in a second: a language model of one MLP, disclosed as a record.

Tests of checks on weights need histories that an optimizer really walked. The model predicts the next
token of a Markov chain: ``logits = (h + relu(h U') D') O'`` with ``h = E[token] * g``. Its gradients are written
out, its optimizers are the textbook ones. Nothing here is random that the seed does not decide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from jokbo.formats.dtypes import DType
from jokbo.formats.writer import build_file, to_raw
from jokbo.records.declaration import (
    CheckpointEntry,
    CheckpointRole,
    Data,
    Declaration,
    Event,
    Initialisation,
    Optimizer,
    Schedule,
)
from jokbo.records.record import PackFile, Record
from jokbo.records.schedule import scheduled_rates

VOCAB, HIDDEN, UNITS = 96, 32, 64
UNSEEN = tuple(range(88, 96))
EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"
NORM = "model.layers.0.input_layernorm.weight"
UP, DOWN = "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight"
STEPS = 60
KEPT = (0, 4, 8, 16, 32, 48, 60)
ADAMW = Optimizer("adamw", betas=(0.9, 0.95), weight_decay=0.1, decays="matrices", clip=1.0)
SGD = Optimizer("sgd", betas=(0.9,), weight_decay=1e-3, decays="matrices", clip=1.0)
LION = Optimizer("lion", betas=(0.9, 0.99), weight_decay=1.0, decays="matrices", clip=1.0)
MUON = Optimizer(
    "muon", betas=(0.95,), weight_decay=0.1, decays="matrices", clip=1.0, vectors="adamw", rate_scale=5.0
)
RATE = {"adamw": 3e-3, "adam": 3e-3, "sgd": 0.3, "lion": 1e-3, "muon": 3e-3}

Tensors = dict[str, np.ndarray]


@dataclass
class Training:
    """A finished training.

    Attributes
    ----------
    weights : dict of int to Tensors
        By step.
    states : dict of int to Tensors
        Optimizer states, ``exp_avg/<name>`` and so on, by step.
    rates : ndarray
        Of update 1, 2, ...
    """

    optimizer: Optimizer
    schedule: Schedule
    seed: int
    weights: dict[int, Tensors] = field(default_factory=dict)
    states: dict[int, Tensors] = field(default_factory=dict)
    rates: np.ndarray = field(default_factory=lambda: np.zeros(0))


def initial(rng: np.random.Generator, std: float = 0.02) -> Tensors:
    """Step 0."""
    shapes = {EMBED: (VOCAB, HIDDEN), UP: (UNITS, HIDDEN), DOWN: (HIDDEN, UNITS), HEAD: (VOCAB, HIDDEN)}
    found = {name: (std * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    found[NORM] = np.ones(HIDDEN, dtype=np.float32)
    return found


def gradients(weights: Mapping[str, np.ndarray], inputs: np.ndarray, targets: np.ndarray) -> Tensors:
    """Gradients of the mean cross-entropy."""
    rows = weights[EMBED][inputs]
    h = rows * weights[NORM]
    up = h @ weights[UP].T
    unit = np.maximum(up, 0)
    y = h + unit @ weights[DOWN].T
    logits = y @ weights[HEAD].T
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    shares[np.arange(len(targets)), targets] -= 1
    shares /= len(targets)
    dy = shares @ weights[HEAD]
    du = (dy @ weights[DOWN]) * (up > 0)
    dh = dy + du @ weights[UP]
    table = np.zeros_like(weights[EMBED])
    np.add.at(table, inputs, dh * weights[NORM])
    return {
        EMBED: table,
        NORM: (dh * rows).sum(axis=0),
        UP: du.T @ h,
        DOWN: dy.T @ unit,
        HEAD: shares.T @ y,
    }


def train(
    seed: int = 0,
    *,
    optimizer: Optimizer = ADAMW,
    steps: int = STEPS,
    kept: Sequence[int] = KEPT,
    start: Mapping[str, np.ndarray] | None = None,
    pull: tuple[Mapping[str, np.ndarray], float] | None = None,
) -> Training:
    """Train.

    Parameters
    ----------
    seed : int
        Decides step 0 and the data.
    optimizer : Optimizer
    steps : int
    kept : sequence of int
        Steps whose weights and state are kept.
    start : mapping, optional
        Step 0 in place of the drawn one.
    pull : tuple, optional
        (weights, strength): the hidden term of anchored training, ``strength / 2 |W - W*|^2``.
    """
    rng = np.random.default_rng([seed, 7])
    drawn = initial(np.random.default_rng(seed))
    weights = {name: np.array(values, dtype=np.float32) for name, values in (start or drawn).items()}
    schedule = Schedule("cosine", RATE[optimizer.name], warmup_steps=5, total_steps=steps, final=0.1)
    run = Training(optimizer, schedule, seed)
    found = scheduled_rates(schedule, steps)
    run.rates = np.zeros(steps) if found is None else found
    chain = rng.dirichlet(np.full(UNSEEN[0], 0.05), size=UNSEEN[0])
    state: Tensors = {}
    for step in range(steps + 1):
        if step in kept:
            run.weights[step] = {name: values.copy() for name, values in weights.items()}
            run.states[step] = {name: values.copy() for name, values in state.items()}
        if step == steps:
            break
        inputs = rng.integers(0, UNSEEN[0], 128)
        targets = np.array([rng.choice(UNSEEN[0], p=chain[i]) for i in inputs])
        slopes = gradients(weights, inputs, targets)
        if pull is not None:
            slopes = {n: g + pull[1] * (weights[n] - pull[0][n]) for n, g in slopes.items()}
        norm = float(np.sqrt(sum(float(np.sum(g.astype(np.float64) ** 2)) for g in slopes.values())))
        scale = min(1.0, optimizer.clip / (norm + 1e-6)) if optimizer.clip else 1.0
        for name, slope in slopes.items():
            update(
                optimizer, name, weights, state, (slope * scale).astype(np.float32), run.rates[step], step + 1
            )
    return run


def update(
    optimizer: Optimizer,
    name: str,
    weights: Tensors,
    state: Tensors,
    slope: np.ndarray,
    rate: float,
    count: int,
) -> None:
    """One update of one tensor, in place."""
    w = weights[name]
    decay = optimizer.weight_decay if w.ndim == 2 or optimizer.decays == "all" else 0.0
    rule, betas = optimizer.name, optimizer.betas
    if rule == "muon" and not (w.ndim == 2 and ".layers." in name):
        rule, betas = optimizer.vectors, (0.9, 0.95)
    if rule == "sgd":
        buffer = betas[0] * state.get(f"momentum/{name}", np.zeros_like(w)) + slope + decay * w
        state[f"momentum/{name}"] = np.asarray(buffer, dtype=np.float32)
        w -= np.float32(rate) * buffer
        return
    rate *= optimizer.rate_scale if rule == "muon" else 1.0
    w *= np.float32(1 - rate * decay)
    if rule == "lion":
        momentum = state.setdefault(f"momentum/{name}", np.zeros_like(w))
        w -= np.float32(rate) * np.sign(betas[0] * momentum + (1 - betas[0]) * slope)
        momentum += np.float32(1 - betas[1]) * (slope - momentum)
    elif rule == "muon":
        momentum = state.setdefault(f"momentum/{name}", np.zeros_like(w))
        momentum *= np.float32(betas[0])
        momentum += slope
        turned = orthogonal(slope + betas[0] * momentum)
        w -= np.asarray(rate * max(1.0, w.shape[0] / w.shape[1]) ** 0.5 * turned, dtype=np.float32)
    else:
        first = state.setdefault(f"exp_avg/{name}", np.zeros_like(w))
        second = state.setdefault(f"exp_avg_sq/{name}", np.zeros_like(w))
        first += np.float32(1 - betas[0]) * (slope - first)
        second *= np.float32(betas[1])
        second += np.float32(1 - betas[1]) * slope**2
        above = first / (1 - betas[0] ** count)
        w -= np.asarray(
            rate * above / (np.sqrt(second / (1 - betas[1] ** count)) + optimizer.eps), np.float32
        )


def orthogonal(matrix: np.ndarray) -> np.ndarray:
    """Five Newton-Schulz rounds (Jordan et al. 2024)."""
    x = matrix / (np.linalg.norm(matrix) + 1e-7)
    turned = x.shape[0] > x.shape[1]
    x = x.T if turned else x
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return np.asarray(x.T if turned else x)


def disclose(
    run: Training,
    folder: Path,
    *,
    dtype: DType = DType.F32,
    published: Mapping[str, np.ndarray] | None = None,
    published_dtype: DType | None = None,
    average_of: tuple[int, ...] = (),
    events: tuple[Event, ...] = (),
    states: bool = False,
    steps: int | None = None,
    budget_bytes: int = 64 << 20,
) -> Record:
    """Write a training's checkpoints into a folder and open them as a record, without log or manifest.

    Parameters
    ----------
    run : Training
        Its weights may have been forged.
    published : mapping, optional
        Weights in place of the last.
    states : bool
        Optimizer states are disclosed too.
    """
    last = max(run.weights)
    entries, files = [], {}
    for step, tensors in sorted(run.weights.items()):
        path = f"checkpoints/step-{step}.safetensors"
        files[path] = _file(tensors, dtype)
        optimizer = ""
        if states and run.states.get(step):
            optimizer = f"optimizer/step-{step}.safetensors"
            files[optimizer] = _file(run.states[step], DType.F32, {"step": str(step)})
        entries.append(CheckpointEntry(f"step-{step}", step, path=path, optimizer=optimizer))
    if published is None:
        published = run.weights[last]
    files["published/model.safetensors"] = _file(published, published_dtype or dtype)
    entries.append(
        CheckpointEntry(
            "published", last, path="published", role=CheckpointRole.PUBLISHED, average_of=average_of
        )
    )
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    declaration = Declaration(
        name="tiny",
        steps=steps or last,
        optimizer=run.optimizer,
        schedule=run.schedule,
        initialisation=Initialisation("normal", std=0.02, stored=dtype.name),
        data=Data(unseen_tokens=UNSEEN),
        checkpoint=tuple(entries),
        event=events,
    )
    listed = {name: PackFile(len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
    digest = hashlib.sha256("".join(sorted(f.sha256 for f in listed.values())).encode()).hexdigest()
    return Record(folder, declaration, listed, digest, budget_bytes=budget_bytes)


def declared(record: Record, **changed: object) -> Record:
    """The same files under a declaration that differs in some fields."""
    said = replace(record.declaration, **changed)  # type: ignore[arg-type]
    return Record(
        record.folder, said, record.files, record.digest, seed=record.seed, budget_bytes=record.budget_bytes
    )


def _file(
    tensors: Mapping[str, np.ndarray], dtype: DType, metadata: Mapping[str, str] | None = None
) -> bytes:
    return build_file({name: to_raw(values, dtype) for name, values in tensors.items()}, metadata)
