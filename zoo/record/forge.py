"""Forgeries of records that are made from honest runs by arithmetic alone: weights, starts, histories.

The forger has a run of their own, whose record is the draft, and another run's weights: *theirs*, the
run that the released model was taken from. Each function rewrites the draft.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from zoo.record.draft import Draft, Tensors, read_weights

from jokbo.records.forgeries import Forgery
from jokbo.records.initialise import PROCEDURE, initial_weights

Make = Callable[[Draft, Path, np.random.Generator], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One forgery.

    Attributes
    ----------
    name : str
    forgery : Forgery
    make : callable
        Rewrites a draft, given the other run's folder and a generator.
    needs_replay : bool
        Weights and log agree with each other, so that only running the model can tell.
    """

    name: str
    forgery: Forgery
    make: Make
    needs_replay: bool = False


def fresh(draft: Draft, rng: np.random.Generator) -> Tensors:
    """A true random start of the declared law, and its seed declared with it."""
    law = draft.declaration.initialisation
    if law is None or law.procedure != PROCEDURE:
        raise ValueError(f"{draft.declaration.name}: expected a declared {PROCEDURE}")
    seed = int(rng.integers(2**40, 2**41))
    draft.declaration = replace(draft.declaration, initialisation=replace(law, seed=seed))
    shapes = {name: value.shape for name, value in draft.weights(0).items()}
    return dict(initial_weights(shapes, seed=seed, law=law))


def no_seed(draft: Draft) -> None:
    """Say nothing of how step 0 was drawn but its law."""
    law = draft.declaration.initialisation
    if law is not None:
        draft.declaration = replace(draft.declaration, initialisation=replace(law, procedure="", seed=None))


