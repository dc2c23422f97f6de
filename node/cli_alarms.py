"""`radnode alarms`: what is wrong, and the silence that somebody orders at the machine."""

from __future__ import annotations

import getpass
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from radnode.node.cli_common import err, fail, load_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.config.loading import Configuration
    from radnode.storage.database import Database

alarms_app = typer.Typer(invoke_without_command=True)
out = Console()

ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
DEFAULT_CONFIG = Path("radnode.yaml")
Name = Annotated[str, typer.Argument(help="The alarm, as `radnode alarms` names it.")]


@alarms_app.callback()
def alarms(
    context: typer.Context,
    history: Annotated[bool, typer.Option("--history", help="Also what was cleared.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what is wrong, since when, and what to do; exit code 1 if anything is."""
    if context.invoked_subcommand is not None:
        return
    from radnode.node.answers import Answers

    answers = Answers.open(load_configuration(config))
    rows, watched = answers.alarms(history=history), answers.watched()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    for row in rows if not as_json else ():
        colour = "dim" if row["cleared_at"] else {"warning": "yellow"}.get(row["severity"], "bold red")
        over = f", over since {row['cleared_at']}" if row["cleared_at"] else ""
        told = "".join(f", told by {sink} {said['at']}" for sink, said in row["told"].items())
        head = f"[{colour}]{row['severity']:>8}[/{colour}]  {escape(row['name'])}: {escape(row['text'])}"
        out.print(head, soft_wrap=True, highlight=False)
        out.print(f"{'':>10}since {row['since']}{over}{told}", soft_wrap=True, highlight=False)
        if silenced := row["silenced"]:
            said = f"silent until {silenced['until']}, by {silenced['who']}: {silenced['reason']}"
            out.print(f"{'':>10}{escape(said)}", soft_wrap=True, highlight=False)
        if not row["cleared_at"]:
            out.print(f"{'':>10}-> {escape(row['remedy'])}", soft_wrap=True, highlight=False)
    if not watched:
        err.print("no node has looked for a minute: this is what the last one knew", style="yellow")
    if any(row["cleared_at"] is None for row in rows):
        raise typer.Exit(1)


@alarms_app.command()
def silence(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why; others will ask.")],
    hours: Annotated[float, typer.Option("--hours", help="For how long, 168 at most.")] = 8,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Tell nobody of an alarm for a time; it stays where it is listed."""
    from radnode.node.alarming import silencing

    configuration = load_configuration(config)
    try:
        with _audited(configuration, f"alarm {name} silenced for {hours:g} h: {reason}") as database:
            silencing.silence(database, name, lasts=timedelta(hours=hours), reason=reason, who=getpass.getuser(),
                              now=datetime.now(UTC))
    except silencing.NotSilenced as error:
        fail(str(error))


@alarms_app.command("tell-again")
def tell_again(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """End a silence before its time; harmless where there is none."""
    from radnode.node.alarming import silencing

    with _audited(load_configuration(config), f"silence of alarm {name} ended") as database:
        silencing.tell_again(database, name, who=getpass.getuser())


@contextmanager
def _audited(configuration: Configuration, what: str) -> Iterator[Database]:
    """What is done with the database is in the audit trail, unless it was refused."""
    from radnode.node.audit.messages import SUCCESS, Participant
    from radnode.node.audit.trail import auditor
    from radnode.storage import audit
    from radnode.storage.database import Database

    database = Database(configuration.settings.effective_database_url)
    if not database.is_usable():
        fail("the database is not of this version yet; start the node once", 2)
    try:
        yield database
        who = Participant(user_id=getpass.getuser(), is_requestor=True, name="at the machine")
        message = auditor(configuration.settings).alert(
            datetime.now(UTC), who, "Use of Restricted Function", what, SUCCESS)
        with database.begin() as session:
            audit.append(session, [message])
    finally:
        database.close()
