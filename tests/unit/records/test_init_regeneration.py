"""C15: step 0 made again, bound to a beacon or not, and what is planted into it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cryptography")

from jokbo.formats.dtypes import DType
from jokbo.records.checks.base import CheckContext, CheckResult, Observation
from jokbo.records.checks.init_regeneration import InitRegeneration
from jokbo.records.commit.keys import Signer, make_key
from jokbo.records.commit.writer import commit
from jokbo.records.declaration import Initialisation
from jokbo.records.forgeries import Forgery
from jokbo.records.initialise import initial_weights, round_to, seed_from_beacon
from jokbo.records.pack import write_pack
from jokbo.testing.builders import llama
from jokbo.testing.checkpoint import Checkpoint

BEACON = b'{"round": 5000000, "randomness": "5a"}'
SEED = seed_from_beacon(BEACON, "initialisation")
RESIDUAL = ("*.o_proj.weight", "*.down_proj.weight")
LAW = Initialisation(law="normal", std=0.02, residual_std=0.01, residual=RESIDUAL)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_key(tmp_path_factory.mktemp("keys") / "key")


def start(seed: int = SEED, stored: str = "F32", dtype: DType = DType.F32) -> Checkpoint:
    model = llama(np.random.default_rng(0), num_layers=1, hidden_size=32, intermediate_size=48, qkv_bias=True)
    shapes = {name: values.shape for name, values in model.tensors.items()}
    law = replace(LAW, stored=stored)
    return replace(model.with_tensors(initial_weights(shapes, seed=seed, law=law)), dtype=dtype)


class Run:
    """A run's folder: step 0, a later step, and whatever is declared."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        self.folder, self.signer = folder, signer
        folder.mkdir()
        (folder / "key.pub").write_bytes(signer.public.to_pem())
        (folder / "beacon.txt").write_bytes(BEACON)
        self.declared = {
            "law": '"normal"',
            "std": "0.02",
            "residual_std": "0.01",
            "residual": str(list(RESIDUAL)).replace("'", '"'),
            "procedure": '"jokbo-normal/1"',
            "seed": str(SEED),
            "beacon": '"beacon.txt"',
        }
        self.save(start())

    def save(self, model: Checkpoint, later: Checkpoint | None = None) -> None:
        model.save(self.folder / "step-0")
        rng = np.random.default_rng(1)
        moved = {n: v + rng.normal(0, 0.02, v.shape).astype("f4") for n, v in model.tensors.items()}
        (later or model.with_tensors(moved)).save(self.folder / "step-10")

    def commit(self, *, seed: int | None = None, links: int = 2, beacon: bool = True) -> None:
        commit(
            self.folder,
            [self.folder / "beacon.txt"],
            key=self.signer,
            step=0,
            beacon=self.folder / "beacon.txt" if beacon else None,
            seed=seed,
        )
        if links > 1:
            commit(self.folder, [self.folder / "step-10"], key=self.signer, step=10)

    def check(self, *, chain: bool = True, budget: int | None = None, extra: str = "") -> CheckResult:
        text = 'name = "tiny"\nsteps = 10\n[initialisation]\n'
        text += "".join(f"{key} = {value}\n" for key, value in self.declared.items())
        if chain:
            text += '[commitments]\nchain = "commitments/chain.jsonl"\nkeys = ["key.pub"]\n'
        for step in (0, 10):
            text += f'[[checkpoint]]\nname = "s{step}"\nstep = {step}\npath = "step-{step}"\n'
        (self.folder / "record.toml").write_text(text + extra)
        record = write_pack(self.folder / "record.toml", self.folder.parent / "pack")
        if budget is not None:
            record.budget_bytes = budget
        return InitRegeneration().run(record, CheckContext(seed=0))


@pytest.fixture
def run(tmp_path: Path, signer: Signer) -> Run:
    return Run(tmp_path / "run", signer)


def codes(found: CheckResult) -> list[str]:
    return [reason.code for reason in found.reasons]


def test_a_committed_seed_from_a_beacon_holds(run: Run):
    run.commit()
    found = run.check()
    assert (found.observation, codes(found)) == (Observation.HOLDS, ["regenerated", "bound"])
    excluded = {Forgery.TRAINED_START, Forgery.PLANTED_START, Forgery.UNTRAINING}
    assert {p.forgery for p in found.planted if p.powered} == excluded
    assert found.details["left_out"] == 0
    assert found.details["whole"]


