"""Volumes of written series, as a pipeline gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom

from radnode.pipelines.geometry import SourceFrame, Volume

if TYPE_CHECKING:
    from support.chest import Series


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
