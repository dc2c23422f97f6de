"""Volumes, as a pipeline gets them: of written series, and of voxels alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom

from radnode.pipelines.geometry import SourceFrame, Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from support.chest import Series

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


def chest_volume(series: Series) -> Volume:
    """The axial series of :func:`support.chest.write_chest`, by its headers."""
    images = [pydicom.dcmread(path) for path in series.files]
    first, last = (np.array(image.ImagePositionPatient, float) for image in (images[0], images[-1]))
    voxels = np.stack([image.pixel_array for image in images]).astype(np.float32)
    rows, columns = (float(each) for each in images[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = (last - first) / (len(images) - 1)
    affine[:3, 1] = np.array(images[0].ImageOrientationPatient[3:], float) * rows
    affine[:3, 2] = np.array(images[0].ImageOrientationPatient[:3], float) * columns
    affine[:3, 3] = first
    frames = tuple(SourceFrame(sop_class_uid=image.SOPClassUID, sop_instance_uid=image.SOPInstanceUID)
                   for image in images)
    return Volume(voxels=voxels, affine=affine, frames=frames, valid=np.ones(voxels.shape, np.bool_),
                  series_instance_uid=series.series_instance_uid,
                  frame_of_reference_uid=str(images[0].FrameOfReferenceUID))


def placed(
    voxels: NDArray[np.float32], affine: NDArray[np.float64], *, sop_class_uid: str = CT,
    series_instance_uid: str = "2.25.900",
) -> Volume:
    """These voxels (slice, row, column) where `affine` puts them in the patient (LPS, mm), all valid."""
    frames = tuple(SourceFrame(sop_class_uid=sop_class_uid, sop_instance_uid=f"{series_instance_uid}.{number + 1}")
                   for number in range(len(voxels)))
    return Volume(voxels=voxels, affine=affine, frames=frames, valid=np.ones(voxels.shape, np.bool_),
                  series_instance_uid=series_instance_uid, frame_of_reference_uid="2.25.901")


def askew(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same in a patient who is turned by 20 degrees about the long axis."""
    angle = np.deg2rad(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turned: NDArray[np.float64] = turn @ affine
    return turned


def volume(shape: tuple[int, int, int] = (9, 14, 11), *, oblique: bool = True) -> Volume:
    """Noise around the threshold of the test models, in voxels of three lengths, in a patient who lies askew."""
    voxels = np.random.default_rng(4).uniform(-1000, 400, shape).astype(np.float32)
    affine = np.diag([3.0, 1.5, 2.0, 1.0])[:, [2, 1, 0, 3]]
    affine = askew(affine) if oblique else affine
    affine[:3, 3] = (-31.0, 12.5, 400.25)
    return placed(voxels, affine)
