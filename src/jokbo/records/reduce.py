"""Checkpoints disclosed by digest, or by digest and sampled rows, instead of whole."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jokbo.errors import NotFoundError
from jokbo.formats import choose, distributed
from jokbo.formats.base import TensorCatalog, run_plan
from jokbo.records.declaration import CheckpointEntry, Declaration
from jokbo.records.gather import copy_file, hash_file, walk
from jokbo.records.record import PackFile
from jokbo.records.sampled_rows import SUFFIX, Draw, combined_digest, weights_digest, write_rows
from jokbo.sources.base import WEIGHTS_SUFFIXES
from jokbo.sources.local import BESIDE_SUFFIXES, LocalSource

CONFIG = "config.json"

_ENDING = re.compile(r"\.(safetensors|gguf|bin|pt|pth)$")


def is_model_file(name: str) -> bool:
    """Whether a file of a checkpoint's folder is weights, or text that a model needs beside them.

    Examples
    --------
    >>> [is_model_file(name) for name in ("model.safetensors", "config.json", "optimizer.pt", "rng_state.pth")]
    [True, True, False, False]
    """
    if choose.NOT_WEIGHTS.fullmatch(name):
        return False
    return (
        name.endswith((*WEIGHTS_SUFFIXES, *BESIDE_SUFFIXES, distributed.SUFFIX))
        or name == distributed.METADATA
    )


@dataclass(frozen=True, slots=True)
class _Opened:
    """A checkpoint that is to be reduced, and the digest of its weights."""

    source: LocalSource
    catalog: TensorCatalog
    digest: str


def reduce_checkpoints(
    declaration: Declaration,
    base: Path,
    out: Path,
    *,
    n_rows: int,
    whole: set[str],
    seed: int,
    tell: Callable[[str], None],
) -> tuple[Declaration, dict[str, PackFile]]:
    """Write the rows kept of every checkpoint that is not kept whole, and declare digests in place of weights.

    Parameters
    ----------
    declaration : Declaration
    base, out : Path
        Where the checkpoints are, and the pack being written.
    n_rows : int
        Rows of each tensor; 0 for digests alone.
    whole : set of str
        Checkpoints left as they are.
    seed : int
    tell : callable
        Told each checkpoint.

    Returns
    -------
    declaration, files
        With digests, rows and, where it had no configuration, that of the first checkpoint; and what was written.
    """
    digests: dict[str, str] = {}
    for entry in declaration.checkpoint:
        if entry.path and entry.path not in digests:
            tell(entry.path)
            digests[entry.path] = _open(base, entry.path).digest
    draw = Draw(n_rows, seed, combined_digest(digests))
    files: dict[str, PackFile] = {}
    entries: list[CheckpointEntry] = []
    for entry in declaration.checkpoint:
        if not entry.path or entry.name in whole:
            entries.append(entry)
            continue
        rows = _ENDING.sub("", entry.path) + SUFFIX if n_rows else ""
        if rows and rows not in files:
            tell(rows)
            opened = _open(base, entry.path)
            write_rows(opened.source, opened.catalog, draw, out / rows)
            opened.source.close()
            files[rows] = hash_file(out / rows)
        entries.append(dataclasses.replace(entry, path="", rows=rows, digest=digests[entry.path]))
    kept = dataclasses.replace(declaration, checkpoint=tuple(entries))
    config = _config_of(declaration, base, whole)
    if config and config not in files and not (out / config).exists():
        files[config] = copy_file(base / config, out / config)
    if config:
        kept = dataclasses.replace(kept, model=dataclasses.replace(kept.model, config=config))
    return kept, files


def _open(base: Path, path: str) -> _Opened:
    for _ in walk(base, path, where=path):  # refuses links before anything is opened
        pass
    source = LocalSource(base / path)
    catalog = run_plan(choose.plan_catalog(source.files), source)
    digests = {
        file: source.files[file].sha256 or hash_file(source.folder / file).sha256
        for file in sorted(catalog.header_sha256)
    }
    return _Opened(source, catalog, weights_digest(digests))


def _config_of(declaration: Declaration, base: Path, whole: set[str]) -> str:
    """Where the declaration names no configuration: that of the first checkpoint which loses its folder."""
    if declaration.model.config:
        return ""
    for entry in declaration.checkpoint:
        if entry.path and entry.name not in whole:
            folder = entry.path if (base / entry.path).is_dir() else entry.path.rpartition("/")[0]
            config = f"{folder}/{CONFIG}".lstrip("/")
            try:
                return next(iter(walk(base, config, where=CONFIG)))
            except NotFoundError:
                continue
    return ""