def test_rows_are_enough(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jokbo.records.checkpoint_rows.MAX_ELEMENTS_WHOLE", 64)
    run.commit()
    found = run.check(budget=40_000)
    assert not found.details["whole"]
    assert found.observation is Observation.HOLDS


@pytest.mark.parametrize(("stored", "dtype"), [("BF16", DType.BF16), ("BF16", DType.F32), ("F32", DType.F16)])
def test_stored_types(run: Run, stored: str, dtype: DType):
    run.declared["stored"] = f'"{stored}"'
    run.save(start(stored=stored, dtype=dtype))
    run.commit()
    assert run.check().observation is Observation.HOLDS


def test_a_chosen_seed_excludes_nothing(run: Run):
    del run.declared["beacon"]
    run.commit()
    found = run.check()
    assert (found.observation, codes(found)) == (Observation.UNKNOWN, ["regenerated", "seed_chosen"])
    assert (found.planted, found.missing) == ((), ("beacon",))


@pytest.mark.parametrize("case", ["no_chain", "no_later_link", "no_seed"])
def test_a_beacon_that_nothing_fixed(run: Run, case: str):
    if case != "no_chain":
        run.commit(links=1 if case == "no_later_link" else 2, beacon=case != "no_seed")
    found = run.check(chain=case != "no_chain")
    assert found.observation is Observation.UNKNOWN
    expected = "chain_unfit" if case == "no_later_link" else "seed_not_committed"
    assert codes(found) == ["regenerated", expected]


def test_a_chain_of_another_key_binds_nothing(run: Run, tmp_path: Path):
    run.commit()
    (run.folder / "key.pub").write_bytes(make_key(tmp_path / "other").public.to_pem())
    found = run.check()
    assert (found.observation, codes(found)) == (Observation.UNKNOWN, ["regenerated", "chain_unfit"])


def test_seeds_that_contradict_beacon_or_chain(run: Run):
    run.declared["seed"] = "7"
    run.save(start(seed=7))
    run.commit()
    found = run.check()
    assert (found.observation, codes(found)) == (Observation.VIOLATED, ["seed_not_of_beacon"])


def test_a_chain_that_fixed_another_seed(run: Run):
    run.commit(seed=8, beacon=False)
    found = run.check()
    assert (found.observation, codes(found)) == (Observation.VIOLATED, ["commitment_differs"])


def test_a_chain_that_fixed_another_beacon(run: Run):
    run.commit(seed=SEED, beacon=False)
    found = run.check()
    assert (found.observation, codes(found)) == (Observation.VIOLATED, ["beacon_differs"])


def test_any_other_bit_is_a_contradiction(run: Run):
    model = start()
    name = "model.layers.0.mlp.up_proj.weight"
    changed = model[name].copy()
    changed[3, 4] = np.nextafter(changed[3, 4], np.float32(1))
    run.save(model.with_tensors({name: changed}))
    run.commit()
    found = run.check()
    assert (found.observation, codes(found)) == (Observation.VIOLATED, ["bits_differ"])
    assert found.reasons[0].values["count"] == 1
    assert found.reasons[0].values["tensor"] == name


def test_gains_and_biases_belong_to_it(run: Run):
    model = start()
    run.save(model.with_tensors({"model.norm.weight": model["model.norm.weight"] * np.float32(1.5)}))
    run.commit()
    assert codes(run.check()) == ["bits_differ"]


def test_buffers_do_not(run: Run):
    model = start()
    buffer = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.linspace(0, 1, 4, dtype="f4")}
    run.save(model.with_tensors(buffer))
    run.commit()
    assert run.check().observation is Observation.HOLDS


@pytest.mark.parametrize(
    ("change", "code", "missing"),
    [
        ({"procedure": '""'}, "no_procedure", ("seed",)),
        ({"procedure": '"pytorch-default"'}, "procedure_unknown", ()),
        ({"residual": "[]"}, "law_unfit", ()),
        ({"std": "0.0"}, "law_unfit", ()),
        ({"procedure": '"torch-normal/1"'}, "order_unfit", ("seed",)),
    ],
)
def test_what_cannot_be_run_is_not_judged(
    run: Run, change: dict[str, str], code: str, missing: tuple[str, ...]
):
    run.declared |= change
    run.commit()
    found = run.check()
    assert (found.observation, codes(found), found.missing) == (Observation.UNKNOWN, [code], missing)


def test_without_step_0(run: Run):
    run.commit()
    found = without_start(run)
    assert (found.observation, codes(found)) == (Observation.UNKNOWN, ["no_step0"])


def without_start(run: Run) -> CheckResult:
    text = 'name = "tiny"\nsteps = 10\n[initialisation]\n'
    text += "".join(f"{key} = {value}\n" for key, value in run.declared.items())
    text += '[[checkpoint]]\nname = "s10"\nstep = 10\npath = "step-10"\n'
    (run.folder / "late.toml").write_text(text)
    record = write_pack(run.folder / "late.toml", run.folder.parent / "late")
    return InitRegeneration().run(record, CheckContext(seed=0))


def test_plants_change_stored_values_in_every_type():
    # The least share that is planted still moves bits of the coarsest type among 4,096 values.
    rng = np.random.default_rng(0)
    before = round_to(rng.normal(0, 0.02, 4096).astype("f4"), "BF16")
    after = round_to((before * (1 - 1e-4) + 1e-4 * rng.normal(0, 0.02, 4096)).astype("f4"), "BF16")
    assert (before != after).any()
