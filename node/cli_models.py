"""`radnode models`: what models there are; add, check, try and remove one."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.config.loading import Configuration
    from radnode.pipelines.contract import Manifest

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
    for name, pin in sorted(found.pins.items()):
        _show_texts(name, _store(config) / pin.folder)
    for name, reason in sorted(found.refused.items()):
        out.print(f"[red]{escape(name)}[/red]: {escape(reason)}", soft_wrap=True, highlight=False)


@models_app.command()
def add(
    source: Annotated[str, typer.Argument(
        metavar="PATH|URL|NAME", help="A folder, a zip file, an https URL, or the name of a model that comes with "
        "radnode or is in the MONAI Model Zoo.")],
    name: Annotated[str, typer.Option("--name", help="What routes call it; else made of the source's name.")] = "",
    sha256: Annotated[str | None, typer.Option("--sha256", help="The digest its authors published.")] = None,
    modality: Annotated[str, typer.Option(
        "--modality", help="Of the images that it reads, for a bundle whose metadata names none.")] = "",
    compiled: Annotated[bool, typer.Option(
        "--compile", help="Compile its network when a worker loads it, where that can be (torch.compile).")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Take a model into the store and pin it by its digest. A bundle is code: add only what you trust."""
    from radnode.pipelines.models import description, fetching, store

    def examine(brought: Path) -> None:
        if modality:
            description.say_modality(brought, modality)
        pin = store.Pin(name=name, folder=brought.name, sha256="", series_number=1, compiled=compiled)
        description.manifest(brought, pin)

    folder = _store(config)
    try:
        with fetching.brought(source, sha256) as found:
            name = name or store.name_of(found.path)
            pin = store.add(folder, found.path, name=name, sha256=found.sha256, compiled=compiled, examine=examine)
        manifest = description.manifest(folder / pin.folder, pin)
    except store.StoreError as error:
        _fail(str(error))
    out.print(escape(f"{pin.name}: {manifest.title} {manifest.version}, {manifest.modality}, SHA-256 {pin.sha256}"),
              soft_wrap=True, highlight=False)
    for number, each in enumerate(manifest.inputs):
        out.print(escape(f"reads {each.name}: {each.wanted}{' (results lie on it)' if number == 0 else ''}"),
                  soft_wrap=True, highlight=False)
    _show_terms(manifest)
    out.print(f"name it in a route: run: [{pin.name}]", markup=False, highlight=False)


@models_app.command()
def check(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Compare every model's files with its pin and open it, in a process of its own; a line for each, exit code 1 if
    one cannot be used.
    """
    from radnode.node.doctor import facts_machine
    from radnode.pipelines.models import description, store

    folder = _store(config)
    try:
        pins = store.pins(folder)
    except store.StoreError as error:
        _fail(str(error))
    found = facts_machine.pipelines(folder, compiles=any(pin.compiled for pin in pins.values()))
    if found is None:
        _fail("the process that opens the models ended or hung; try one after the other with `radnode models try`")
    for name in sorted({*pins, *found.refused}):
        if name in found.refused:
            out.print(escape(f"{name}: {' '.join(found.refused[name].split())}"), style="red", soft_wrap=True,
                      highlight=False)
        else:
            out.print(f"{escape(name)}: SHA-256 {pins[name].sha256}, as added, opens", soft_wrap=True, highlight=False)
            if network := found.networks.get(name):
                out.print(escape(f"network: {_listed(network)}"), soft_wrap=True, highlight=False)
            _show_terms(description.manifest(folder / pins[name].folder, pins[name]))
            _show_texts(name, folder / pins[name].folder)
    if found.refused:
        raise typer.Exit(1)


@models_app.command("try")
def try_model(
    name: Name,
    study: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Folder with the images of one study.")],
    output: Annotated[Path, typer.Option("--output", help="Folder for results and pictures.")] = Path("radnode-try"),
    form: Annotated[list[str] | None, typer.Option("--form", help="Result forms; SEG and TID1500 if none.")] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:0.")] = "cpu",
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Run a model on a folder of images, without a PACS: results, a picture of each segmentation, and times."""
    from radnode.pipelines import inspection, registry
    from radnode.pipelines.contract import PipelineError

    if (manifest := registry.installed(models=_store(config)).manifests.get(name)) is not None:
        _show_terms(manifest)
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
    if network := found.memory.get("network"):
        out.print(escape(f"network: {_listed(network)}"), soft_wrap=True, highlight=False)
    out.print(f"{output / 'bench.json'}, {output / 'bench.png'}", soft_wrap=True, highlight=False)


@models_app.command()
def remove(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Take a model out of the store and delete its folder; not while a route names it."""
    from radnode.node.installed.naming import named_by
    from radnode.pipelines import registry
    from radnode.pipelines.models import store

    loaded = _configuration(config)
    if named := named_by(registry.installed(models=loaded.settings.model_store), loaded.routes, name):
        _fail(f"{name} is named by the route {', '.join(named)} in {config}; take it out there first, so that no node "
              "uses it any more")
    try:
        store.remove(loaded.settings.model_store, name)
    except store.StoreError as error:
        _fail(str(error))
    out.print(f"{escape(name)} is removed", highlight=False)


def _listed(network: Mapping[str, str]) -> str:
    return "; ".join(f"{what} {how}" for what, how in network.items())


def _show_terms(manifest: Manifest) -> None:
    out.print(escape(f"licence: {manifest.licence}; intended use: {manifest.intended_use}"), soft_wrap=True,
              highlight=False)


def _show_texts(name: str, folder: Path) -> None:
    """Where the whole licence is: what is shown elsewhere is its name, or its first line."""
    from radnode.pipelines.models import licences

    for path, lines in licences.texts(folder).items():
        out.print(escape(f"{name}: licence text (lines: {lines}): {path}"), soft_wrap=True, highlight=False)


def _store(config: Path) -> Path:
    return _configuration(config).settings.model_store


def _configuration(config: Path) -> Configuration:
    from radnode.config.loading import ConfigError, load

    try:
        return load(config)
    except ConfigError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    err.print(escape(message), style="red", soft_wrap=True, highlight=False)
    raise typer.Exit(1)
