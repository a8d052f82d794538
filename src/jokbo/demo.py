"""Where the demonstration's models are: inside an installed wheel, or beside a checkout."""

from __future__ import annotations

from pathlib import Path

from jokbo.errors import NotFoundError


def demo_models() -> Path:
    """Folder of the models that come with Jokbo.

    Raises
    ------
    NotFoundError
        Neither the wheel nor a checkout has them.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "demo_models", package.parents[1] / "zoo" / "models"):
        if (folder / "base0" / "model.safetensors").is_file():
            return folder
    raise NotFoundError(
        "the demonstration's models are not installed; install Jokbo from its wheel, or use --models."
    )
