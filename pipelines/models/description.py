"""What a model says about itself, as a manifest: a MONAI bundle in configs/metadata.json, another in its `model.yaml`,
nnU-Net in its plans. Runs no code of a model.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from radnode.pipelines.contract import Manifest, RunFailed
from radnode.pipelines.models import licences, model_file, nnunet_folder, pictures
from radnode.pipelines.models.inputs import Reads, UnclearInput, reads
from radnode.pipelines.models.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from radnode.pipelines.models.store import Pin

ENTRY = "radnode.pipelines.models.bundle:BundlePipeline"
_MODALITIES = {"ct": "CT", "mr": "MR", "mri": "MR", "mammogram": "MG", "mg": "MG", "xray": "DX", "dx": "DX", "pt": "PT"}
_NAMED_IN = ("channel_def", "label_def", "class_def")
_INVENTED = {"noise", "latent", "timesteps", "tuples"}
_LONGEST = 10 * 1024 * 1024


def metadata(folder: Path) -> dict[str, Any]:
    """The metadata of a bundle. Raises StoreError."""
    path = folder / "configs" / "metadata.json"
    try:
        if path.stat().st_size > _LONGEST:
            raise StoreError(f"{path} is larger than {_LONGEST >> 20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder.name}: configs/metadata.json cannot be read ({type(error).__name__}); "
                         "is this the folder of a MONAI bundle? Any other model needs a model.yaml") from error
    if not isinstance(content, dict):
        raise StoreError(f"{folder.name}: configs/metadata.json holds no names and values")
    return content


def manifest(folder: Path, pin: Pin) -> Manifest:
    """What the node knows of a model, by what lies in its folder. Raises StoreError, naming what is missing."""
    if (folder / model_file.FILE).is_file():
        return model_file.manifest(folder, pin)
    if nnunet_folder.is_results(folder):
        return model_file.manifest_of(nnunet_folder.read(folder), pin)
    return _bundle(folder, pin)


def _bundle(folder: Path, pin: Pin) -> Manifest:
    said = metadata(folder)
    inputs = image_inputs(said)
    if not inputs:
        raise StoreError(f"{folder.name} makes images out of noise and reads none of a patient: an image that nobody "
                         "took is nobody's, and no study can be its input")
    modality = next((str(each["modality"]) for each in inputs.values() if each.get("modality")), "")
    try:
        picture = pictures.read_as(next(iter(inputs.values())), said)
    except ValueError as error:
        raise StoreError(f"{folder.name}: {error}") from None
    if picture is None and modality.lower() not in _MODALITIES:
        raise StoreError(f"{folder.name}: its metadata names the modality {modality!a}; "
                         f"readable are {', '.join(sorted(set(_MODALITIES.values())))}")
    several = images_read(folder, said).inputs
    return Manifest(
        name=pin.name,
        version=_version(said),
        title=str(said.get("name") or pin.name)[:64],
        entry=ENTRY,
        modality=several[0].modality if several else picture[0] if picture else _MODALITIES[modality.lower()],
        reads=picture[1] if picture else "volume",
        inputs=several,
        sheared=False,
        min_slices=1 if picture else 2,
        intended_use=str(said.get("intended_use") or "Not stated by its authors; research only."),
        licence=licences.name(folder),
        device_memory_mb=0,
        algorithm_family="Artificial Intelligence",
        model_digest=pin.sha256,
        series_number=pin.series_number,
    )


def outputs(said: Mapping[str, Any]) -> dict[str, Any]:
    """network_data_format / outputs: name -> what it is."""
    return dict(_network(said).get("outputs", {}))


def names(said: Mapping[str, Any], *, required: bool = True) -> dict[int, str]:
    """What the channels, labels or classes of an output are called; `said` is its entry in the metadata.

    Raises RunFailed for an output whose names are required and not there.
    """
    named = (said[key] for key in _NAMED_IN if isinstance(said.get(key), dict) and said[key])
    defined: Mapping[str, Any] = next(named, {})
    found = {int(key): str(name) for key, name in defined.items() if re.fullmatch(r"\d+", str(key))}
    if not found and required:
        raise RunFailed("the bundle does not say what its labels mean (network_data_format, channel_def)")
    return found


def classes_of_boxes(metadata: Mapping[str, Any], said: Mapping[str, Any]) -> dict[int, str]:
    """What a detector's classes are called. One that names none detects what its task says, as class 0.

    "CT lung nodule detection" detects lung nodules. Raises RunFailed if neither says it.
    """
    if found := names(said, required=False):
        return found
    for key in ("task", "name"):
        words = re.fullmatch(r"(?:(?:CT|MRI?|PET|\w*X-?ray)\s+)?(.+?)(?:\s+(?:CT|MRI?|PET))?\s+detection",
                             str(metadata.get(key, "")).strip(), re.IGNORECASE)
        if words:
            return {0: words.group(1)}
    raise RunFailed("the bundle does not say what its boxes are (network_data_format, channel_def)")


def image_inputs(said: Mapping[str, Any]) -> dict[str, Any]:
    """network_data_format / inputs that are images: neither noise nor what steers a generator."""
    return {name: each for name, each in _network(said).get("inputs", {}).items()
            if not {str(each.get("type")), str(each.get("format"))} & _INVENTED}


def images_read(folder: Path, said: dict[str, Any]) -> Reads:
    """Which images the bundle reads, and under which keys. Raises StoreError for one that names none clearly."""
    try:
        return reads(image_inputs(said), _inference(folder))
    except UnclearInput as error:
        raise StoreError(f"{folder.name}: {error}") from None


def _inference(folder: Path) -> dict[str, Any]:
    """The inference configuration as data; empty where it cannot be read: opening the bundle will say so."""
    for path in (folder / "configs" / f"inference.{kind}" for kind in ("json", "yaml", "yml")):
        try:
            if path.stat().st_size > _LONGEST:
                return {}
            text = path.read_text(encoding="utf-8")
            content = json.loads(text) if path.suffix == ".json" else YAML(typ="safe", pure=True).load(text)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, YAMLError):
            return {}
        return content if isinstance(content, dict) else {}
    return {}


def _network(said: Mapping[str, Any]) -> dict[str, Any]:
    found = said.get("network_data_format")
    return found if isinstance(found, dict) else {}


def _version(said: dict[str, Any]) -> str:
    version = str(said.get("version", ""))
    return version if re.fullmatch(r"\d+\.\d+\.\d+\S{0,32}", version) else "0.0.0"
