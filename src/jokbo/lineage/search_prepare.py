"""A search before its tests: the candidate's fingerprint, the register's sketches, and the scores of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jokbo.errors import FormatError, InputError, UsageError
from jokbo.evidence.compare import ModelSpec
from jokbo.lineage.fingerprint import MAX_FINGERPRINT_BYTES, Fingerprint, check_fingerprint, make_fingerprint
from jokbo.lineage.prefilter import Scored, score_sketch
from jokbo.lineage.prefilter_bounds import ShapeClass, shape_classes
from jokbo.lineage.register import Entry, Register
from jokbo.lineage.search_relations import check_declared, declared_relations
from jokbo.lineage.sketch import make_sketch
from jokbo.lineage.sketch_format import parse_sketch
from jokbo.lineage.sketch_index import SketchIndex, build_index, cached_index
from jokbo.sources.base import OpenOptions
from jokbo.views.fingerprint import SUFFIX, read_sketch
from jokbo.views.model import Model, open_model

TOP = 2
"""Models that are tested in full at least: where the prefilter passes fewer, the nearest beside them."""

MEASURED_CLASSES = 1
"""Classes of shape whose bounds are measured, the largest first."""

Tell = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchChoices:
    """What the caller chose; all of it enters the document.

    Attributes
    ----------
    seed : int
    top : int
        How many are tested in full at least.
    measured : int
        Classes of shape whose bounds are measured.
    candidate_since : str or None
        A date since which the candidate has been public, vouched for by whoever searches.
    declare : tuple of str
        Registered models that the candidate is declared to come from, beside what its card says.
    confirm : bool
    keep_going : bool
    """

    seed: int = 0
    top: int = TOP
    measured: int = MEASURED_CLASSES
    candidate_since: str | None = None
    declare: tuple[str, ...] = ()
    confirm: bool = False
    keep_going: bool = False


@dataclass(slots=True)
class Found:
    """A search under way.

    Attributes
    ----------
    entries : tuple of Entry
        Registered models other than the candidate itself, in the order of their keys.
    others : dict of str to str
        Key to error of damaged fingerprints that were left out.
    scored : Scored
        By number in `index`.
    """

    register: Register
    register_digest: str
    choices: SearchChoices
    fingerprint: Fingerprint
    path: Path
    entries: tuple[Entry, ...]
    itself: str | None
    others: dict[str, str]
    index: SketchIndex
    scored: Scored
    classes: list[ShapeClass]
    passed: set[str] = field(default_factory=set)
    pairs: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    measured: dict[int, str] = field(default_factory=dict)
    confirmed: dict[str, dict[str, Any] | str] = field(default_factory=dict)

    @property
    def among(self) -> int:
        """Hypotheses: registered models other than the candidate itself."""
        return len(self.entries)

    @property
    def numbers(self) -> dict[str, int]:
        """Number in the index, by key."""
        return {key: k for k, key in enumerate(self.index.keys)}

    @property
    def declared(self) -> dict[str, str]:
        """How registered models are related by what is declared, by key."""
        names = (*self.fingerprint.header.declared.base_models, *self.choices.declare)
        return declared_relations(self.entries, names)


def prepare(
    candidate: ModelSpec | Fingerprint,
    register: Register,
    choices: SearchChoices,
    *,
    folder: Path,
    options: OpenOptions,
    tell: Tell,
) -> Found:
    """Fingerprint the candidate, and score its sketch against all others."""
    tell("fingerprint", "")
    made = as_fingerprint(candidate, salt=register.salt, options=options)
    own = made.sha256
    path = folder / f"candidate-{own[:16]}{SUFFIX}"
    made.write(path)
    everything = register.entries()
    entries = tuple(entry for entry in everything if entry.key != own)
    if not entries:
        raise UsageError(
            f"the register {register.folder} holds no model but the candidate. "
            "Add some with `jokbo registry add MODEL`."
        )
    check_declared(everything, choices.declare)
    damaged: dict[str, str] = {}
    tell("sketches", "")
    index = open_sketches(register, choices.keep_going, damaged, folder)
    sketch = _sketch_of(made, path)
    scored = score_sketch(parse_sketch(sketch, where=made.header.name), index)
    itself = own if len(entries) < len(everything) else None
    if itself in index.keys:
        scored.body[index.keys.index(itself)] = False
        scored.score[index.keys.index(itself)] = -np.inf
    return Found(
        register,
        register.digest,
        choices,
        made,
        path,
        entries,
        itself,
        damaged,
        index,
        scored,
        shape_classes(scored),
    )


def _sketch_of(made: Fingerprint, path: Path) -> bytes:
    """The candidate's sketch, from the rows themselves: one made to look like nobody's would pass nothing to the tests.

    A private fingerprint shows no rows, and its word has to do.
    """
    if not made.header.private:
        return make_sketch(open_model(path))
    sketch = read_sketch(made.data)
    if sketch is None:
        raise FormatError(f"{made.header.name}: the fingerprint has no sketch. Make it again.")
    return sketch


def as_fingerprint(candidate: ModelSpec | Fingerprint, *, salt: str, options: OpenOptions) -> Fingerprint:
    """The candidate's fingerprint: itself where it is one, else made with the register's salt.

    Raises
    ------
    UsageError
        It is a fingerprint of another salt.
    """
    if isinstance(candidate, Model) and candidate.sampling is not None:
        raise UsageError(f"{candidate.name} is an opened fingerprint; expected the file of it.")
    if isinstance(candidate, str | Path) and str(candidate).endswith(SUFFIX):
        candidate = _read_fingerprint(Path(candidate))
    if not isinstance(candidate, Fingerprint):
        return make_fingerprint(candidate, salt=salt, options=options)
    if candidate.header.salt != salt:
        raise UsageError(
            f"{candidate.header.name} is a fingerprint of the salt {candidate.header.salt[:40]!r}, and the register's "
            f"is {salt[:40]!r}: they share no rows. Make it with the register's salt."
        )
    return candidate


def _read_fingerprint(path: Path) -> Fingerprint:
    header = check_fingerprint(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FINGERPRINT_BYTES)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}.") from None
    return Fingerprint(data, header)


def open_sketches(register: Register, keep_going: bool, damaged: dict[str, str], folder: Path) -> SketchIndex:
    """The packed sketches beside the register; made in `folder` where some are damaged or the register is read-only."""

    def skip(entry: Entry, error: InputError) -> None:
        damaged[entry.key] = str(error)

    where, digest, salt = register.folder / "sketches", register.digest, register.salt
    if keep_going:
        # Packed anew, so that what is damaged is named every time.
        sketches = register.sketches(keep_going=skip)
        return build_index(
            folder / "sketches",
            sketches,
            digest=digest,
            salt=salt,
            skip=lambda key, error: damaged.update({key: str(error)}),
        )
    try:
        return cached_index(where, register.sketches(), digest=digest, salt=salt)
    except OSError:
        return build_index(folder / "sketches", register.sketches(), digest=digest, salt=salt)
