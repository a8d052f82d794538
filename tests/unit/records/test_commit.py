"""What a commitment holds, the command that writes it, and the Trainer's callback."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("cryptography")

from jokbo.cli.record.commit import command
from jokbo.errors import UsageError
from jokbo.records.commit.chain import chain_keys, find_problems, read_chain
from jokbo.records.commit.items import guess_kind
from jokbo.records.commit.keys import Signer, make_key
from jokbo.records.commit.writer import CHAIN, commit
from jokbo.records.initialise import seed_from_beacon
from jokbo.testing.chains import committed_run


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return make_key(tmp_path / "key")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def test_each_link_commits_to_what_is_new(tmp_path: Path, signer: Signer):
    made = committed_run(tmp_path / "run", signer=signer)
    assert [[(i.path, i.kind) for i in m.link.items] for m in made[:2]] == [
        [("beacon.json", "beacon")],
        [("log.jsonl", "log"), ("step-10.safetensors", "weights")],
    ]
    spans = [(i.start, i.stop) for m in made for i in m.link.items if i.kind == "log"]
    assert [a[1] for a in spans[:-1]] == [b[0] for b in spans[1:]]
    assert spans[-1][1] == (tmp_path / "run" / "log.jsonl").stat().st_size
    assert made[0].genesis.seed == seed_from_beacon(
        (tmp_path / "run/beacon.json").read_bytes(), "initialisation"
    )


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, signer: Signer):
    # Ed25519 signs without chance; nothing else in a link is left to it either.
    for name in ("one", "two"):
        committed_run(tmp_path / name, signer=signer)
    assert (tmp_path / "one" / CHAIN).read_bytes() == (tmp_path / "two" / CHAIN).read_bytes()


def test_a_clock_set_back_keeps_the_order(folder: Path, signer: Signer):
    now = datetime(2026, 5, 1, tzinfo=UTC)
    for k, time in enumerate((now, now - timedelta(days=1))):
        (folder / f"{k}.bin").write_bytes(b"x")
        made = commit(folder, key=signer, now=time)
    assert made.link.time == now
    assert find_problems(read_chain(made.chain), [signer.public]) == ()


def test_hidden_files_and_the_chain_itself_are_left_out(folder: Path, signer: Signer):
    (folder / ".cache").mkdir()
    for name in (".cache/a.bin", ".hidden", "b.bin"):
        (folder / name).write_bytes(b"x")
    assert [i.path for i in commit(folder, key=signer).link.items] == ["b.bin"]
    with pytest.raises(UsageError, match=r"nothing in .* is new"):
        commit(folder, key=signer)
    assert commit(folder, key=signer, note="still here").link.items == ()


def test_folders_as_items_and_a_file_named_twice(folder: Path, signer: Signer):
    (folder / "step-1").mkdir()
    for name in ("a.safetensors", "b.safetensors"):
        (folder / "step-1" / name).write_bytes(b"x")
    items = [folder / "step-1", folder / "step-1" / "a.safetensors"]
    made = commit(folder, items, key=signer)
    assert [i.path for i in made.link.items] == ["step-1/a.safetensors", "step-1/b.safetensors"]


def test_a_seed_that_is_not_the_beacons_is_refused(folder: Path, signer: Signer):
    (folder / "beacon").write_bytes(b"round 1")
    with pytest.raises(UsageError, match="Give one of them"):
        commit(folder, key=signer, beacon=folder / "beacon", seed=1)
    (folder / "declared.toml").write_text("x")
    made = commit(folder, key=signer, seed=9, declaration=folder / "declared.toml", name="n")
    assert (made.genesis.seed, made.genesis.name, len(made.genesis.declaration)) == (9, "n", 64)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/model-00001-of-00002.safetensors", "weights"),
        ("a/optimizer.pt", "optimizer"),
        ("optimizer/step-3.safetensors", "optimizer"),
        ("optimus/model.safetensors", "weights"),
        ("a/rng_state_0.pth", "other"),
        ("a/training_args.bin", "other"),
        ("run-1.wandb", "log"),
        ("windows.npy", "data"),
        ("train.py", "code"),
        ("README", "other"),
    ],
)
def test_kinds_by_name(path: str, kind: str):
    assert guess_kind(path) == kind


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_command_begins_and_goes_on(lang: str, folder: Path, tmp_path: Path):
    (folder / "beacon.txt").write_bytes(b"round 1")
    key = tmp_path / "fresh"
    done = invoke(folder, "--new-key", key, "--beacon", folder / "beacon.txt", "--lang", lang)
    assert done.exception is None, done.exception
    assert str(seed_from_beacon(b"round 1", "initialisation")) in done.output
    assert "--tsa" in done.output
    assert str(folder / CHAIN) in done.output
    (folder / "a.bin").write_bytes(b"x")
    done = invoke(folder, "--key", key, "--step", 5, "--item", folder / "a.bin", "--json")
    assert json.loads(done.output)["step"] == 5
    chain = read_chain(folder / CHAIN)
    assert find_problems(chain, chain_keys(chain)) == ()
    assert "PRIVATE" not in done.output + (folder / CHAIN).read_text()


def test_the_command_says_what_a_chosen_seed_is_worth(folder: Path, tmp_path: Path):
    assert (
        "could have been chosen"
        in invoke(folder, "--new-key", tmp_path / "k", "--seed", 3, "--lang", "en").output
    )
    other = tmp_path / "other"
    other.mkdir()
    assert "no seed" in invoke(other, "--key", tmp_path / "k", "--lang", "en").output


def test_the_command_wants_one_key_outside_of_the_folder(folder: Path, tmp_path: Path):
    assert isinstance(invoke(folder).exception, UsageError)
    assert isinstance(
        invoke(folder, "--key", tmp_path / "a", "--new-key", tmp_path / "b").exception, UsageError
    )
    inside = invoke(folder, "--new-key", folder / "key")
    assert "lies inside" in str(inside.exception)
    assert not (folder / "key").exists()
