"""Events that the same raters or the same questions stand behind: resampled together, for their errors add up.

One panel that fills two events is one panel. Resampled apart, what a rater thinks of a team would count twice as if two
people had thought so: ten raters in two events told five equal teams apart in 3 rounds of 10. Resampled
together a sum is exactly the sum of each rater's (each cluster's) own, with one Student's t.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jokbo.league.measured import ItemScores, Measured, PanelScores
from jokbo.league.round import Event
from jokbo.views.component import Reason


@dataclass(frozen=True, slots=True)
class Sharing:
    """How one event is resampled.

    Attributes
    ----------
    generator : str
        Id of the event that the generator is named after: the first of those resampled together.
    raters : tuple of str
        Of all panels resampled together; empty for other events.
    notes : tuple of Reason
        ``resampled_together``; ``shared_items``, where questions or clusters overlap too oddly to do so.
    """

    generator: str
    raters: tuple[str, ...] = ()
    notes: tuple[Reason, ...] = ()


def sharing(events: Sequence[Event], measured: Sequence[Measured]) -> tuple[Sharing, ...]:
    """How each event is resampled, in the order of events.

    Raters are the same where they bear the same name; questions where the task and their clusters do.
    """
    rows = dict(zip((event.id for event in events), measured, strict=True))
    panels = {id: frozenset(each.raters) for id, each in rows.items() if isinstance(each, PanelScores)}
    together = [*_joined(panels), *_alike(events, rows)]
    odd = list(_overlaps(events, rows, together))
    out = []
    for event in events:
        group = next((each for each in together if event.id in each), (event.id,))
        raters = sorted(frozenset[str]().union(*(panels[id] for id in group))) if event.id in panels else []
        notes = [Reason("resampled_together", {"events": ", ".join(group)})] if len(group) > 1 else []
        others = [b if a == event.id else a for a, b in odd if event.id in (a, b)]
        if others:
            notes.append(Reason("shared_items", {"events": ", ".join(dict.fromkeys(others))}))
        out.append(Sharing(group[0], tuple(raters), tuple(notes)))
    return tuple(out)


def _joined(panels: Mapping[str, frozenset[str]]) -> list[tuple[str, ...]]:
    """Panels that have raters in common, directly or through others."""
    groups: list[list[str]] = []
    for id, raters in panels.items():
        met = [group for group in groups if any(panels[other] & raters for other in group)]
        groups = [group for group in groups if group not in met]
        groups.append([each for group in met for each in group] + [id])
    return [tuple(id for id in panels if id in group) for group in groups]


def _alike(events: Sequence[Event], rows: Mapping[str, Measured]) -> list[tuple[str, ...]]:
    """Events whose clusters are the same ones of the same task, in the same order."""
    found: dict[tuple[object, ...], list[str]] = {}
    for event in events:
        each = rows[event.id]
        if isinstance(each, ItemScores):
            strata = each.groups.tobytes() if event.average == "groups" else b""
            key = (event.task or event.id, each.items, each.cluster_names, each.clusters.tobytes(), strata)
            found.setdefault(key, []).append(event.id)
    return [tuple(ids) for ids in found.values()]


def _overlaps(
    events: Sequence[Event], rows: Mapping[str, Measured], together: Sequence[tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    """Pairs of events with some questions or declared clusters in common that are not resampled together."""
    held = [(event, each) for event in events if isinstance(each := rows[event.id], ItemScores)]
    for k, (one, first) in enumerate(held):
        for two, second in held[:k]:
            if any(one.id in group and two.id in group for group in together):
                continue
            same_task = one.task is not None and one.task == two.task
            clustered = one.cluster is not None and one.cluster == two.cluster
            if (same_task and set(first.items) & set(second.items)) or (
                clustered and set(first.cluster_names) & set(second.cluster_names)
            ):
                yield two.id, one.id
