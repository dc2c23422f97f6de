"""`radnode study`: find studies, say what became of one, and order something of it."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radnode.node.cli_common import fail, load_configuration

if TYPE_CHECKING:
    from radnode.config.loading import Configuration
    from radnode.node.studies.ordering import Order

study_app = typer.Typer(no_args_is_help=True, help="Find studies, say why one did not run, order something of it.")
out = Console()

Uid = Annotated[str, typer.Argument(metavar="STUDY_INSTANCE_UID")]
Reason = Annotated[str, typer.Option("--reason", help="Stands in the timeline of the study.")]
Series = Annotated[str, typer.Option("--series", help="Series Instance UID.")]
ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
DEFAULT = Path("radnode.yaml")


@study_app.command("list")
def list_studies(
    state: Annotated[str, typer.Option("--state", help="Only studies in this state, as the list names it.")] = "",
    accession: Annotated[str, typer.Option("--accession", help="Accession Number; * and ? stand for others.")] = "",
    config: ConfigFile = DEFAULT,
) -> None:
    """List the newest studies with their state and why."""
    from radnode.node.pages.studies.sentences import why
    from radnode.node.studies.searching import search
    from radnode.storage.database import Database
    from radnode.storage.study_search import STATES, Wanted

    if state and state not in STATES:
        fail(f"no state is called {state!r}; there are {', '.join(sorted(STATES))}", 2)
    database = Database(load_configuration(config).settings.effective_database_url)
    with database.read() as session:
        page = search(session, Wanted(state=state, accession_number=accession))
    database.close()
    table = Table("study", "received", "state", "why")
    for each in page.studies:
        received = each.study.last_received_at.isoformat(timespec="seconds")
        sentence = why(each.study, each.state).in_english()
        table.add_row(each.study.study_instance_uid, received, each.state.value, escape(sentence))
    out.print(table)
    if page.after is not None:
        out.print("there are older ones")


@study_app.command()
def why(study: Uid, config: ConfigFile = DEFAULT) -> None:
    """Say in one sentence what became of a study."""
    from radnode.node.pages.studies.sentences import why as sentence_of
    from radnode.node.studies.states import state_of
    from radnode.storage import study_search
    from radnode.storage.database import Database
    from radnode.storage.study_facts import facts

    database = Database(load_configuration(config).settings.effective_database_url)
    with database.read() as session:
        number = study_search.row_of(session, study)
        known = facts(session, [number]) if number is not None else {}
    database.close()
    if number is None:
        fail("no such study was received")
    state = state_of(known[number])
    out.print(escape(f"{state.value}: {sentence_of(known[number], state).in_english()}"), soft_wrap=True,
              highlight=False)


@study_app.command()
def hold(study: Uid, reason: Reason = "", config: ConfigFile = DEFAULT) -> None:
    """No job of a study starts until it is let go."""
    from radnode.node.studies.ordering import Action, Order

    _order(config, study, Order(action=Action.HOLD, by=_who(), reason=reason), "held")


@study_app.command("let-go")
def let_go(study: Uid, reason: Reason = "", config: ConfigFile = DEFAULT) -> None:
    """Its jobs wait for their turn again."""
    from radnode.node.studies.ordering import Action, Order

    _order(config, study, Order(action=Action.LET_GO, by=_who(), reason=reason), "let go")


@study_app.command("run-again")
def run_again(study: Uid, reason: Reason = "", config: ConfigFile = DEFAULT) -> None:
    """Judge and route every decided series anew, by the configuration in force."""
    from radnode.node.studies.ordering import Action, Order

    _order(config, study, Order(action=Action.RUN_AGAIN, by=_who(), reason=reason), "series are judged again")


@study_app.command()
def run(
    study: Uid, series: Series, route: Annotated[str, typer.Option("--route", help="Its pipelines and destinations.")],
    reason: Reason = "", config: ConfigFile = DEFAULT,
) -> None:
    """Run the pipelines of a route on one complete series, whatever the conditions of the route say."""
    from radnode.node.studies.ordering import Action, Order

    _order(config, study, Order(action=Action.RUN, by=_who(), reason=reason, series=series, route=route),
           "jobs wait for their turn")


@study_app.command("process-as-is")
def process_as_is(study: Uid, series: Series, reason: Reason = "", config: ConfigFile = DEFAULT) -> None:
    """Read an incomplete series although images are missing; its results say so."""
    from radnode.node.studies.ordering import Action, Order

    _order(config, study, Order(action=Action.AS_IT_IS, by=_who(), reason=reason, series=series),
           "series is closed as it is")


@study_app.command()
def discard(
    study: Uid, series: Annotated[str | None, typer.Option("--series", help="An incomplete series.")] = None,
    job: Annotated[int | None, typer.Option("--job", help="A job that waits or runs.")] = None,
    reason: Reason = "", config: ConfigFile = DEFAULT,
) -> None:
    """Say that an incomplete series is not to be read, or that a job is not to run, or to run on."""
    from radnode.node.studies.ordering import Action, Order

    if (series is None) == (job is None):
        fail("say what: --series UID or --job NUMBER", 2)
    _order(config, study, Order(action=Action.DISCARD, by=_who(), reason=reason, series=series, job=job), "discarded")


def _who() -> str:
    return f"{getpass.getuser()} (command line)"


def _order(config: Path, study: str, order: Order, said: str) -> None:
    from radnode.node.studies.ordering import OrderDesk
    from radnode.pipelines import registry
    from radnode.storage import study_search
    from radnode.storage.by_hand import NotPossible
    from radnode.storage.database import Database

    configuration: Configuration = load_configuration(config)
    database = Database(configuration.settings.effective_database_url)
    desk = OrderDesk(
        database=database, configuration=lambda: configuration, now=lambda: datetime.now(UTC),
        manifests=lambda: registry.installed(models=configuration.settings.model_store).manifests,
    )
    try:
        with database.read() as session:
            number = study_search.row_of(session, study)
        if number is None:
            fail("no such study was received")
        out.print(f"{desk.take(number, order)} {said}", highlight=False)
    except NotPossible as error:
        fail(str(error))
    finally:
        database.close()
