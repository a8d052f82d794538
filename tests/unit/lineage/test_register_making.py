"""Many models are registered at once: what fails is told, all else stands, and a run that was stopped goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jokbo.errors import UsageError
from jokbo.lineage.fingerprint import make_fingerprint
from jokbo.lineage.register import Facts, Register, open_register
from jokbo.lineage.register import making as making_module
from jokbo.lineage.register.check import check_register
from jokbo.lineage.register.lists import ListedModel
from jokbo.lineage.register.making import MAKING, Added, add_models
from jokbo.lineage.task_progress import Progress
from jokbo.testing.builders import llama
from jokbo.testing.registers import SIZES, flipped, small_fingerprint, with_header
from jokbo.views.fingerprint import SUFFIX


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three small models on disk."""
    root = tmp_path_factory.mktemp("models")
    return [llama(np.random.default_rng(k), **SIZES).save(root / f"m{k}") for k in range(3)]


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return open_register(tmp_path / "register", create=True)


def listed(*specs: object, **facts: object) -> list[ListedModel]:
    return [ListedModel(str(spec), Facts(**facts)) for spec in specs]  # type: ignore[arg-type]


def under_way(register: Register) -> list[str]:
    return [path.name for path in (register.folder / MAKING).rglob("*") if path.is_file()]


def test_models_are_fingerprinted_and_entered(register: Register, folders: list[Path]):
    told: list[Progress] = []
    outcome = add_models(register, listed(*folders, license="mit"), progress=told.append)
    assert [entry.name for entry in outcome.added] == ["m0", "m1", "m2"]
    assert (outcome.known, outcome.failed) == ((), ())
    assert {entry.license for entry in register.entries()} == {"mit"}
    assert register.get("m1").source == str(folders[1])
    assert register.get("m1").key == make_fingerprint(folders[1]).sha256
    assert (told[-1].total, told[-1].done, told[-1].failed) == (3, 3, 0)
    assert under_way(register) == []
    assert check_register(register).problems == ()


def test_the_registers_salt_decides(tmp_path: Path, folders: list[Path]):
    register = open_register(tmp_path / "register", create=True, salt="mine")
    (entry,) = add_models(register, listed(folders[0])).added
    assert entry.salt == "mine"
    assert entry.key == make_fingerprint(folders[0], salt="mine").sha256


def test_what_fails_is_told_and_the_rest_stands(register: Register, folders: list[Path], tmp_path: Path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"no weights")
    damaged = tmp_path / f"damaged{SUFFIX}"
    damaged.write_bytes(flipped(small_fingerprint(5).data, len(small_fingerprint(5).data) - 1))
    outcome = add_models(register, listed(damaged, broken, folders[0], tmp_path / "none.safetensors"))
    assert [entry.name for entry in outcome.added] == ["m0"]
    reasons = dict(outcome.failed)
    assert set(reasons) == {str(damaged), str(broken), str(tmp_path / "none.safetensors")}
    assert "block" in reasons[str(damaged)]
    assert "damaged" in reasons[str(damaged)]
    assert len(register) == 1


def test_fingerprint_files_are_entered_as_they_are(register: Register, tmp_path: Path):
    file = tmp_path / f"given{SUFFIX}"
    file.write_bytes(small_fingerprint(4).data)
    outcome = add_models(register, listed(file, name="called so"))
    assert [(entry.name, entry.key) for entry in outcome.added] == [
        ("called so", small_fingerprint(4).sha256)
    ]
    assert file.is_file()
    again = add_models(register, listed(file, license="mit"))
    assert (len(again.added), [entry.license for entry in again.known]) == (0, ["mit"])


