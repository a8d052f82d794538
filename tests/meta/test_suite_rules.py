"""The suite's own rules: shapes are enforced, and the full environment skips nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jaxtyping
import numpy as np
import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"


def test_annotated_shapes_are_enforced():
    from jokbo.independence.alignment import procrustes

    with pytest.raises(jaxtyping.TypeCheckError):
        procrustes(np.zeros((5, 3)), np.zeros((4, 3)))
    with pytest.raises(jaxtyping.TypeCheckError):
        procrustes(np.zeros((5, 3), dtype=int), np.zeros((5, 3)))


@pytest.mark.parametrize(("full", "status", "said"), [("", 0, "1 skipped"), ("1", 1, "1 failed")])
def test_a_skip_is_a_failure_in_the_full_environment(tmp_path: Path, full: str, status: int, said: str):
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "test_it.py").write_text("import pytest\n\n\ndef test_it():\n    pytest.skip('not today')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"JOKBO_FULL": full},
    )
    assert ended.returncode == status, ended.stdout
    assert said in ended.stdout


def test_no_two_modules_of_the_suite_have_one_name():
    """Pytest imports them by their bare names, and would take one for the other."""
    names = [path.name for path in CONFTEST.parent.rglob("*.py") if path.name != "conftest.py"]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
