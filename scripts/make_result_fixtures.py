"""Write small result files with the real libraries: ``python scripts/make_result_fixtures.py [LIBRARY...]``.

They go into ``tests/unit/league/written``; those of a tool whose library is not installed are left alone. They were
written with lm-eval==0.4.13, lighteval==0.13.0, inspect-ai==0.3.285, haerae-evaluation-toolkit==0.1.0 and
every-eval-ever==0.3.0. The models are formulas (:func:`chance`), so that tests need no record of what came out, and
nothing of the machine may stay: the script ends by looking for it in every file.
"""

from __future__ import annotations

import getpass
import hashlib
import importlib.util
import json
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

RUNS = Path(__file__).resolve().parents[1] / "tests" / "unit" / "league" / "written"
MODELS = ("one", "two")
TASKS = {"mini_law": 12, "mini_sea": 8}
CHOICES = ("red", "green", "blue", "white")


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on these parts and on nothing else."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def questions(task: str) -> list[dict[str, Any]]:
    """Invented questions of a task, in passages of three."""
    return [
        {
            "question": f"Which colour has number {k} of {task}?",
            "choices": list(CHOICES),
            "answer": int(chance(task, k) * 4),
            "subject": task.removeprefix("mini_"),
            "passage": f"{task}-{k // 3}",
        }
        for k in range(TASKS[task])
    ]


def right(model: str, task: str, k: int) -> bool:
    """Whether a model answers an item correctly."""
    return chance("right", model, task, k) < {"one": 0.7, "two": 0.5}[model]


