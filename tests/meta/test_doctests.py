"""Every example in a docstring runs and shows what it says."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest
from sources import modules

EXTRAS = {"sources.cloud"}
"""Modules whose imports an extra installs; their examples are not run here."""


@pytest.mark.parametrize("module", [m for m in modules() if m not in ("__main__", *EXTRAS)])
def test_examples_run(module: str):
    found = import_module(f"jokbo.{module}" if module else "jokbo")
    results = doctest.testmod(found, optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = 0
    for module in modules():
        if module not in ("__main__", *EXTRAS):
            found = import_module(f"jokbo.{module}" if module else "jokbo")
            examples += sum(len(test.examples) for test in finder.find(found))
    assert examples > 40
