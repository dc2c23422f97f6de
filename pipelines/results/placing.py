"""Where a finding lies on an image.

Pixel coordinates are (column, row); the corner of the first pixel is (0, 0) (PS3.3 C.18.6.1.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import InPatient, OnImage
from radnode.pipelines.geometry import to_index

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.findings import Detection, Findings, Path
    from radnode.pipelines.geometry import SourceFrame, Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A point, or an outline that repeats its first point, on one image. points: float64 (n, 2)."""

    image: SourceFrame
    points: NDArray[np.float64]

    @property
    def is_point(self) -> bool:
        """False for an outline."""
        return len(self.points) == 1


def place(detection: Detection, findings: Findings) -> Placed:
    """A detection on its image, or on the slice nearest to it. Raises RunFailed for one outside the images."""
    if isinstance(detection.at, InPatient):
        return on_nearest_slice(detection.key, detection.at, findings.grid)
    image = frame_of(findings, detection.at)
    if detection.at.outline is None:
        return Placed(image=image, points=np.array([detection.at.center], dtype=np.float64))
    return Placed(image=image, points=np.vstack([detection.at.outline, detection.at.outline[:1]]))


def frame_of(findings: Findings, at: OnImage | Path) -> SourceFrame:
    """The image, or the frame of one, that a place or a path is on."""
    frames = findings.volume.frames if findings.volume is not None else [each.source for each in findings.projections]
    return next(
        each for each in frames
        if each.sop_instance_uid == at.sop_instance_uid and each.frame_number == at.frame_number
    )


def on_nearest_slice(key: str, at: InPatient, volume: Volume) -> Placed:
    """A place in the patient on the slice nearest to it: its box's shadow, a rectangle of whole rows and columns.

    The shadow falls at right angles to the slice. Of an axial box on an axial slice it is the box's own section; on an
    oblique slice it holds the section and is larger. It ends where the image ends. Raises RunFailed for a place
    outside the volume.
    """
    center = np.array(at.center_lps)
    shape = np.array(volume.voxels.shape)
    index = to_index(volume.affine, center[np.newaxis])[0]
    if not ((index > -0.5) & (index < shape - 0.5)).all():
        raise RunFailed(f"{key} lies outside the images it was found in")
    nearest = int(np.clip(np.rint(index[0]), 0, shape[0] - 1))
    image = volume.frames[nearest]
    if at.extent_mm is None:
        return Placed(image=image, points=_shadow(volume, nearest, center[np.newaxis]))
    corners = center + np.array(list(product((-0.5, 0.5), repeat=3))) * np.array(at.extent_mm)
    cast = np.clip(_shadow(volume, nearest, corners), 0, shape[[2, 1]])
    (left, top), (right, bottom) = cast.min(axis=0), cast.max(axis=0)
    points = np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])
    return Placed(image=image, points=points)


def _shadow(volume: Volume, slice_index: int, points_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points at right angles onto a slice: (n, 3) LPS millimetres to (n, 2) pixel coordinates."""
    origin = volume.affine[:3, 3] + slice_index * volume.affine[:3, 0]
    in_plane, *_ = np.linalg.lstsq(volume.affine[:3, [2, 1]], (points_lps - origin).T, rcond=None)
    return np.asarray(in_plane.T + 0.5)
