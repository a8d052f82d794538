"""Every code of gate, compute, decision and season has a sentence in both languages, with its values and no others."""

from __future__ import annotations

import ast
import inspect
import string
from collections.abc import Iterator
from types import ModuleType

import pytest

from jokbo.league import compute, decide, gate, gate_pairs, season, season_file
from jokbo.report.texts import LANGUAGES, catalogue

GROUPS: dict[str, tuple[ModuleType, ...]] = {
    "league.gate.reason": (gate, gate_pairs),
    "league.compute.reason": (compute,),
    "league.decision.reason": (decide,),
}


def made(module: ModuleType) -> Iterator[tuple[str, set[str]]]:
    """Codes and the names of their values, as the module's source makes them."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        named = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if named == "Reason":
            values = node.args[1] if len(node.args) > 1 else ast.Dict([], [])
            if isinstance(values, ast.Dict) and None not in values.keys:
                keys = {ast.literal_eval(key) for key in values.keys}
                yield from ((code, keys) for code in constants(node.args[0]))
        elif named == "reason" and module is gate_pairs:
            keys = {"reference", *(word.arg or "" for word in node.keywords)}
            yield from ((code, keys) for code in constants(node.args[0]))


def constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id == "code":
        yield from ("impossible", "impossible_if_all_active")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("group", list(GROUPS))
def test_codes_and_sentences_are_the_same(group: str, lang: str):
    found = dict(each for module in GROUPS[group] for each in made(module))
    texts = {
        key.removeprefix(f"{group}."): text
        for key, text in catalogue(lang).items()
        if key.startswith(f"{group}.")
    }
    assert set(texts) == set(found)
    for code, text in texts.items():
        asked = {name for _, name, _, _ in string.Formatter().parse(text) if name}
        assert asked <= found[code], code
    assert len(found) > 5


@pytest.mark.parametrize("lang", LANGUAGES)
def test_states_causes_and_notes_have_words(lang: str):
    texts = catalogue(lang)
    wanted = {f"league.season.standing.{each}" for each in ("in", "provisionally_out", "out", "waiting")}
    stages = ("planned", "frozen", "scored", "objections_open", "objections_pending", "undisputed", "final")
    wanted |= {f"league.season.stage.{each}" for each in stages}
    wanted |= {f"league.cause.{each}" for each in ("gate", "score", "tie_rule")}
    wanted |= {f"league.step_note.{each}" for each in ("missing", "waits")}
    assert wanted <= set(texts)
    # The stages are those of the code.
    source = inspect.getsource(season)
    assert all(f'"{stage}"' in source for stage in stages)
    assert {stage for after in season_file.AFTER.values() for stage in after} <= set(stages)
