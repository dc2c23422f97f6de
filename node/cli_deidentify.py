"""`radnode deidentify`, `reidentify`, `transfers`: the way out of the hospital and back, by hand."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radnode.node.cli_common import err, fail, load_configuration

if TYPE_CHECKING:
    from radnode.config.loading import Configuration
    from radnode.config.peers import Peer

out = Console()

ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
DEFAULT_CONFIG = Path("radnode.yaml")


def deidentify(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with DICOM files.")],
    to: Annotated[Path, typer.Option("--out", help="Folder for what would leave.")],
    profile: Annotated[str, typer.Option("--profile", help="A destination with `deidentify`.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Try what a destination outside would get; nothing is sent or recorded. Exit code 1 if anything is held."""
    from radnode.node.deidentifying.confined import Confined
    from radnode.node.deidentifying.holding import Held
    from radnode.node.deidentifying.lanes import SecretUnusable, trial
    from radnode.node.sending import dicom_files

    peer = _lane(load_configuration(config), profile)
    files, others = dicom_files(folder)
    to.mkdir(parents=True, exist_ok=True)
    held, confined = 0, Confined()
    try:
        for number, path in enumerate(files, start=1):
            try:
                trial(confined, path, to / f"{number:06}.dcm", peer)
            except Held as reason:
                held += 1
                err.print(f"{escape(str(path))}: {escape(str(reason))}", style="red", soft_wrap=True, highlight=False)
    except SecretUnusable as error:
        fail(str(error))
    finally:
        confined.close()
    out.print(f"{len(files) - held} written, {held} held, {len(others)} skipped (no DICOM file)")
    if held or not files:
        raise typer.Exit(1)


def reidentify(
    pseudonym: Annotated[str, typer.Argument(help="A Patient ID, or the UID of a study, series or instance, outside.")],
    profile: Annotated[str, typer.Option("--profile", help="The destination that knows it under this name.")],
    why: Annotated[str, typer.Option("--why", help="What for; it is recorded with your name.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Say what a pseudonym stands for. Needs the secret's file, and is recorded whether it is known or not."""
    from radnode.node.deidentifying.lanes import SecretUnusable, look_up
    from radnode.storage.database import Database

    configuration = load_configuration(config)
    if not why.strip():
        fail("say what for: --why")
    database = Database(configuration.settings.effective_database_url)
    try:
        found = look_up(database, _lane(configuration, profile), pseudonym, who=getpass.getuser(), why=why)
    except SecretUnusable as error:
        fail(str(error))
    finally:
        database.close()
    for name, value in found.items():
        out.print(f"{escape(name)}: {escape(value)}", soft_wrap=True, highlight=False)
    if not found:
        fail(f"{pseudonym} was never used for {profile}")


def transfers(
    again: Annotated[str | None, typer.Option("--again", help="Try what was held for this destination again.")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """List images on their way outside and results on their way back: how many, in which state, and why."""
    from datetime import UTC, datetime

    from radnode.storage import transfers as kept
    from radnode.storage.database import Database

    database = Database(load_configuration(config).settings.effective_database_url)
    try:
        if again is not None:
            with database.begin() as session:
                number = kept.again(session, again, datetime.now(UTC))
            out.print(f"{number} are tried again")
            return
        with database.read() as session:
            rows = kept.summary(session)
    finally:
        database.close()
    table = Table("destination", "state", "reason", "images")
    for destination, state, reason, number in rows:
        table.add_row(escape(destination), state, escape(reason), str(number))
    out.print(table)


def _lane(configuration: Configuration, name: str) -> Peer:
    peer = configuration.peers.get(name)
    if peer is None or peer.deidentify is None:
        known = [each for each, found in configuration.peers.items() if found.deidentify is not None]
        fail(f"no destination {name} has `deidentify`; {', '.join(known) or 'none'} has")
    return peer
