"""A register behaves as a plain dict of fingerprints and what is said of them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jokbo.evidence.canonical import digest
from jokbo.lineage.register import Facts, files, open_register
from jokbo.lineage.register.check import check_register
from jokbo.lineage.register.transfer import export_register, import_register
from jokbo.testing.registers import small_fingerprint

MEMORY = Path("/dev/shm")
"""Where nothing need reach a disk; elsewhere the same takes longer."""

SEEDS = st.integers(0, 5)
FACTS = st.builds(
    Facts,
    name=st.none() | st.sampled_from(["one", "two", "두 번째"]),
    parents=st.sampled_from([(), ("org/base",), ("a/b", "c/d")]),
    relation=st.none() | st.sampled_from(["merge", "finetune"]),
    license=st.none() | st.sampled_from(["mit", "apache-2.0"]),
    public_since=st.none() | st.sampled_from(["2023-01-02", "2024-02-29"]),
)


def said(facts: Facts) -> dict[str, object]:
    """What of facts is given."""
    given = {
        name: getattr(facts, name) for name in ("name", "parents", "relation", "license", "public_since")
    }
    return {name: value for name, value in given.items() if value not in (None, ())}


class RegisterMachine(RuleBasedStateMachine):
    """Adds, removes, damages, kills and carries over; a dict says what must come of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.register = open_register(self.folder / "register", create=True)
        self.model: dict[str, dict[str, object]] = {}
        self.damaged: set[str] = set()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(seed=SEEDS, facts=FACTS)
    def add(self, seed: int, facts: Facts) -> None:
        made = small_fingerprint(seed)
        blank = {
            "name": f"model-{seed}",
            "parents": (),
            "relation": None,
            "license": None,
            "public_since": None,
        }
        self.model[made.sha256] = {**self.model.get(made.sha256, blank), **said(facts)}
        self.damaged.discard(made.sha256)
        entry = self.register.add_bytes(made.data, facts)
        assert entry.key == made.sha256

    @rule(seed=SEEDS, facts=FACTS)
    def describe(self, seed: int, facts: Facts) -> None:
        key = small_fingerprint(seed).sha256
        if key in self.model:
            self.model[key].update(said(facts))
            self.register.describe(self.register.get(key), facts)

    @rule(seed=SEEDS)
    def remove(self, seed: int) -> None:
        key = small_fingerprint(seed).sha256
        if key in self.model:
            del self.model[key]
            self.damaged.discard(key)
            self.register.remove(key)

    @rule(seed=SEEDS)
    def damage(self, seed: int) -> None:
        key = small_fingerprint(seed).sha256
        if key in self.model:
            files.fingerprint_path(self.register.folder, key).write_bytes(b"damaged")
            self.damaged.add(key)

    @rule(seed=SEEDS)
    def kill(self, seed: int) -> None:
        """A writer that was killed after the rename: its lock is free, its file has no entry."""
        made = small_fingerprint(seed)
        with files.Staging(self.register.folder) as staging:
            staging.intend([made.sha256])
            lock = staging._lock_path.read_bytes()
        if made.sha256 not in self.model:
            path = files.fingerprint_path(self.register.folder, made.sha256)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(made.data)
        (self.register.folder / files.INCOMING / f"{seed:032x}.lock").write_bytes(lock)
        assert self.register.sweep() >= 1

    @rule()
    def open_again(self) -> None:
        self.register = open_register(self.register.folder)

    @rule()
    def carry_over(self) -> None:
        skipped: list[str] = []
        archive = self.folder / "archive.tar"
        export_register(self.register, archive, keep_going=lambda entry, error: skipped.append(entry.key))
        assert set(skipped) == self.damaged
        shutil.rmtree(self.folder / "other", ignore_errors=True)
        import_register(archive, self.folder / "other")
        for entry in open_register(self.folder / "other").entries():
            mine = self.model[entry.key]
            assert (entry.name, entry.parents, entry.license) == (
                mine["name"],
                mine["parents"],
                mine["license"],
            )
            assert (entry.public_since, entry.claimed_since) == (None, mine["public_since"])

    @invariant()
    def it_is_the_dict(self) -> None:
        entries = self.register.entries()
        assert [entry.key for entry in entries] == sorted(self.model)
        assert self.register.digest == digest(sorted(self.model))
        for entry in entries:
            assert {name: getattr(entry, name) for name in self.model[entry.key]} == self.model[entry.key]
            assert self.register.get(entry.key) == entry

    @rule()
    def check(self) -> None:
        found = check_register(self.register)
        assert {problem.key for problem in found.problems} == self.damaged


RegisterMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRegisterMachine = RegisterMachine.TestCase
