"""The command `radnode`. Parses arguments, calls the node, prints; decides nothing."""

from __future__ import annotations

import atexit
import gc
import json
import signal
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from radnode.node.cli_access import audit, tokens_app, users_app
from radnode.node.cli_alarms import alarms_app
from radnode.node.cli_backup import backup, diagnostics, restore
from radnode.node.cli_common import err, load_configuration
from radnode.node.cli_config import config_app
from radnode.node.cli_conformance import conformance
from radnode.node.cli_deidentify import deidentify, reidentify, transfers
from radnode.node.cli_evaluate import evaluate
from radnode.node.cli_health import health
from radnode.node.cli_models import models_app
from radnode.node.cli_peers import peer_app
from radnode.node.cli_pulls import fetch, pulls
from radnode.node.cli_results import result_app
from radnode.node.cli_simulate import simulate
from radnode.node.cli_studies import study_app
from radnode.pipelines.importing import uncollected
from radnode.pipelines.memory import hold_together


class _Explaining(TyperGroup):
    """Errors that name their own cure are one line and exit code 2, whatever the command."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise
        except Exception as error:
            from radnode.node.association import PeerUnreachable
            from radnode.node.starting import StartRefused
            from radnode.storage.errors import StorageError

            if not isinstance(error, PeerUnreachable | StartRefused | StorageError):
                raise
            err.print(escape(str(error)), style="red", highlight=False, soft_wrap=True)
            raise typer.Exit(2) from error


app = typer.Typer(cls=_Explaining, no_args_is_help=True, add_completion=False, help="The AI node beside the PACS.")
routes_app = typer.Typer(no_args_is_help=True, help="Ask the routes.")
app.add_typer(routes_app, name="routes")
app.add_typer(alarms_app, name="alarms")
app.add_typer(config_app, name="config")
app.add_typer(result_app, name="result")
app.add_typer(models_app, name="models")
app.add_typer(users_app, name="users")
app.add_typer(tokens_app, name="tokens")
app.add_typer(peer_app, name="peer")
app.add_typer(study_app, name="study")
for command in (audit, evaluate, fetch, health, pulls, conformance, deidentify, reidentify, simulate, transfers, backup,
                diagnostics, restore):
    app.command()(command)

out = Console()

ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_CONFIG = Path("radnode.yaml")

USUAL_COLLECTION = gc.get_threshold()
gc.set_threshold(50_000)  # what a command imports stays; looking at it again and again is a fifth of its time
atexit.register(gc.freeze)  # else the interpreter looks at all that was imported once more: half a second a command


@app.command()
def serve(
    config: ConfigFile = DEFAULT_CONFIG,
    receiver: Annotated[str, typer.Option(
        envvar="RADNODE_RECEIVER",
        help="What this process is called among several on one data folder and database: all receive, one leads.",
    )] = "",
) -> None:
    """Run the node until it is told to stop (SIGTERM, Ctrl-C)."""
    hold_together()
    with uncollected():
        from radnode.node.observability import configure_logging
        from radnode.node.service import Node
    gc.freeze()
    gc.set_threshold(*USUAL_COLLECTION)

    configuration = load_configuration(config)
    configure_logging(as_json=configuration.settings.json_logs)
    why_end: SimpleQueue[str] = SimpleQueue()  # a signal may come while this thread waits for it: put() is reentrant
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: why_end.put("told"))
    node = Node(configuration, on_lost=lambda: why_end.put("lost"), receiver=receiver)
    node.start()
    try:
        why = _first_of(why_end)
    finally:
        node.stop()
    if why == "lost":
        err.print("another node has taken over the database; this one has ended", style="red", highlight=False)
        raise typer.Exit(1)


def _first_of(queue: SimpleQueue[str]) -> str:
    """What comes first. Looks up every second: a signal that comes right before this thread falls asleep does not wake
    it, and its handler runs only while the thread is awake.
    """
    while True:
        with suppress(Empty):
            return queue.get(timeout=1.0)


@app.command()
def check(config: Annotated[Path, typer.Argument(help="The file to check.")] = DEFAULT_CONFIG) -> None:
    """Validate a configuration: every mistake with file, line, what is wrong and what would be right."""
    from radnode.config.references import check_files
    from radnode.node.checking import check_configuration

    configuration = load_configuration(config)
    problems = [*check_configuration(configuration), *check_files(configuration)]
    for problem in problems:
        err.print(escape(str(problem)), style="red", highlight=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    found = f"{len(configuration.peers)} peers, {len(configuration.routes)} routes, no mistake"
    out.print(f"{escape(str(config))}: {found}", soft_wrap=True)


@app.command()
def doctor(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Say in plain words what is wrong with this node and how to mend it; changes nothing.

    Exit code 0: nothing is wrong, 1: something is. Warnings alone are no failure.
    """
    from dataclasses import asdict

    from radnode.node.doctor.examination import examine

    findings = []
    for finding in examine(config):
        findings.append(finding)
        if not as_json:
            colour = {"ok": "green", "warning": "yellow", "wrong": "bold red", "not checked": "dim"}[finding.state]
            said = f"[{colour}]{finding.state:>11}[/{colour}]  {escape(f'{finding.question}: {finding.answer}')}"
            out.print(said, soft_wrap=True, highlight=False)
            if finding.remedy:
                out.print(f"{'':>13}-> {escape(finding.remedy)}", soft_wrap=True, highlight=False)
    if as_json:
        _print_json([asdict(finding) for finding in findings])
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


