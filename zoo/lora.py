"""Low-rank adaptation of the linear layers of a decoder, and its merge."""

from __future__ import annotations

import math

import torch
from torch import nn

RANK = 8
SCALE = 2.0


class LowRankLinear(nn.Module):
    """A frozen linear layer plus a trained product of two thin matrices."""

    def __init__(self, frozen: nn.Linear, *, generator: torch.Generator) -> None:
        super().__init__()
        self.frozen = frozen
        std = 1 / math.sqrt(frozen.in_features)
        down = torch.empty(RANK, frozen.in_features).normal_(0.0, std, generator=generator)
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(torch.zeros(frozen.out_features, RANK))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The frozen layer's output plus the low-rank correction."""
        return self.frozen(inputs) + SCALE * (inputs @ self.down.T) @ self.up.T

    def merged(self) -> nn.Linear:
        """The frozen layer with the correction added into its weight."""
        with torch.no_grad():
            self.frozen.weight += SCALE * self.up @ self.down
        return self.frozen


def adapt(model: nn.Module, *, seed: int) -> None:
    """Freeze the model and put a low-rank layer around every projection of attention and MLP."""
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and path.endswith("_proj"):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, LowRankLinear(module, generator=generator))


def merge(model: nn.Module) -> None:
    """Undo `adapt`, keeping what was learned."""
    for path, module in list(model.named_modules()):
        if isinstance(module, LowRankLinear):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, module.merged())
    model.requires_grad_(True)
