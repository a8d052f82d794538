"""The rules of the linter, one a file; a new rule is a file, a line here and its texts in each language.

Each file has two functions: ``applies(case)`` says whether there is anything to look at, ``check(case)`` yields what
it finds. A rule that does not apply says so in the result, which is another thing than being clear.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from jokbo.hearing.claims.case import Case
    from jokbo.hearing.claims.rules.base import Finding

RULES = (
    "raw_cosine",
    "no_control",
    "control_not_shown",
    "failed_control",
    "random_above_effect",
    "mislabelled_control",
    "centred_by_constant",
    "no_null",
    "baseline_within_model",
    "outlier_baseline",
    "layer_left_out",
    "effect_called_sigma",
    "sigma_not_shown",
    "sample_inflated",
    "pvalue_beyond_sample",
    "either_way",
    "nothing_against",
    "unused_column",
    "norms_alone",
    "share_missing",
    "figure_disagrees",
    "figure_not_shown",
    "number_without_source",
    "script_disagrees",
    "evidence_disagrees",
    "rerun_disagrees",
    "independence_from_absence",
    "artefact_not_pinned",
    "few_of_many",
    "direction_not_shown",
)
"""Names of the rules, which are their files' and their findings' codes, in the order of a report."""


class Rule(Protocol):
    """What the file of a rule offers."""

    def applies(self, case: Case) -> bool:
        """Whether there is anything to look at."""
        ...

    def check(self, case: Case) -> Iterator[Finding]:
        """Yield what is found."""
        ...


def load_rule(code: str) -> Rule:
    """Import the file of one rule."""
    return cast(Rule, import_module(f"{__name__}.{code}"))
