"""A declaration cut down to what an auditor holds of its pack: absent parts are not disclosed to this auditor."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from jokbo.records.declaration import CheckpointEntry, Declaration
from jokbo.records.record import PackFile
from jokbo.records.reduce import is_model_file
from jokbo.records.sampled_rows import weights_digest
from jokbo.sources.local import BESIDE_SUFFIXES


def held_declaration(
    declaration: Declaration, files: Mapping[str, PackFile], absent: Collection[str]
) -> Declaration:
    """Take out what needs an absent file; of weights their digest stays.

    Parameters
    ----------
    declaration : Declaration
        As the manifest holds it.
    files : mapping of str to PackFile
        All files of the manifest.
    absent : collection of str
        Those that are not there.

    Returns
    -------
    Declaration
        A log or file that is not whole is left out whole.
    """
    gone = _with_folders(absent)
    model, data = declaration.model, declaration.data
    initialisation, made = declaration.initialisation, declaration.commitments
    if data is not None:
        data = dataclasses.replace(data, **_blanked(data, ("windows", "order", "held_out"), gone))
    if initialisation is not None:
        initialisation = dataclasses.replace(
            initialisation, **_blanked(initialisation, ("beacon", "parameter_order"), gone)
        )
    if made is not None:
        made = dataclasses.replace(
            made,
            keys=tuple(path for path in made.keys if path not in gone),
            tsa_certificates=tuple(path for path in made.tsa_certificates if path not in gone),
            **_blanked(made, ("chain", "timestamps"), gone),
        )
    below = _by_folder(files)
    return dataclasses.replace(
        declaration,
        model=dataclasses.replace(model, **_blanked(model, ("config",), gone)),
        data=data,
        initialisation=initialisation,
        commitments=made,
        log=tuple(log for log in declaration.log if log.path not in gone),
        checkpoint=tuple(_held_checkpoint(entry, files, below, gone) for entry in declaration.checkpoint),
    )


def _blanked(part: Any, names: tuple[str, ...], gone: Collection[str]) -> dict[str, Any]:
    return {name: "" for name in names if getattr(part, name) in gone}


def _with_folders(paths: Collection[str]) -> set[str]:
    """The absent files, and every folder that lacks one."""
    found = set(paths)
    for path in paths:
        while "/" in path:
            path = path.rpartition("/")[0]
            found.add(path)
    return found


def _by_folder(files: Mapping[str, PackFile]) -> dict[str, list[str]]:
    """Files directly inside each folder."""
    found: dict[str, list[str]] = {}
    for path in files:
        found.setdefault(path.rpartition("/")[0], []).append(path)
    return found


def _held_checkpoint(
    entry: CheckpointEntry,
    files: Mapping[str, PackFile],
    below: Mapping[str, list[str]],
    gone: Collection[str],
) -> CheckpointEntry:
    entry = dataclasses.replace(entry, **_blanked(entry, ("rows", "optimizer"), gone))
    if entry.path in gone:
        own = [entry.path] if entry.path in files else below.get(entry.path, [])
        weights = {
            path.rpartition("/")[2]: files[path].sha256
            for path in sorted(own)
            if is_model_file(path.rpartition("/")[2]) and not path.endswith(BESIDE_SUFFIXES)
        }
        return dataclasses.replace(entry, path="", digest=weights_digest(weights))
    return entry
