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
from radnode.pipelines.models import json_file, licences, model_file, nnunet_folder, pictures
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


def metadata(folder: Path) -> dict[str, Any]:
    """The metadata of a bundle. Raises StoreError."""
    cure = "is this the folder of a MONAI bundle? Any other model needs a model.yaml"
    return json_file.read(folder, "configs/metadata.json", cure=cure)


def named(modality: object) -> bool:
    """Whether that is a modality, and not one of the words that authors write for none."""
    return str(modality or "").lower() not in ("", "none", "n/a", "regular")


def say_modality(folder: Path, modality: str) -> None:
    """Write what the authors left out into a bundle's metadata: the modality of the images that it reads.

    Raises StoreError for a bundle that names one itself: who trained it knows better.
    """
    said = metadata(folder)
    inputs = image_inputs(said)
    if not inputs:
        raise StoreError(f"{folder.name} names no images that it reads; --modality would say nothing")
    if theirs := {str(each["modality"]) for each in inputs.values() if named(each.get("modality"))}:
        raise StoreError(f"{folder.name} says itself that it reads {', '.join(sorted(theirs))}; leave out --modality")
    for each in inputs.values():
        each["modality"] = modality
    (folder / "configs" / "metadata.json").write_text(json.dumps(said, indent=4) + "\n", encoding="utf-8")


def manifest(folder: Path, pin: Pin) -> Manifest:
    """What the node knows of a model, by what lies in its folder. Raises StoreError, naming what is missing."""
    described = (folder / model_file.FILE).is_file()
    if pin.compiled and (described or nnunet_folder.is_results(folder)):
        raise StoreError(f"{pin.name} is no MONAI bundle, and only the network of one is compiled; add it without "
                         "--compile")
    if described:
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
        cure = "" if named(modality) else "; if it was trained with images of one of them, add it with --modality"
        raise StoreError(f"{folder.name}: its metadata names the modality {modality!a}; "
                         f"readable are {', '.join(sorted(set(_MODALITIES.values())))}{cure}")
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
    if what := task(metadata, "detection"):
        return {0: what}
    raise RunFailed("the bundle does not say what its boxes are (network_data_format, channel_def)")


def task(metadata: Mapping[str, Any], kind: str) -> str:
    """What a bundle finds by the words of its task or name: the lung nodules of "CT lung nodule detection". Else "".

    kind: detection or segmentation.
    """
    for key in ("task", "name"):
        words = re.fullmatch(rf"(?:(?:CT|MRI?|PET|\w*X-?ray)\s+)?(.+?)(?:\s+(?:CT|MRI?|PET|image))?\s+{kind}",
                             str(metadata.get(key, "")).strip(), re.IGNORECASE)
        if words:
            return words.group(1)
    return ""


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
            if path.stat().st_size > json_file.LARGEST:
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
