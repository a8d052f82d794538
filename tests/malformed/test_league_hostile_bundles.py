"""Where a bundle is written and what is there before, and bundles whose digests all fit and whose figures do not."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from jokbo.cli.main import main
from jokbo.evidence.canonical import canonical_bytes

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "league"))
write_round = import_module("league_rounds").write_round


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that has to refuse; returns what it said."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["jokbo", "league", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert (ended.value.code, out) == (2, ""), err
        assert err.startswith("jokbo: ")
        assert "Traceback" not in err
        assert err.isascii() or err.isprintable()
        return err

    return run


# --- where a bundle is written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (lambda out: out.write_text("x"), "is a link or no folder. Give a new one"),
        (lambda out: out.symlink_to(out.parent / "nowhere"), "is a link or no folder. Give a new one"),
        (lambda out: (out / "sub").mkdir(parents=True) or (out / "sub/mine.txt").write_text("x"), "no manifest.json"),
        (lambda out: interrupted(out), r"holds 'board\.json' and no manifest\.json: .* interrupted. Give a new folder"),
        (lambda out: of_another_round(out), "is the bundle of round 'r9', and this is round 'r1'"),
    ],
)  # fmt: skip
def test_what_is_there_already_is_left_alone(refused, tmp_path, before, said):
    round_file, results = write_round(tmp_path / "files")
    out = tmp_path / "out"
    before(out)
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert re.search(said, refused("score", round_file, results, "-q", "-o", out))
    assert sorted(path.name for path in tmp_path.rglob("*")) == left


def interrupted(out: Path) -> None:
    """What is left of a run that was killed before its last file."""
    out.mkdir()
    (out / "board.json").write_text("{}")


def of_another_round(out: Path) -> None:
    interrupted(out)
    manifest = {"schema": "jokbo.league-bundle/1", "jokbo": "1", "round": "r9", "files": {}, "withheld": {}}
    (out / "manifest.json").write_text(json.dumps(manifest))


def test_a_key_or_place_that_will_not_do_is_told_before_the_work(refused, tmp_path, monkeypatch):
    round_file, results = write_round(tmp_path / "files")
    monkeypatch.setattr("jokbo.league.score.score_files", lambda *_, **__: pytest.fail("scored first"))
    (tmp_path / "out").write_text("x")
    assert "is a link or no folder" in refused("score", round_file, results, "-o", tmp_path / "out")
    said = refused("score", round_file, results, "-o", tmp_path / "new", "--key", tmp_path / "none")
    assert "cannot read the key" in said


def test_a_conversion_that_cannot_be_written(refused, tmp_path):
    write_round(tmp_path)
    place = tmp_path / "round.yaml" / "out"
    arguments = ("convert", tmp_path / "runs/ara/exam.csv", "--to", "every-eval-ever", "-o", place)
    said = refused(*arguments, "--field", "subject", "--field", "passage")
    assert "cannot write below" in said


def test_a_full_disk_leaves_no_bundle(tmp_path, monkeypatch):
    from jokbo.errors import UsageError
    from jokbo.league import bundle as module
    from jokbo.league.score import score_files

    scored = score_files(*write_round(tmp_path / "files"))
    whole, written = module.write_whole, []

    def full(path: Path, data: bytes, **more: object) -> None:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        whole(path, data, **more)

    monkeypatch.setattr(module, "write_whole", full)
    with pytest.raises(
        UsageError, match=r"cannot write into .*: No space left on device. Give another folder"
    ):
        module.write_scored(scored, tmp_path / "out", pages={"index.html": b"page"})
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_folder_that_cannot_be_made(refused, tmp_path):
    round_file, results = write_round(tmp_path)
    said = refused("score", round_file, results, "-q", "-o", round_file / "out")
    assert "cannot make the folder" in said
    assert "Not a directory. Give another one with --output." in said


# --- bundles whose digests all fit ------------------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    from jokbo.league.bundle import write_scored
    from jokbo.league.score import score_files

    scored = score_files(*write_round(tmp_path / "files"))
    write_scored(scored, tmp_path / "out", pages={"index.html": b"page"})
    return tmp_path / "out"


def forged(folder: Path, path: str, change: Callable[[bytes], bytes]) -> tuple[str, ...]:
    """What a check says of a file that was changed with its digest."""
    from jokbo.league.check import check_bundle

    data = change((folder / path).read_bytes())
    (folder / path).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"][path] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    found = check_bundle(folder, draw=lambda board: {"index.html": b"page"})
    assert found.exit_status == 10
    return found.problems


def test_rules_with_another_seed(bundle):
    (problem,) = forged(bundle, "rules/round.yaml", lambda data: data.replace(b"seed: 7", b"seed: 8"))
    assert re.fullmatch(
        r"board\.json: it is of the rules \w{16}\.{3}, and rules/round\.yaml has the digest \w{16}\.{3}: other rules\.",
        problem,
    )


def test_a_board_in_other_bytes(bundle):
    (problem,) = forged(bundle, "board.json", lambda data: json.dumps(json.loads(data), indent=1).encode())
    assert problem.startswith("board.json: its figures come out again, and its bytes do not.")


def test_a_lot_that_nobody_announced(bundle):
    def change(data: bytes) -> bytes:
        board = json.loads(data)
        board["round"]["randomness"] = "chosen afterwards"
        return canonical_bytes(board) + b"\n"

    assert forged(bundle, "board.json", change) == (
        "board.json: it states a public value for a lot ('chosen afterwards'), and the round named none beforehand.",
    )


def test_inputs_that_do_not_fit_are_not_said_to_have_been_computed(bundle):
    from jokbo.league.check import check_bundle

    found = check_bundle(bundle, draw=lambda board: {"index.html": b"page"}, inputs=bundle.parent / "nowhere")
    assert (found.exit_status, found.recomputed, found.pages_compared) == (10, False, False)


@pytest.mark.parametrize("folder", ["nowhere", "files", "files/round.yaml"])
def test_what_is_no_bundle(refused, bundle, folder):
    said = refused("check", bundle.parent / folder)
    assert (
        "A bundle is a folder that `jokbo league score --output` wrote to its end: give that folder." in said
    )
