"""Checks that run the model cannot tell without PyTorch, and cost nothing where they are not run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jokbo.records.checks.base import CheckContext, Observation
from jokbo.records.checks.choose import find_check
from jokbo.records.declaration import Declaration
from jokbo.records.record import Record
from jokbo.records.replay import gate

NAMES = ("re_evaluation", "batch_echo", "memorisation", "palimpsest", "replay")


@pytest.mark.parametrize("name", NAMES)
def test_without_pytorch_nothing_can_be_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gate, "can_run", lambda: False)
    result = find_check(name).run(Record(tmp_path, Declaration("x", 1), {}, ""), CheckContext(0))
    assert result.observation is Observation.UNKNOWN
    assert result.missing == ("replay_extra",)


@pytest.mark.parametrize("name", NAMES)
def test_switched_off_is_not_run(name: str, tmp_path: Path):
    result = find_check(name).run(
        Record(tmp_path, Declaration("x", 1), {}, ""), CheckContext(0, replay=False)
    )
    assert result.missing == ("replay_extra",)


def test_either_package_missing_counts(monkeypatch: pytest.MonkeyPatch):
    for absent in gate.PACKAGES:
        monkeypatch.setattr(
            gate, "find_spec", lambda name, absent=absent: None if name == absent else object()
        )
        assert not gate.can_run()
    monkeypatch.setattr(gate, "find_spec", lambda name: object())
    assert gate.can_run()


def test_importing_the_checks_imports_no_framework():
    imports = "; ".join(f"import jokbo.records.checks.{name}" for name in NAMES)
    code = (
        f"import sys; {imports}; sys.exit(str(sorted({{'torch', 'transformers'}} & set(sys.modules)) or ''))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.strip() == ""
