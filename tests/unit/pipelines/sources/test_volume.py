"""Voxels in Hounsfield units, where they lie, and what happens when pixels are not what the header says."""

from __future__ import annotations

from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from support.phantoms import change, select, small, to_jpeg_lossless, write_small

from radnode.pipelines.contract import IncompleteInput, NotProcessed
from radnode.pipelines.ct_lung.phantom import write_series
from radnode.pipelines.geometry import to_patient
from radnode.pipelines.sources.volume import read_images, read_volume

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.pipelines.geometry import Volume


def _read(files: list[Path]) -> Volume:
    return read_volume(select(files))


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless]
)
def test_every_transfer_syntax_gives_the_same_hounsfield_units(tmp_path: Path, syntax: str) -> None:
    phantom = small()
    volume = _read(write_series(phantom, tmp_path, transfer_syntax=syntax))
    assert np.array_equal(volume.voxels, phantom.hu)
    assert np.allclose(volume.affine, phantom.affine, atol=1e-5)
    assert volume.valid.all()


def test_jpeg_lossless_gives_the_same_hounsfield_units(tmp_path: Path) -> None:
    phantom = small()
    files = write_series(phantom, tmp_path)
    for file in files:
        to_jpeg_lossless(file)
    assert pydicom.dcmread(files[0]).file_meta.TransferSyntaxUID == JPEGLosslessSV1
    assert np.array_equal(_read(files).voxels, phantom.hu)


def test_big_endian_gives_the_same_hounsfield_units(tmp_path: Path) -> None:
    phantom = small()
    files = write_series(phantom, tmp_path)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        pydicom.dcmwrite(file, dataset, little_endian=False, implicit_vr=False, force_encoding=True)
    assert np.array_equal(_read(files).voxels, phantom.hu)


