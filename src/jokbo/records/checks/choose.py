"""The checks by name, in the order of the catalogue: one line a check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

from jokbo.errors import UsageError
from jokbo.records.checks.base import Check

CHECKS: Mapping[str, str] = {
    "bytes": "Bytes",
    "precedence": "Precedence",
    "duplicates": "Duplicates",
    "continuity": "Continuity",
    "arithmetic": "Arithmetic",
    "clock": "Clock",
    "compute": "Compute",
    "number_grid": "NumberGrid",
    "residual_noise": "ResidualNoise",
    "borrowed_noise": "BorrowedNoise",
    "curve_law": "CurveLaw",
    "first_loss": "FirstLoss",
    "init_law": "InitLaw",
    "init_spectrum": "InitSpectrum",
    "init_regeneration": "InitRegeneration",
    "foreign_lineage": "ForeignLineage",
    "step_bound": "StepBound",
    "unused_rows": "UnusedRows",
    "init_imprint": "InitImprint",
    "neuron_identity": "NeuronIdentity",
    "geometry": "Geometry",
    "optimizer_state": "OptimizerState",
    "re_evaluation": "ReEvaluation",
    "batch_echo": "BatchEcho",
    "memorisation": "Memorisation",
    "palimpsest": "Palimpsest",
    "replay": "Replay",
}
"""Module of this package -> its class; the place in the table is the check's number."""


def find_check(name: str) -> Check:
    """A check by name.

    Raises
    ------
    UsageError
        There is none of this name.

    Examples
    --------
    >>> find_check("bytes").number
    1
    """
    if name not in CHECKS:
        raise UsageError(f"there is no check {name!r}; expected one of {', '.join(CHECKS)}.")
    check: Check = getattr(import_module(f"jokbo.records.checks.{name}"), CHECKS[name])()
    return check


def all_checks(names: Sequence[str] | None = None) -> tuple[Check, ...]:
    """All checks, or those named, in the order of the catalogue."""
    if names is not None:
        for name in names:
            find_check(name)
    return tuple(find_check(name) for name in CHECKS if names is None or name in names)
