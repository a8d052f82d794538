"""Progress tells done, failed, rate and time left, in both languages, and floods no log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jokbo.cli.task_progress import LINE_SECONDS, PlainLines, task_progress
from jokbo.lineage.task_progress import measure
from jokbo.report.task_line import duration, task_line
from jokbo.report.texts import LANGUAGES, Texts

COUNTS = st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.floats(0, 1e7))


@given(COUNTS, st.integers(0, 99))
def test_rate_and_time_left_agree(counts: tuple[int, int, int, float], more: int):
    done, failed, resumed, seconds = counts
    resumed = min(done, resumed)
    at = measure(total=done + failed + more, done=done, failed=failed, resumed=resumed, seconds=seconds)
    if more == 0:
        assert at.seconds_left == 0
    elif at.tasks_per_second is None:
        assert at.seconds_left is None
    else:
        assert at.tasks_per_second * seconds == pytest.approx(done + failed - resumed)
        assert at.seconds_left * at.tasks_per_second == pytest.approx(more)


@pytest.mark.parametrize("lang", LANGUAGES)
@given(COUNTS, st.integers(0, 99))
def test_every_state_has_a_line(lang: str, counts: tuple[int, int, int, float], more: int):
    done, failed, resumed, seconds = counts
    at = measure(
        total=done + failed + more, done=done, failed=failed, resumed=min(done, resumed), seconds=seconds
    )
    line = task_line(at, lang=lang)
    assert str(done) in line
    assert "{" not in line
    assert "\n" not in line


def test_lines_in_both_languages():
    at = measure(total=10_000, done=1200, failed=3, resumed=1000, seconds=600)
    assert task_line(at, lang="en") == (
        "1,200 of 10,000 done, 3 failed, 20.3 per minute, about 7.2 h left, 1,000 of them were done before"
    )
    assert task_line(at, lang="ko") == (
        "10,000개 중 1,200개 완료, 3개 실패, 분당 20.3개, 약 7.2시간 남음, 이 가운데 1,000개는 이전에 끝난 작업입니다"
    )
    assert duration(12, Texts("ko")) == "12초"


def test_a_log_gets_few_lines_and_always_the_last(capsys: pytest.CaptureFixture[str]):
    now = [0.0]
    lines = PlainLines("en", clock=lambda: now[0])
    for k in range(101):
        now[0] = k * LINE_SECONDS / 20
        lines(measure(total=100, done=k, failed=0, resumed=0, seconds=now[0]))
    written = capsys.readouterr().err.splitlines()
    assert 4 <= len(written) <= 6
    assert written[-1].startswith("100 of 100 done, 2 per second, finished in")


def test_quiet_shows_nothing_and_a_log_gets_lines(capsys: pytest.CaptureFixture[str]):
    with task_progress(quiet=True, lang="en") as show:
        assert show is None
    with task_progress(quiet=False, lang="en") as show:
        show(measure(total=1, done=1, failed=0, resumed=0, seconds=1))
    assert capsys.readouterr().err == "1 of 1 done, 1 per second, finished in 1 s\n"


def test_a_terminal_gets_one_line_that_moves(capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with task_progress(quiet=False, lang="ko") as show:
        show(measure(total=4, done=1, failed=0, resumed=0, seconds=1))
    assert "4개 중 1개 완료" in capsys.readouterr().err
