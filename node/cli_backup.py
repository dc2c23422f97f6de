"""`radnode backup`, `radnode restore` and `radnode diagnostics`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from radnode.node.cli_common import fail, load_configuration

out = Console()

ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
DEFAULT_CONFIG = Path("radnode.yaml")


def backup(
    to: Annotated[Path, typer.Argument(help="The folder below which the back-up is made.")],
    images: Annotated[bool, typer.Option("--images", help="With images and results; else what is small.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Back up the database, the configuration and the record of what was acknowledged, beside a running node."""
    from radnode.node.backing_up.making import BackupFailed, make

    configuration = load_configuration(config)
    try:
        made = make(configuration, to, datetime.now(UTC), images=images)
    except BackupFailed as error:
        fail(str(error), 1)
    out.print(f"{made.folder}: {len(made.manifest.files)} files, {made.manifest.size / 1e6:.1f} MB", soft_wrap=True,
              highlight=False, markup=False)
    if made.manifest.database != "sqlite":
        out.print("The database is not in it: add pg_dump of the same minute or earlier (docs/backup.md).",
                  soft_wrap=True, highlight=False)


def restore(
    backup: Annotated[Path, typer.Argument(help="The folder of one back-up.", file_okay=False)],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Put a back-up back; the node must be stopped. What is there is moved aside, nothing is deleted."""
    from radnode.config.loading import ConfigError
    from radnode.node.backing_up.manifest import NotABackup
    from radnode.node.backing_up.restoring import RestoreRefused
    from radnode.node.backing_up.restoring import restore as put_back

    try:
        done = put_back(backup, config, datetime.now(UTC))
    except (RestoreRefused, NotABackup, ConfigError) as error:
        fail(str(error), 2)
    out.print(*done.sentences, sep="\n", soft_wrap=True, highlight=False, markup=False)


def diagnostics(
    to: Annotated[Path, typer.Argument(help="The zip archive that is made.")] = Path("radnode-diagnostics.zip"),
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Gather what somebody elsewhere needs to find a fault, without patients: versions, doctor, queues, schema."""
    from radnode.node.answers import Answers
    from radnode.node.diagnostics import archive
    from radnode.node.doctor.examination import examine
    from radnode.pipelines import registry
    from radnode.storage.database import Database

    configuration = load_configuration(config)
    database = Database(configuration.settings.effective_database_url, read_only=True)
    content = archive(
        configuration=configuration, database=database, answers=Answers.open(configuration), now=datetime.now(UTC),
        registry=registry.installed(models=configuration.settings.model_store),
        findings=lambda: list(examine(config)),
    )
    database.close()
    to.write_bytes(content)
    out.print(f"{to}: {len(content) / 1e3:.0f} kB; look through it before you give it away", soft_wrap=True,
              highlight=False, markup=False)
