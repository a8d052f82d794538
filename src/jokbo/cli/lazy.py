"""Groups of commands whose files are imported only when a command runs or asks for its help."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that imports ``<package>.<name>`` only when that command is wanted.

    Parameters
    ----------
    package : str
        Where the commands' files are; each exposes ``command``.
    described : mapping of str to str
        Name -> its one line of help, in the order of a first use.
    """

    def __init__(self, *args: Any, package: str = "", described: Mapping[str, str], **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        self.package, self.described = package, described

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of a first use."""
        return list(self.described)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's file."""
        if cmd_name not in self.described:
            return None
        command: click.Command = import_module(f"{self.package}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.described.items()))