def unrelated_start(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Step 0 is a fresh draw; all that follows is the run's own."""
    draft.put_weights(0, fresh(draft, rng))


def stolen_run(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Their later checkpoints under the forger's own step 0, log and data."""
    for step in draft.steps:
        if step >= 100:
            draft.put_weights(step, read_weights(theirs, step))
    draft.drop_states()


def trained_noise(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Step 0 is a trained model with noise of the declared deviation over it."""
    end = read_weights(theirs, draft.declaration.steps)
    no_seed(draft)
    draft.put_weights(0, {k: (v + rng.normal(0, 0.02, v.shape)).astype(np.float32) for k, v in end.items()})


def trained_shrunk(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Step 0 is a trained model, each matrix scaled to the declared deviation, gains set to one."""
    end = read_weights(theirs, draft.declaration.steps)
    no_seed(draft)
    found = {}
    for name, value in end.items():
        found[name] = np.ones_like(value) if value.ndim == 1 else value * np.float32(0.02 / value.std())
    draft.put_weights(0, found)


def planted(cosine: float) -> Make:
    """Step 0 is a fresh draw with their weights mixed in at this cosine, the deviation kept."""

    def make(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
        end = read_weights(theirs, draft.declaration.steps)
        start = fresh(draft, rng)
        no_seed(draft)
        draft.put_weights(0, mixed(start, end, cosine))

    return make


def mixed(start: Tensors, end: Tensors, cosine: float) -> Tensors:
    """A random start that has the given cosine with trained weights, matrix by matrix, at its own norm."""
    found = {}
    for name, value in start.items():
        if value.ndim == 1:
            found[name] = value
            continue
        scale = np.linalg.norm(value)
        towards = end[name] / np.linalg.norm(end[name])
        apart = value - np.vdot(value, towards) * towards
        apart /= np.linalg.norm(apart)
        found[name] = (scale * (cosine * towards + np.sqrt(1 - cosine**2) * apart)).astype(np.float32)
    return found


def interpolation(curve: str) -> Make:
    """All checkpoints between the forger's step 0 and their end are computed, straight, curved or noisy."""

    def make(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
        start, end = draft.weights(0), read_weights(theirs, draft.declaration.steps)
        bow = {k: rng.normal(0, v.std() + 1e-4, v.shape) for k, v in end.items()}
        for step in draft.steps[1:]:
            t = (step / draft.declaration.steps) ** (1.0 if curve == "linear" else 0.6)
            made = {}
            for name, value in end.items():
                mean = (1 - t) * start[name] + t * value
                if curve == "curved":
                    mean = mean + 0.5 * t * (1 - t) * bow[name]
                if curve == "noisy":
                    size = 0.2 * t * (1 - t) * (value.std() + 1e-4)
                    mean = mean + rng.normal(0, size, value.shape)
                made[name] = mean.astype(np.float32)
            draft.put_weights(step, made)
        draft.drop_states()

    return make


def swapped_middle(kind: str) -> Make:
    """From the middle on the weights are another model's."""

    def make(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
        later = [step for step in draft.steps if step >= 150]
        order = int(rng.integers(2**31))
        for place, step in enumerate(later):
            if kind == "permuted":
                draft.put_weights(step, permuted(draft.weights(step), np.random.default_rng(order)))
            elif kind == "matched":
                other = read_weights(theirs, step)
                draft.put_weights(
                    step, matched(other, draft.weights(draft.steps[draft.steps.index(150) - 1]))
                )
            elif kind == "other_quality":
                draft.put_weights(step, read_weights(theirs, draft.steps[1 + place]))
            else:
                draft.put_weights(step, read_weights(theirs, step))
        draft.drop_states()

    return make


def swapped_whole(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """From step 150 on everything is the other run's: weights, log rows, and the data they name."""
    from zoo.record.forge_logs import splice

    splice(draft, theirs, 150)
    rows, other = draft.array("order"), np.load(theirs / "order.npy")
    windows = draft.array("windows")
    rows[150:] = other[150:] + len(windows)
    draft.put_array("windows", np.concatenate([windows, np.load(theirs / "windows.npy")]))
    draft.put_array("order", rows)
    unseen = np.setdiff1d(np.arange(512), np.unique(draft.array("windows")))
    data = replace(draft.declaration.data, unseen_tokens=tuple(int(token) for token in unseen))  # type: ignore[type-var]
    draft.declaration = replace(draft.declaration, data=data)
    for step in draft.steps:
        if step >= 150:
            draft.put_weights(step, read_weights(theirs, step))
    draft.drop_states()


def permuted(tensors: Tensors, rng: np.random.Generator) -> Tensors:
    """The same function with the hidden units of every feed-forward block in another order."""
    found = dict(tensors)
    for name in [n for n in tensors if n.endswith("gate_proj.weight")]:
        order = rng.permutation(len(tensors[name]))
        _reorder(found, name, order)
    return found


def matched(tensors: Tensors, model: Tensors) -> Tensors:
    """The same function with hidden units ordered as they best resemble another model's."""
    found = dict(tensors)
    for name in [n for n in tensors if n.endswith("gate_proj.weight")]:
        a = model[name] / np.linalg.norm(model[name], axis=1, keepdims=True)
        b = tensors[name] / np.linalg.norm(tensors[name], axis=1, keepdims=True)
        _, order = linear_sum_assignment(-(a @ b.T))
        _reorder(found, name, order)
    return found


def _reorder(found: Tensors, gate: str, order: np.ndarray) -> None:
    for part, axis in (("gate_proj", 0), ("up_proj", 0), ("down_proj", 1)):
        name = gate.replace("gate_proj", part)
        found[name] = np.ascontiguousarray(np.take(found[name], order, axis=axis))


def padded(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Two checkpoints of the middle are copies of another, as filler."""
    chosen = rng.choice([s for s in draft.steps if 16 <= s < 292], 2, replace=False)
    source = draft.weights(int(rng.choice([s for s in draft.steps if s not in chosen and s > 0])))
    for step in chosen:
        draft.put_weights(int(step), source)


def published_swapped(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The released weights are the other run's last."""
    draft.put_file("published/model.safetensors", read_weights(theirs, draft.declaration.steps))


def published_touched(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The released weights are the run's last with one part in a thousand of noise over it."""
    end = draft.weights(draft.declaration.steps)
    made = {k: (v * (1 + 1e-3 * rng.standard_normal(v.shape))).astype(np.float32) for k, v in end.items()}
    draft.put_file("published/model.safetensors", made)


def published_earlier(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The released weights are an earlier state of the run."""
    draft.put_file("published/model.safetensors", draft.weights(int(rng.choice(draft.steps[-4:-1]))))


def published_further(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The released weights go on from the run's last in the direction in which it was going."""
    end, before = draft.weights(draft.declaration.steps), draft.weights(draft.steps[-2])
    far = float(rng.uniform(0.5, 3))
    made = {k: (v + far * (v - before[k])).astype(np.float32) for k, v in end.items()}
    draft.put_file("published/model.safetensors", made)


def padded_shaken(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """A checkpoint of the middle is a copy of the one before it with a little noise over it."""
    place = int(rng.integers(5, len(draft.steps) - 3))
    source = draft.weights(draft.steps[place - 1])
    made = {
        k: (v + 1e-3 * v.std() * rng.standard_normal(v.shape)).astype(np.float32) for k, v in source.items()
    }
    draft.put_weights(draft.steps[place], made)


def known_model(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """The last checkpoints are a listed public model's, with light noise; audited against that model."""
    end = read_weights(theirs, draft.declaration.steps)
    for step in draft.steps:
        if step >= 284:
            noise = {k: rng.normal(0, 2e-3, v.shape) for k, v in end.items()}
            draft.put_weights(step, {k: (v + noise[k]).astype(np.float32) for k, v in end.items()})
    draft.drop_states()


def copied_unused_rows(draft: Draft, theirs: Path, rng: np.random.Generator) -> None:
    """Step 0 is a fresh draw whose rows of never-seen tokens are copied back from the later weights."""
    start = fresh(draft, rng)
    no_seed(draft)
    honest = draft.weights(0)
    data = draft.declaration.data
    unseen = list(data.unseen_tokens) if data is not None else []
    start["model.embed_tokens.weight"][unseen] = honest["model.embed_tokens.weight"][unseen]
    draft.put_weights(0, start)


F = Forgery
WEIGHTS: tuple[Recipe, ...] = (
    Recipe("start-random", F.UNRELATED_START, unrelated_start),
    Recipe("start-random-rows", F.UNRELATED_START, copied_unused_rows),
    Recipe("start-trained-noise", F.TRAINED_START, trained_noise),
    Recipe("start-trained-scaled", F.TRAINED_START, trained_shrunk),
    Recipe("start-planted-44", F.PLANTED_START, planted(0.44)),
    Recipe("start-planted-10", F.PLANTED_START, planted(0.1)),
    Recipe("start-planted-03", F.PLANTED_START, planted(0.03)),
    Recipe("interpolated-linear", F.INTERPOLATION, interpolation("linear")),
    Recipe("interpolated-curved", F.INTERPOLATION, interpolation("curved")),
    Recipe("interpolated-noisy", F.INTERPOLATION, interpolation("noisy")),
    Recipe("swap-early", F.SWAPPED_MIDDLE, stolen_run),
    Recipe("swap-equal", F.SWAPPED_MIDDLE, swapped_middle("equal_quality")),
    Recipe("swap-other", F.SWAPPED_MIDDLE, swapped_middle("other_quality")),
    Recipe("swap-matched", F.SWAPPED_MIDDLE, swapped_middle("matched")),
    Recipe("swap-permuted", F.SWAPPED_MIDDLE, swapped_middle("permuted")),
    Recipe("swap-whole", F.SWAPPED_MIDDLE, swapped_whole),
    Recipe("padding", F.PADDING, padded),
    Recipe("padding-shaken", F.PADDING, padded_shaken),
    Recipe("published-earlier", F.SWAPPED_WEIGHTS, published_earlier),
    Recipe("published-further", F.SWAPPED_WEIGHTS, published_further),
    Recipe("published-other", F.SWAPPED_WEIGHTS, published_swapped),
    Recipe("published-touched", F.SWAPPED_WEIGHTS, published_touched),
    Recipe("known-model", F.KNOWN_MODEL, known_model),
)
