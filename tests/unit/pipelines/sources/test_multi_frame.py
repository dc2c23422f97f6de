"""Enhanced CT: the same stack in one file, placed by its functional groups."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import EnhancedCTImageStorage, RLELossless
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


@pytest.mark.parametrize("table", ["none", "right", "between fragments", "beyond the end", "exchanged", "repeated",
                                   "extended and exchanged"])
def test_P8_a_missing_or_wrong_offset_table_gives_the_right_frames_or_none(tmp_path: Path, table: str) -> None:
    path = _enhanced(tmp_path)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=8))
    content = bytearray(encapsulate(frames, has_bot=table not in ("none", "extended and exchanged")))
    if table == "between fragments":  # where no fragment begins
        content[8:40] = struct.pack("<8L", *(offset * 6 for offset in range(8)))
    elif table == "beyond the end":
        content[8:40] = struct.pack("<8L", 0, *([2**31] * 7))
    elif table == "exchanged":
        content[12:20] = content[16:20] + content[12:16]
    elif table == "repeated":
        content[16:20] = content[12:16]
    elif table == "extended and exchanged":
        whole, offsets, lengths = encapsulate_extended(frames)
        content = bytearray(whole)
        dataset.ExtendedOffsetTable = offsets[:8] + offsets[16:24] + offsets[8:16] + offsets[24:]
        dataset.ExtendedOffsetTableLengths = lengths
    dataset.PixelData = bytes(content)
    dataset.save_as(path)
    if table in ("none", "right"):
        assert np.array_equal(read_volume(select([path])).voxels, small().hu)
    else:
        with pytest.raises((IncompleteInput, NotProcessed)):
            read_volume(select([path]))
