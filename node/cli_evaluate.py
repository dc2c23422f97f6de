"""`radnode evaluate`: a pipeline or a model against references, over a folder of studies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from radnode.pipelines.evaluation.running import CaseResult
    from radnode.pipelines.evaluation.summary import Summary

out = Console()
err = Console(stderr=True)


def evaluate(
    pipeline: Annotated[str, typer.Argument(help="A pipeline or a model of the store, as a route names it.")],
    *,
    data: Annotated[Path, typer.Option("--data", exists=True, file_okay=False, help="Folder of DICOM images.")],
    reference: Annotated[Path, typer.Option("--reference", exists=True, file_okay=False, help="Folder of references, "
                         "any of: SEG, RTSTRUCT, SR, NIfTI label maps, CSV.")],
    output: Annotated[Path | None, typer.Option("--output", help="Folder for the report; without it one in `reports` "
                      "of the node's data folder, where the page of pipelines shows it.")] = None,
    labels: Annotated[Path | None, typer.Option("--labels", exists=True, dir_okay=False, help="What the values of "
                      "NIfTI label maps mean, a YAML file of lines as `1: lung-left`.")] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:0.")] = "cpu",
    config: Annotated[Path, typer.Option("--config", help="The node's configuration file, for its models.")] = Path(
        "radnode.yaml"),
) -> None:
    """Run a pipeline over every study of a folder and compare what it finds with references; RESEARCH.

    Writes report.html, report.pdf, cases.csv and metrics.json. Exit code 1 if no case could be compared.
    """
    from radnode.config.loading import ConfigError, load
    from radnode.node.installed.evaluations import new_folder
    from radnode.pipelines.contract import PipelineError
    from radnode.pipelines.evaluation import files, plots, references, running
    from radnode.pipelines.evaluation.summary import summarise
    from radnode.pipelines.evaluation.truth import ReferenceRefused

    try:
        plots.needed()
        settings = load(config).settings
        evaluation = running.evaluate(
            pipeline, data, reference, labels=references.read_labels(labels) if labels else {},
            models=settings.model_store, device=device, told=_tell)
    except (ConfigError, PipelineError, ReferenceRefused) as error:
        err.print(escape(str(error)), style="red", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from error
    summary = summarise(evaluation)
    paths = files.write(evaluation, summary, output or new_folder(settings.data, pipeline, evaluation.started))
    _show(summary)
    for each in evaluation.unread:
        out.print(escape(f"not used: {each.source}: {each.reason}"), style="yellow", soft_wrap=True, highlight=False)
    out.print(escape(", ".join(map(str, paths))), soft_wrap=True, highlight=False)
    if not summary.counts[running.CaseState.COMPARED]:
        err.print("no case could be compared", style="red")
        raise typer.Exit(1)


def _tell(number: int, of: int, result: CaseResult) -> None:
    reason = f": {result.reason}" if result.reason else ""
    out.print(escape(f"{number}/{of} {result.case.uid}: {result.state}{reason}"), soft_wrap=True, highlight=False)


def _show(summary: Summary) -> None:
    from radnode.pipelines.evaluation.report import number

    table = Table("about", "metric", "all cases")
    for structure in summary.structures:
        for name in ("dice", "hd95_mm"):
            table.add_row(escape(structure.label), name, escape(number(structure.rows[0].metrics[name])))
    for mark in summary.marks:
        for name, estimate in mark.rows[0].metrics.items():
            table.add_row(escape(mark.label), name, escape(number(estimate)))
    for answer in summary.answers:
        table.add_row(escape(answer.label), "accuracy", escape(number(answer.rows[0].metrics["accuracy"])))
        for each in answer.classes:
            table.add_row(escape(f"{answer.label}: {each.label}"), "AUC", escape(number(each.rows[0].metrics["auc"])))
    for compared in summary.measurements:
        agreed = compared.agreement
        table.add_row(escape(compared.label), "bias", f"{agreed.bias:.3g} {escape(compared.unit)} (n = {agreed.n})")
    out.print(table)
    counts = ", ".join(f"{n} {state}" for state, n in summary.counts.items() if n)
    out.print(f"cases: {counts}", highlight=False, soft_wrap=True)
