"""Imports run one way, as docs and design say; ``import jokbo`` costs nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest
from sources import imports, modules

LAYERS = (
    ("errors", "registry"),
    ("sources",),
    ("formats",),
    ("architectures",),
    ("views",),
    ("independence",),
    ("descriptive",),
    ("evidence",),
    ("lineage", "records"),
    ("league",),
    ("report",),
    ("hearing",),
    ("cli",),
)
"""From the ground up; a module imports only from its own layer and those before it."""

APART = {"testing", "demo", "__main__", ""}
"""They may import anything below the command line; nothing below may import them."""

RANK = {package: k for k, layer in enumerate(LAYERS) for package in layer}


def top(module: str) -> str:
    return module.partition(".")[0]


def test_every_package_has_a_layer():
    assert {top(module) for module in modules()} <= set(RANK) | APART


@pytest.mark.parametrize("module", [m for m in modules() if top(m) in RANK])
def test_imports_run_one_way(module: str):
    mine = RANK[top(module)]
    for imported, typing_only in imports(modules()[module]):
        if top(imported) in ("testing", "demo"):
            # The demonstration's models are found by a module of their own, for one command alone.
            assert (top(module), imported) == ("cli", "demo"), f"{module} imports {imported}"
        elif imported and not typing_only:
            assert RANK[top(imported)] <= mine, f"{module} imports {imported}"


@pytest.mark.parametrize("module", [m for m in modules() if top(m) == "testing"])
def test_testing_stands_apart_from_reports_and_commands(module: str):
    for imported, _ in imports(modules()[module]):
        assert top(imported) not in ("cli", "report"), f"{module} imports {imported}"


def test_library_code_never_prints():
    import ast

    for module, tree in modules().items():
        if top(module) in ("cli", "__main__", "testing"):
            continue
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        assert not [call.lineno for call in calls if call.func.id == "print"], module


HEAVY = (
    "numpy",
    "scipy",
    "click",
    "rich",
    "jinja2",
    "huggingface_hub",
    "jaxtyping",
    "cattrs",
    "threadpoolctl",
)


def test_import_jokbo_imports_nothing_heavy():
    code = f"import sys, jokbo; sys.exit(str(sorted(set({HEAVY!r}) & set(sys.modules)) or ''))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.strip() == ""


def seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def test_import_jokbo_costs_less_than_50_ms_beyond_python():
    """The least of several runs of each: what else the machine does only adds."""
    runs = [(seconds("import jokbo"), seconds("pass")) for _ in range(7)]
    with_it, without = (min(times) for times in zip(*runs, strict=True))
    assert with_it - without < 0.050, statistics.median(a - b for a, b in runs)


def test_every_public_name_resolves():
    import jokbo

    for name in jokbo.__all__:
        assert getattr(jokbo, name) is not None
    assert dir(jokbo) == sorted(jokbo.__all__)
    with pytest.raises(AttributeError, match="module 'jokbo' has no attribute 'accuse'"):
        _ = jokbo.accuse