def test_hub_models_that_are_there_are_not_read_again(register: Register, monkeypatch: pytest.MonkeyPatch):
    commit = "a" * 40
    data = with_header(small_fingerprint(1).data, name="org/m", commit=commit, kind="hub")
    register.add_bytes(data, Facts())
    asked: list[str] = []

    def run_tasks(tasks: list[making_module.Task], **_: object) -> making_module.run_tasks:  # type: ignore[valid-type]
        asked.extend(str(task.spec["model"]) for task in tasks)
        raise UsageError("no network in tests.")

    monkeypatch.setattr(making_module, "run_tasks", run_tasks)
    outcome = add_models(register, listed("org/m", license="mit") + listed(f"org/m@{commit}"))
    assert [entry.license for entry in outcome.known] == ["mit", "mit"]
    for spec, again in ((f"org/m@{'b' * 40}", False), ("org/m@main", False), ("org/m", True)):
        with pytest.raises(UsageError, match="no network"):
            add_models(register, listed(spec), again=again)
    assert asked == [f"org/m@{'b' * 40}", "org/m@main", "org/m"]


def test_a_run_that_was_stopped_goes_on(register: Register, folders: list[Path]):
    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_models(register, listed(*folders), progress=stop)
    assert len(register) == 2  # what was made stands
    outcome = add_models(register, listed(*folders))
    assert len(outcome.added) == 1
    assert len(outcome.known) == 2
    assert under_way(register) == []


def test_a_run_that_was_killed_goes_on(
    register: Register, folders: list[Path], monkeypatch: pytest.MonkeyPatch
):
    """Results and fingerprints lie in ``making``, nothing is entered: only the last one is still to be made."""
    monkeypatch.setattr(making_module, "_take_made", lambda *_: None)
    add_models(register, listed(*folders))
    monkeypatch.undo()
    (last,) = sorted((register.folder / MAKING / "results").rglob("*.json"))[:1]
    last.unlink()
    assert len(register) == 0
    told: list[Progress] = []
    outcome = add_models(register, listed(*folders), progress=told.append)
    assert len(outcome.added) == 3
    assert told[-1].resumed == 2
    assert under_way(register) == []


def test_a_fingerprint_that_changed_on_its_way_is_refused(
    register: Register, folders: list[Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(making_module, "_take_made", lambda *_: None)
    add_models(register, listed(*folders[:2]))
    monkeypatch.undo()
    made = sorted((register.folder / MAKING / "fingerprints").glob(f"*{SUFFIX}"))
    made[0].write_bytes(flipped(made[0].read_bytes(), 500))
    outcome = add_models(register, listed(*folders[:2]))
    assert len(outcome.added) == 1
    ((_, reason),) = outcome.failed
    assert "is not the one that was made" in reason


def test_another_process_may_have_entered_it_first(
    register: Register, folders: list[Path], monkeypatch: pytest.MonkeyPatch
):
    (entry,) = add_models(register, listed(folders[0])).added
    real = making_module._take_made

    def late(journal, tasks, wanted, outcome):  # type: ignore[no-untyped-def]
        for task in tasks:
            Path(task.spec["out"]).unlink()
        # The result is read before the file is gone.
        monkeypatch.setattr(journal, "read", lambda task: {"sha256": entry.key})
        real(journal, tasks, wanted, outcome)

    monkeypatch.setattr(making_module, "_take_made", late)
    outcome = add_models(register, listed(folders[0]))
    assert [known.key for known in outcome.known] == [entry.key]
    assert outcome.failed == ()


def test_processes_and_one_after_the_other_give_the_same_register(tmp_path: Path, folders: list[Path]):
    digests = set()
    for executor in ("serial", "processes"):
        register = open_register(tmp_path / executor, create=True)
        outcome = add_models(register, listed(*folders), executor=executor, workers=2)
        assert isinstance(outcome, Added)
        assert outcome.failed == ()
        digests.add(register.digest)
    assert len(digests) == 1


def test_an_executor_that_is_none(register: Register, folders: list[Path]):
    with pytest.raises(UsageError, match=r"executor 'cloud' is not known"):
        add_models(register, listed(folders[0]), executor="cloud")


def test_an_entry_is_named_to_say_more_of_it(
    register: Register, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    entry = register.add(small_fingerprint(1))
    for spec, license_ in (("model-1", "mit"), (entry.key[:10], "apache-2.0")):
        outcome = add_models(register, listed(spec, license=license_))
        assert [known.license for known in outcome.known] == [license_]
    # A model that lies there under that name is read, not taken for the entry.
    llama(np.random.default_rng(9), **SIZES).save(tmp_path / "model-1")
    assert len(add_models(register, listed("model-1")).added) == 1
