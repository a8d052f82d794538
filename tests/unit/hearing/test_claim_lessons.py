"""What the dispute taught beyond one planted fault: baselines by another measure, entries, effect sizes, p-values."""

from __future__ import annotations

from pathlib import Path

import pytest

from jokbo.hearing.claims.wording import finding_text
from jokbo.report.texts import LANGUAGES, Texts
from jokbo.testing.claims import Row, codes, lint, sound_claim


def other_measure(rows: list[Row], own: float, base: float) -> None:
    both = {"reference": "a", "candidate": "b", "measure": "other", "tensor": "norm"}
    rows.append({"role": "other", "value": own, "counts": "unused", **both})
    rows.append({"role": "baseline", "value": base, **both})


@pytest.mark.parametrize(("own", "base", "faults"), [(0.58, 0.57, 0), (0.57, 0.57, 1), (0.56, 0.57, 1)])
def test_a_baseline_by_another_measure_fails_where_it_is_no_less(
    own: float, base: float, faults: int, tmp_path: Path
):
    claim, rows = sound_claim()
    other_measure(rows, own, base)
    assert codes(lint(tmp_path, claim, rows)) == ["failed_control"] * faults


@pytest.mark.parametrize(
    ("says", "found"),
    [
        ("262,144", ["sample_inflated"]),
        ("4,096", []),
        ("1,024", ["figure_disagrees"]),
    ],
)
def test_entries_of_a_tensor_are_held_against_the_table(says: str, found: list[str], tmp_path: Path):
    claim, rows = sound_claim()
    claim["figures"].append({"says": says, "is": "entries"})
    for row in rows[:4]:
        row["entries"] = 4096
    claim["conclusion"]["text"] = f"The centred norms have a mean cosine of 0.875 over {says} entries."
    assert codes(lint(tmp_path, claim, rows)) == found
    for row in rows:
        row.pop("entries", None)
    assert codes(lint(tmp_path, claim, rows)) == ["figure_not_shown"]


def test_an_effect_size_may_divide_its_spread_by_n(tmp_path: Path):
    claim, rows = sound_claim()
    rows[4:6] = [{"role": "baseline", "reference": "a", "candidate": "c", "layers": k, "value": v}
                 for k, v in ((1, 0.02), (2, 0.04), (3, 0.06), (4, 0.08))]  # fmt: skip
    # Of 4 and 4 values: .825 over .02074 pooled by n - 1, or over .01796 by n.
    for says, faults in (("d = 39.8", 0), ("d = 45.9", 0), ("d = 120", 1)):
        claim["figures"] = [{"says": says, "is": "cohens_d", "of": "effect", "against": "baseline"}]
        claim["conclusion"]["text"] = f"It is {says}."
        found = codes(lint(tmp_path, claim, rows), "fault")
        assert found.count("figure_disagrees") == faults, says


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_pvalue_is_told_as_the_text_has_it(lang: str, tmp_path: Path):
    claim, rows = sound_claim()
    for says, code in (("p = 0", "what_zero"), ("p < 10^-1000", "what")):
        claim["figures"] = [{"says": says, "is": "pvalue", "against": "unrelated", "computed_as": "other"}]
        if code == "what_zero":
            claim["figures"][0]["against"] = "random"
        claim["conclusion"]["text"] = f"The centred norms have a mean cosine of 0.875, {says}."
        (found,) = [f for f in lint(tmp_path, claim, rows).document["findings"] if f["code"].startswith("pv")]
        text = finding_text(found, Texts(lang)).what
        assert says in text
        assert "10⁻³⁰⁰" not in text
