"""NIfTI label maps. Their grid is that of the images, perhaps flipped or with its axes in another order."""

from __future__ import annotations

import importlib
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from radnode.pipelines.evaluation.naming import Reference
from radnode.pipelines.evaluation.truth import ReferenceRefused, Structure, Truth
from radnode.pipelines.models.terms import term
from radnode.pipelines.results.decoding import GRID_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Affine

# NIfTI's coordinates are RAS.
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def reference(path: Path, source: str, labels: Mapping[int, str]) -> Reference:
    """A label map, named by its file. Raises ReferenceRefused without the names of its labels."""
    if not labels:
        raise ReferenceRefused("a label map; say what its values mean in a YAML file and name it with --labels")

    def read(findings: Findings) -> Truth:
        if findings.volume is None:
            raise ReferenceRefused("a label map of a volume, and the pipeline reads images that are no slices")
        return _truth(path, labels, findings.volume.affine, findings.volume.voxels.shape)

    name = path.name[: path.name.lower().rindex(".nii")]
    return Reference(source=source, name=name, read=read)


def on_grid(
    values: NDArray[Any], affine_ras: Affine, grid: Affine, shape: tuple[int, ...]
) -> NDArray[Any]:
    """The array in the order of the grid's axes.

    values: 3 axes. affine_ras: (4, 4), its index to RAS millimetres. grid: (4, 4), index to LPS millimetres; shape: of
    the grid. Raises ReferenceRefused unless each voxel lies on one of the grid, within a quarter of one.
    """
    to_grid = np.linalg.inv(grid) @ _TO_LPS @ affine_ras
    axes = np.abs(to_grid[:3, :3]).argmax(axis=1)
    if sorted(axes.tolist()) != [0, 1, 2]:
        raise ReferenceRefused("its grid is turned against that of the images; resample it onto them")
    turned = values.transpose(*axes.tolist())
    if turned.shape != shape:
        raise ReferenceRefused(f"its grid has {_by(turned.shape)} voxels (slices, rows, columns), that of the images "
                               f"{_by(shape)}; resample it onto them, by nearest neighbour")
    steps = to_grid[:3, axes]
    flipped = np.diag(steps) < 0
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    lies = corners @ steps.T + to_grid[:3, 3]
    meant = np.where(flipped, np.array(shape) - 1 - corners, corners)
    away = float(np.abs(lies - meant).max())
    if away > GRID_TOLERANCE:
        raise ReferenceRefused(f"its voxels lie up to {away:.2g} voxels beside those of the images; it was made for "
                               "other images, or resample it onto these, by nearest neighbour")
    return turned[tuple(slice(None, None, -1 if flip else None) for flip in flipped)]


def structures(values: NDArray[Any], labels: Mapping[int, str]) -> tuple[Structure, ...]:
    """A structure for each name, also for those without a voxel. Raises ReferenceRefused for a value without a name."""
    present = np.unique(values)
    if not np.isfinite(present).all() or (present != np.rint(present)).any() or (present < 0).any():
        raise ReferenceRefused("its values are no labels: they are not all whole numbers from 0 on")
    nameless = [int(value) for value in present if value and int(value) not in labels]
    if nameless:
        said = ", ".join(map(str, nameless[:10]))
        raise ReferenceRefused(f"the file of labels has no name for the values {said}")
    found = []
    values = values.astype(np.int64 if values.dtype.itemsize > 2 else np.int32)
    for value, name in labels.items():
        meant = term(name)
        found.append(Structure(label=name, voxels=values, value=value, type=meant.type, laterality=meant.laterality))
    return tuple(found)


def _truth(path: Path, labels: Mapping[int, str], grid: Affine, shape: tuple[int, ...]) -> Truth:
    nibabel: Any = importlib.import_module("nibabel")
    try:
        image = nibabel.load(path)
        values, affine = np.asanyarray(image.dataobj), np.asarray(image.affine, dtype=np.float64)
        placed = int(image.header["sform_code"]) or int(image.header["qform_code"])
    except (OSError, EOFError, ValueError, KeyError, zlib.error, nibabel.filebasedimages.ImageFileError) as error:
        raise ReferenceRefused(f"it cannot be read as NIfTI ({type(error).__name__})") from error
    if not placed:
        raise ReferenceRefused("it does not say where it lies: neither sform nor qform is set")
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise ReferenceRefused(f"it has {values.ndim} axes; a label map of a volume has three")
    return Truth(structures=structures(on_grid(values, affine, grid, shape), labels))


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
