"""What several modules of commands share: reading the configuration, and ending with a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.config.loading import Configuration

err = Console(stderr=True)


def load_configuration(path: Path) -> Configuration:
    """The configuration; exit code 2 with what is wrong in it."""
    from radnode.config.loading import ConfigError, load

    try:
        return load(path)
    except ConfigError as error:
        fail(str(error), 2)


def fail(reason: str, code: int = 1) -> NoReturn:
    """End with this sentence on standard error."""
    err.print(escape(reason), style="red", highlight=False, soft_wrap=True)
    raise typer.Exit(code)
