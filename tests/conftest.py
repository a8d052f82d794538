"""Shared by every suite: shapes in annotations are enforced, and the full environment skips nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Before anything imports them: every array annotation of these packages becomes a check.
CHECKED_PACKAGES = ["jokbo.independence", "jokbo.records", "jokbo.views"]
install_import_hook(CHECKED_PACKAGES, "beartype.beartype")

# A busy machine is slow, not wrong.
settings.register_profile("jokbo", deadline=None)
settings.load_profile("jokbo")

ZOO = Path(__file__).resolve().parents[1] / "zoo"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", default=False, help="Write golden files instead of comparing."
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In the full environment (``JOKBO_FULL=1``) everything is installed, so a skip hides something."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("JOKBO_FULL") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in the full environment, where a skip is a failure"


@pytest.fixture(scope="session")
def zoo() -> Path:
    """Folder of the really trained models."""
    return ZOO / "models"
