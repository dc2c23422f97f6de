"""`radnode models`: what models there are; add, check, try and remove one."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

models_app = typer.Typer(no_args_is_help=True, help="The models of this node: list, add, check, try, remove.")

out = Console()
err = Console(stderr=True)

ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
Name = Annotated[str, typer.Argument(help="The model's name, as a route names it.")]
DEFAULT_CONFIG = Path("radnode.yaml")


@models_app.command("list")
def list_models(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Every model: version, modality, digest, licence and intended use; and what cannot be used, and why."""
    from radnode.pipelines import registry

    found = registry.installed((), models=_store(config))
    table = Table("name", "version", "modality", "SHA-256", "licence", "intended use")
    for name in sorted(found.manifests):
        manifest = found.manifests[name]
        table.add_row(*map(escape, (name, manifest.version, manifest.modality, manifest.model_digest[:12],
                                    manifest.licence, manifest.intended_use)))
    out.print(table)
    for name, reason in sorted(found.refused.items()):
        out.print(f"[red]{escape(name)}[/red]: {escape(reason)}", soft_wrap=True, highlight=False)


@models_app.command()
def add(
    source: Annotated[Path, typer.Argument(exists=True, help="The folder or zip file of a MONAI bundle.")],
    name: Annotated[str, typer.Option("--name", help="What routes call it; else made of the folder's name.")] = "",
    sha256: Annotated[str | None, typer.Option("--sha256", help="The digest its authors published.")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Take a model into the store and pin it by its digest. A bundle is code: add only what you trust."""
    from radnode.pipelines.models import description, store

    folder = _store(config)
    try:
        pin = store.add(folder, source, name=name or store.name_of(source), sha256=sha256)
        manifest = description.manifest(folder / pin.folder, pin)
    except store.StoreError as error:
        _fail(str(error))
    out.print(escape(f"{pin.name}: {manifest.title} {manifest.version}, {manifest.modality}, SHA-256 {pin.sha256}"),
              soft_wrap=True, highlight=False)
    out.print(escape(f"licence: {manifest.licence}; intended use: {manifest.intended_use}"), soft_wrap=True)
    out.print(f"name it in a route: run: [{pin.name}]", markup=False, highlight=False)


@models_app.command()
def check(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Compare the files of every model with its pin; exit code 1 if one is not what was added."""
    from radnode.pipelines.models import store

    folder, bad = _store(config), 0
    try:
        for pin in store.pins(folder).values():
            try:
                store.checked(folder, pin)
                out.print(f"{escape(pin.name)}: {pin.sha256[:12]}, as added", highlight=False)
            except store.StoreError as error:
                bad += 1
                out.print(escape(str(error)), style="red", soft_wrap=True, highlight=False)
    except store.StoreError as error:
        _fail(str(error))
    if bad:
        raise typer.Exit(1)


@models_app.command("try")
def try_model(
    name: Name,
    study: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with the images of one series.")],
    output: Annotated[Path, typer.Option("--output", help="Folder for results and pictures.")] = Path("radnode-try"),
    form: Annotated[list[str] | None, typer.Option("--form", help="Result forms; SEG and TID1500 if none.")] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:0.")] = "cpu",
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Run a model on a folder of images, without a PACS: results, a picture of each segmentation, and times."""
    from radnode.pipelines import inspection
    from radnode.pipelines.contract import PipelineError

    try:
        report = inspection.try_pipeline(
            name, study, form or ["SEG", "TID1500"], output, models=_store(config), device=device
        )
    except (ValueError, PipelineError) as error:
        _fail(str(error))
    for produced in report.objects:
        out.print(escape(f"{produced.name}: {produced.path}"), soft_wrap=True, highlight=False)
    for remark in report.remarks:
        out.print(escape(f"remark: {remark}"), soft_wrap=True, highlight=False)
    out.print(", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items()), highlight=False)
    if report.reason:
        _fail(f"{report.state}: {report.reason}")


@models_app.command()
def bench(
    name: Name,
    study: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with the images of one series.")],
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How many jobs, one after the other.")] = 5,
    output: Annotated[Path, typer.Option("--output", help="For bench.json and bench.png.")] = Path("radnode-bench"),
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:0.")] = "cpu",
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Measure a model on this machine: seconds of each part of a job, memory, how busy the device is."""
    from radnode.pipelines import benching
    from radnode.pipelines.contract import PipelineError

    try:
        with tempfile.TemporaryDirectory() as results:
            found = benching.bench(name, study, Path(results), models=_store(config), device=device, repeats=repeats)
        output.mkdir(parents=True, exist_ok=True)
        (output / "bench.json").write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
        benching.plot(found, output / "bench.png")
    except (ValueError, PipelineError) as error:
        _fail(str(error))
    table = Table("part", "median s", "fastest", "slowest", title=f"{escape(name)} on {device}, {repeats} jobs")
    for row in benching.rows(found):
        table.add_row(*row)
    out.print(table)
    busy = found.busy_how if found.busy is None else f"device busy {found.busy:.0%} of the time ({found.busy_how})"
    taken = f"{found.memory['model_mb']} MB for the model, {found.memory['run_mb']} MB more for a run on {device}"
    said = f"loaded {found.loads()} x; {taken}; {found.peak_mb} MB of the machine at most; {busy}"
    out.print(said, soft_wrap=True, highlight=False)
    out.print(f"{output / 'bench.json'}, {output / 'bench.png'}", soft_wrap=True, highlight=False)


@models_app.command()
def remove(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Take a model out of the store and delete its folder."""
    from radnode.pipelines.models import store

    try:
        store.remove(_store(config), name)
    except store.StoreError as error:
        _fail(str(error))
    out.print(f"{escape(name)} is removed", highlight=False)


def _store(config: Path) -> Path:
    from radnode.config.loading import ConfigError, load

    try:
        return load(config).settings.model_store
    except ConfigError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    err.print(escape(message), style="red", soft_wrap=True, highlight=False)
    raise typer.Exit(1)
