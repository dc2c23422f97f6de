"""Which images form the stack, in which order, and when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from support import phantoms
from support.phantoms import change, select, write_small

from radnode.pipelines.contract import IncompleteInput, NotProcessed
from radnode.pipelines.sources.select import read_instances
from radnode.pipelines.sources.stack import affine_of

if TYPE_CHECKING:
    from pathlib import Path


def _uids(files: list[Path]) -> list[str]:
    return [str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files]


@pytest.mark.catalogue("G8")
@pytest.mark.parametrize("order", [range(8), range(7, -1, -1), (3, 0, 7, 5, 1, 6, 2, 4)])
def test_order_comes_from_positions_not_from_instance_numbers_or_names(tmp_path: Path, order: Any) -> None:
    files = write_small(tmp_path, order=order)
    chosen = select(sorted(tmp_path.iterdir()))
    assert [each.instance.path for each in chosen.slices] == files
    assert chosen.excluded == {}
    assert chosen.notes == ()


def test_what_pipelines_ask_about_the_acquisition_is_kept_when_all_slices_agree(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    change(files[3], KVP=100)
    acquisition = select(files).acquisition
    assert acquisition["ConvolutionKernel"] == "B31f"
    assert "KVP" not in acquisition


@pytest.mark.catalogue("G5", "G12", "P3", "P17")
@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screen"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]}, "projection"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "Secondary Capture"),
        ({"Modality": "OT"}, "modality is OT"),
        ({"BurnedInAnnotation": "YES"}, "burned"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "another orientation"),
        ({"Rows": 16, "Columns": 64}, "64x16"),
        ({"PixelSpacing": [1, 1]}, "pixel spacing"),
        ({"ImagePositionPatient": None}, "does not say where"),
        ({"PixelSpacing": None}, "Pixel Spacing"),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.8, 0.8]}, "Pixel Spacing"),
        ({"ImageOrientationPatient": [1, 0, 0, 0.5, 1, 0]}, "direction cosines"),
    ],
)
def test_an_image_that_is_no_part_of_the_stack_is_left_out_with_its_reason(
    tmp_path: Path, attributes: dict[str, Any], reason: str
) -> None:
    files = write_small(tmp_path, slices=9)
    change(files[8], **attributes)
    chosen = select(files)
    assert len(chosen.slices) == 8
    ((uid, said),) = chosen.excluded.items()
    assert uid == _uids(files)[8]
    assert reason in said


def test_a_series_of_nothing_usable_says_why(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    for file in files:
        change(file, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    with pytest.raises(NotProcessed, match="no CT slice among 8 images; 8 left out: it is a localiser"):
        select(files)


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(NotProcessed, match="no CT slice among 0 images"):
        select([])


def test_too_few_slices_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotProcessed, match="8 slices of one stack; sample needs at least 20"):
        select(write_small(tmp_path), min_slices=20)


@pytest.mark.catalogue("G1")
def test_missing_inner_slices_are_named_by_position(tmp_path: Path) -> None:
    files = write_small(tmp_path, slices=12)
    places = [float(pydicom.dcmread(file).ImagePositionPatient[2]) for file in files]
    with pytest.raises(IncompleteInput, match="slices are missing inside the stack: 3") as refused:
        select([file for index, file in enumerate(files) if index not in (4, 8, 9)])
    for index in (4, 8, 9):
        assert f"{places[index]:.2f}" in str(refused.value)


@pytest.mark.catalogue("G7")
def test_slices_with_small_deviations_are_read_and_noted(tmp_path: Path) -> None:
    files = phantoms.write_series(phantoms.small(spacing_mm=(3.0, 12.0)), tmp_path)
    x, y, z = pydicom.dcmread(files[5]).ImagePositionPatient
    change(files[5], ImagePositionPatient=[x, y, float(z) + 0.2])
    assert "up to 0.20 mm away from regular positions" in select(files).notes[0]
    change(files[5], ImagePositionPatient=[x, y, float(z) + 1])
    with pytest.raises(NotProcessed, match="not regular"):
        select(files)


@pytest.mark.catalogue("G6")
def test_a_sheared_stack_is_refused_unless_the_pipeline_reads_it(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    for index, file in enumerate(files):
        x, y, z = pydicom.dcmread(file).ImagePositionPatient
        change(file, ImagePositionPatient=[x, float(y) + 9.0 * index, z])
    with pytest.raises(NotProcessed, match="gantry tilt"):
        select(files)
    chosen = select(files, sheared=True)
    assert affine_of(chosen.slices)[1, 0] == pytest.approx(9.0)


def test_slices_beside_the_line_of_the_stack_are_refused(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    x, y, z = pydicom.dcmread(files[4]).ImagePositionPatient
    change(files[4], ImagePositionPatient=[float(x) + 4, y, z])
    with pytest.raises(NotProcessed, match="not regular"):
        select(files)


@pytest.mark.catalogue("G3")
def test_a_copy_with_another_uid_is_left_out(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(files[2].read_bytes())
    change(copy, SOPInstanceUID="9.9.9")
    chosen = select([*files, copy])
    assert len(chosen.slices) == 8
    assert list(chosen.excluded) == ["9.9.9"]
    assert "same pixels" in chosen.excluded["9.9.9"]


@pytest.mark.catalogue("G4", "S4")
@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "ConvolutionKernel", "TemporalPositionIdentifier"])
def test_two_stacks_in_one_series_are_told_apart_and_the_choice_is_said(tmp_path: Path, keyword: str) -> None:
    first = write_small(tmp_path / "a")
    second = phantoms.write_series(phantoms.small(seed=5), tmp_path / "b")
    series = pydicom.dcmread(first[0], stop_before_pixels=True)
    values = ("B31f", "B70f") if keyword == "ConvolutionKernel" else (1, 2)
    for files, value in ((first, values[0]), (second, values[1])):
        for file in files:
            change(
                file,
                SeriesInstanceUID=series.SeriesInstanceUID,
                **{keyword: value},
                FrameOfReferenceUID=series.FrameOfReferenceUID,
            )
    chosen = select([*second, *first])
    assert [each.instance.path for each in chosen.slices] == first
    assert set(chosen.excluded) == set(_uids(second))
    assert f"differ in {keyword}" in chosen.notes[0]


@pytest.mark.catalogue("G3")
def test_different_images_at_one_place_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    other = tmp_path / "other.dcm"
    other.write_bytes(files[2].read_bytes())
    dataset = pydicom.dcmread(other)
    change(other, SOPInstanceUID="9.9.9", PixelData=bytes(len(dataset.PixelData)))
    with pytest.raises(NotProcessed, match="several different images lie at the same place"):
        select([*files, other])


@pytest.mark.catalogue("G9")
def test_a_mixture_without_a_main_stack_is_refused(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    for file in files[:4]:
        change(file, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    with pytest.raises(NotProcessed, match="mixture"):
        select(files)


@pytest.mark.catalogue("G10")
@pytest.mark.parametrize(
    ("value", "said"), [(None, "without Frame of Reference"), ("2.25.7", "2 frames of reference")]
)
def test_positions_need_one_frame_of_reference(tmp_path: Path, value: str | None, said: str) -> None:
    files = write_small(tmp_path)
    change(files[3], FrameOfReferenceUID=value)
    with pytest.raises(NotProcessed, match=said):
        select(files)


@pytest.mark.catalogue("G11")
def test_direction_cosines_that_are_nearly_unit_are_repaired_and_noted(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    for file in files:
        change(file, ImageOrientationPatient=[1.003, 0, 0, 0.001, 0.999, 0])
    chosen = select(files)
    assert "made unit" in chosen.notes[0]
    affine = affine_of(chosen.slices)
    assert np.linalg.norm(affine[:3, 2]) == pytest.approx(chosen.slices[0].spacing_mm[1])
    assert affine[:3, 1] @ affine[:3, 2] == pytest.approx(0)


def test_two_series_are_not_one_job(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    change(files[0], SeriesInstanceUID="2.25.9")
    with pytest.raises(NotProcessed, match="images of 2 series"):
        select(files)


def test_an_image_without_uid_is_refused(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    instances = read_instances(files)
    instances[0].dataset.SOPInstanceUID = ""
    with pytest.raises(NotProcessed, match="without SOP Instance UID"):
        phantoms.select_stack(instances, phantoms.manifest())


def test_a_file_that_is_not_dicom_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(b"hello")
    with pytest.raises(IncompleteInput, match=r"x\.dcm cannot be read as DICOM"):
        read_instances([tmp_path / "x.dcm"])


@pytest.mark.catalogue("P9")
def test_lossy_images_are_noted(tmp_path: Path) -> None:
    files = write_small(tmp_path)
    change(files[0], LossyImageCompression="01")
    assert "compressed with loss" in select(files).notes[0]
