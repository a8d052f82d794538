"""The command line, in this process: what it printed and how it ended."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from runs import Outcome, Run

from jokbo.cli.main import main
from jokbo.testing.builders import llama
from jokbo.testing.transforms import derive


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run ``jokbo`` with arguments; an unexpected exception is not caught here either."""
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LC_MESSAGES", raising=False)

    def invoke(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["jokbo", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Outcome(int(ended.value.code or 0), out, err)

    return invoke


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three small models as folders: a reference, one derived from it, one apart."""
    root = tmp_path_factory.mktemp("models")
    sizes = {"hidden_size": 32, "num_layers": 2, "intermediate_size": 64, "vocab_size": 64}
    reference = llama(np.random.default_rng(0), **sizes)
    made = {
        "reference": reference,
        "derived": derive(reference, np.random.default_rng(5), cosine=0.95),
        "apart": llama(np.random.default_rng(1), **sizes),
    }
    return {name: model.save(root / name) for name, model in made.items()}


@pytest.fixture(scope="session")
def evidence(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evidence on the derived pair, in a file."""
    from jokbo.evidence.compare import compare

    path = tmp_path_factory.mktemp("evidence") / "evidence.json"
    found = compare(models["reference"], models["derived"])
    path.write_bytes(found.evidence.to_json())
    return path
