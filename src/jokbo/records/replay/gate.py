"""What every check that runs the model shares: whether it can run at all, decided here and nowhere else.

Nothing of PyTorch or Transformers is imported where a module of Jokbo is imported; only a check that is
asked to run does so. Without them, and where inputs are missing, a check says that it cannot tell.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, final

from jokbo.records.checks.base import Check, CheckContext, CheckResult, unknown
from jokbo.records.record import Record

EXTRA = "record-replay"
PACKAGES = ("torch", "transformers")


class CannotRun(Exception):
    """Why a model is not run: becomes the result "cannot tell", never an error.

    Attributes
    ----------
    code : str
        ``record.reason.<check>.<code>``.
    missing : tuple of str
        Disclosures that would help.
    values : dict
    """

    def __init__(self, code: str, *, missing: Sequence[str] = (), **values: Any) -> None:
        super().__init__(code)
        self.code, self.missing, self.values = code, tuple(missing), values


def can_run() -> bool:
    """Whether PyTorch and Transformers are installed; neither is imported."""
    return all(find_spec(name) is not None for name in PACKAGES)


class ReplayCheck(Check):
    """A check that runs the model; subclasses give :meth:`measure`."""

    extra = EXTRA

    @final
    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Measure where the model can be run, and say why where it cannot.

        Raises
        ------
        InputError
            A file of the record cannot be read.
        """
        if not context.replay or not can_run():
            return unknown("no_extra", missing=["replay_extra"])
        from jokbo.records.replay.model import one_thread

        try:
            with one_thread():
                return self.measure(record, context)
        except CannotRun as reason:
            return unknown(reason.code, missing=reason.missing, **reason.values)

    @abstractmethod
    def measure(self, record: Record, context: CheckContext) -> CheckResult:
        """The check itself; PyTorch is there.

        Raises
        ------
        CannotRun
            Inputs are missing, or the model cannot be built from its sizes alone.
        InputError
            A file of the record cannot be read.
        """
