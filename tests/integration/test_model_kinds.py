"""Bundles of every kind, unchanged, from DICOM to DICOM: the known finding at the known place, accepted by others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import bundle_kinds, validators
from support.chest import write_chest

from radnode.pipelines import inspection
from radnode.pipelines.contract import RunState
from radnode.pipelines.models import store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom import Dataset

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning"),  # MONAI of numpy 1
    pytest.mark.filterwarnings("ignore:inverse has been called:UserWarning"),
]
SLICES, SIZE = 20, 40
BALL = (9, 12, 27)


def write_images(folder: Path) -> list[Path]:
    """Air, and a cube of water of five voxels around BALL; two voxels of the brightness of the landmarks."""
    write_chest(folder, slices=SLICES, size=SIZE)
    voxels = np.full((SLICES, SIZE, SIZE), -1000, np.int32)
    voxels[tuple(slice(each - 2, each + 3) for each in BALL)] = 0
    voxels[3, 5, 6], voxels[15, 30, 8] = bundle_kinds.LANDMARK_HU.values()
    paths = sorted(folder.glob("*.dcm"), key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))
    for path, plane in zip(paths, voxels, strict=True):
        image = pydicom.dcmread(path)
        stored = (plane - float(image.RescaleIntercept)) / float(image.RescaleSlope)
        image.PixelData = stored.astype(image.pixel_array.dtype).tobytes()
        image.save_as(path)
    return paths


def tried(bundle: Path, form: str, folder: Path) -> tuple[list[Dataset], list[Path]]:
    """The results of that form, each accepted by every validator that knows it; and the images in their order."""
    images = write_images(folder / "ct")
    store.add(folder / "models", bundle, name="model")
    report = inspection.try_pipeline("model", folder / "ct", [form], folder / "out", models=folder / "models",
                                     device="cpu")
    assert report.state == RunState.FINDINGS, report.reason
    results = [pydicom.dcmread(each.path) for each in report.objects]
    assert results
    for each in report.objects[:2]:
        for name, judge in validators.applicable(folder / "out" / f"{form}-1.dcm", form).items():
            if name != "PixelMed":  # tens of seconds a report; the conformance tests ask it about every form
                judge(type(folder)(each.path))
    return results, images


def items(node: Dataset) -> Iterator[Dataset]:
    """Every content item of a report."""
    for item in node.get("ContentSequence", []):
        yield item
        yield from items(item)


def marks(report: Dataset) -> list[tuple[str, np.ndarray]]:
    """(SOP Instance UID, its points as (column, row)) of every region."""
    return [
        (str(item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID),
         np.array(item.GraphicData).reshape(-1, 2))
        for item in items(report) if item.ValueType == "SCOORD"
    ]


def test_a_detector_marks_the_slice_and_the_place_in_a_report(tmp_path: Path) -> None:
    (report,), images = tried(bundle_kinds.write_detection(tmp_path / "bundle"), "TID1500", tmp_path)
    ((uid, outline),) = marks(report)
    assert uid == pydicom.dcmread(images[BALL[0]]).SOPInstanceUID
    middle = (outline.min(axis=0) + outline.max(axis=0)) / 2
    np.testing.assert_allclose(middle, [BALL[2] + 0.5, BALL[1] + 0.5], atol=0.01)
    certain = [item for item in items(report)
               if item.ValueType == "NUM" and item.ConceptNameCodeSequence[0].CodeValue == "111012"]
    assert [float(each.MeasuredValueSequence[0].NumericValue) for each in certain] == pytest.approx([95.26], abs=0.1)


def test_a_detector_of_nodules_speaks_chest_cad(tmp_path: Path) -> None:
    (report,), _ = tried(bundle_kinds.write_detection(tmp_path / "bundle"), "CHEST-CAD", tmp_path)
    assert any("Nodule" in str(item.get("ConceptCodeSequence", "")) for item in items(report))


def test_a_classifier_answers_in_a_report(tmp_path: Path) -> None:
    (report,), _ = tried(bundle_kinds.write_classification(tmp_path / "bundle"), "TID1500", tmp_path)
    answers = [item.ConceptCodeSequence[0].CodeMeaning for item in items(report)
               if item.ConceptNameCodeSequence[0].CodeValue == "121071" and item.ValueType == "CODE"]
    assert answers == ["Nodule"]


def test_landmarks_are_points_in_a_report(tmp_path: Path) -> None:
    (report,), images = tried(bundle_kinds.write_landmarks(tmp_path / "bundle", points=True), "TID1500", tmp_path)
    found = {uid: point[0].tolist() for uid, point in marks(report)}
    uids = [str(pydicom.dcmread(images[index]).SOPInstanceUID) for index in (3, 15)]
    assert found == {uids[0]: [6.5, 5.5], uids[1]: [8.5, 30.5]}


def test_an_enhanced_image_is_a_series_of_its_own(tmp_path: Path) -> None:
    made, images = tried(bundle_kinds.write_enhancement(tmp_path / "bundle"), "IMAGES", tmp_path)
    assert len(made) == SLICES
    for result, path in zip(made, images, strict=True):
        source = pydicom.dcmread(path)
        assert result.ImagePositionPatient == source.ImagePositionPatient
        units = result.pixel_array * float(result.RescaleSlope) + float(result.RescaleIntercept)
        received = source.pixel_array * float(source.RescaleSlope) + float(source.RescaleIntercept)
        np.testing.assert_allclose(units, received / 2 + 100, atol=0.02)
