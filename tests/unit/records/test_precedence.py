"""C2: chains beside the record's files, under real time stamps, honest and written afterwards."""

from __future__ import annotations

import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rfc3161_client")

from local_authority import Authority, served

from jokbo.records.checks.base import CheckContext, CheckResult, Observation
from jokbo.records.checks.precedence import Precedence
from jokbo.records.commit.keys import Signer, make_key
from jokbo.records.commit.support import Clock, backfill, find_support, longest_gap
from jokbo.records.commit.writer import CHAIN, TIMESTAMPS, commit
from jokbo.records.pack import write_pack

STEPS = (0, 10, 20, 30, 40)

HEAD = """
name = "tiny"
steps = 40
[commitments]
chain = "commitments/chain.jsonl"
timestamps = "commitments/timestamps"
keys = ["key.pub"]
dispute = "2199-01-01"
[[log]]
path = "log.jsonl"
"""


def weights(step: int) -> bytes:
    from jokbo.formats.dtypes import DType
    from jokbo.formats.writer import RawTensor, TensorSpec, build_file

    data = np.full(4, step, dtype="<f4").tobytes()
    return build_file({"w": RawTensor(TensorSpec(DType.F32, (2, 2)), data)})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_key(tmp_path_factory.mktemp("keys") / "key")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory, authority: Authority, signer: Signer) -> Path:
    """A run that commits every ten steps, a second and more apart, and logs when it did."""
    run = tmp_path_factory.mktemp("run") / "run"
    run.mkdir()
    (run / "key.pub").write_bytes(signer.public.to_pem())
    times = []
    with served(authority.reply) as url:
        for step in STEPS:
            (run / f"step-{step}.safetensors").write_bytes(weights(step))
            with open(run / "train.log", "a", encoding="utf-8") as log:
                log.write(f"step {step}\n")
            names = [run / f"step-{step}.safetensors", run / "train.log"]
            commit(run, names, key=signer, step=step, tsa=url)
            # Stamps name whole seconds: the log's clock is set by them, so that a slow machine changes nothing.
            times.append(float(int(time.time())))
            time.sleep(1.1)
    rows = [{"step": s, "loss": 5.0, "time": t} for s, t in zip(STEPS, times, strict=True)]
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    declare(run)
    return run


def declare(run: Path, *, extra: str = "", names: dict[int, int] | None = None, log: bool = False) -> None:
    text = (
        HEAD
        if not log
        else HEAD + '[[log]]\npath = "train.log"\nformat = "console"\npattern = \'step (?P<step>\\d+)\'\n'
    )
    for step in STEPS:
        file = (names or {}).get(step, step)
        text += f'[[checkpoint]]\nname = "s{step}"\nstep = {step}\npath = "step-{file}.safetensors"\n'
    (run / "record.toml").write_text(text + extra)


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "run"))


def check(run: Path, *certificates: Path, keys: tuple[str, ...] = ()) -> CheckResult:
    record = write_pack(run / "record.toml", run.parent / "pack")
    context = CheckContext(seed=0, tsa_certificates=tuple(map(str, certificates)), keys=keys)
    return Precedence().run(record, context)


def codes(found: CheckResult) -> list[str]:
    return [reason.code for reason in found.reasons]


def test_an_honest_chain_with_trusted_stamps_holds(run: Path, authority: Authority):
    found = check(run, authority.root)
    assert codes(found) == ["chain_holds"]
    assert found.observation is Observation.HOLDS
    assert found.details["supported"] == 5
    assert found.planted[0].found == found.planted[0].tried == 59


def test_without_the_auditors_trust_the_chain_has_no_dates(run: Path, tmp_path: Path):
    found = check(run)
    assert found.observation is Observation.UNKNOWN
    assert codes(found) == ["chain_holds", "authority_unknown"]
    assert found.missing == ("trusted_authority",)
    shutil.rmtree(run.parent / "pack")
    other = Authority(tmp_path / "two", name="another")
    assert codes(check(run, other.root)) == ["chain_holds", "authority_unknown"]


def test_without_stamps_it_cannot_tell(run: Path, authority: Authority):
    shutil.rmtree(run / TIMESTAMPS)
    text = (run / "record.toml").read_text().replace('timestamps = "commitments/timestamps"\n', "")
    (run / "record.toml").write_text(text)
    found = check(run, authority.root)
    assert (found.observation, codes(found)) == (Observation.UNKNOWN, ["chain_holds", "no_time_stamps"])


def test_a_chain_written_afterwards_is_not_called_contemporary(run: Path, authority: Authority):
    # The log says that the run was made the day before its stamps.
    rows = [{"step": s, "loss": 5.0, "time": time.time() - 80_000 + 10 * s} for s in STEPS]
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = check(run, authority.root)
    assert (found.observation, codes(found)) == (Observation.UNKNOWN, ["chain_holds", "written_afterwards"])


def test_stamps_from_before_the_training_contradict_the_log(run: Path, authority: Authority):
    rows = [{"step": s, "loss": 5.0, "time": time.time() + 3 * 86_400 + 10 * s} for s in STEPS]
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = check(run, authority.root)
    assert found.observation is Observation.VIOLATED
    assert set(codes(found)) == {"stamped_before_its_step"}


def test_stamps_after_the_dispute_do_not_help(run: Path, authority: Authority):
    text = (run / "record.toml").read_text().replace("2199-01-01", "2020-01-01")
    (run / "record.toml").write_text(text)
    assert codes(check(run, authority.root)) == ["chain_holds", "after_dispute"]


