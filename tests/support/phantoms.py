"""Small series of the chest phantom for tests of what stands between files and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gdcm
import numpy as np
import pydicom

from radnode.pipelines.contract import Manifest
from radnode.pipelines.ct_lung.phantom import Phantom, chest_phantom, write_series
from radnode.pipelines.geometry import SourceFrame, Volume
from radnode.pipelines.sources.select import Selection, read_instances, select_stack

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray


def manifest(**changes: Any) -> Manifest:
    """A manifest of a pipeline for rectangular CT stacks."""
    fields: dict[str, Any] = {
        "name": "sample", "version": "1.0.0", "title": "Sample", "entry": "a:b", "modality": "CT",
        "sheared": False, "min_slices": 3, "intended_use": "Tests.", "licence": "Apache-2.0",
        "device_memory_mb": 0, "algorithm_family": "Morphological Operations", "model_digest": "ab" * 32,
        "series_number": 9200,
    }  # fmt: skip
    return Manifest(**{**fields, **changes})


def small(slices: int = 8, size: int = 32, **options: Any) -> Phantom:
    """A phantom that takes no time."""
    return chest_phantom(slices=slices, size=size, **options)


def write_small(folder: Path, slices: int = 8, **options: Any) -> list[Path]:
    """Its files, feet first."""
    return write_series(small(slices), folder, **options)


def select(files: Iterable[Path], **changes: Any) -> Selection:
    """The stack of the files; changes: of the manifest."""
    return select_stack(read_instances(files), manifest(**changes))


def change(path: Path, **attributes: Any) -> None:
    """Set attributes of a file; None removes one."""
    dataset = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    if "SOPInstanceUID" in attributes:
        dataset.file_meta.MediaStorageSOPInstanceUID = attributes["SOPInstanceUID"]
    dataset.save_as(path)


def to_jpeg_lossless(path: Path) -> None:
    """Transcode to JPEG lossless, selection value 1, which pydicom cannot write."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    changer = gdcm.ImageChangeTransferSyntax()
    changer.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    changer.SetInput(reader.GetImage())
    assert changer.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(changer.GetOutput())
    assert writer.Write()


def volume_of(phantom: Phantom, hu: NDArray[Any] | None = None) -> Volume:
    """The phantom as a volume, without files; hu: other voxels on its grid."""
    voxels = np.asarray(phantom.hu if hu is None else hu, np.float32)
    frames = tuple(
        SourceFrame(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=f"2.25.{index + 1}")
        for index in range(len(voxels))
    )
    return Volume(
        voxels=voxels,
        affine=phantom.affine,
        frames=frames,
        valid=np.ones(voxels.shape, np.bool_),
        series_instance_uid="2.25.100",
        frame_of_reference_uid="2.25.200",
    )


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Overlap of two masks: 1 where they are equal."""
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())
