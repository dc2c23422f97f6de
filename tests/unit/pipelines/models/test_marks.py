"""Boxes and points on images that are no slices: at their pixels, on their own image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from support import flat_bundles
from support import flat_images as flat
from support.phantoms import manifest

from radnode.pipelines import inspection
from radnode.pipelines.contract import RunContext, RunFailed, RunState
from radnode.pipelines.findings import OnImage
from radnode.pipelines.models import store
from radnode.pipelines.models.bundle import BundlePipeline
from radnode.pipelines.sources.headers import read_instances
from radnode.pipelines.sources.images import read_projections
from radnode.pipelines.sources.projections import select_projections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom import Dataset

    from radnode.pipelines.findings import Findings

pytestmark = [
    pytest.mark.filterwarnings("ignore:inverse has been called:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning"),  # MONAI of numpy 1
]
LOW = np.array([flat.MARK[1].start, flat.MARK[0].start], float)
HIGH = np.array([flat.MARK[1].stop, flat.MARK[0].stop], float)
"""The corners of the mark, (column, row), in DICOM's pixel coordinates. The detector's boxes reach half a pixel
farther.
"""


def run(folder: Path, images: Path) -> Findings:
    wanted = manifest(modality="MG", reads="projection", min_slices=1)
    files = sorted(images.glob("*.dcm"))
    read = read_projections(select_projections(read_instances(files), wanted), wanted)
    return BundlePipeline(folder).run(read, RunContext(device="cpu", stage=lambda _: None))


@pytest.mark.parametrize("mode", ["xyxy", "xxyy", "ccwh", "xywh"])
def test_a_box_lies_around_the_pixels_it_was_found_on(tmp_path: Path, mode: str) -> None:
    files = flat.write_mammograms(tmp_path / "mg", inverted=True)
    found = run(flat_bundles.detector(tmp_path / "boxes", mode=mode), tmp_path / "mg")
    assert {each.at.sop_instance_uid for each in found.detections if isinstance(each.at, OnImage)} == {
        path.stem for path in files}
    assert len(found.detections) == len(files) == 4
    for each in found.detections:
        assert isinstance(each.at, OnImage)
        assert each.at.outline is not None
        np.testing.assert_allclose(each.at.outline.min(axis=0), LOW - 0.5, atol=1e-3)
        np.testing.assert_allclose(each.at.outline.max(axis=0), HIGH + 0.5, atol=1e-3)
        assert each.certainty == pytest.approx(1 / (1 + np.exp(-2)), abs=0.01)


@pytest.mark.parametrize(("heat", "size"), [(False, None), (False, [64, 48]), (False, [96, 24]), (True, None)],
                         ids=["point", "point of twice the size", "point of unequal scales", "heat map"])
def test_a_landmark_lies_where_the_network_saw_it_whatever_size_it_was_shown(
    tmp_path: Path, heat: bool, size: list[int] | None
) -> None:
    flat.write_mammograms(tmp_path / "mg")
    found = run(flat_bundles.marker(tmp_path / "points", heat=heat, size=size), tmp_path / "mg")
    assert len(found.detections) == 4
    for each in found.detections:
        assert isinstance(each.at, OnImage)
        assert each.at.outline is None
        np.testing.assert_allclose(each.at.center, (LOW + HIGH) / 2, atol=1e-3)
    assert {each.label for each in found.detections} == {"nipple"}


def test_boxes_in_the_patient_are_refused_on_images_that_have_no_place_there(tmp_path: Path) -> None:
    flat.write_mammograms(tmp_path / "mg")
    with pytest.raises(RunFailed, match=r"images have none|failed on these images"):
        run(flat_bundles.detector(tmp_path / "boxes", world=True), tmp_path / "mg")


def items(node: Dataset) -> Iterator[Dataset]:
    for item in node.get("ContentSequence", []):
        yield item
        yield from items(item)


def test_a_report_has_each_box_in_image_coordinates_on_its_own_image(tmp_path: Path) -> None:
    files = flat.write_mammograms(tmp_path / "mg")
    store.add(tmp_path / "models", flat_bundles.detector(tmp_path / "boxes"), name="boxes")
    report = inspection.try_pipeline("boxes", tmp_path / "mg", ["TID1500"], tmp_path / "out",
                                     models=tmp_path / "models", device="cpu")
    assert report.state == RunState.FINDINGS, report.reason
    drawn: dict[str, Any] = {}
    for produced in report.objects:
        for item in items(pydicom.dcmread(produced.path)):
            if item.ValueType == "SCOORD":
                (image,) = item.ContentSequence[0].ReferencedSOPSequence
                drawn[str(image.ReferencedSOPInstanceUID)] = np.array(item.GraphicData).reshape(-1, 2)
    assert set(drawn) == {path.stem for path in files}
    for points in drawn.values():
        np.testing.assert_allclose(points.min(axis=0), LOW - 0.5, atol=1e-3)
        np.testing.assert_allclose(points.max(axis=0), HIGH + 0.5, atol=1e-3)
