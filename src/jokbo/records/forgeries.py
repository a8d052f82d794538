"""The forgeries that a training record could be: what a verdict excludes or does not.

A record is called consistent only where each of these is excluded by a check that would have
found it. The list is closed and versioned with the policy; texts are in ``locales``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Forgery(StrEnum):
    """One way to make a history that did not happen."""

    SWAPPED_WEIGHTS = "swapped_weights"
    """The published weights are not the end of the recorded run."""
    PADDING = "padding"
    """Checkpoints repeated or missing to fill out a history."""
    BACKDATING = "backdating"
    """Written after the fact."""
    SPLICED_LOG = "spliced_log"
    """Pieces of several logs, or one with a piece cut out."""
    INVENTED_LOG = "invented_log"
    """Numbers that no run printed."""
    RECYCLED_LOG = "recycled_log"
    """Another run's log, perhaps rescaled."""
    INFLATED_TOTALS = "inflated_totals"
    """More tokens or compute than the run could have used."""
    TRAINED_START = "trained_start"
    """A trained model, perhaps with noise, presented as step 0."""
    UNRELATED_START = "unrelated_start"
    """A true random start that the later weights do not come from."""
    PLANTED_START = "planted_start"
    """A random start with a little of the stolen weights mixed in."""
    INTERPOLATION = "interpolation"
    """Checkpoints computed between two ends, straight, curved or noisy."""
    SWAPPED_MIDDLE = "swapped_middle"
    """From some step on, the weights are another model's, perhaps relabelled."""
    UNTRAINING = "untraining"
    """A trained model driven back to noise, shown in reverse."""
    ANCHORED = "anchored"
    """Real training, pulled by a hidden term towards stolen weights."""
    FALSE_ORDER = "false_order"
    """The data are right and their claimed order is not."""
    FALSE_DATA = "false_data"
    """The claimed data were not what a segment was trained on."""
    FAKE_OPTIMIZER_STATE = "fake_optimizer_state"
    """An optimizer state that did not come with its weights."""
    KNOWN_MODEL = "known_model"
    """Weights of a listed public model, at any step."""


VARIANTS: Mapping[Forgery, tuple[str, ...]] = {
    Forgery.SWAPPED_WEIGHTS: ("another_model", "earlier_state", "trained_further"),
    Forgery.PADDING: ("repeated", "shaken", "gap"),
    Forgery.BACKDATING: ("afterwards",),
    Forgery.SPLICED_LOG: ("cut", "pasted"),
    Forgery.INVENTED_LOG: ("careful",),
    Forgery.RECYCLED_LOG: ("moved",),
    Forgery.INFLATED_TOTALS: ("totals", "throughout"),
    Forgery.TRAINED_START: ("trained", "rescaled", "noisy"),
    Forgery.UNRELATED_START: ("fresh",),
    Forgery.PLANTED_START: ("mixed",),
    Forgery.INTERPOLATION: ("straight", "curved", "noisy"),
    Forgery.SWAPPED_MIDDLE: ("another_model", "relabelled"),
    Forgery.UNTRAINING: ("reversed",),
    Forgery.ANCHORED: ("pulled",),
    Forgery.FALSE_ORDER: ("shuffled",),
    Forgery.FALSE_DATA: ("other_data",),
    Forgery.FAKE_OPTIMIZER_STATE: ("foreign", "misplaced"),
    Forgery.KNOWN_MODEL: ("listed",),
}
"""Ways to make each forgery, the most careful ones known: it is excluded only where each of them is, by whatever
check. Checks may plant weaker ones under other names; those count as a part, and exclude nothing."""
