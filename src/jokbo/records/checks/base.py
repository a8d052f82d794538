"""What a check is, and what it may say.

A check compares one claim of a record with what the record itself holds. It *holds* only where
forgeries planted into this very record would have been found; otherwise it cannot tell, with the
reason. Declared events shift what is expected, and never switch a check off.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np

from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.sources.base import OpenOptions
from jokbo.views.component import Reason

N_PLANTS = 59
"""Plants found without a miss that bound the power at 95 % with 95 % confidence: .95 ** 59 < .05."""

MIN_POWER = 0.95

FAMILY_ALPHA = 1e-6
"""Chance of calling an honest record inconsistent by any calibrated check, all together."""

FOUND_LOG_PVALUE = math.log(FAMILY_ALPHA / 27)
"""A calibrated check has *found* a plant where its p-value is at most this: what Holm's method asks of the first
of 27 checks. Honest p-values between this and .001 are called "cannot tell" by the policy."""


DEFAULT_FLOPS = 2e12
"""About half a minute for a model of a few hundred thousand parameters on two cores."""


class CheckKind(StrEnum):
    """How strong a violation is."""

    EXACT = "exact"
    """It cannot happen in an honest run whose declaration is complete."""
    CALIBRATED = "calibrated"
    """It has a p-value under honest training; Holm's method bounds all of them together."""
    SOFT = "soft"
    """Worth a question; never by itself inconsistent."""


class Observation(StrEnum):
    """What a check saw, before the policy judges all of them together."""

    HOLDS = "holds"
    VIOLATED = "violated"
    """Exact: a contradiction. Calibrated: the policy decides by the p-value. Soft: worth a question."""
    UNKNOWN = "unknown"
    """Inputs are missing, do not apply, or the check has no power here; the reasons say which."""


@dataclass(frozen=True, slots=True)
class Planted:
    """Forgeries of one kind planted into this record, and how many the check found.

    Attributes
    ----------
    costly : bool
        Each plant is a training run or a replay, so that 59 are not affordable: the share found
        counts, and its confidence interval is stated beside it.
    variant : str
        How the forgery was made: of :data:`~jokbo.records.forgeries.VARIANTS`, or the name of a weaker one.
    """

    forgery: Forgery
    found: int
    tried: int
    costly: bool = False
    variant: str = ""

    @property
    def lower(self) -> float:
        """Clopper-Pearson lower bound of the power, 95 % one-sided.

        Examples
        --------
        >>> round(Planted(Forgery.PADDING, 59, 59).lower, 3)
        0.95
        """
        from scipy.special import betaincinv

        return 0.0 if self.found == 0 else float(betaincinv(self.found, self.tried - self.found + 1, 0.05))

    @property
    def powered(self) -> bool:
        """Whether a pass excludes the forgery."""
        if self.costly:
            return self.tried > 0 and self.found >= MIN_POWER * self.tried
        return self.tried > 0 and self.lower >= MIN_POWER


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Attributes
    ----------
    observation : Observation
    reasons : tuple of Reason
        Codes with values; every language explains each (``record.reason.<check>.<code>``).
    statistic, threshold : float or None
        The headline number, and the value beyond which it violates.
    log_pvalue : float or None
        Calibrated checks: natural log of the p-value under *honest* training; small means inconsistent.
    planted : tuple of Planted
        Power at this record's own settings.
    missing : tuple of str
        Disclosures that would let the check speak (``record.need.<code>``).
    events : tuple of int
        Indices of declared events that were taken into account.
    details : mapping
        Small JSON values for tables and plots; numbers rounded by the evidence.
    """

    observation: Observation
    reasons: tuple[Reason, ...] = ()
    statistic: float | None = None
    threshold: float | None = None
    log_pvalue: float | None = None
    planted: tuple[Planted, ...] = ()
    missing: tuple[str, ...] = ()
    events: tuple[int, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What a check may use beside the record.

    Attributes
    ----------
    seed : int
        Every random choice follows from it, the record's digest and the check's name.
    against : tuple of str
        Models that the weights must not come from (folder, file, hub id).
    options : OpenOptions
        How those are reached.
    n_plants : int
    replay : bool
        Checks that run the model may run.
    flops : float
        How much arithmetic one check that runs the model may plan, counted as 6 x parameters x tokens for
        training and 2 x for evaluation. Not seconds: the same evidence has to come out on every machine.
    tell : callable
        Says what is being done.
    """

    seed: int
    against: tuple[str, ...] = ()
    options: OpenOptions = field(default_factory=OpenOptions)
    tsa_certificates: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    n_plants: int = N_PLANTS
    replay: bool = True
    flops: float = DEFAULT_FLOPS
    tell: Callable[[str], None] = lambda _: None

    def draw(self, record: Record, check: str, purpose: str = "") -> np.random.Generator:
        """A generator for one purpose of one check; the same in every run."""
        text = f"jokbo-record-1|{self.seed}|{record.digest}|{check}|{purpose}"
        return np.random.Generator(
            np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))
        )


class Check(ABC):
    """A check; subclasses are final, one a file that is named as the check is.

    Attributes
    ----------
    number : int
        As in the catalogue.
    name : str
    kind : CheckKind
    version : int
        Raised when a number that it gives changes.
    catches : tuple of Forgery
        Forgeries that a pass may exclude; `planted` says whether it does here.
    needs : tuple of str
        Disclosures without which it cannot tell (``record.need.<code>``).
    extra : str
        Optional dependency that it uses, or empty.
    presumes : tuple of (Forgery, Forgery)
        A pass excludes the first only where the second is excluded, by whatever check.
    follows : bool
        It compares states of the run with each other: a pass stands only where all weights can be followed.
    """

    number: ClassVar[int]
    name: ClassVar[str]
    kind: ClassVar[CheckKind]
    version: ClassVar[int] = 1
    catches: ClassVar[tuple[Forgery, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""
    follows: ClassVar[bool] = False
    presumes: ClassVar[tuple[tuple[Forgery, Forgery], ...]] = ()

    @abstractmethod
    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Hold the record's claim against what it holds.

        Raises
        ------
        InputError
            The record cannot be read or believed at all; bad *claims* are results, not errors.
        """


def unknown(*codes: str, missing: Sequence[str] = (), **values: Any) -> CheckResult:
    """A result that says why nothing can be said.

    Examples
    --------
    >>> unknown("no_log", missing=["log"]).observation
    <Observation.UNKNOWN: 'unknown'>
    """
    return CheckResult(
        Observation.UNKNOWN, tuple(Reason(code, values) for code in codes), missing=tuple(missing)
    )
