"""Whole processes: exit statuses as a shell sees them, and what a plain ``--help`` costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def start(*arguments: object, code: str | None = None) -> subprocess.CompletedProcess[str]:
    head = ["-m", "jokbo"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *head, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_lists_every_command_and_imports_no_numpy():
    code = (
        "import sys\nfrom jokbo.cli.main import main\nsys.argv = ['jokbo', '--help']\n"
        "try:\n    main()\nexcept SystemExit as ended:\n"
        "    heavy = sorted({'numpy', 'scipy', 'rich', 'jinja2', 'huggingface_hub'} & set(sys.modules))\n"
        "    sys.exit(f'imported {heavy}' if heavy or ended.code else 0)\n"
    )
    ended = start(code=code)
    assert ended.returncode == 0, ended.stderr
    for command in ("compare", "inspect", "verify", "report", "demo"):
        assert command in ended.stdout


def test_version():
    from jokbo import __version__

    ended = start("--version")
    assert (ended.returncode, ended.stdout) == (0, f"jokbo {__version__}\n")


def test_no_command_shows_help_and_exits_2():
    ended = start()
    assert ended.returncode == 2
    assert "Usage:" in ended.stdout + ended.stderr


def test_an_unknown_command_exits_2():
    ended = start("accuse")
    assert ended.returncode == 2
    assert "No such command 'accuse'" in ended.stderr


def test_a_missing_model_is_one_sentence_on_standard_error(tmp_path: Path):
    ended = start("compare", tmp_path / "a", tmp_path / "b")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("jokbo: ")
    assert "Traceback" not in ended.stderr


def test_an_unexpected_failure_exits_1():
    """A crash never reads as a finding: neither 0, nor 10, nor 11."""
    code = (
        "import sys, jokbo.evidence.compare as module\n"
        "def broken(*_, **__): raise RuntimeError('a bug')\n"
        "module.compare = broken\n"
        "from jokbo.cli.main import main\nmain()\n"
    )
    ended = start("compare", "a", "b", code=code)
    assert ended.returncode == 1
    assert "a bug" in ended.stderr


@pytest.mark.parametrize(("candidate", "status"), [("derived", 10), ("apart", 0)])
def test_the_shell_sees_the_answer(models: dict[str, Path], candidate: str, status: int):
    ended = start("compare", models["reference"], models[candidate], "-q", "--no-bounds", "--no-scores")
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", "")


def test_a_reader_that_goes_away_is_no_crash(models: dict[str, Path]):
    with subprocess.Popen(
        [sys.executable, "-m", "jokbo", "inspect", str(models["reference"]), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert b"Traceback" not in err
