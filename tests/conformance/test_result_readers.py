"""Every reader of results passes the published suite, on files that the real libraries wrote."""

from __future__ import annotations

import shutil
from pathlib import Path

from jokbo.testing.result_reader import ResultReaderConformance

RUNS = Path(__file__).resolve().parents[1] / "unit" / "league" / "written"


class TestHarness(ResultReaderConformance):
    reader = "lm_harness"
    fields = ("subject", "passage")

    def write(self, folder):
        shutil.copytree(RUNS / "lm_harness" / "jokbo__one", folder / "run")


class TestLighteval(ResultReaderConformance):
    reader = "lighteval"
    fields = ("subject", "passage")

    def write(self, folder):
        for path in (RUNS / "lighteval").rglob("*"):
            if path.is_file() and "one" in path.parts:
                shutil.copy(path, folder / path.name)


class TestInspect(ResultReaderConformance):
    reader = "inspect_eval"
    fields = ("subject", "passage")

    def write(self, folder):
        shutil.copy(RUNS / "inspect_ai" / "one.eval", folder)


class TestHret(ResultReaderConformance):
    reader = "hret"
    fields = ("subject",)

    def write(self, folder):
        shutil.copy(RUNS / "llm_eval" / "one.json", folder)


class TestEveryEvalEver(ResultReaderConformance):
    reader = "every_eval_ever"

    def write(self, folder):
        shutil.copytree(RUNS / "every_eval_ever" / "mini_number", folder / "run")


class TestTable(ResultReaderConformance):
    reader = "csv_items"
    fields = ("subject",)

    def write(self, folder):
        rows = [f"{k},{'law' if k < 9 else 'sea'},{k % 3 / 2},{k % 2}" for k in range(20)]
        (folder / "mini.csv").write_text("\n".join(["item,subject,acc,f1", *rows]) + "\n")
