"""Which pipelines are installed, known from their manifests alone: packages, and the models of the model store.

An installed package offers a pipeline through the entry-point group `radnode.pipelines`: the name is its own,
the value is the package that holds `pipeline.yaml`. Reading a manifest runs no code of that package; only a
worker imports it, through :func:`load`.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import re
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from radnode.pipelines import inputs
from radnode.pipelines.contract import ALGORITHM_FAMILIES, READS, Manifest, RunFailed, SlotModel
from radnode.pipelines.models import description, store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.metadata import EntryPoint

    from radnode.pipelines.contract import Pipeline
    from radnode.pipelines.inputs import Input
    from radnode.pipelines.models.store import Pin

GROUP = "radnode.pipelines"
_FILE = "pipeline.yaml"
_MAX_BYTES = 64 * 1024
_READMES = ("README.md", "docs/README.md", "README.txt")

_TYPES: dict[str, type] = {"str": str, "int": int, "bool": bool}
_TYPE_WORDS = {str: "a text", int: "a whole number", bool: "true or false"}
_PATTERNS = {
    "name": (r"[a-z][a-z0-9]*(-[a-z0-9]+)*", "lower-case words joined by hyphens"),
    "version": (r"\d+\.\d+\.\d+\S{0,32}", "a version like 1.2.3"),
    "entry": (r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", "module:attribute"),
    "modality": (r"[A-Z]{2,16}", "a DICOM modality like CT"),
    "model_digest": (r"[0-9a-f]{64}", "a SHA-256 in 64 hexadecimal digits"),
}
_OPTIONAL = ("inputs", "registers", "reads", "slots", "priors")
_SMALLEST = {"min_slices": 1, "device_memory_mb": 0, "series_number": 1}


class ManifestError(ValueError):
    """A `pipeline.yaml` that cannot be used; the message says what is wrong and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What is installed. refused: entry-point name or folder in the model store -> why it cannot be used.

    pins: the models among the manifests, which lie in `store`.
    """

    manifests: Mapping[str, Manifest]
    refused: Mapping[str, str]
    pins: Mapping[str, Pin] = field(default_factory=dict)
    store: Path | None = None


def installed(points: Iterable[EntryPoint] | None = None, models: Path | None = None) -> Registry:
    """Read every installed manifest. A broken one is refused by name and harms no other. models: the model store."""
    manifests: dict[str, Manifest] = {}
    refused: dict[str, str] = {}
    found = list(entry_points(group=GROUP) if points is None else points)
    # One distribution can be seen twice (a source tree and its installed metadata); the same value is the
    # same offer.
    offers = sorted({(point.name, point.value) for point in found})
    claims = Counter(name for name, _ in offers)
    for name, package in offers:
        if claims[name] > 1:
            refused[name] = "several packages offer a pipeline of this name; uninstall all but one"
            continue
        try:
            manifests[name] = _read(name, package)
        except ManifestError as error:
            refused[name] = f"{package}: {error}"
    found_pins = _read_store(models, manifests, refused) if models is not None else {}
    for manifest in [each for each in manifests.values() if each.slots]:
        _fill_slots(manifest, manifests, refused, found_pins)
    return Registry(manifests=manifests, refused=refused, pins=found_pins, store=models)


def load(registry: Registry, name: str) -> Pipeline:
    """Import a pipeline's code and construct it, which may load its weights. For workers only.

    The files of a model are compared with its pin first. Raises RunFailed.
    """
    manifest = registry.manifests[name]
    module, _, attribute = manifest.entry.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
        if (pin := registry.pins.get(name)) is not None and registry.store is not None:
            folder = store.checked(registry.store, pin)
            pipeline: Pipeline = factory(folder, compiled=True) if pin.compiled else factory(folder)
        elif manifest.slots:
            pipeline = factory({slot: SlotModel(manifest=registry.manifests[model], pipeline=load(registry, model))
                                for slot, model in slots_of(manifest).items() if model in registry.pins})
        else:
            pipeline = factory()
    except store.StoreError as error:
        raise RunFailed(str(error)) from error
    except (ImportError, AttributeError) as error:
        raise RunFailed(f"pipeline {manifest.name} cannot be loaded from {manifest.entry}: "
                        f"{type(error).__name__}") from error
    return pipeline


def documentation(registry: Registry, name: str) -> str:
    """The README of a pipeline or a model, empty if it has none; of a longer one its beginning. Runs no code of it."""
    manifest = registry.manifests[name]
    try:
        if (pin := registry.pins.get(name)) is not None and registry.store is not None:
            folder = registry.store / pin.folder
        else:
            folder = _folder(manifest.entry.partition(":")[0].rpartition(".")[0])
    except ManifestError:
        return ""
    for path in (folder / each for each in _READMES):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                return file.read(_MAX_BYTES).decode("utf-8", "replace")
    return ""


def slots_of(manifest: Manifest) -> dict[str, str]:
    """Slot -> the name of the model that fills it, if it is in the model store."""
    return {slot: f"{manifest.name}-{slot}" for slot in manifest.slots}


def parse(text: str) -> Manifest:
    """A manifest from the text of its file. Raises ManifestError."""
    if len(text.encode()) > _MAX_BYTES:
        raise ManifestError(f"larger than {_MAX_BYTES} bytes")
    try:
        content = YAML(typ="safe", pure=True).load(io.StringIO(text))
    except YAMLError as error:
        raise ManifestError(f"not YAML: {_first_line(error)}") from error
    if not isinstance(content, dict):
        raise ManifestError("not a list of `key: value` lines")
    content = _with_slots(_with_inputs(content))
    _check_keys(content)
    for entry in fields(Manifest):
        if entry.name in content and entry.name not in ("inputs", "slots"):
            _check_value(entry.name, content[entry.name], _TYPES[str(entry.type)])
    manifest = Manifest(**content)
    if manifest.priors and (manifest.inputs or manifest.reads != "volume"):
        raise ManifestError("`priors` is for a pipeline that reads one volume")
    return manifest


def _with_inputs(content: Mapping[Any, Any]) -> dict[Any, Any]:
    """Of a manifest with `inputs`, the modality and the slices are those of the first."""
    if "inputs" not in content:
        return dict(content)
    if said := sorted({"modality", "min_slices"} & content.keys()):
        raise ManifestError(f"`{said[0]}` is said by each of `inputs`; leave it out")
    try:
        found = inputs.parse(content["inputs"])
    except ValueError as error:
        raise ManifestError(str(error)) from None
    return {**content, "inputs": found, "modality": found[0].modality, "min_slices": found[0].min_slices}


def _with_slots(content: Mapping[Any, Any]) -> dict[Any, Any]:
    said = content.get("slots", [])
    if not isinstance(said, list) or not all(
        isinstance(each, str) and re.fullmatch(r"[a-z][a-z0-9]*", each) for each in said
    ) or len(set(said)) < len(said):
        raise ManifestError(f"`slots` is {said!r}, expected a list of different lower-case words")
    return {**content, "slots": tuple(said)}


def _fill_slots(
    manifest: Manifest, manifests: dict[str, Manifest], refused: dict[str, str], pins: Mapping[str, Pin]
) -> None:
    """A pipeline whose slots are filled reads, if the study has it, what their models read besides its own inputs.

    Its digest is one over its own and those of the models. A model that is there and cannot be used refuses the
    pipeline: results would lack a part, and nobody had asked.
    """
    named = slots_of(manifest).items()
    if broken := [f"its slot {slot}, {model}: {refused[model]}" for slot, model in named if model in refused]:
        refused[manifest.name] = "; ".join(broken)
        del manifests[manifest.name]
    elif filled := {slot: manifests[model] for slot, model in named if model in pins}:
        said = [manifest.model_digest, *(f"{slot} {model.model_digest}" for slot, model in filled.items())]
        manifests[manifest.name] = replace(manifest, inputs=_with_inputs_of(filled.values(), manifest.inputs),
                                           model_digest=hashlib.sha256("\n".join(said).encode()).hexdigest())


def _with_inputs_of(models: Iterable[Manifest], own: tuple[Input, ...]) -> tuple[Input, ...]:
    """What a pipeline that reads a study asks of it for its models too; an image of the same content is asked once."""
    found = list(own)
    for each in (each for model in models for each in model.inputs if own):
        if (each.modality, each.content) not in {(one.modality, one.content) for one in found}:
            found.append(replace(each, name=each.content.value.lower(), optional=True))
    return tuple(found)


def _read_store(models: Path, manifests: dict[str, Manifest], refused: dict[str, str]) -> Mapping[str, Pin]:
    """Add what is pinned to the manifests, and what cannot be used to the refused."""
    try:
        pins = store.pins(models)
        for folder in store.unpinned(models):
            refused[folder] = f"a model that was never added; `radnode models add {models / folder}` pins it"
    except store.StoreError as error:
        refused[store.PINS] = str(error)
        return {}
    used = {}
    for name, pin in pins.items():
        if name in manifests:
            refused[name] = "a model has the name of an installed pipeline; add it under another one"
            continue
        try:
            manifests[name] = description.manifest(models / pin.folder, pin)
            used[name] = pin
        except store.StoreError as error:
            refused[name] = str(error)
    return used


def _read(name: str, package: str) -> Manifest:
    folder = _folder(package)
    try:
        text = (folder / _FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{_FILE} cannot be read ({type(error).__name__})") from error
    manifest = parse(text)
    if manifest.name != name:
        raise ManifestError(f"the manifest is named {manifest.name}, the entry point {name}; make them equal")
    return manifest


def _folder(package: str) -> Path:
    """The folder of a package, without importing it or a package above it (importlib.util.find_spec
    would).
    """
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", package):
        raise ManifestError("the entry point's value is not the name of the package with the manifest")
    top, *rest = package.split(".")
    spec = find_spec(top)
    name = top
    for part in rest:
        name = f"{name}.{part}"
        spec = _inside(spec, name)
    if spec is None or not spec.submodule_search_locations:
        raise ManifestError("no such package is installed")
    return Path(next(iter(spec.submodule_search_locations)))


def _inside(spec: ModuleSpec | None, name: str) -> ModuleSpec | None:
    if spec is None or spec.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, list(spec.submodule_search_locations))


def _check_keys(content: Mapping[Any, Any]) -> None:
    known = [entry.name for entry in fields(Manifest)]
    for key in content:
        if key not in known:
            nearest = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean `{nearest[0]}`?" if nearest else ""
            raise ManifestError(f"unknown key `{key}`{hint}")
    missing = [key for key in known if key not in content and key not in _OPTIONAL]
    if missing:
        raise ManifestError(f"missing {', '.join(f'`{key}`' for key in missing)}")


def _check_value(key: str, value: object, kind: type) -> None:
    # bool is a subclass of int: `min_slices: true` is a mistake.
    if type(value) is not kind:
        raise ManifestError(f"`{key}` is {value!r}, expected {_TYPE_WORDS[kind]}")
    if isinstance(value, str) and not value.strip():
        raise ManifestError(f"`{key}` is empty")
    if key in _PATTERNS and not re.fullmatch(_PATTERNS[key][0], str(value)):
        raise ManifestError(f"`{key}` is {value!r}, expected {_PATTERNS[key][1]}")
    if key in _SMALLEST and isinstance(value, int) and value < _SMALLEST[key]:
        raise ManifestError(f"`{key}` is {value}, expected at least {_SMALLEST[key]}")
    for choice, known in (("algorithm_family", ALGORITHM_FAMILIES), ("reads", READS)):
        if key == choice and value not in known:
            raise ManifestError(f"`{key}` is {value!r}, expected one of {', '.join(known)}")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
