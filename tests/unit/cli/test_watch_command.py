"""``jokbo watch``: exit statuses, JSON lines, both languages, one round or many."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from jokbo.cli.watch import command
from jokbo.errors import UsageError
from jokbo.lineage.watch.state import REPORTS
from jokbo.testing.builders import llama
from jokbo.testing.publishing import PublishingHub
from jokbo.testing.transforms import fine_tune_noise

BASE = llama(np.random.default_rng(0), hidden_size=64, num_layers=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models")
    BASE.save(made / "base")
    fine_tune_noise(BASE, size=0.1, rng=np.random.default_rng(1)).save(made / "tuned")
    return made


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PublishingHub]:
    with PublishingHub({"org/base": folder / "base"}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield running


@pytest.fixture
def watch(hub: PublishingHub, tmp_path: Path):
    (tmp_path / "list.toml").write_text('repositories = ["org/base"]\npause_seconds = 0\n')

    def run(*options: str) -> Result:
        places = ["--registry", str(tmp_path / "register"), "--cache-dir", str(tmp_path / "cache")]
        arguments = [str(tmp_path / "list.toml"), *places, *options]
        return CliRunner().invoke(command, arguments, standalone_mode=False)

    return run


def test_a_round_in_both_languages_and_then_nothing_new(watch, hub, folder: Path, tmp_path: Path):
    first = watch("--lang", "en")
    assert (first.exception, first.return_value) == (None, 0)
    assert "org/base: a new revision without evidence of dependence" in first.stdout
    assert "fingerprinting org/base" in first.stderr
    hub.publish("org/base", folder / "tuned")
    second = watch("--lang", "ko", "--once")
    assert "org/base: 새 리비전이 등록된 모델에 의존하며, 모두 선언으로 설명됩니다." in second.stdout
    assert "핑거프린트 생성 중: org/base" in second.stderr
    third = watch("--lang", "en")
    assert (third.return_value, third.stdout) == (0, "New revisions: 0; unchanged: 1; not dealt with: 0.\n")
    assert len((tmp_path / "list.toml.state" / REPORTS).read_text().splitlines()) == 2


def test_json_is_one_document_a_line(watch, hub, folder: Path, tmp_path: Path):
    found = watch("--json", "--state", str(tmp_path / "state"))
    (line,) = found.stdout.splitlines()
    assert json.loads(line)["schema"] == "jokbo.watch/1"
    assert line == (tmp_path / "state" / REPORTS).read_text().strip()


def test_quiet_prints_nothing_and_the_status_is_the_answer(watch, hub, folder: Path, tmp_path: Path):
    (tmp_path / "list.toml").write_text('repositories = ["org/base", "org/copy"]\npause_seconds = 0\n')
    found = watch("-q")
    assert (found.output, found.return_value) == ("", 11)  # org/copy is not there yet
    hub.publish("org/copy", folder / "base")
    # The copy is of a registered model, and no card says so; nobody vouches for dates, so it may stay a lead.
    assert watch("-q").return_value in (10, 11)


def test_again_and_again_until_it_is_stopped(watch, monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    ended = watch("--every", "6", "--lang", "en")
    assert isinstance(ended.exception, KeyboardInterrupt | SystemExit) or ended.return_value is None
    assert slept == [6 * 3600.0] * 3
    assert ended.stderr.count("Next look in 6 h.") == 3
    assert ended.stdout.count("unchanged: 1") == 2


def test_once_and_every_exclude_each_other(watch):
    ended = watch("--once", "--every", "1")
    assert isinstance(ended.exception, UsageError)


def test_a_list_that_is_not_there(tmp_path: Path):
    ended = CliRunner().invoke(command, [str(tmp_path / "none.toml")], standalone_mode=False)
    assert isinstance(ended.exception, UsageError)
