"""Lists that forms and a visitor's own page show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jokbo.hearing.case.kinds import KINDS
from jokbo.hearing.case.state import CaseState
from jokbo.hearing.live.forms import FORMS, targets
from jokbo.hearing.live.links import links
from jokbo.hearing.pages.wording import Wording

MAX_LABEL = 90


def own_entries(state: CaseState, numbers: Sequence[int], lang: str) -> list[dict[str, Any]]:
    """Entries of a visitor: with what may take their place."""
    words = Wording(state, lang, links(lang))
    rows = []
    for number in numbers:
        item = state.items.get(number)
        if item is None:
            continue
        shown = words.item(item)
        open_to_change = item.replaced_by is None and item.withdrawn_by is None and state.closed is None
        replaceable = open_to_change and KINDS[item.kind].replaceable and item.kind in FORMS
        withdrawable = open_to_change and item.kind in KINDS["withdrawal"].about
        about = "" if item.about is None else f"&about={item.about}"
        shown["replace"] = f"/{lang}/write/{item.kind}?supersedes={number}{about}" if replaceable else ""
        shown["withdraw"] = f"/{lang}/write/withdrawal?about={number}" if withdrawable else ""
        if item.kind == "question":
            shown["state_word"] = words.t.code("hearing.state", state.questions[number].state)
        rows.append(shown)
    return rows


def about_options(state: CaseState, kind: str, account: str, lang: str) -> list[tuple[int, str]]:
    """What an entry of a kind may be about, in words."""
    words = Wording(state, lang, links(lang))
    found = []
    for number in targets(state, kind):
        item = state.items.get(number)
        if item is None:
            act = next(each for each in state.acts if each.sequence == number)
            label = words.what(act)
        elif kind == "withdrawal" and item.author.account != account:
            continue
        else:
            shown = words.item(item)
            said = " ".join((shown["gone"] or shown["title"] or shown["text"]).split())
            label = f"{shown['word']} · {shown['who']}: {said}"
        found.append((number, label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…"))
    return found
