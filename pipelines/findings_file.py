"""Findings in a file, so that they can be shown in another form without running the model again.

A zip archive: `findings.json` holds everything but arrays, each array is an entry in numpy's own format. Masks are
cut to their bounding box and packed to bits; a label map that segments share is stored once. Nothing is pickled.
The images are not in it: whoever loads findings brings the images they are about, and they must be the same.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines import findings as model
from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import ColourImage, Projection, Volume

_FORMAT = "radnode findings 1"
_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        model.Code, model.Segment, model.OnImage, model.InPatient, model.Detection, model.Composite, model.Path,
        model.Measurement, model.Classification, model.Map, model.Failure, model.Rendering, model.Relation,
        model.MapKind, model.DerivedImage,
    )
}
_IMAGES = ("volume", "projections")


def save(findings: Findings, path: Path) -> None:
    """Write everything but the images. The file appears whole or not at all only if the caller renames it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        writer = _Writer(archive)
        said = {
            field.name: writer.value(getattr(findings, field.name))
            for field in fields(findings) if field.name not in _IMAGES
        }
        document = {"format": _FORMAT, "images": _images(findings.volume, findings.projections), "findings": said}
        archive.writestr("findings.json", json.dumps(document, ensure_ascii=False, indent=1))


def load(path: Path, volume: Volume | None, projections: tuple[Projection | ColourImage, ...] = ()) -> Findings:
    """The findings again, about these images. Raises RunFailed if the file is none of ours or about other images."""
    try:
        with zipfile.ZipFile(path) as archive:
            document = json.loads(archive.read("findings.json"))
            if document.get("format") != _FORMAT:
                raise RunFailed(f"{path.name} is no findings file of this version")
            if document["images"] != _images(volume, projections):
                raise RunFailed(f"{path.name} is about other images")
            reader = _Reader(archive)
            said = {name: reader.value(value) for name, value in document["findings"].items()}
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise RunFailed(f"{path.name} is no findings file ({type(error).__name__})") from error
    return model.Findings(volume=volume, projections=projections, **said)


def _images(volume: Volume | None, projections: tuple[Projection | ColourImage, ...]) -> dict[str, Any]:
    """What tells one set of images from another: where each slice comes from and where it lies."""
    frames = [each.source for each in projections] if volume is None else list(volume.frames)
    return {
        "frames": [[frame.sop_instance_uid, frame.frame_number] for frame in frames],
        "shapes": [list(each.shape) for each in projections] if volume is None else list(volume.voxels.shape),
        "affine": None if volume is None else volume.affine.tolist(),
    }


class _Writer:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._stored: dict[int, dict[str, Any]] = {}

    def value(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if id(value) not in self._stored:
                self._stored[id(value)] = self._array(value)
            return self._stored[id(value)]
        if isinstance(value, Enum):
            return {"kind": type(value).__name__, "is": value.value}
        if is_dataclass(value):
            said = {field.name: self.value(getattr(value, field.name)) for field in fields(value)}
            return {"kind": type(value).__name__, "is": said}
        if isinstance(value, tuple):
            return [self.value(each) for each in value]
        return value.item() if isinstance(value, np.generic) else value

    def _array(self, array: NDArray[Any]) -> dict[str, Any]:
        name = f"{len(self._stored)}.npy"
        described: dict[str, Any] = {"array": name}
        if array.dtype == np.bool_:
            box = _bounding_box(array)
            described |= {"shape": list(array.shape), "box": [[each.start, each.stop] for each in box]}
            array = np.packbits(array[box])
        content = io.BytesIO()
        np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
        self._archive.writestr(name, content.getvalue())
        return described


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._read: dict[str, NDArray[Any]] = {}

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(self.value(each) for each in value)
        if not isinstance(value, dict):
            return value
        if "array" in value:
            if value["array"] not in self._read:
                self._read[value["array"]] = self._array(value)
            return self._read[value["array"]]
        kind, said = _KINDS[value["kind"]], value["is"]
        if issubclass(kind, Enum):
            return kind(said)
        return kind(**{name: self.value(each) for name, each in said.items()})

    def _array(self, described: dict[str, Any]) -> NDArray[Any]:
        stored = np.lib.format.read_array(io.BytesIO(self._archive.read(described["array"])), allow_pickle=False)
        if "box" not in described:
            return stored
        mask = np.zeros(described["shape"], dtype=np.bool_)
        box = tuple(slice(start, stop) for start, stop in described["box"])
        inside = mask[box]
        inside[...] = np.unpackbits(stored, count=inside.size).reshape(inside.shape)
        return mask


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds every set voxel, one slice an axis; empty if there is none."""
    box = []
    for axis in range(mask.ndim):
        found = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 0))
    return tuple(box)