@pytest.mark.catalogue("G14")
@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_a_marker_is_found_where_it_was_put_in_all_48_orientations(
    tmp_path: Path, axes: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    directions = np.zeros((3, 3))
    for column, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        directions[axis, column] = sign
    phantom = small(slices=5, size=7, spacing_mm=(3.0, 2.0), axes=directions)
    phantom.hu[:] = 0
    marked = {(4, 1, 5): 300, (0, 6, 2): 200, (1, 2, 0): 100}
    places = {}
    for index, value in marked.items():
        phantom.hu[index] = value
        places[value] = to_patient(phantom.affine, np.array([index]))[0]
    volume = _read(write_series(phantom, tmp_path))
    assert np.linalg.det(volume.affine[:3, [2, 1, 0]]) > 0  # stacked along row x column
    for value, place in places.items():
        found = to_patient(volume.affine, np.argwhere(volume.voxels == value))
        assert found == pytest.approx(place[None], abs=1e-4)


def test_an_oblique_stack_keeps_its_places(tmp_path: Path) -> None:
    tilt = np.deg2rad(20)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    phantom = small(axes=turn @ np.eye(3)[:, ::-1])
    volume = _read(write_series(phantom, tmp_path))
    assert np.allclose(volume.affine, phantom.affine, atol=1e-4)


@pytest.mark.catalogue("P10")
def test_rescale_is_applied_slice_by_slice(tmp_path: Path) -> None:
    phantom = small()
    files = write_series(phantom, tmp_path)
    change(files[3], RescaleIntercept=-1000, RescaleSlope=2)
    volume = _read(files)
    assert np.array_equal(volume.voxels[2], phantom.hu[2])
    assert np.array_equal(volume.voxels[3], (phantom.hu[3].astype(int) + 1024) * 2 - 1000)


@pytest.mark.catalogue("P10")
@pytest.mark.parametrize(
    "attributes",
    [{"RescaleSlope": None}, {"RescaleIntercept": None}, {"RescaleSlope": 0}, {"RescaleType": "OD"}],
)
def test_values_that_are_not_hounsfield_units_are_refused(tmp_path: Path, attributes: dict[str, Any]) -> None:
    files = write_small(tmp_path)
    change(files[4], **attributes)
    with pytest.raises(NotProcessed, match="Hounsfield"):
        _read(files)


@pytest.mark.catalogue("P12")
def test_monochrome1_is_a_matter_of_display_and_leaves_hounsfield_units_alone(tmp_path: Path) -> None:
    phantom = small()
    files = write_series(phantom, tmp_path)
    for file in files:
        change(file, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(_read(files).voxels, phantom.hu)


def _signed(file: Path, padding: int | None = None, vr: str = "SS") -> None:
    """Rewrite a file with signed 16-bit values and a corner of -2000."""
    dataset = pydicom.dcmread(file)
    values = np.frombuffer(dataset.PixelData, "<u2").astype("<i2") - 1024
    values[:5] = -2000
    dataset.PixelData = values.astype("<i2").tobytes()
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation, dataset.RescaleIntercept = 16, 15, 1, 0
    if padding is not None:
        dataset.add_new("PixelPaddingValue", vr, padding)
    dataset.save_as(file)


@pytest.mark.catalogue("P11")
@pytest.mark.parametrize(("padding", "vr"), [(-2000, "SS"), (63536, "US"), (None, "")])
def test_padding_is_not_measured_whether_declared_mislabelled_or_silent(
    tmp_path: Path, padding: int | None, vr: str
) -> None:
    files = write_small(tmp_path)
    for file in files:
        _signed(file, padding, vr)
    volume = _read(files)
    assert not volume.valid[:, 0, :5].any()
    assert volume.valid[:, 1:].all()


@pytest.mark.catalogue("P11")
def test_a_padding_range_is_not_measured(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.add_new("PixelPaddingValue", "US", 0)
        dataset.add_new("PixelPaddingRangeLimit", "US", 100)
        dataset.save_as(file)
    volume = _read(files)
    assert np.array_equal(~volume.valid, volume.voxels <= 100 - 1024)


@pytest.mark.catalogue("P5")
def test_bits_above_bits_stored_are_no_anatomy(tmp_path: Path) -> None:
    phantom = small()
    files = write_series(phantom, tmp_path)
    for file in files:
        dataset = pydicom.dcmread(file)
        overlaid = np.frombuffer(dataset.PixelData, "<u2") | 0xF000
        change(file, PixelData=overlaid.astype("<u2").tobytes())
    assert np.array_equal(_read(files).voxels, phantom.hu)


@pytest.mark.catalogue("P1")
def test_short_pixel_data_names_the_instance(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    dataset = pydicom.dcmread(files[5])
    change(files[5], PixelData=dataset.PixelData[:-2])
    with pytest.raises(IncompleteInput, match=f"{dataset.SOPInstanceUID}: pixel data incomplete, 2046 of"):
        _read(files)


@pytest.mark.catalogue("D22")
def test_a_file_without_pixels_names_the_instance(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    uid = pydicom.dcmread(files[5]).SOPInstanceUID
    change(files[5], PixelData=None)
    with pytest.raises(IncompleteInput, match=f"{uid} has no pixel data"):
        _read(files)


@pytest.mark.catalogue("P1")
def test_more_pixel_data_than_declared_is_noted(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    dataset = pydicom.dcmread(files[5])
    change(files[5], PixelData=dataset.PixelData + bytes(100))
    assert "more pixel data" in read_images(select(files), "CT").notes[0]


@pytest.mark.catalogue("P14")
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_one_slice_that_does_not_decode_makes_the_series_incomplete(tmp_path: Path, syntax: str) -> None:
    files = write_small(tmp_path, transfer_syntax=syntax)
    dataset = pydicom.dcmread(files[2])
    frame = next(iter(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)))
    change(files[2], PixelData=encapsulate([frame[: len(frame) // 3]]))
    with pytest.raises(IncompleteInput, match=f"{dataset.SOPInstanceUID}, frame 1 does not decode"):
        _read(files)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "not supported"),
        ({"BitsAllocated": 64, "BitsStored": 64, "HighBit": 63}, "not supported"),
        ({"PixelData": None, "FloatPixelData": np.zeros(32 * 32, "<f4").tobytes()}, "no pixel data"),
    ],
    ids=["1 bit", "64 bits", "float"],
)
def test_P16_pixels_of_a_format_that_is_not_read_are_refused_by_name(
    tmp_path: Path, attributes: dict[str, Any], said: str
) -> None:
    files = write_small(tmp_path)
    change(files[3], **attributes)
    uid = str(pydicom.dcmread(files[3]).SOPInstanceUID)
    with pytest.raises((IncompleteInput, NotProcessed), match=said) as refused:
        _read(files)
    assert uid in str(refused.value)


def test_P13_slices_without_an_image_and_copied_slices_are_said(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    change(files[1], PixelData=bytes(2 * 32 * 32))
    change(files[6], PixelData=pydicom.dcmread(files[5]).PixelData)
    notes = read_images(select(files), "CT").notes
    assert [note.split(":")[0] for note in notes] == [
        "Slice 2 without an image", "Slice 7 with the very pixels of the slice before",
    ]


def test_P13_a_stack_that_shows_nothing_is_refused(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    for file in files:
        change(file, PixelData=bytes(2 * 32 * 32))
    with pytest.raises(NotProcessed, match="none of the 8 slices shows anything"):
        _read(files)


@pytest.mark.catalogue("P2")
def test_a_mislabelled_transfer_syntax_is_refused_by_name(tmp_path: Path) -> None:
    files = write_small(tmp_path, transfer_syntax=JPEGLSLossless)
    dataset = pydicom.dcmread(files[2])
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.save_as(files[2])
    with pytest.raises(NotProcessed, match=r"says JPEG 2000 .*, but its pixels are JPEG-LS"):
        _read(files)


@pytest.mark.catalogue("P6")
def test_a_codestream_of_another_size_never_reaches_a_decoder(tmp_path: Path) -> None:
    files = write_small(tmp_path, transfer_syntax=JPEG2000Lossless)
    for file in files:
        change(file, Rows=16)
    with pytest.raises(NotProcessed, match="declares 32x16 pixels, its codestream 32x32"):
        _read(files)


@pytest.mark.catalogue("P6", "G15")
def test_a_decompression_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    files = write_small(tmp_path, transfer_syntax=RLELossless)
    for file in files:
        change(file, Rows=40000, Columns=40000)
    with pytest.raises(NotProcessed, match=r"more than is read at once|MiB of pixels"):
        _read(files)


def test_an_unknown_transfer_syntax_is_refused_by_name(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    dataset = pydicom.dcmread(files[0])
    dataset.PixelData = encapsulate([b"\0\0\0\1" * 40])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML
    dataset.save_as(files[0])
    with pytest.raises(NotProcessed, match=r"MPEG2 .* is not supported"):
        _read(files)


@pytest.mark.catalogue("P4")
def test_the_sign_of_a_codestream_that_contradicts_the_header_is_noted(tmp_path: Path) -> None:
    phantom = small()
    files = write_series(phantom, tmp_path)
    for file in files:
        dataset = pydicom.dcmread(file)
        values = np.frombuffer(dataset.PixelData, "<u2").astype("<i2") - 1024
        dataset.PixelData = values.tobytes()
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 15, 0
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
        dataset.save_as(file)
    images = read_images(select(files), "CT")
    assert np.array_equal(images.volume.voxels, phantom.hu)
    assert any("sign of pixel values" in note for note in images.notes)


@pytest.mark.catalogue("P9")
def test_a_lossy_transfer_syntax_is_noted_even_where_the_header_is_silent(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.compress(JPEG2000, j2k_cr=[2], generate_instance_uid=False)
        if "LossyImageCompression" in dataset:
            del dataset.LossyImageCompression
        dataset.save_as(file)
    notes = read_images(select(files), "CT").notes
    assert sum("compressed with loss" in note for note in notes) == 1


def test_what_was_left_out_travels_with_the_images(tmp_path: Path) -> None:
    files = write_small(tmp_path, slices=9)
    change(files[8], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    images = read_images(select(files), "CT")
    assert len(images.excluded) == 1
    assert images.acquisition["PatientPosition"] == "HFS"
    assert len(images.volume.frames) == 8
