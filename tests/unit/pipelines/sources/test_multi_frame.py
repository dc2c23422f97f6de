"""Enhanced CT: the same stack in one file, placed by its functional groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage
from support.phantoms import select, small, write_small

from radnode.pipelines.contract import IncompleteInput, NotProcessed
from radnode.pipelines.sources.volume import read_volume

if TYPE_CHECKING:
    from pathlib import Path

ORDER = (3, 0, 7, 5, 1, 6, 2, 4)


def _group(**attributes: object) -> pydicom.Sequence:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return pydicom.Sequence([item])


def _enhanced(folder: Path, leave_out: int | None = None) -> Path:
    """Eight slices in a file, in no order; position and rescale are per frame, the rest is shared."""
    files = write_small(folder / "single")
    sources = [pydicom.dcmread(files[place]) for place in ORDER if place != leave_out]
    dataset = sources[0]
    shared, frames, pixels = Dataset(), [], b""
    shared.PlaneOrientationSequence = _group(ImageOrientationPatient=dataset.ImageOrientationPatient)
    shared.PixelMeasuresSequence = _group(PixelSpacing=dataset.PixelSpacing, SliceThickness=40)
    shared.CTReconstructionSequence = _group(ConvolutionKernel="B70f")
    for source in sources:
        frame = Dataset()
        frame.PlanePositionSequence = _group(ImagePositionPatient=source.ImagePositionPatient)
        frame.PixelValueTransformationSequence = _group(
            RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU"
        )
        frames.append(frame)
        pixels += source.PixelData
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "RescaleSlope",
        "RescaleIntercept",
        "RescaleType",
        "ConvolutionKernel",
    ):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.SharedFunctionalGroupsSequence = pydicom.Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = pydicom.Sequence(frames)
    dataset.NumberOfFrames, dataset.PixelData = len(frames), pixels
    path = folder / "enhanced.dcm"
    dataset.save_as(path)
    return path


@pytest.mark.catalogue("G13")
def test_frames_are_placed_by_their_functional_groups(tmp_path: Path) -> None:
    phantom = small()
    selection = select([_enhanced(tmp_path)])
    volume = read_volume(selection)
    assert np.array_equal(volume.voxels, phantom.hu)
    assert np.allclose(volume.affine, phantom.affine, atol=1e-5)
    assert [frame.frame_number for frame in volume.frames] == [ORDER.index(place) + 1 for place in range(8)]
    assert selection.acquisition["ConvolutionKernel"] == "B70f"


@pytest.mark.catalogue("G1", "G13")
def test_a_missing_inner_frame_is_a_gap(tmp_path: Path) -> None:
    with pytest.raises(IncompleteInput, match="slices are missing inside the stack: 1"):
        select([_enhanced(tmp_path, leave_out=4)])


@pytest.mark.catalogue("P7")
def test_a_number_of_frames_that_lies_is_refused(tmp_path: Path) -> None:
    path = _enhanced(tmp_path)
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 9
    dataset.save_as(path)
    with pytest.raises(NotProcessed, match="number of frames"):
        select([path])


@pytest.mark.catalogue("G13")
def test_one_part_of_a_concatenation_is_refused_by_name(tmp_path: Path) -> None:
    path = _enhanced(tmp_path)
    dataset = pydicom.dcmread(path)
    dataset.ConcatenationUID = "2.25.8"
    dataset.save_as(path)
    with pytest.raises(NotProcessed, match="concatenation"):
        select([path])