@app.command()
def send(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with DICOM files.")],
    to: Annotated[str, typer.Option("--to", help="A peer's name in the configuration, or this node's AE title.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """C-STORE every DICOM file of a folder to a peer."""
    from radnode.node.sending import send_folder

    configuration = load_configuration(config)
    report = send_folder(folder, to, configuration)
    out.print(f"{report.stored} stored, {len(report.refused)} refused, {len(report.skipped)} skipped (no DICOM file)")
    for path, reason in report.refused:
        err.print(f"{escape(str(path))}: {escape(reason)}", style="red", soft_wrap=True)
    if report.refused or not report.stored:
        raise typer.Exit(1)


@app.command()
def jobs(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List the jobs, newest first."""
    from radnode.node.answers import Answers

    rows = Answers.open(load_configuration(config)).jobs()
    if as_json:
        _print_json(rows)
        return
    table = Table("job", "pipeline", "state", "revision", "series", "reason", "created")
    for row in rows:
        table.add_row(
            *(escape(str(row[name])) for name in (
                "job", "pipeline", "state", "revision", "series_instance_uid", "reason", "created_at"))
        )
    out.print(table)


@app.command()
def refused(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """List what was not taken, or was and cannot be read, newest first: when, from whom, why, and where it lies."""
    from radnode.node.answers import Answers

    configuration = load_configuration(config)
    rows = Answers.open(configuration).refused()
    if as_json:
        _print_json(rows)
        return
    columns = ("at", "source", "status", "reason", "file")
    table = Table(*columns, caption=f"files are below {escape(str(configuration.settings.data))}")
    for row in rows:
        table.add_row(*(escape(str(row[column])) for column in columns))
    out.print(table)


@app.command()
def ledger(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Prove that every acknowledged instance is in exactly one state; exit code 1 if not."""
    from radnode.node.answers import Answers

    balance = Answers.open(load_configuration(config)).ledger()
    if as_json:
        _print_json(balance)
    else:
        table = Table("state", "instances")
        for state, number in balance["states"].items():
            table.add_row(state, str(number))
        table.add_section()
        table.add_row("sum of states", str(sum(balance["states"].values())))
        table.add_row("acknowledged", str(balance["acknowledged"]))
        table.add_row("difference", str(balance["difference"]), style="bold red" if balance["difference"] else "green")
        out.print(table)
    if not balance["holds"]:
        raise typer.Exit(1)


@app.command()
def reindex(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Make a lost, damaged or older database whole from the stored images; the node must be stopped.

    Exit code 0: every acknowledged image is there, 1: something is missing.
    """
    from dataclasses import asdict

    from radnode.node.reindexing import reindex as make_whole

    configuration = load_configuration(config)
    report = make_whole(configuration)
    if as_json:
        _print_json({**asdict(report), "complete": report.complete})
    else:
        out.print(*report.sentences(), sep="\n", soft_wrap=True, highlight=False, markup=False)
    if not report.complete:
        raise typer.Exit(1)


@app.command()
def deliveries(
    failed: Annotated[bool, typer.Option("--failed", help="Only what was given up.")] = False,
    destination: Annotated[str | None, typer.Option("--destination", help="Only for this peer.")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """List result objects on their way, newest first: state, why, since when, when tried next, how proven."""
    from radnode.node.answers import Answers

    rows = Answers.open(load_configuration(config)).deliveries(failed=failed, destination=destination)
    if as_json:
        _print_json(rows)
        return
    columns = ("delivery", "job", "form", "destination", "state", "reason", "attempts", "since", "next_attempt_at",
               "proof")
    table = Table(*(column.replace("_at", "").replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(*(escape("" if row[column] is None else str(row[column])) for column in columns))
    out.print(table)


@app.command()
def resend(
    deliveries: Annotated[list[int] | None, typer.Argument(help="Delivery numbers, as an alarm names them.")] = None,
    job: Annotated[int | None, typer.Option("--job", help="Everything of this job that was given up.")] = None,
    destination: Annotated[
        str | None, typer.Option("--destination", help="Everything for this peer that was given up.")
    ] = None,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="Everything that was given up.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Send result objects again that were given up: the same objects under the same UIDs."""
    from radnode.node.by_hand import resend as resend_deliveries

    named = deliveries or []
    if not (named or job is not None or destination is not None or all_failed):
        err.print("say what: delivery numbers, --job NUMBER, --destination NAME or --all-failed", style="red")
        raise typer.Exit(2)
    resent = resend_deliveries(
        load_configuration(config), delivery_ids=named, job_id=job, destination=destination, every=all_failed
    )
    out.print(f"{len(resent)} wait to be sent again {' '.join(map(str, resent))}".strip(), soft_wrap=True)
    if not resent or set(named) - set(resent):
        raise typer.Exit(1)


@app.command("offer-again")
def offer_again(
    destination: Annotated[str, typer.Argument(help="A peer's name, as the alarm names it.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Offer a destination again the result forms that it refused."""
    from radnode.node.by_hand import offer_again as forget

    number = forget(load_configuration(config), destination)
    out.print(f"{number} refused forms of {escape(destination)} are offered again")
    if not number:
        raise typer.Exit(1)


@routes_app.command("explain")
def explain(
    study_instance_uid: Annotated[str, typer.Argument(help="Study Instance UID.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Say for each series of a study why each route did or did not run."""
    from radnode.node.answers import Answers

    text = Answers.open(load_configuration(config)).explain(study_instance_uid)
    if text is None:
        err.print(f"no study {escape(study_instance_uid)} was received", style="red", soft_wrap=True)
        raise typer.Exit(1)
    out.print(escape(text), soft_wrap=True, highlight=False)


@routes_app.command("try")
def try_routes(
    proposed: Annotated[Path, typer.Argument(help="The configuration file that is to be put in force.")],
    config: ConfigFile = DEFAULT_CONFIG,
    newest: Annotated[int, typer.Option("--last", min=1, help="How many series to try them on.")] = 200,
) -> None:
    """Say what the routes of another file would have made of the last series, before that file is in force."""
    from radnode.node.checking import check_configuration
    from radnode.node.rehearsal import rehearse
    from radnode.storage.database import Database

    present, then = load_configuration(config), load_configuration(proposed)
    if problems := check_configuration(then):
        for problem in problems:
            err.print(escape(str(problem)), style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(1)
    database = Database(present.settings.effective_database_url)
    with database.read() as session:
        found = rehearse(session, present.routes, then.routes, newest)
    database.close()
    table = Table("route", f"matches, of {found.series} series")
    for name, number in found.matched.items():
        table.add_row(escape(name), str(number))
    out.print(table)
    for each in found.differences:
        changes = [f"- {route} ({pipeline})" for route, pipeline in each.ends]
        changes += [f"+ {route} ({pipeline})" for route, pipeline in each.begins]
        uid, modality = escape(each.series.series_instance_uid), escape(each.series.modality)
        out.print(f"{uid} {modality}: {escape(', '.join(changes))}", soft_wrap=True, highlight=False)
    if not found.differences:
        out.print("nothing changes for these series")
    for remark in found.remarks():
        out.print(f"look twice: {escape(remark)}", style="yellow", soft_wrap=True, highlight=False)


@app.command()
def demo(
    dicom: Annotated[Path | None, typer.Option("--dicom", help="Use the study in this folder.")] = None,
    output: Annotated[Path, typer.Option("--output", help="Where results and pictures go.")] = Path("radnode-demo"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the table to this file.")] = None,
    exit_at_once: Annotated[bool, typer.Option("--exit", help="End when the results are delivered.")] = False,
) -> None:
    """Show the node at work: a chest CT goes in, SEG and Structured Report come back to a stand-in PACS."""
    from radnode.node.demo.demo import run_demo

    good = run_demo(dicom=dicom, output=output, json_file=json_file, stay=not exit_at_once, console=out)
    if not good:
        raise typer.Exit(1)


def _print_json(value: object) -> None:
    out.print_json(json.dumps(value, default=str))
