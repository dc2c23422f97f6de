"""`radnode conformance`: the DICOM conformance statement of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

err = Console(stderr=True)


def conformance(
    form: Annotated[Literal["markdown", "html"], typer.Option("--format", help="How it is written.")] = "markdown",
    config: Annotated[Path, typer.Option("--config", help="The node's configuration file.")] = Path("radnode.yaml"),
) -> None:
    """Print the DICOM conformance statement (PS3.2), made of what this version and this configuration do."""
    from radnode.config.loading import ConfigError, load
    from radnode.node.conformance.document import as_html, markdown
    from radnode.node.conformance.statement import statement

    try:
        document = statement(load(config))
    except ConfigError as error:
        err.print(escape(str(error)), style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    typer.echo(markdown(document) if form == "markdown" else as_html(document), nl=False)
