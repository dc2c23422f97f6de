"""`radnode simulate`: a hospital's day, before there is a hospital."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from radnode.node.cli_common import fail, load_configuration

if TYPE_CHECKING:
    from radnode.node.simulating.day import Exam
    from radnode.node.simulating.load import Load
    from radnode.node.simulating.ramp import Step

out = Console()


def simulate(
    parameters: Annotated[Path | None, typer.Argument(help="A YAML file; what it does not name is as --explain says.")]
    = None,
    *,
    measured: Annotated[Path | None, typer.Option("--measured", help="Take the times of jobs, the quiet times and the "
                        "number of workers from the node of this configuration.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Instead of what the parameters say.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=14)] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Another one makes another day of the same kind.")] = 1,
    break_it: Annotated[bool, typer.Option("--break", help="Raise the load until urgent studies are late.")] = False,
    output: Annotated[Path, typer.Option("--output", help="Folder for the report.")] = Path("radnode-simulation"),
    explain: Annotated[bool, typer.Option("--explain", help="Print every parameter and where it comes from.")] = False,
    to: Annotated[str | None, typer.Option("--to", help="Send the CT exams of the day to this peer of --config, or to "
                  "its own AE title, instead; synthetic images.")] = None,
    config: Annotated[Path, typer.Option("--config", help="For --to.")] = Path("radnode.yaml"),
    speed: Annotated[float, typer.Option("--speed", min=1, help="For --to: so many times as fast.")] = 60.0,
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, max=60, help="For --to: at most so long.")] = 2.0,
) -> None:
    """Predict waiting times, use and cost of a day in virtual time, or send one to a node.

    Writes report.html and figures.json. Exit code 1 if a study was not read in time.
    """
    load = _load(parameters, measured, workers)
    if explain:
        for name, value, origin in load.explained():
            out.print(f"[bold]{name}[/bold] = {escape(value)}\n    {escape(origin)}", highlight=False, soft_wrap=True)
        return
    if to is not None:
        _send(load, to, config, speed=speed, minutes=minutes, seed=seed)
        return
    _predict(load, days=days, seed=seed, break_it=break_it, output=output)


def _load(parameters: Path | None, measured: Path | None, workers: int | None) -> Load:
    from radnode.node.simulating.load import Load, ParametersRefused, read_load
    from radnode.node.simulating.measured import job_times
    from radnode.storage.database import Database

    try:
        load = read_load(parameters) if parameters else Load()
    except ParametersRefused as error:
        fail(str(error), 2)
    if measured is not None:
        settings = load_configuration(measured).settings
        database = Database(settings.effective_database_url, read_only=True)
        with database.read() as session:
            times = job_times(session)
        database.close()
        load = load.model_copy(update={
            "job_seconds": {**load.job_seconds, **times}, "workers": len(settings.workers),
            "quiet_time_s": settings.quiet_time_s, "settle_time_s": settings.settle_time_s,
            "hold_after_s": settings.hold_after_s,
        })
    return load if workers is None else load.model_copy(update={"workers": workers})


def _predict(load: Load, *, days: int, seed: int, break_it: bool, output: Path) -> None:
    try:
        import matplotlib as mpl
    except ImportError:
        fail("the report needs matplotlib: pip install 'radnode[evaluate]'", 2)
    from radnode.node.simulating.day import exams
    from radnode.node.simulating.figures import figures
    from radnode.node.simulating.page import HEAD, of_day, of_priorities, of_ramp, page
    from radnode.node.simulating.ramp import ramp
    from radnode.node.simulating.virtual import VirtualNode

    mpl.use("svg")
    with out.status("simulating"):
        sent = exams(load, days=days, seed=seed)
        reads = VirtualNode(load=load, seed=seed).run(sent)
        found = figures(load, sent, reads, days)
    for name, value in of_day(found):
        out.print(f"{name}: {value}", highlight=False, soft_wrap=True)
    table = Table(*HEAD)
    for row in of_priorities(found):
        table.add_row(*row)
    out.print(table)
    steps, holds = ramp(load, seed=seed, told=_tell) if break_it else ([], None)
    if steps:
        out.print(of_ramp(load, holds), highlight=False, soft_wrap=True)
    output.mkdir(parents=True, exist_ok=True)
    (output / "report.html").write_text(page(load, found, reads, steps, holds), encoding="utf-8")
    summary = {"seed": seed, "figures": asdict(found), "steps": [asdict(step) for step in steps], "holds": holds,
               "parameters": load.model_dump(mode="json", exclude={"job_seconds"})}
    (output / "figures.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    out.print(str(output / "report.html"), highlight=False, soft_wrap=True)
    if any(each.late for each in found.of):
        raise typer.Exit(1)


def _tell(step: Step) -> None:
    from radnode.node.simulating.page import written

    said = ", ".join(f"{each.priority} {written(each.turnaround.p95)}" for each in step.found.of)
    out.print(f"{step.factor:g} times the load: 95 of 100 within {said}", highlight=False, soft_wrap=True)


def _send(load: Load, to: str, config: Path, *, speed: float, minutes: float, seed: int) -> None:
    from radnode.config.peers import Peer
    from radnode.node.simulating import sending
    from radnode.node.simulating.day import exams

    configuration = load_configuration(config)
    settings = configuration.settings
    own = Peer(name=settings.ae_title, ae_title=settings.ae_title, host="127.0.0.1", port=settings.dicom_port)
    peer = sending.peer_named(to, dict(configuration.peers), own)
    day = [exam for exam in exams(load, days=1, seed=seed) if _is_ct(exam)]
    taken = refused = 0
    for sent in sending.send(day, peer, settings.ae_title, speed=speed, longest_s=minutes * 60, name=f"{seed}"):
        taken += not sent.refused
        refused += bool(sent.refused)
        said = f"{sent.acknowledged_s:7.1f} s  {sent.exam.priority}  {sent.reason}"
        out.print(escape(said.rstrip()), highlight=False, soft_wrap=True)
    out.print(f"{taken} exams were taken, {refused} were not in full")
    if refused or not taken:
        raise typer.Exit(1)


def _is_ct(exam: Exam) -> bool:
    return exam.kind == "CT"