def test_swapped_weights_and_relabelled_steps(run: Path, authority: Authority):
    (run / "step-20.safetensors").write_bytes(weights(99))
    found = check(run, authority.root)
    assert (found.observation, codes(found)) == (Observation.VIOLATED, ["item_differs"])
    shutil.rmtree(run.parent / "pack")
    (run / "step-20.safetensors").write_bytes(weights(20))
    declare(run, names={20: 30, 30: 20})
    found = check(run, authority.root)
    assert (found.observation, codes(found)) == (Observation.VIOLATED, ["step_differs", "step_differs"])


def test_a_log_edited_after_it_was_committed(run: Path, authority: Authority):
    declare(run, log=True)
    assert check(run, authority.root).details["logs"] == 1
    shutil.rmtree(run.parent / "pack")
    text = (run / "train.log").read_text().replace("step 20", "step 21")
    (run / "train.log").write_text(text)
    found = check(run, authority.root)
    assert (found.observation, codes(found)) == (Observation.VIOLATED, ["log_differs"])
    shutil.rmtree(run.parent / "pack")
    declare(run, log=True, extra='[[event]]\nkind = "log_edit"\nstep = 20\n')
    found = check(run, authority.root)
    assert (found.observation, found.events) == (Observation.UNKNOWN, (0,))
    assert codes(found) == ["chain_holds", "log_edited"]
    shutil.rmtree(run.parent / "pack")
    declare(run, log=True)
    (run / "train.log").write_text("step 0\n")
    assert codes(check(run, authority.root)) == ["log_cut"]


def test_a_chain_under_another_key(run: Path, authority: Authority, tmp_path: Path):
    other = make_key(tmp_path / "other").public.to_pem()
    (run / "key.pub").write_bytes(other)
    found = check(run, authority.root)
    assert found.observation is Observation.VIOLATED
    assert set(codes(found)) == {"keys_differ", "signer_unknown"}


def test_the_auditors_keys_come_first(run: Path, authority: Authority, signer: Signer, tmp_path: Path):
    (tmp_path / "trusted.pub").write_bytes(signer.public.to_pem())
    found = check(run, authority.root, keys=(str(tmp_path / "trusted.pub"),))
    assert (found.observation, found.details["keys"]) == (Observation.HOLDS, "auditor")


def test_a_rewritten_link_loses_its_stamp(run: Path, authority: Authority, signer: Signer):
    # The holder of the key writes the last link anew; the authority has stamped the old one.
    path = run / CHAIN
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    (run / "step-40.safetensors").write_bytes(weights(41))
    commit(run, [run / "step-40.safetensors"], key=signer, step=40, now=datetime.now(UTC))
    found = check(run, authority.root)
    assert (found.observation, codes(found)) == (Observation.VIOLATED, ["stamp_of_other_bytes"])


def test_steps_that_run_back_are_declared_or_a_contradiction(run: Path, authority: Authority, signer: Signer):
    (run / "more.bin").write_bytes(b"x")
    commit(run, [run / "more.bin"], key=signer, step=25)
    assert codes(check(run, authority.root)) == ["steps_run_back"]
    shutil.rmtree(run.parent / "pack")
    declare(run, extra='[[event]]\nkind = "rollback"\nstep = 40\nto_step = 25\n')
    found = check(run, authority.root)
    assert (found.observation, found.events) == (Observation.HOLDS, (0,))


def test_weights_that_no_link_names(run: Path, authority: Authority):
    (run / "step-35.safetensors").write_bytes(weights(35))
    declare(run, extra='[[checkpoint]]\nname = "s35"\nstep = 35\npath = "step-35.safetensors"\n')
    found = check(run, authority.root)
    assert (found.observation, codes(found)) == (Observation.UNKNOWN, ["chain_holds", "not_committed"])


def test_a_half_written_tail_is_told_and_does_no_harm(run: Path, authority: Authority):
    with open(run / CHAIN, "ab") as stream:
        stream.write(b'{"payload":"eyJ')
    found = check(run, authority.root)
    assert (found.observation, codes(found)) == (Observation.HOLDS, ["chain_holds", "half_written"])


def test_no_chain(run: Path):
    text = (run / "record.toml").read_text()
    begin, end = text.index("[commitments]"), text.index("[[log]]")
    (run / "record.toml").write_text(text[:begin] + text[end:])
    found = check(run)
    assert (found.observation, codes(found), found.missing) == (Observation.UNKNOWN, ["no_chain"], ("chain",))


def clock(total: int = 1000) -> Clock:
    return Clock(np.arange(total + 1), 1e9 + 60.0 * np.arange(total + 1))


@pytest.mark.parametrize("links", [5, 20, 200])
def test_backfilled_chains_are_found_and_honest_ones_are_not(links: int):
    rng = np.random.default_rng(0)
    steps = np.linspace(0, 1000, links).astype(np.int64)
    for _ in range(200):
        stamps = 1e9 + 60.0 * steps + rng.uniform(0, 600, links)
        assert find_support(steps, stamps, clock(), 1000).contemporary
        forged = backfill(steps, stamps, clock(), 1000, rng)
        assert not find_support(steps, forged, clock(), 1000).contemporary


def test_rolled_back_steps_have_two_times():
    steps = np.r_[np.arange(101), np.arange(50, 151)]
    found = Clock(steps, 1e9 + 60.0 * np.arange(len(steps)))
    assert found.at(80) == (1e9 + 60 * 80, 1e9 + 60 * (101 + 30))
    assert found.at(0) == (1e9,)
    assert found.at(10_000) == (float(found.times.max()),)


def test_gaps_count_both_ends():
    values: Any = np.array([100, 900])
    assert longest_gap(values, 1000) == 0.8
    assert longest_gap(np.array([], dtype=np.int64), 1000) == 1.0
