"""A bundle binds rules, inputs, board and pages; a check computes all of it again and finds any change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jokbo.errors import FormatError, NotFoundError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.league.bundle import BOARD, MANIFEST, read_manifest, write_scored
from jokbo.league.check import check_bundle
from jokbo.league.score import score_files
from jokbo.records.commit.keys import load_public_keys, load_signer, make_key
from jokbo.report.league.site import site_files
from league_rounds import write_round


def draw(board: Mapping[str, Any]) -> dict[str, bytes]:
    """Pages as good as any for a bundle: they follow from the board."""
    return {
        "index.html": canonical_bytes(board["decision"]),
        "csv/total.csv": canonical_bytes(board["tables"]),
    }


def bundle(tmp_path: Path, *, show: str = "yes", **more: Any) -> Path:
    scored = score_files(*write_round(tmp_path / "files", show=show))
    folder = tmp_path / "out"
    write_scored(scored, folder, pages=draw(scored.board), **more)
    return folder


def test_an_untouched_bundle_comes_out_again(tmp_path: Path):
    found = check_bundle(bundle(tmp_path), draw=draw)
    assert (found.problems, found.recomputed, found.pages_compared, found.exit_status) == ((), True, True, 0)


def test_it_stands_alone(tmp_path: Path):
    folder = bundle(tmp_path)
    (tmp_path / "files").rename(tmp_path / "gone")
    assert check_bundle(folder, draw=draw).exit_status == 0


@pytest.mark.parametrize(
    "path", ["board.json", "index.html", "rules/round.yaml", "inputs/expert.csv", "inputs/runs/ara/exam.csv"]
)
def test_a_changed_file_is_named(tmp_path: Path, path: str):
    folder = bundle(tmp_path)
    data = bytearray((folder / path).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / path).write_bytes(data)
    found = check_bundle(folder, draw=draw)
    assert found.exit_status == 10
    assert [problem.partition(":")[0] for problem in found.problems] == [path]


def _rebind(folder: Path, path: str, data: bytes) -> None:
    """What a forger does who also writes the manifest again."""
    import hashlib

    (folder / path).write_bytes(data)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"][path] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / MANIFEST).write_bytes(canonical_bytes(manifest) + b"\n")


def test_a_figure_that_does_not_follow_is_found_though_all_digests_fit(tmp_path: Path):
    folder = bundle(tmp_path)
    board = json.loads((folder / BOARD).read_bytes())
    board["tables"]["all"]["rows"][0]["score"] += 0.1
    _rebind(folder, BOARD, canonical_bytes(board) + b"\n")
    found = check_bundle(folder, draw=draw)
    assert found.recomputed
    assert found.exit_status == 10
    assert any("board.json: tables/all/rows/0/score" in problem for problem in found.problems)


def test_an_input_changed_with_its_digest_changes_the_board(tmp_path: Path):
    folder = bundle(tmp_path)
    table = (folder / "inputs/speed.csv").read_text()
    value = next(line for line in table.splitlines() if line.startswith("ara,0"))
    _rebind(folder, "inputs/speed.csv", table.replace(value, "ara,0,1.0,yes").encode())
    assert any("board.json" in problem for problem in check_bundle(folder, draw=draw).problems)


def test_a_page_that_the_board_does_not_give_is_found(tmp_path: Path):
    folder = bundle(tmp_path)
    _rebind(folder, "index.html", b"somebody else won")
    assert check_bundle(folder, draw=draw).problems == ("index.html: not what the board gives.",)


def test_a_file_too_many_is_found(tmp_path: Path):
    folder = bundle(tmp_path)
    (folder / "inputs/more.csv").write_text("x")
    assert check_bundle(folder, draw=draw).problems == (
        "inputs/more.csv: there, and not listed in manifest.json.",
    )


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path):
    folder = bundle(tmp_path)
    (folder / "index.html").rename(tmp_path / "elsewhere.html")
    (folder / "index.html").symlink_to(tmp_path / "elsewhere.html")
    assert check_bundle(folder, draw=draw).exit_status == 10


def test_withheld_inputs_are_asked_for_and_then_used(tmp_path: Path):
    folder = bundle(tmp_path, show="no")
    assert not (folder / "inputs/runs").exists()
    blind = check_bundle(folder, draw=draw)
    assert (blind.recomputed, blind.exit_status) == (False, 11)
    assert "runs/ara/exam.csv" in blind.withheld
    assert check_bundle(folder, draw=draw, inputs=tmp_path / "files").exit_status == 0
    other = tmp_path / "files/runs/ara/exam.csv"
    other.write_text(other.read_text().replace(",1\n", ",0\n", 1))
    wrong = check_bundle(folder, draw=draw, inputs=tmp_path / "files")
    assert "runs/ara/exam.csv: the bundle was computed from a file with SHA-256" in wrong.problems[0]


def test_signatures(tmp_path: Path):
    make_key(tmp_path / "key.pem")
    make_key(tmp_path / "other.pem")
    folder = bundle(tmp_path, signer=load_signer(tmp_path / "key.pem"))
    mine, other = (load_public_keys([tmp_path / f"{name}.pem.pub"]) for name in ("key", "other"))
    assert check_bundle(folder, draw=draw, keys=mine).exit_status == 0
    assert (
        "no signature of a key that was given holds"
        in check_bundle(folder, draw=draw, keys=other).problems[0]
    )
    _rebind(folder, "index.html", b"x")
    assert any("signs something else" in p for p in check_bundle(folder, draw=draw, keys=mine).problems)


def test_an_unsigned_bundle_is_not_taken_for_a_signed_one(tmp_path: Path):
    make_key(tmp_path / "key.pem")
    found = check_bundle(bundle(tmp_path), draw=draw, keys=load_public_keys([tmp_path / "key.pem.pub"]))
    assert found.problems == ("there is no manifest.dsse.json: the bundle is not signed.",)


def test_writing_again_replaces_and_strangers_files_are_left_alone(tmp_path: Path):
    folder = bundle(tmp_path)
    scored = score_files(*write_round(tmp_path / "files"))
    write_scored(scored, folder, pages={"index.html": b"new"})
    assert set(read_manifest(folder).files) >= {"index.html"}
    assert not (folder / "csv").exists() or not list((folder / "csv").iterdir())
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds 'notes\.txt', which is no part of a bundle"):
        write_scored(scored, folder, pages=draw(scored.board))
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "index.html").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m["files"].update({"../x": {"size": 1, "sha256": "0" * 64}}), r"'\.\./x' holds '\.\.'"),
        (lambda m: m.update(schema="jokbo.league-bundle/9"), "expected"),
        (lambda m: m.update(more=1), "more"),
        (lambda m: m["files"].update(x={"size": -1, "sha256": "0" * 64}), "size"),
    ],
)
def test_malformed_manifests(tmp_path: Path, edit, message: str):
    folder = bundle(tmp_path)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    edit(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(FormatError, match=message):
        check_bundle(folder, draw=draw)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path):
    with pytest.raises(NotFoundError, match="cannot read"):
        check_bundle(tmp_path, draw=draw)


def test_a_board_of_other_methods_is_not_said_to_be_wrong(tmp_path: Path):
    folder = bundle(tmp_path)
    board = json.loads((folder / BOARD).read_bytes())
    board["methods"] += 1
    board["tables"]["all"]["rows"][0]["score"] += 1.0
    _rebind(folder, BOARD, canonical_bytes(board) + b"\n")
    found = check_bundle(folder, draw=draw)
    assert (found.problems, found.recomputed, found.other_methods, found.exit_status) == ((), False, 2, 11)


def test_a_last_digit_of_another_machine_is_counted_and_a_rank_is_not(tmp_path: Path):
    folder = bundle(tmp_path)
    board = json.loads((folder / BOARD).read_bytes())
    row = board["tables"]["all"]["rows"][0]
    row["error"] = round(row["error"] + 1e-6, 6)
    _rebind(folder, BOARD, canonical_bytes(board) + b"\n")
    for path, data in draw(board).items():
        _rebind(folder, path, data)
    found = check_bundle(folder, draw=draw)
    assert (found.problems, found.last_digits, found.exit_status) == ((), 1, 0)
    row["worst_rank"] -= 1
    _rebind(folder, BOARD, canonical_bytes(board) + b"\n")
    assert check_bundle(folder, draw=draw).exit_status == 10


def test_pages_follow_from_the_board_file_and_not_from_the_order_of_its_fields(tmp_path: Path):
    scored = score_files(*write_round(tmp_path / "files"))
    drawn = site_files(scored.board)
    assert site_files(json.loads(scored.to_json())) == drawn
    write_scored(scored, tmp_path / "out", pages=drawn)
    found = check_bundle(tmp_path / "out", draw=site_files)
    assert (found.problems, found.pages_compared, found.exit_status) == ((), True, 0)
