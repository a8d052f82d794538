"""The commands of `first-league` run as they stand and print what the page shows, in both languages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"en": "first-league.md", "ko": "first-league.ko.md"}
DEMO = "python -m benchmarks.league_demo --output league-output"
STEP = re.compile(r"(```console\n)(.*?)(```\n\n```text\n)(.*?)(```)", flags=re.DOTALL)
LEFT_OUT = "..."
# A board names the version that computed it, so that its digest is another one at every release.
BOARD = re.compile(r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{8}\b")


def run(commands: str, folder: Path, lang: str) -> list[str]:
    """What the commands print, as somebody at the root of the repository would see it."""
    bin_ = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": "80",
        "LC_ALL": {"en": "en_US.UTF-8", "ko": "ko_KR.UTF-8"}[lang],
    }
    script = re.sub(r"(?m)^\$ ", "", commands).replace("make league-demo", DEMO)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines = [line.rstrip() for line in done.stdout.decode("utf-8").splitlines()]
    # A machine without the locale says so; the language is taken from its name all the same.
    return trimmed([line for line in lines if "setlocale" not in line])


def trimmed(lines: list[str]) -> list[str]:
    """Without empty lines at the ends."""
    return "\n".join(lines).strip("\n").split("\n")


def shorten(printed: list[str], shown: list[str]) -> list[str]:
    """As many paragraphs of what was printed as the page shows, and as many lines after what it leaves out."""
    if LEFT_OUT not in shown:
        return printed
    before, _, after = "\n".join(shown).partition(f"\n{LEFT_OUT}")
    paragraphs = "\n".join(printed).split("\n\n")[: len(before.split("\n\n"))]
    last = printed[len(printed) - len(after.split()) :]
    return ["\n\n".join(paragraphs), LEFT_OUT, *last]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """What the first command writes and prints; it has no language."""
    folder = tmp_path_factory.mktemp("demo")
    return folder / "league-output", run("$ make league-demo", folder, "en")


@pytest.mark.parametrize("lang", PAGES)
def test_the_page_shows_what_its_commands_print(
    lang: str, demo: tuple[Path, list[str]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shutil.copytree(ROOT / "zoo" / "league" / "season", tmp_path / "zoo" / "league" / "season")
    shutil.copytree(demo[0], tmp_path / "league-output")
    path = ROOT / "docs" / "tutorial" / PAGES[lang]
    page = path.read_text(encoding="utf-8")
    found = list(STEP.finditer(page))
    assert len(found) == 9
    printed = {found[0][0]: (demo[1], trimmed(found[0][4].splitlines()))}
    assert found[0][2] == "$ make league-demo\n"
    for step in found[1:]:
        shown = trimmed(step[4].splitlines())
        printed[step[0]] = shorten(run(step[2], tmp_path, lang), shown), shown
    if request.config.getoption("--update-golden"):
        new = STEP.sub(lambda m: m[1] + m[2] + m[3] + "\n".join(printed[m[0]][0]) + "\n" + m[5], page)
        path.write_text(new, encoding="utf-8")
        return
    for lines, shown in printed.values():
        assert BOARD.sub("x", "\n".join(lines)) == BOARD.sub("x", "\n".join(shown))
