"""AdamW is PyTorch's; Lion and Muon here, as short as they come."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from jokbo.records.declaration import Optimizer


class Lion(torch.optim.Optimizer):
    """Sign of an interpolated momentum (Chen et al. 2023, arXiv 2302.06675); weight decay apart."""

    def __init__(self, groups: Iterable[dict[str, object]], *, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                state = self.state[parameter]
                momentum = state.setdefault("momentum", torch.zeros_like(parameter))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                direction = (momentum * first + parameter.grad * (1 - first)).sign_()
                parameter.add_(direction, alpha=-group["lr"])
                momentum.mul_(second).add_(parameter.grad, alpha=1 - second)


def orthogonalise(matrix: torch.Tensor, *, rounds: int = 5) -> torch.Tensor:
    """Singular values towards one by five Newton-Schulz rounds (Jordan et al. 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    turned = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if turned else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if turned else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, times sqrt(max(1, rows / columns)); weight decay apart."""

    def __init__(self, groups: Iterable[dict[str, object]], *, lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            mu = group["momentum"]
            for parameter in group["params"]:
                state = self.state[parameter]
                momentum = state.setdefault("momentum", torch.zeros_like(parameter))
                momentum.mul_(mu).add_(parameter.grad)
                rows, columns = parameter.shape
                update = orthogonalise(parameter.grad + mu * momentum) * max(1.0, rows / columns) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"])


def decays(declared: Optimizer, parameter: torch.Tensor) -> float:
    """The weight decay that a parameter gets."""
    if declared.decays == "all" or (declared.decays == "matrices" and parameter.ndim >= 2):
        return declared.weight_decay
    return 0.0


def _groups(declared: Optimizer, chosen: list[torch.Tensor], scale: float = 1.0) -> list[dict[str, object]]:
    found: dict[float, list[torch.Tensor]] = {}
    for parameter in chosen:
        found.setdefault(decays(declared, parameter), []).append(parameter)
    return [{"params": members, "weight_decay": decay, "scale": scale} for decay, members in found.items()]


def make(declared: Optimizer, model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """The declared optimizers over a model's parameters; each group's rate is the log's times its `scale`."""
    named = dict(model.named_parameters())
    everything = list(named.values())
    if declared.name == "sgd":
        momentum = declared.betas[0] if declared.betas else 0.0
        return [torch.optim.SGD(_groups(declared, everything), lr=0.0, momentum=momentum)]
    if declared.name == "lion":
        return [Lion(_groups(declared, everything), lr=0.0, betas=(declared.betas[0], declared.betas[1]))]
    if declared.name == "muon":
        hidden = [p for name, p in named.items() if p.ndim == 2 and ".layers." in name]
        others = [p for name, p in named.items() if not (p.ndim == 2 and ".layers." in name)]
        return [
            Muon(_groups(declared, hidden, declared.rate_scale), lr=0.0, momentum=declared.betas[0]),
            torch.optim.AdamW(_groups(declared, others), lr=0.0, betas=(0.9, 0.95), eps=1e-8, foreach=False),
        ]
    betas = (declared.betas[0], declared.betas[1])
    return [
        torch.optim.AdamW(_groups(declared, everything), lr=0.0, betas=betas, eps=declared.eps, foreach=False)
    ]


STATE_NAMES = {
    "exp_avg": "exp_avg",
    "exp_avg_sq": "exp_avg_sq",
    "momentum": "momentum",
    "momentum_buffer": "momentum",
}


def state_tensors(optimizers: list[torch.optim.Optimizer], model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The optimizers' state as a record discloses it: ``exp_avg/<parameter>`` and so on."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    found: dict[str, torch.Tensor] = {}
    for optimizer in optimizers:
        for parameter, state in optimizer.state.items():
            for key, value in state.items():
                if key in STATE_NAMES and isinstance(value, torch.Tensor):
                    found[f"{STATE_NAMES[key]}/{names[parameter]}"] = value.detach().float().clone()
    return found


def load_adamw(
    optimizer: torch.optim.Optimizer, model: torch.nn.Module, tensors: dict[str, torch.Tensor], *, step: int
) -> None:
    """Put a disclosed AdamW state in; parameters without one begin with zero moments at the same step."""
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        state["step"] = torch.tensor(float(step))
        for key in ("exp_avg", "exp_avg_sq"):
            stored = tensors.get(f"{key}/{name}")
            state[key] = torch.zeros_like(parameter) if stored is None else stored.clone()
