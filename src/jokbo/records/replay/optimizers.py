"""The declared optimizers, one update at a time, as their authors and PyTorch compute it.

Each takes parameters, gradients and its state as tensors and changes them in place. AdamW, Adam and
SGD do the operations of ``torch.optim`` in the same order, so that equal inputs give equal bits.

References
----------
Loshchilov and Hutter 2019, "Decoupled weight decay regularization"; Chen et al. 2023,
arXiv 2302.06675 (Lion); Jordan et al. 2024, "Muon: an optimizer for hidden layers".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jokbo.records.declaration import Optimizer
from jokbo.records.replay.gate import CannotRun
from jokbo.records.replay.model import Network

Slots = dict[str, Any]
"""State tensors of one parameter: ``exp_avg``, ``exp_avg_sq``, ``momentum``."""

VECTOR_BETAS = (0.9, 0.95)
"""Of the AdamW beside Muon, whose betas a declaration does not name: those of Muon's own author."""

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
EXACT = ("adamw", "adam", "lion")
"""Optimizers whose update the declaration defines in full; Muon's scale and rounds differ by author, and SGD's
momentum may be the heavy ball or Nesterov's."""


@dataclass
class State:
    """An optimizer's state: updates made, and slots by parameter, absent ones zero."""

    step: int = 0
    slots: dict[str, Slots] = field(default_factory=dict)

    def copy(self) -> State:
        """A copy that shares nothing."""
        return State(self.step, {n: {k: v.clone() for k, v in s.items()} for n, s in self.slots.items()})


@dataclass(frozen=True, slots=True)
class Update:
    """Settings of one parameter's update."""

    rate: float
    decay: float
    betas: tuple[float, ...]
    eps: float
    step: int


Rule = Callable[[Any, Any, Slots, Update], None]


def _slot(slots: Slots, name: str, like: Any) -> Any:
    import torch

    if name not in slots:
        slots[name] = torch.zeros_like(like)
    return slots[name]


def _adam_part(p: Any, g: Any, slots: Slots, u: Update) -> None:
    first, second = _two(u.betas)
    mean, square = _slot(slots, "exp_avg", p), _slot(slots, "exp_avg_sq", p)
    mean.lerp_(g, 1 - first)
    square.mul_(second).addcmul_(g, g, value=1 - second)
    root = float((1 - second**u.step) ** 0.5)
    p.addcdiv_(mean, (square.sqrt() / root).add_(u.eps), value=-(u.rate / (1 - first**u.step)))


def _adamw(p: Any, g: Any, slots: Slots, u: Update) -> None:
    p.mul_(1 - u.rate * u.decay)
    _adam_part(p, g, slots, u)


def _adam(p: Any, g: Any, slots: Slots, u: Update) -> None:
    _adam_part(p, g.add(p, alpha=u.decay) if u.decay else g, slots, u)


def _sgd(p: Any, g: Any, slots: Slots, u: Update) -> None:
    g = g.add(p, alpha=u.decay) if u.decay else g
    if u.betas and u.betas[0]:
        momentum = _slot(slots, "momentum", p)
        momentum.mul_(u.betas[0]).add_(g)
        g = momentum
    p.add_(g, alpha=-u.rate)


def _lion(p: Any, g: Any, slots: Slots, u: Update) -> None:
    first, second = _two(u.betas)
    momentum = _slot(slots, "momentum", p)
    p.mul_(1 - u.rate * u.decay)
    p.add_((momentum * first + g * (1 - first)).sign_(), alpha=-u.rate)
    momentum.mul_(second).add_(g, alpha=1 - second)


def _muon(p: Any, g: Any, slots: Slots, u: Update) -> None:
    momentum = _slot(slots, "momentum", p)
    momentum.mul_(u.betas[0]).add_(g)
    rows, columns = p.shape
    turn = orthogonal(g + u.betas[0] * momentum) * max(1.0, rows / columns) ** 0.5
    p.mul_(1 - u.rate * u.decay)
    p.add_(turn, alpha=-u.rate)


def orthogonal(matrix: Any, *, rounds: int = 5) -> Any:
    """Singular values towards one, by Newton-Schulz rounds (Jordan et al. 2024)."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def _two(betas: tuple[float, ...]) -> tuple[float, float]:
    if len(betas) < 2:
        raise CannotRun("optimizer_settings", missing=["optimizer_declared"])
    return betas[0], betas[1]


RULES: Mapping[str, Rule] = {"adamw": _adamw, "adam": _adam, "sgd": _sgd, "lion": _lion, "muon": _muon}


@dataclass(frozen=True, slots=True)
class Stepper:
    """The declared optimizer over a network's parameters.

    Attributes
    ----------
    declared : Optimizer
    network : Network
    """

    declared: Optimizer
    network: Network

    def apply(self, gradient: Mapping[str, Any], state: State, rate: float) -> None:
        """One update, in place: clip, then each parameter by its rule."""
        import torch

        with torch.no_grad():
            clip(gradient, self.declared.clip)
            state.step += 1
            for name, parameter in self.network.parameters.items():
                rule, update = self._settings(name, parameter.ndim, rate, state.step)
                rule(parameter, gradient[name], state.slots.setdefault(name, {}), update)

    def _settings(self, name: str, axes: int, rate: float, step: int) -> tuple[Rule, Update]:
        said = self.declared
        decay = (
            said.weight_decay if said.decays == "all" or (said.decays == "matrices" and axes >= 2) else 0.0
        )
        if said.name != "muon":
            return RULES[said.name], Update(rate, decay, said.betas, said.eps, step)
        if axes == 2 and name not in self.network.outer:
            return _muon, Update(rate * said.rate_scale, decay, said.betas or (0.95,), said.eps, step)
        betas = said.betas[1:3] if len(said.betas) == 3 else VECTOR_BETAS
        return RULES[said.vectors or "adamw"], Update(rate, decay, betas, said.eps, step)


def clip(gradient: Mapping[str, Any], limit: float) -> None:
    """Scale all gradients so that their joint norm is at most `limit`, as ``clip_grad_norm_`` does."""
    import torch

    if limit > 0:
        norm = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(g, 2.0) for g in gradient.values()]), 2.0
        )
        factor = torch.clamp(limit / (norm + 1e-6), max=1.0)
        for each in gradient.values():
            each.mul_(factor)


def stepper(declared: Optimizer | None, network: Network) -> Stepper:
    """The declared optimizer.

    Raises
    ------
    CannotRun
        None is declared, or one whose update is not known here.
    """
    if declared is None:
        raise CannotRun("no_optimizer", missing=["optimizer_declared"])
    if declared.name not in RULES or (declared.vectors and declared.vectors not in RULES):
        raise CannotRun("unknown_optimizer", name=declared.name[:40])
    return Stepper(declared, network)


def disclosed_state(tensors: Mapping[str, np.ndarray], step: int, network: Network) -> State:
    """A disclosed state (``exp_avg/<parameter>`` ...) as tensors.

    Raises
    ------
    CannotRun
        It names a parameter that the model lacks, or another shape.
    """
    import torch

    state = State(step)
    for full, values in tensors.items():
        slot, _, name = full.partition("/")
        name = network.aliases.get(name, name)
        if name not in network.parameters or tuple(network.parameters[name].shape) != values.shape:
            raise CannotRun("state_mismatch", tensor=full[:80])
        state.slots.setdefault(name, {})[slot] = torch.from_numpy(values.copy())
    return state
