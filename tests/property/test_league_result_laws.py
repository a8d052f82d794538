"""Laws of results: what pairing may not depend on, and that an export loses nothing."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.errors import FormatError
from jokbo.league.results.base import ItemRows, Published, ResultFile, TaskResult
from jokbo.league.results.choose import read_files
from jokbo.league.results.every_eval_ever_export import Origin, write_exported
from jokbo.league.results.reading import number_of
from jokbo.testing.results import assembled, event_of, result_files, round_of
from jokbo.views.component import Reason

NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=12)
SCORES = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: x + 0.0)
BOTH = "  - {team: one, events: [e], files: [one.csv]}\n  - {team: two, events: [e], files: [two.csv]}"


@st.composite
def results(draw) -> TaskResult:
    """A result with rows: items, repetitions, metrics, columns."""
    items = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    repeats = draw(st.integers(1, 3))
    ids = tuple(item for item in items for _ in range(repeats))
    metrics = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    digests = draw(
        st.lists(st.sampled_from(["a" * 64, "b" * 64, None]), min_size=len(items), max_size=len(items))
    )
    rows = ItemRows(
        ids=ids,
        digests=tuple(digest for digest in digests for _ in range(repeats)),
        repeats=np.array([k for _ in items for k in range(repeats)], np.int64),
        scores={metric: np.array([draw(SCORES) for _ in ids]) for metric in metrics},
        fields={"subject": tuple(draw(NAMES) for _ in ids), "prompt_hash": tuple("f" * 64 for _ in ids)},
        places=tuple(f"x:{k}" for k, _ in enumerate(ids)),
    )
    figures = tuple(
        Published(metric, float(np.mean(rows.scores[metric])), draw(st.none() | st.floats(1e-6, 10)), None)
        for metric in draw(st.lists(st.sampled_from(metrics), unique=True))
    )
    return TaskResult(
        task=draw(NAMES),
        model=draw(st.none() | NAMES),
        filter=draw(st.none() | NAMES),
        reader="csv_items",
        files=(ResultFile("x", Path("x"), 1),),
        settings=draw(st.dictionaries(NAMES, NAMES, max_size=3)),
        rows=rows,
        published=figures,
        notes=tuple(Reason(code, {"task": "t", "value": 0.5}) for code in draw(st.lists(NAMES, max_size=2))),
        subtasks=(),
        named=draw(st.booleans()),
    )


@given(results())
@settings(max_examples=25, deadline=None)
def test_an_export_reads_back_equal(result):
    with tempfile.TemporaryDirectory() as folder:
        write_exported([result], Path(folder) / "out", Origin())
        (back,) = read_files(result_files(Path(folder) / "out"), fields=("subject",))
    for name in ("task", "model", "filter", "settings", "published", "notes", "subtasks", "named"):
        assert getattr(back, name) == getattr(result, name), name
    assert back.rows is not None
    for name in ("ids", "digests", "fields"):
        assert getattr(back.rows, name) == getattr(result.rows, name), name
    assert back.rows.repeats.tolist() == result.rows.repeats.tolist()
    assert {k: v.tolist() for k, v in back.rows.scores.items()} == {
        k: v.tolist() for k, v in result.rows.scores.items()
    }


def table(rows: dict[str, float], order: list[str]) -> str:
    return "".join(["item,acc\n", *(f"{item},{rows[item]!r}\n" for item in order)])


@given(st.data(), st.lists(st.integers(0, 10**6).map(str), min_size=1, max_size=12, unique=True))
@settings(max_examples=20, deadline=None)
def test_pairing_depends_on_no_order(data, items):
    scores = st.integers(0, 100).map(lambda k: k / 100)
    one, two = ({item: data.draw(scores) for item in items} for _ in range(2))
    found = []
    for _ in range(2):
        files = {
            "one.csv": table(one, data.draw(st.permutations(items))),
            "two.csv": table(two, data.draw(st.permutations(items))),
        }
        with tempfile.TemporaryDirectory() as folder:
            (event,) = assembled(Path(folder), round_of(event_of("e")), files, BOTH)
        found.append((event.items, event.scores.tolist()))
    assert found[0] == found[1]
    for item, a, b in zip(found[0][0], *found[0][1], strict=True):
        assert (a, b) == (one[item], two[item])


@given(
    st.lists(st.integers(0, 30), min_size=1, unique=True),
    st.lists(st.integers(0, 30), min_size=1, unique=True),
)
@settings(max_examples=20, deadline=None)
def test_teams_are_paired_only_on_the_same_items(one, two):
    files = {
        f"{team}.csv": table({str(k): 1.0 for k in items}, [str(k) for k in items])
        for team, items in (("one", one), ("two", two))
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            (event,) = assembled(Path(folder), round_of(event_of("e")), files, BOTH)
        except FormatError as error:
            assert set(one) != set(two)
            absent = sorted(set(two) - set(one)) or sorted(set(one) - set(two))
            assert repr(str(absent[0])) in str(error)  # noqa: PT017
        else:
            assert set(one) == set(two) == {int(item) for item in event.items}


@given(st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(), st.just([1])))
def test_numbers_are_finite_or_none(value):
    found = number_of(value)
    assert found is None or (np.isfinite(found) and found == float(value))
    if isinstance(value, str | list) or value is None:
        assert found is None


@given(st.binary(max_size=300))
@settings(max_examples=8, deadline=None)
def test_no_bytes_crash_a_reader(data):
    from jokbo.errors import JokboError

    names = ("results_x.json", "samples_t.jsonl", "x.eval", "details_t.parquet", "x.csv", "y.json")
    heads = (
        b'{"results": ',
        b'{"metrics": ',
        b'{"config_general": ',
        b"PK\x03\x04",
        b"PAR1",
        b"item,acc\n",
        b"",
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            for head in heads:
                (Path(folder) / name).write_bytes(head + data)
                try:
                    read_files(result_files(Path(folder), name))
                except JokboError as error:
                    assert str(error)  # noqa: PT017


def test_canonical_bytes_are_json():
    with tempfile.TemporaryDirectory() as folder:
        run = Path(__file__).resolve().parents[1] / "unit" / "league" / "written" / "inspect_ai"
        written = write_exported(read_files(result_files(run, "one.eval")), Path(folder) / "out", Origin())
        assert all(json.loads(path.read_text())["schema_version"] == "0.3.0" for path in written)