def harness_tasks() -> None:
    """Two tasks, the group of both, and a generating task with two filters, in the folder that is current."""
    for task in TASKS:
        Path(f"{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions(task)))
    data = "dataset_path: json\ntest_split: test\ndataset_kwargs: {data_files: {test: %s.jsonl}}\n"
    ask = "output_type: multiple_choice\ndoc_to_text: '{{question}}'\ndoc_to_target: answer\ndoc_to_choice: choices\n"
    scored = "".join(
        f"  - {{metric: {name}, aggregation: mean, higher_is_better: true}}\n" for name in ("acc", "acc_norm")
    )
    for task in TASKS:
        Path(f"{task}.yaml").write_text(
            f"task: {task}\n{data % task}{ask}metric_list:\n{scored}metadata: {{version: 3.0}}\nnum_fewshot: 0\n"
        )
    Path("mini.yaml").write_text(
        "group: mini\ntask: [mini_law, mini_sea]\naggregate_metric_list:\n"
        "  - {metric: acc, aggregation: mean, weight_by_size: false}\n"
        "  - {metric: acc_norm, aggregation: mean, weight_by_size: true}\nmetadata: {version: 2}\n"
    )
    Path("mini_number.yaml").write_text(
        f"task: mini_number\n{data % 'mini_sea'}output_type: generate_until\ndoc_to_text: '{{{{question}}}}'\n"
        "doc_to_target: '{{answer}}'\ngeneration_kwargs: {until: [\"\\n\"]}\n"
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\nfilter_list:\n"
        '  - {name: strict-match, filter: [{function: regex, regex_pattern: "answer is (\\\\d+)"}, '
        "{function: take_first}]}\n"
        '  - {name: flexible-extract, filter: [{function: regex, regex_pattern: "(\\\\d+)", group_select: -1}, '
        "{function: take_first}]}\nmetadata: {version: 1.0}\nnum_fewshot: 0\n"
    )


def harness_model(name: str) -> Any:
    """A model that answers by :func:`chance`."""
    from lm_eval.api.model import LM

    class Formula(LM):
        """Answers by :func:`chance`."""

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            return [(-10.0 * chance(name, *each.args), False) for each in requests]

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            return [-1.0 for _ in requests]

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            start = ("The answer is ", "I say ")
            return [
                start[chance(name, "start", each.args[0]) < 0.4] + str(int(chance(name, each.args[0]) * 4))
                for each in requests
            ]

    return Formula()


def write_lm_harness(folder: Path) -> None:
    """Two models on a group of two tasks, and on a generating task with two filters."""
    import lm_eval.evaluator
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    lm_eval.evaluator.add_env_info = lambda results: None  # it lists host, paths and hardware
    os.chdir(folder)
    harness_tasks()
    for model in MODELS:
        tracker = EvaluationTracker(output_path=str(RUNS / "lm_harness"))
        tracker.general_config_tracker.log_experiment_args(
            "formula", f"pretrained=jokbo/{model}", None, None, False
        )
        found = simple_evaluate(
            harness_model(model), tasks=["mini", "mini_number"], bootstrap_iters=100,
            task_manager=TaskManager(include_path=".", include_defaults=False),
        )  # fmt: skip
        assert found is not None
        samples = found.pop("samples")
        tracker.save_results_aggregated(results=found, samples=samples)
        for task in found["configs"]:
            tracker.save_results_samples(task_name=task, samples=samples[task])


def write_lighteval(folder: Path) -> None:
    """Two tasks under one name, with the trackers that lighteval's pipeline fills."""
    import statistics

    from lighteval.logging.evaluation_tracker import EvaluationTracker
    from lighteval.models.dummy.dummy_model import DummyModelConfig
    from lighteval.models.model_output import ModelResponse
    from lighteval.tasks.requests import Doc

    os.chdir(folder)

    class Mean:
        """Stands for a task, of which the tracker asks only this."""

        def aggregation(self) -> dict[str, Any]:
            return {"acc": statistics.fmean}

    for model in MODELS:
        tracker = EvaluationTracker(output_dir="out")
        tracker.general_config_logger.log_args_info(1, None, "")
        tracker.general_config_logger.log_model_info(DummyModelConfig(model_name=f"jokbo/{model}", seed=1))
        names = {task: f"{task.replace('_', ':')}|0" for task in TASKS}
        for task, name in names.items():
            for k, row in enumerate(questions(task)):
                doc = Doc(
                    query=row["question"], choices=row["choices"], gold_index=row["answer"], id=str(k), task_name=name,
                    specific={"subject": row["subject"], "passage": row["passage"]},
                )  # fmt: skip
                scores = {"acc": int(right(model, task, k))}
                answer = CHOICES[row["answer"] if scores["acc"] else (row["answer"] + 1) % 4]
                tracker.details_logger.log(name, doc, ModelResponse(text=[answer]), scores)
                tracker.metrics_logger.log(name, scores)
            tracker.versions_logger.log(name, 1)
        tracker.details_logger.aggregate()
        tracker.metrics_logger.aggregate({name: Mean() for name in names.values()}, bootstrap_iters=10)
        tracker.general_config_logger.log_end_time()
        tracker.save()
    for path in sorted((folder / "out").rglob("*.*")):
        if path.is_file():
            # Pipes and colons of task names are no file names everywhere; a test puts them back.
            name = re.sub("[:|]", "_", path.relative_to(folder / "out").as_posix())
            (RUNS / "lighteval" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, RUNS / "lighteval" / name)


def write_inspect_ai(folder: Path) -> None:
    """Two models, two epochs, two scorers; answers are given by a solver, so that no model is asked."""
    from inspect_ai import Task
    from inspect_ai import eval as run
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import includes, match
    from inspect_ai.solver import Generate, TaskState, solver

    os.chdir(folder)
    (RUNS / "inspect_ai").mkdir(parents=True)
    rows = questions("mini_sea")

    for model in MODELS:

        @solver
        def formula(model: str = model) -> Any:
            async def solve(state: TaskState, generate: Generate) -> TaskState:
                k = int(state.sample_id)
                known = right(model, "mini_sea", k)
                word = state.target.text if known else "none"
                # The second time it talks, so that one scorer still finds the word and the other does not.
                state.output = ModelOutput.from_content(
                    model, word if state.epoch == 1 else f"{word}, I think"
                )
                state.completed = True
                return state

            return solve

        samples = [
            Sample(
                input=row["question"], target=row["choices"][row["answer"]], id=k,
                metadata={"subject": row["subject"], "passage": row["passage"]},
            )
            for k, row in enumerate(rows)
        ]  # fmt: skip
        task = Task(
            dataset=MemoryDataset(samples, name="mini"), solver=formula(), scorer=[match(), includes()], epochs=2,
            name="mini_sea", version=3,
        )  # fmt: skip
        (log,) = run(task, model="mockllm/model", log_dir=model, display="none", log_format="eval")
        assert log.status == "success"
        (written,) = Path(model).glob("*.eval")
        shutil.copy(written, RUNS / "inspect_ai" / f"{model}.eval")


def write_llm_eval(folder: Path) -> None:
    """Two models by the toolkit's own scorer, put together as its runner does."""
    for heavy in ("spacy", "vllm", "litellm"):
        # Imported by the package's front door, and used by nothing here.
        if importlib.util.find_spec(heavy) is None:
            sys.modules[heavy] = mock.MagicMock()
    from llm_eval.evaluation.string_match import StringMatchEvaluator
    from llm_eval.utils.util import EvaluationResult

    (RUNS / "llm_eval").mkdir(parents=True)
    for model in MODELS:
        samples = [
            {
                "input": row["question"],
                "reference": row["choices"][row["answer"]],
                "options": row["choices"],
                "prediction": row["choices"][row["answer"]] if right(model, "mini_law", k) else "none",
                "subject": row["subject"],
            }
            for k, row in enumerate(questions("mini_law"))
        ]
        found = StringMatchEvaluator().evaluate(samples)
        info = {
            "dataset_name": "mini", "subset": "law", "split": "test", "model_backend_name": "huggingface",
            "scaling_method_name": None, "evaluation_method_name": "string_match", "elapsed_time_sec": 1.0,
            "num_few_shot_configured": 0, "num_few_shot_applied": 0, "few_shot_source_split": None,
            "language_penalize_enabled": False, "target_lang_for_penalty": None,
        }  # fmt: skip
        EvaluationResult(found["metrics"], found["samples"], info).save_json(
            str(RUNS / "llm_eval" / f"{model}.json")
        )


def write_every_eval_ever(folder: Path) -> None:
    """The harness's files by the converter of Every Eval Ever, which needs Python 3.12."""
    import subprocess

    source = RUNS / "lm_harness" / "jokbo__one"
    convert = [sys.executable, "-m", "every_eval_ever", "convert", "lm_eval", "--include_samples"]
    convert += ["--log_path", str(source), "--output_dir", str(folder / "out")]
    convert += ["--source_organization_name", "jokbo", "--evaluator_relationship", "third_party"]
    subprocess.run(convert, check=True)
    for task in ("mini", "mini_law", "mini_number"):
        shutil.copytree(folder / "out" / task, RUNS / "every_eval_ever" / task)


def check_nothing_stays(folder: Path) -> None:
    """Look for what would tell of this machine."""
    names = {
        socket.gethostname(),
        socket.getfqdn(),
        getpass.getuser(),
        str(folder),
        str(Path.home()),
        tempfile.gettempdir(),
    }
    for path in RUNS.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found = [name for name in names if len(name) > 2 and name.encode() in data]
            if found:
                raise SystemExit(f"{path} tells {found}")


WRITERS = {
    "lm_eval": write_lm_harness,
    "lighteval": write_lighteval,
    "inspect_ai": write_inspect_ai,
    "llm_eval": write_llm_eval,
    "every_eval_ever": write_every_eval_ever,
}


def main(wanted: Sequence[str]) -> None:
    """Write those whose library is here, or of those the ones that are named."""
    start = Path.cwd()
    for library, write in WRITERS.items():
        if wanted and library not in wanted:
            continue
        if importlib.util.find_spec(library) is None:
            print(f"{library} is not installed: its files stay as they are")
            continue
        shutil.rmtree(RUNS / write.__name__.removeprefix("write_"), ignore_errors=True)
        with tempfile.TemporaryDirectory() as temporary:
            write(Path(temporary))
            os.chdir(start)
            check_nothing_stays(Path(temporary))


if __name__ == "__main__":
    main(sys.argv[1:])
