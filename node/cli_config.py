"""`radnode config`: versions of the configuration file; who changed what, and back."""

from __future__ import annotations

import contextlib
import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radnode.node.cli_common import fail, load_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.node.configuring import ConfigurationDesk

config_app = typer.Typer(no_args_is_help=True, help="Versions of the configuration file.")

out = Console()

ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Number = Annotated[int, typer.Argument(help="A version, as `radnode config versions` lists it.")]
DEFAULT_CONFIG = Path("radnode.yaml")


@config_app.command("versions")
def list_versions(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the last hundred versions, newest first: when, by whom, why."""
    with _desk(config) as desk:
        found = desk.versions()
    if as_json:
        out.print_json(json.dumps([asdict(each) for each in found], default=str))
        return
    table = Table("version", "at", "author", "note", "digest")
    for each in found:
        table.add_row(str(each.version_id), f"{each.at:%Y-%m-%d %H:%M:%S}", escape(each.author), escape(each.note),
                      each.digest[:12])
    out.print(table)


@config_app.command("show")
def show(version: Number, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Print the text of a version."""
    with _desk(config) as desk:
        typer.echo(desk.version(version)[1], nl=False)


@config_app.command("diff")
def diff(
    version: Number,
    other: Annotated[int | None, typer.Argument(help="To this version; without it, to the present file.")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Print what changed from a version to another or to the present file."""
    with _desk(config) as desk:
        for line in desk.diff(version, other):
            typer.echo(line)


@config_app.command("rollback")
def rollback(
    version: Number,
    note: Annotated[str, typer.Option("--note", help="Why.")] = "",
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Make the text of a version the present file again; a running node takes it over within a second."""
    with _desk(config) as desk:
        made = desk.rollback(version, author=f"{getpass.getuser()} on this machine", note=note, seen=desk.digest)
    out.print(f"version {made.version_id} is in the file: the text of version {version}", soft_wrap=True)


@contextlib.contextmanager
def _desk(config: Path) -> Iterator[ConfigurationDesk]:
    """Beside a running node. The present file says where the versions are, so it must be readable as it is."""
    from radnode.config.loading import ConfigError
    from radnode.node.configuring import ConfigurationDesk, NoSuchVersion, NotWritable, Stale
    from radnode.storage.database import Database

    database = Database(load_configuration(config).settings.effective_database_url)
    try:
        yield ConfigurationDesk(path=config, database=database, now=lambda: datetime.now(UTC))
    except (ConfigError, NoSuchVersion, NotWritable, Stale) as error:
        fail(str(error))
    finally:
        database.close()
