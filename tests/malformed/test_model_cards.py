"""Cards of models are somebody's text: none may end a run, or hold it up."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jokbo.lineage.card import MAX_BASES, MAX_CARD_BYTES, MAX_FRONT_MATTER, parse_card, read_card
from jokbo.sources.memory import MemorySource
from jokbo.views.fingerprint_header import Declared

ENOUGH_SECONDS = 20.0
"""The hostile cards took minutes before their brackets were counted, and take tenths of seconds now."""


def front(matter: str) -> str:
    return f"---\n{matter}\n---\n# A model\n"


@pytest.mark.parametrize(
    "matter",
    [
        "base_model: !!timestamp foo",
        'base_model: !!int ""',
        'base_model: !!float ""',
        "base_model: !!bool foo",
        "base_model: " + "1:" * 20_000 + "1.5",
        "base_model: " + "9" * 5_000,
        "created: 2001-99-99",
        'base_model: !!python/object/apply:os.getcwd ["x"]',
    ],
    ids=lambda matter: matter[:32],
)
def test_tags_and_numbers_of_every_kind_are_texts_and_fail_nowhere(matter: str) -> None:
    found = parse_card(front(f"license: mit\n{matter}"))
    assert found.license == "mit"


@pytest.mark.parametrize("piece", ["[", "[a,", "{a: "])
def test_brackets_in_brackets_are_given_up_at_once(piece: str) -> None:
    matter = "license: mit\nbase_model: " + piece * (MAX_FRONT_MATTER // len(piece) - 20)
    begun = time.monotonic()
    assert parse_card(front(matter)) == Declared()
    assert time.monotonic() - begun < ENOUGH_SECONDS


def test_aliases_declare_nothing() -> None:
    assert parse_card(front("a: &a [x, x]\nbase_model: *a")) == Declared()


def test_texts_that_mean_nothing_declare_nothing() -> None:
    assert parse_card(front("base_model: ~\nlicense: null\nbase_model_relation:")) == Declared()


def test_what_yaml_would_read_as_another_type_stays_the_text_it_is() -> None:
    assert parse_card(front("base_model: [1e3, 2024-01-01]\nlicense: no")) == Declared(
        ("1e3", "2024-01-01"), None, "no"
    )


def test_names_that_steer_a_terminal_and_lists_without_end_are_left_out() -> None:
    names = "".join(f"\n- org/m{k}" for k in range(2 * MAX_BASES))
    found = parse_card(front(f'base_model:\n- "\\e[31m"\n- [org/x]{names}'))
    assert found.base_models == tuple(f"org/m{k}" for k in range(MAX_BASES))


def test_a_card_larger_than_any_is_not_read() -> None:
    text = front("license: mit").encode()
    whole = MemorySource({"README.md": text}, name="m")
    huge = MemorySource({"README.md": text.ljust(MAX_CARD_BYTES + 1)}, name="m")
    assert (read_card(whole).license, read_card(huge)) == ("mit", Declared())


@given(st.text(alphabet=st.sampled_from("[]{}!&*?:-~|>'\"%#, \n\tab1."), max_size=60))
def test_any_text_is_a_card(matter: str) -> None:
    assert isinstance(parse_card(front(matter)), Declared)
