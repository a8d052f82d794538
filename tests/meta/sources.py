"""The package's own source files, parsed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "jokbo"


@cache
def modules() -> dict[str, ast.Module]:
    """Every module by dotted name without the package's own: ``sources.base``."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    return found


def path_of(module: str) -> Path:
    """Where a module's text is."""
    base = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    return base.with_suffix(".py") if base.with_suffix(".py").is_file() and module else base / "__init__.py"


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Modules of the package that a module imports, and whether only for the type checker."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module == "jokbo":
                names = [f"jokbo.{alias.name}" for alias in node.names if not alias.name.startswith("__")]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name == "jokbo" or name.startswith("jokbo."):
                yield name.removeprefix("jokbo").removeprefix("."), id(node) in typing_only


def is_public(module: str) -> bool:
    """Whether no part of the name begins with an underscore."""
    return not any(part.startswith("_") for part in module.split("."))
