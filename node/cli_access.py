"""`radnode users`, `radnode tokens`, `radnode audit`: who may come in over HTTP, and what was done.

They work on the node's database, beside a running node: whoever may do that on this machine needs no password.
"""

from __future__ import annotations

import contextlib
import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radnode.node.cli_common import fail, load_configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.storage.database import Database

users_app = typer.Typer(no_args_is_help=True, help="Accounts of people who log in over HTTP.")
tokens_app = typer.Typer(no_args_is_help=True, help="Tokens of machines that ask over HTTP.")

out = Console()

ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="Its name.")]
DEFAULT_CONFIG = Path("radnode.yaml")
_SHOWN = ("number", "at", "event", "outcome", "who", "study_instance_uid", "sent_at")


@users_app.command("add")
def add_user(
    name: Name,
    role: Annotated[str, typer.Option("--role", help="admin, operator, radiologist or auditor.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Make an account; prints a link, good once within an hour, with which its owner sets a password."""
    from radnode.node.security import roster

    configuration = load_configuration(config)
    secret = _ordered(configuration, f"account {name} added as {role}", lambda session: roster.add_user(
        session, name, role, _now()))
    _print_link(configuration, secret)


@users_app.command("link")
def link(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Print a new link for an account: for a forgotten password, or to enable it again."""
    from radnode.node.security import roster

    configuration = load_configuration(config)
    secret = _ordered(configuration, f"link for account {name}", lambda session: roster.link(session, name, _now()))
    _print_link(configuration, secret)


@users_app.command("disable")
def disable(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """End an account: its sessions, its password and its link."""
    from radnode.node.security import roster

    configuration = load_configuration(config)
    _ordered(configuration, f"account {name} disabled", lambda session: roster.disable(session, name, _now()))
    out.print(f"{escape(name)} comes in no more")


@users_app.command("list")
def list_users(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the accounts."""
    from radnode.node.web.roster import user_as_data
    from radnode.storage import accounts

    with _opened(load_configuration(config)) as database, database.read() as session:
        rows = [user_as_data(each) for each in accounts.accounts(session)]
    _print(rows, as_json=as_json)


@tokens_app.command("add")
def add_token(
    name: Name,
    role: Annotated[str, typer.Option("--role", help="admin, operator, radiologist, auditor or service.")] = "service",
    days: Annotated[int, typer.Option("--days", min=1, help="How long it is good.")] = 365,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Make a token and print it, this once: Authorization: Bearer TOKEN."""
    from radnode.node.security import roster

    secret = _ordered(load_configuration(config), f"token {name} added as {role}", lambda session: roster.add_token(
        session, name, role, _now(), days))
    out.print(secret, soft_wrap=True, highlight=False, markup=False)


@tokens_app.command("list")
def list_tokens(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the tokens: role, until when, last use."""
    from radnode.node.web.roster import token_as_data
    from radnode.storage import accounts

    with _opened(load_configuration(config)) as database, database.read() as session:
        rows = [token_as_data(each) for each in accounts.tokens(session)]
    _print(rows, as_json=as_json)


@tokens_app.command("revoke")
def revoke(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """End a token at once."""
    from radnode.node.security import roster

    _ordered(load_configuration(config), f"token {name} revoked", lambda session: roster.revoke(session, name, _now()))
    out.print(f"{escape(name)} comes in no more")


def audit(
    study: Annotated[str | None, typer.Option("--study", help="Only of this Study Instance UID.")] = None,
    event: Annotated[str | None, typer.Option("--event", help='Only these, e.g. "User Authentication".')] = None,
    newest: Annotated[int, typer.Option("--last", min=1, help="How many messages.")] = 50,
    verify: Annotated[bool, typer.Option("--verify", help="Say whether one was changed or taken out.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """List the audit messages, the newest first; reading them is audited, too."""
    from radnode.node.audit.messages import Participant
    from radnode.node.audit.trail import auditor
    from radnode.node.web.audit import as_data
    from radnode.storage import audit as kept

    configuration = load_configuration(config)
    who = Participant(user_id=getpass.getuser(), is_requestor=True, name="at the machine")
    with _opened(configuration) as database, database.begin() as session:
        broken = kept.broken_at(session) if verify else None
        rows = [as_data(each) for each in kept.newest(session, newest, study_instance_uid=study, event=event)]
        kept.append(session, [auditor(configuration.settings).log_used(_now(), who)])
    if verify:
        out.print("every message is there as it was written" if broken is None else
                  f"message {broken} was changed, or one before it was taken out", soft_wrap=True)
        raise typer.Exit(0 if broken is None else 1)
    if not as_json:
        rows = [{name: row[name] for name in _SHOWN} for row in rows]
    _print(rows, as_json=as_json)


def _ordered(configuration: Configuration, what: str, order: Callable[[Session], str | None]) -> str:
    """Do it and have it audited, both or neither; a reason why not is printed instead."""
    from radnode.node.audit.messages import SUCCESS, Participant
    from radnode.node.audit.trail import auditor
    from radnode.node.security.roster import Refused
    from radnode.storage import audit as kept

    who = Participant(user_id=getpass.getuser(), is_requestor=True, name="at the machine")
    message = auditor(configuration.settings).alert(_now(), who, "User Security Attributes Changed", what, SUCCESS)
    try:
        with _opened(configuration) as database, database.begin() as session:
            found = order(session)
            kept.append(session, [message])
    except Refused as error:
        fail(str(error), 1)
    return found or ""


def _print_link(configuration: Configuration, secret: str) -> None:
    settings = configuration.settings
    scheme = "https" if settings.http_tls else "http"
    base = configuration.access.url or f"{scheme}://{settings.http_host}:{settings.http_port}"
    out.print(f"{base}/link/{secret}", soft_wrap=True, highlight=False, markup=False)


@contextlib.contextmanager
def _opened(configuration: Configuration) -> Iterator[Database]:
    """The node's database, as the running version has it."""
    from radnode.storage.database import Database
    from radnode.storage.errors import StorageError

    database = Database(configuration.settings.effective_database_url)
    try:
        if not database.is_usable():
            fail("the database is not of this version yet; start the node once", 2)
        yield database
    except StorageError as error:
        fail(str(error), 2)
    finally:
        database.close()


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps(rows))
        return
    if not rows:
        out.print("none")
        return
    table = Table(*(name.replace("_", " ") for name in rows[0]))
    for row in rows:
        table.add_row(*(escape("" if value is None else str(value)) for value in row.values()))
    out.print(table)



def _now() -> datetime:
    return datetime.now(UTC)
