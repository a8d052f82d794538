"""Which exact test runs on two fingerprints of which pair; what needs more than they hold says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from jokbo.independence.base import Alignment
from jokbo.independence.examine import Examination, examine
from jokbo.lineage.fingerprint import SUFFIX, make_fingerprint
from jokbo.lineage.pairs import compare_pair
from jokbo.sources.memory import MemorySource
from jokbo.testing.builders import gpt2, llama, mixtral
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.transforms import DISGUISES, depth_up, fine_tune_noise, prune_layers, prune_units, upcycle
from jokbo.views.model import Model, open_model


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def base(seed: int = 0) -> Checkpoint:
    return llama(rng(seed), num_layers=4, vocab_size=512, reserved_tokens=64)


def experts(seed: int = 0) -> Checkpoint:
    return mixtral(rng(seed), num_experts=8, num_layers=3)


def tuned(model: Checkpoint) -> Checkpoint:
    return fine_tune_noise(model, rng=rng(9), size=0.3)


def fewer_experts(model: Checkpoint, keep: list[int]) -> Checkpoint:
    """Experts taken away, the rest numbered anew."""
    tensors = {}
    for name, values in model.tensors.items():
        head, mark, tail = name.partition(".experts.")
        if mark:
            number, _, rest = tail.partition(".")
            if int(number) not in keep:
                continue
            name = f"{head}{mark}{keep.index(int(number))}.{rest}"
        elif name.endswith("block_sparse_moe.gate.weight"):
            values = values[keep]
        tensors[name] = values
    return replace(model, tensors=tensors, config=model.config | {"num_local_experts": len(keep)})


@dataclass(frozen=True)
class Pair:
    """Two models, the relation that fingerprints show where the reference was first, and the tests that run.

    `ran` names a component and its tests; every component has others besides.
    """

    make: Callable[[], tuple[Checkpoint, Checkpoint]]
    relation: str
    ran: dict[str, set[str]]
    reasons: dict[str, str]


ORDERED = {"rank_betting", "fixed_points", "unit_signs"}
ALL = {"rank_betting rotated", "rank_betting local", *ORDERED}

PAIRS: dict[str, Pair] = {
    "fine-tune": Pair(
        lambda: (base(), tuned(base())),
        "lineage",
        {
            "text.norms": {"norm_pattern"},
            "text.embedding": {"channel_signs", "rank_betting", "unused_tokens"},
            "text.output": {"channel_signs", "rank_betting"},
            "text.mlp": {"channel_signs", *ALL},
            "text.attention": {"attention_signs"},
        },
        {},
    ),
    "independent": Pair(
        lambda: (base(), base(5)),
        "no_evidence",
        {
            "text.norms": {"norm_pattern"},
            "text.embedding": {"channel_signs", "rank_betting", "unused_tokens"},
            "text.mlp": ALL,
            "text.attention": {"attention_signs"},
        },
        {},
    ),
    "fewer units, in order": Pair(
        lambda: (base(), prune_units(tuned(base()), rng=rng(1), keep=0.7)),
        "lineage",
        {"text.mlp": {"ordered_subset", "unit_signs"}, "text.attention": {"attention_signs"}},
        {},
    ),
    "fewer layers": Pair(
        lambda: (base(), prune_layers(tuned(base()), drop=[1])),
        "lineage",
        {"text.mlp": ALL, "text.attention": {"attention_signs"}},
        {},
    ),
    "layers twice": Pair(
        lambda: (base(), depth_up(base())),
        "lineage",
        {"text.mlp": ALL, "text.attention": {"attention_signs"}},
        {},
    ),
    "experts": Pair(
        lambda: (experts(), tuned(experts())),
        "lineage",
        {"text.experts": {"expert_matching", *ALL}, "text.router": {"channel_signs"}},
        {},
    ),
    "experts renumbered": Pair(
        lambda: (experts(), DISGUISES["permute_experts"](tuned(experts()), rng=rng(3))),
        "lineage",
        {"text.experts": {"expert_matching"}},
        {},
    ),
    "fewer experts": Pair(
        lambda: (experts(), fewer_experts(tuned(experts()), [7, 2, 1, 4, 6, 0])),
        "reuse",
        {"text.embedding": {"channel_signs", "rank_betting"}},
        {"text.router": "too_few_shared_rows"},
    ),
    "experts from a dense parent": Pair(
        lambda: (base(), upcycle(base(), rng=rng(2))),
        "lineage",
        {"text.experts": ALL},
        {},
    ),
    "rotated": Pair(
        lambda: (base(), DISGUISES["rotate"](tuned(base()), rng=rng(3))),
        "shared_initialisation",
        {"text.mlp": ALL, "text.embedding": {"unused_tokens"}},
        {"text.norms": "constant_norms"},
    ),
    "fused and transposed": Pair(
        lambda: (gpt2(rng()), tuned(gpt2(rng()))),
        "lineage",
        {"text.mlp": {"rank_betting", "fixed_points"}, "text.norms": {"norm_pattern"}},
        {},
    ),
    "another width": Pair(
        lambda: (base(), llama(rng(5), hidden_size=32)),
        "inconclusive",
        {"text.mlp": {"rank_betting rotated"}},
        {"text.embedding": "hidden_sizes_differ"},
    ),
}


@cache
def fingerprint_of(pair: str, side: int) -> MemorySource:
    model = PAIRS[pair].make()[side]
    made = make_fingerprint(model.to_source(name=f"model{side}"))
    return MemorySource({f"x{SUFFIX}": made.data}, name=f"model{side}")


def models(pair: str, kind: str) -> tuple[Model, Model]:
    """Both as fingerprints, or one of them whole."""
    found = []
    for side, one in enumerate(kind.split(" and ")):
        whole = PAIRS[pair].make()[side].to_source(name=f"model{side}")
        found.append(open_model(fingerprint_of(pair, side) if one == "fingerprint" else whole))
    return found[0], found[1]


def names_run(found: Examination) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for component, exam in found.exams.items():
        mine = names.setdefault(str(component), set())
        for result in exam.record.results:
            turned = " rotated" if result.alignment is Alignment.ROTATED and not result.local else ""
            mine |= {result.test + turned, *([f"{result.test} local"] if result.local else [])}
    return names


@pytest.mark.parametrize("pair", PAIRS)
def test_the_tests_that_run_on_two_fingerprints(pair: str) -> None:
    found = examine(*models(pair, "fingerprint and fingerprint"))
    names = names_run(found)
    for component, expected in PAIRS[pair].ran.items():
        assert expected <= names[component], component
    reasons = {str(c): e.record.reason.code for c, e in found.exams.items() if e.record.reason is not None}
    for component, reason in PAIRS[pair].reasons.items():
        assert reasons[component] == reason
    assert found.stages == ("rows",)
    # E5, and E8 and E2 in whole matrices, need what no fingerprint holds.
    assert not {"head_invariants"} & set().union(*names.values())


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(
    "kind", ["fingerprint and fingerprint", "fingerprint and whole", "whole and fingerprint"]
)
def test_the_relation_that_they_show(pair: str, kind: str) -> None:
    found = compare_pair(*models(pair, kind), reference_first=True)
    expected = {PAIRS[pair].relation} | ({"lineage"} if pair == "fewer experts" else set())
    assert found["relation"] in expected
    assert found["rows"] == "fingerprint"
    if expected & {"no_evidence", "inconclusive"}:
        assert found["log10_evalue"] < 3


@pytest.mark.parametrize("pair", PAIRS)
def test_what_needs_whole_matrices_says_so_and_blames_no_budget(pair: str) -> None:
    found = examine(*models(pair, "fingerprint and fingerprint"))
    for component, exam in found.exams.items():
        codes = [note.code for note in exam.record.notes]
        if exam.record.reason is not None:
            codes.append(exam.record.reason.code)
        assert not [code for code in codes if "budget" in code], component
        body = str(component).endswith(("mlp", "experts", "attention"))
        if body and exam.record.reason is None:
            assert "fingerprint_lacks_matrices" in codes


def test_a_small_budget_does_not_hold_back_what_is_there_already() -> None:
    from jokbo.independence.plan import parse_budget

    found = examine(*models("fine-tune", "fingerprint and fingerprint"), budget=parse_budget("1kB"))
    assert names_run(found)["text.mlp"] >= ALL


def test_layers_of_which_nothing_is_held_are_said_to_be_absent() -> None:
    a, b = models("fine-tune", "fingerprint and fingerprint")
    assert a.sampling is not None
    assert b.sampling is not None
    a.sampling = replace(a.sampling, layers={"text": (0, 1)})
    b.sampling = replace(b.sampling, layers={"text": (2, 3)})
    found = examine(a, b)
    reasons = {str(c): e.record.reason for c, e in found.exams.items()}
    for component in ("text.mlp", "text.attention"):
        assert reasons[component] is not None
        assert reasons[component].code == "fingerprint_holds_rows"


def test_layers_held_by_both_are_compared_where_one_holds_fewer() -> None:
    a, b = models("fine-tune", "fingerprint and fingerprint")
    assert b.sampling is not None
    b.sampling = replace(b.sampling, layers={"text": (1, 3)})
    found = compare_pair(a, b, reference_first=True)
    assert found["relation"] == "lineage"


def test_without_a_date_foreseeable_rows_give_a_lead() -> None:
    """Whoever knows the salt could have made a model to match; honest pairs are then strong leads."""
    small = llama(rng(1), hidden_size=96, num_heads=6, num_layers=2, vocab_size=512, reserved_tokens=64)
    moved = fine_tune_noise(small, rng=rng(2), size=4.0)
    sources = [
        MemorySource({f"x{SUFFIX}": make_fingerprint(m.to_source(name=n)).data}, name=n)
        for m, n in ((small, "a"), (moved, "b"))
    ]
    found = compare_pair(*sources)
    assert found["relation"] == "lead"
    assert found["log10_evalue"] > found["log10_threshold"]
    assert compare_pair(*sources, reference_first=True)["relation"] in {"lineage", "shared_initialisation"}
