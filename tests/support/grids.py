"""CT series on every kind of grid, noise on it or a smooth body in it, read as a pipeline gets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pydicom

from radnode.pipelines.ct_lung.phantom import Phantom, SeriesHeader, write_series
from radnode.pipelines.geometry import to_patient
from radnode.pipelines.sources.volume import read_images
from support import bundles
from support.phantoms import select
from support.result_samples import enhanced

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.contract import StudyImages

# Columns: the directions in which slice, row and column grow, in LPS.
AXIAL = np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]])
CORONAL = np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]])
SAGITTAL = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def turned(axis: int, degrees: float) -> NDArray[np.float64]:
    """A rotation about an axis of the patient."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.eye(3)
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    turn[[first, first, second, second], [first, second, first, second]] = cosine, -sine, sine, cosine
    return turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How a series lies. spacing_mm (whole multiples of 0.75 mm), shape: along (slice, row, column). tilt_mm: by which
    each slice is shifted along its columns against the one before. shuffled: in which order the slices are numbered.
    frames: of one Enhanced CT image.
    """

    axes: NDArray[np.float64]
    spacing_mm: tuple[float, float, float] = (3.0, 0.75, 1.5)
    shape: tuple[int, int, int] = (7, 14, 11)
    tilt_mm: float = 0.0
    shuffled: bool = False
    frames: bool = False

    @property
    def affine(self) -> NDArray[np.float64]:
        """(slice, row, column, 1) to LPS millimetres."""
        affine = np.eye(4)
        affine[:3, :3] = self.axes * np.array(self.spacing_mm)
        affine[:3, 0] += self.tilt_mm * self.axes[:, 1]
        affine[:3, 3] = (-31.0, 12.5, 400.25)
        return affine


GRIDS = {
    "axial": Grid(axes=AXIAL),
    "axial, feet first": Grid(axes=AXIAL * np.array([-1, -1, 1])),
    "coronal": Grid(axes=CORONAL),
    "sagittal": Grid(axes=SAGITTAL, spacing_mm=(0.75, 1.5, 1.5), shape=(12, 9, 5)),
    "oblique": Grid(axes=turned(0, 20) @ turned(2, 25) @ AXIAL),
    "doubly oblique": Grid(axes=turned(0, 40) @ turned(1, 33) @ turned(2, -17) @ SAGITTAL),
    "equal sides": Grid(axes=AXIAL, spacing_mm=(0.75, 0.75, 0.75), shape=(8, 8, 8)),
    "thick slices": Grid(axes=AXIAL, spacing_mm=(5.25, 0.75, 0.75), shape=(4, 17, 13)),
    "two slices": Grid(axes=AXIAL, shape=(2, 14, 11)),
    "tilted within a pixel": Grid(axes=AXIAL, tilt_mm=0.1),
    "numbered at random": Grid(axes=CORONAL, shuffled=True),
    "frames of one image": Grid(axes=turned(1, 15) @ AXIAL, frames=True),
}


def write(grid: Grid, folder: Path, hu: NDArray[np.int16] | None = None) -> list[Path]:
    """The series as files; hu: of the shape of the grid, noise without it."""
    values = noise(grid) if hu is None else hu
    nobody = np.zeros(grid.shape, np.bool_)
    phantom = Phantom(hu=values, affine=grid.affine, left_mask=nobody, right_mask=nobody, emphysema_mask=nobody, seed=3)
    order = np.random.default_rng(8).permutation(grid.shape[0]) if grid.shuffled else range(grid.shape[0])
    files = write_series(phantom, folder, order=[int(place) for place in order], header=SeriesHeader(name=str(folder)))
    if not grid.frames:
        return files
    images = [pydicom.dcmread(path) for path in files]
    image = enhanced(images)
    image.PixelData = b"".join(each.PixelData for each in images)
    for header in images:
        header.filename = None
    transform = pydicom.Dataset()
    transform.RescaleIntercept, transform.RescaleSlope, transform.RescaleType = -1024, 1, "HU"
    image.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [transform]
    for path in files:
        path.unlink()
    pydicom.dcmwrite(files[0], image, enforce_file_format=True)
    return files[:1]


def noise(grid: Grid) -> NDArray[np.int16]:
    """Every voxel on its own, none at the threshold."""
    values = np.random.default_rng(4).integers(-1000, 400, grid.shape).astype(np.int16)
    values[values == bundles.THRESHOLD_HU] += 1
    return values


def body(grid: Grid) -> NDArray[np.int16]:
    """A smooth ellipsoid, off the middle and unlike itself under every flip; its border is at the threshold."""
    places = to_patient(grid.affine, np.indices(grid.shape).reshape(3, -1).T.astype(np.float64))
    extent = np.ptp(places, axis=0)
    centre = places.mean(axis=0) + extent * (0.06, -0.04, 0.03)
    away = np.linalg.norm((places - centre) / (extent * (0.33, 0.27, 0.38)), axis=1).reshape(grid.shape)
    return np.clip(bundles.THRESHOLD_HU + 700 * (1 - away), -1000, 1000).astype(np.int16)


def read(files: list[Path]) -> StudyImages:
    """As a pipeline gets it."""
    return read_images(select(files, min_slices=2), "CT")
