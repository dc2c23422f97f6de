"""`radnode result`: make a result by hand, validate one, look at one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

result_app = typer.Typer(no_args_is_help=True, help="Make, validate and look at result objects.")

out = Console()
err = Console(stderr=True)

ResultFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A DICOM result object.")]
Images = Annotated[Path, typer.Option("--images", exists=True, file_okay=False, help="Folder of the source images.")]


@result_app.command()
def make(
    findings: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A saved findings file.")],
    images: Images,
    form: Annotated[list[str], typer.Option("--form", help="Result form, several allowed: SEG, TID1500, ...")],
    output: Annotated[Path, typer.Option("--output", help="Folder for the result objects.")],
    pipeline: Annotated[str, typer.Option("--pipeline", help="The pipeline that made the findings.")],
    language: Annotated[Literal["en", "zh"], typer.Option("--language", help="Language of a PDF.")] = "en",
) -> None:
    """Write saved findings in other result forms, through the gate, marked RESEARCH."""
    from radnode.pipelines import inspection
    from radnode.pipelines.contract import PipelineError

    try:
        report = inspection.make(findings, images, pipeline, form, output, language)
    except (ValueError, PipelineError) as error:
        _fail(str(error))
    if report.reason:
        _fail(f"{report.state}: {report.reason}")
    for produced in report.objects:
        out.print(escape(f"{produced.name}: {produced.path}"), soft_wrap=True, highlight=False)
    missing = set(form) - {produced.form for produced in report.objects}
    if missing:
        out.print(f"nothing to show as {', '.join(sorted(missing))} in these findings", soft_wrap=True)


@result_app.command()
def validate(file: ResultFile) -> None:
    """Ask every validator on this machine; exit code 1 if one objects or none is installed."""
    from radnode.pipelines import inspection

    verdicts = inspection.validate(_dicom(file))
    for verdict in verdicts:
        words = {True: "no error", False: "errors", None: "not installed"}[verdict.passed]
        out.print(f"{verdict.validator}: {words}", style="red" if verdict.passed is False else None)
        for line in verdict.lines:
            out.print(escape(f"  {line}"), soft_wrap=True, highlight=False)
    if not any(verdict.passed for verdict in verdicts) or any(verdict.passed is False for verdict in verdicts):
        raise typer.Exit(1)


@result_app.command()
def show(
    file: ResultFile,
    png: Annotated[Path | None, typer.Option("--png", help="Draw it into this file as well.")] = None,
    images: Annotated[
        Path | None, typer.Option("--images", exists=True, file_okay=False, help="Folder of the source images.")
    ] = None,
) -> None:
    """Print what a result object says; with --png, draw it."""
    from radnode.pipelines import inspection
    from radnode.pipelines.contract import PipelineError

    for line in inspection.describe(_dicom(file)):
        out.print(escape(_printable(line)), soft_wrap=True, highlight=False)
    if png is not None:
        try:
            inspection.picture(file, images, png)
        except (PipelineError, ValueError) as error:
            _fail(str(error))
        out.print(f"drawn in {escape(str(png))}", soft_wrap=True)


def _dicom(file: Path) -> Path:
    import pydicom

    if not pydicom.misc.is_dicom(file):
        _fail(f"{file} is no DICOM file")
    return file


def _printable(line: str) -> str:
    """What a file says must not move the cursor of a terminal."""
    return "".join(character if character.isprintable() else "?" for character in line)


def _fail(reason: str) -> NoReturn:
    err.print(escape(reason), style="red", highlight=False, soft_wrap=True)
    raise typer.Exit(1)
