"""`radnode pulls` and `radnode fetch`: what is asked of archives, and asking by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radnode.node.cli_common import fail, load_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


out = Console()

ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
_DEFAULT = Path("radnode.yaml")
_PULL = ("pull", "archive", "schedule", "asked_at", "found", "wanted", "reason")
_FETCH = ("fetch", "archive", "study_instance_uid", "purpose", "wanted_by", "state", "arrived", "lacking", "reason",
          "due_at")


def pulls(
    config: ConfigFile = _DEFAULT, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """List what the node asks of archives: what came, what failed, and when it is tried again."""
    from radnode.node.retrieving.answers import overview
    from radnode.storage.database import Database
    from radnode.storage.errors import StorageError

    configuration = load_configuration(config)
    database = Database(configuration.settings.effective_database_url, read_only=True)
    try:
        found = overview(database, configuration)
    except StorageError as error:
        fail(str(error))
    finally:
        database.close()
    if as_json:
        out.print_json(json.dumps(found, default=str))
        return
    _print(_PULL, found["pulls"])
    _print(_FETCH, found["fetches"])


def fetch(
    study_instance_uid: Annotated[str | None, typer.Argument(help="Study Instance UID.")] = None,
    source: Annotated[str, typer.Option("--from", help="The archive, by its name in the configuration.")] = "",
    accession: Annotated[str | None, typer.Option("--accession", help="Accession number, instead of a UID.")] = None,
    config: ConfigFile = _DEFAULT,
) -> None:
    """Have the node fetch a study from an archive; `radnode pulls` says how far it came."""
    from radnode.node.association import PeerUnreachable
    from radnode.node.intake.header_walk import is_uid
    from radnode.node.retrieving.answers import NotListed, fetch_by_hand
    from radnode.storage.errors import StorageError

    configuration = load_configuration(config)
    if (study_instance_uid is None) == (accession is None):
        fail("say which study: its UID, or --accession NUMBER")
    if source not in configuration.retrieving.archives:
        fail(f"say which archive: --from {' or '.join(configuration.retrieving.archives) or 'NAME; there is none'}")
    if study_instance_uid is not None and not is_uid(study_instance_uid.encode()):
        fail("a Study Instance UID has digits and dots alone; --accession takes an accession number")
    if accession is not None and (not accession.isprintable() or set(accession) & set("*?\\")):
        fail("write the whole accession number, without * and ?")
    try:
        found = fetch_by_hand(configuration, source, study_instance_uid=study_instance_uid or "",
                              accession_number=accession or "")
    except (NotListed, PeerUnreachable, StorageError) as error:
        fail(str(error))
    for uid in found:
        out.print(f"{uid} is fetched from {escape(source)}", soft_wrap=True, highlight=False)


def _print(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(*(column.removesuffix("_at").replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(*(escape("" if row[column] is None else str(row[column])) for column in columns))
    out.print(table)
