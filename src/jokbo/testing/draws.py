"""How the weights of a made-up model are drawn: the distributions calibration has to survive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from jokbo.errors import UsageError

STRUCTURES = ("none", "sorted", "tiled", "trend")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How matrices and vectors are drawn.

    Attributes
    ----------
    std : float
        Standard deviation of matrix elements.
    heavy_tailed : float or None
        Degrees of freedom of Student's t; above 2, so that there is a variance. Gaussian without it.
    massive_channels : int
        Residual channels, at random places, that are 20 to 60 times as large as the rest.
    structure : {"none", "sorted", "tiled", "trend"}
        Planted index structure. ``sorted``: units and channels by falling norm, as pruning
        tools leave them. ``tiled``: both axes of a matrix start as copies of a quarter-size tile.
        ``trend``: the scale rises along both axes.
    """

    std: float = 0.02
    heavy_tailed: float | None = None
    massive_channels: int = 0
    structure: str = "none"

    def __post_init__(self) -> None:
        if self.structure not in STRUCTURES:
            raise UsageError(f"structure is {self.structure!r}; expected one of {', '.join(STRUCTURES)}.")
        if self.heavy_tailed is not None and self.heavy_tailed <= 2:
            raise UsageError(f"heavy_tailed is {self.heavy_tailed}; expected more than 2 degrees of freedom.")

    def _noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
        if self.heavy_tailed is None:
            return np.asarray(rng.standard_normal(shape, dtype=np.float32))
        df = self.heavy_tailed
        return np.asarray(rng.standard_t(df, shape) / np.sqrt(df / (df - 2)), dtype=np.float32)

    def matrix(self, rng: np.random.Generator, rows: int, cols: int) -> Float[np.ndarray, "rows cols"]:
        """Draw one matrix, structure and all."""
        values = self._noise(rng, (rows, cols))
        if self.structure == "tiled":
            tile = self._noise(rng, (-(-rows // 4), -(-cols // 4)))
            values = (np.tile(tile, (4, 4))[:rows, :cols] + 0.5 * values) / np.float32(np.sqrt(1.25))
        elif self.structure == "trend":
            values = values * _ramp(rows)[:, None] * _ramp(cols)
        elif self.structure == "sorted":  # sizes that differ, so that sorting has something to sort by
            values = values * np.exp(0.2 * rng.standard_normal((rows, 1), dtype=np.float32))
        return np.asarray(self.std * values, dtype=np.float32)

    def gains(self, rng: np.random.Generator, size: int) -> Float[np.ndarray, " size"]:
        """Draw norm gains: positive and crowded round one, as trained ones are."""
        values = 1 + 0.1 * self._noise(rng, (size,))
        return np.asarray(
            np.abs(values * (_ramp(size) if self.structure == "trend" else 1)) + 1e-3, dtype=np.float32
        )

    def massive(self, rng: np.random.Generator, hidden_size: int) -> Float[np.ndarray, " hidden"]:
        """Draw one factor a residual channel; one for all but the massive ones."""
        factors = np.ones(hidden_size, dtype=np.float32)
        places = rng.permutation(hidden_size)[: self.massive_channels]
        factors[places] = rng.uniform(20, 60, size=len(places))
        return factors


def _ramp(size: int) -> Float[np.ndarray, " size"]:
    return np.linspace(0.5, 1.5, size, dtype=np.float32)
