"""Which format a checkpoint is in: the first of the table whose files are there."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from importlib import import_module

from jokbo.errors import FormatError
from jokbo.formats.base import TensorCatalog
from jokbo.sources.base import FileInfo, Read

FORMATS: Mapping[str, tuple[str, ...]] = {
    "safetensors": (".safetensors",),
    "pytorch": (".bin", ".pt", ".pth"),
    "gguf": (".gguf",),
    "distributed": (".distcp",),
}
"""Module of this package -> endings of its weight files, best first: a folder of several is read in the first."""

NOT_WEIGHTS = re.compile(
    r"(training_args|optimizer|scheduler|scaler|rng_state|random_states|adapter_model)[\w.-]*\.(bin|pt|pth)"
)
"""What trainers leave beside the weights, in the ending of a format but not the model's."""

Plan = Generator[list[Read], list[bytes], TensorCatalog]


def plan_catalog(files: Mapping[str, FileInfo]) -> Plan:
    """The reads that the catalog of these files needs, whatever their format.

    Raises
    ------
    FormatError
        No file is in a format that is read, or one is malformed.
    """
    for name, endings in FORMATS.items():
        if any(file.endswith(endings) and not NOT_WEIGHTS.fullmatch(file) for file in files):
            plan: Plan = import_module(f"jokbo.formats.{name}").plan_catalog(files)
            return plan
    known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
    raise FormatError(
        f"found no weights among {len(files)} files; expected a file that ends in one of {known}. "
        "Point at a folder, file or repository that holds them."
    )
