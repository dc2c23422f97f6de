"""OHIF's own importer reads the voxels, the places and the numbers of the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import ohif, validators
from support import result_samples as samples

from radnode.pipelines.findings import InPatient, OnImage
from radnode.pipelines.results.gate import check
from radnode.pipelines.results.writers import WRITERS, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

pytestmark = pytest.mark.peer

GRIDS = [
    pytest.param(orientation, step, id=f"{name}-{'ascending' if step > 0 else 'descending'}")
    for name, orientation in (("axial", samples.AXIAL), ("oblique", samples.OBLIQUE))
    for step in (2.5, -2.5)
]


def _result(folder: Path, sample: samples.Sample, form: str) -> tuple[Path, list[Path]]:
    """The file of one form, which passed the gate, and the files of the images in the order of the volume."""
    sources = []
    for number, header in enumerate(sample.headers):
        sources.append(folder / f"source-{number}.dcm")
        sources[-1].write_bytes(samples.encoded(header))
    (written,) = write(sample.findings, sample.source, sample.provenance, [form])
    target = folder / f"{form}.dcm"
    written.dataset.save_as(target, enforce_file_format=True)
    check({form: [target]}, sample.findings, sample.source, sample.provenance)
    return target, sources


@pytest.mark.catalogue("R17")
@pytest.mark.parametrize("form", [form for form in ("SEG", "LABELMAP") if form in WRITERS])
@pytest.mark.parametrize(("orientation", "step"), GRIDS)
def test_each_segment_has_the_same_voxels_on_the_same_slices(
    form: str, orientation: Sequence[float], step: float, tmp_path: Path
) -> None:
    sample = samples.sample(samples.stack(orientation=orientation, step=step), forms=(form,))
    read = ohif.imported("SEG", *_result(tmp_path, sample, form))
    segments = sample.findings.segments
    # A label map describes its background too, as number 0.
    named = {number: label for number, label in read["segments"].items() if number != "0"}
    assert named == {str(number): each.label for number, each in enumerate(segments, 1)}
    for number, segment in enumerate(segments, 1):
        found = {int(index): set(pixels) for index, pixels in read["voxels"][str(number)].items()}
        meant = {index: set(np.flatnonzero(plane).tolist()) for index, plane in enumerate(segment.mask) if plane.any()}
        assert found == meant


@pytest.mark.parametrize(("orientation", "step"), GRIDS)
def test_each_mark_becomes_its_tool_at_its_place_with_its_number(
    orientation: Sequence[float], step: float, tmp_path: Path
) -> None:
    headers = ohif.square_stack(orientation=orientation, step=step)
    sample = samples.sample(headers, ohif.marked(samples.volume_of(headers)), forms=("OHIF",))
    read = ohif.imported("SR", *_result(tmp_path, sample, "OHIF"))
    identity = sample.provenance.tracking_uid
    by_uid = {each["trackingUid"]: each for each in read}
    assert {uid: (each["tool"], each["label"]) for uid, each in by_uid.items()} == {
        identity("round"): ("PlanarFreehandROI", "Nodule 1, 87% (AI, RESEARCH)"),
        identity("box"): ("RectangleROI", "Nodule 2 (AI, RESEARCH)"),
        identity("pointed"): ("ArrowAnnotate", "Nodule 3, 25% (AI, RESEARCH)"),
        identity("deep"): ("ArrowAnnotate", "Nodule 4 (AI, RESEARCH)"),
        identity("deep-box"): ("RectangleROI", "Nodule 5, 50% (AI, RESEARCH)"),
        identity("round measurement 8"): ("Length", "Nodule 1: Diameter (AI, RESEARCH)"),
        identity("lung-left"): ("Length", "Left lung: Diameter (AI, RESEARCH)"),
    }
    places = {each.key: each.at for each in sample.findings.detections}
    assert isinstance(places["round"], OnImage)
    assert places["round"].outline is not None
    _lies_at(by_uid[identity("round")], places["round"].outline, 2, headers)
    _lies_at(by_uid[identity("pointed")], np.array([(25.5, 20.25)]), 2, headers, first=1)
    _lies_at(by_uid[identity("lung-left")], np.array([(18.5, 5.5), (18.5, 15.5)]), 4, headers)
    assert by_uid[identity("round")]["stats"]["area"] == pytest.approx(24.25 * ohif.SPACING**2)
    assert by_uid[identity("round measurement 8")]["stats"] == {"length": pytest.approx(4.0), "unit": "mm"}
    assert by_uid[identity("lung-left")]["stats"] == {"length": pytest.approx(8.0), "unit": "mm"}
    _is_near(by_uid[identity("deep")]["points"][:1], places["deep"])
    _is_near(by_uid[identity("deep-box")]["points"], places["deep-box"])


def _lies_at(
    read: dict[str, Any], pixels: NDArray[np.float64], index: int, headers: Sequence[Dataset], first: int | None = None
) -> None:
    """The points of a tool are these pixel coordinates of that image, by the image's header alone."""
    header = headers[index]
    across, down = np.array(header.ImageOrientationPatient, dtype=float).reshape(2, 3) * ohif.SPACING
    meant = np.array(header.ImagePositionPatient) + (pixels - 0.5) @ np.stack([across, down])
    assert read["source"] == index
    assert np.abs(np.array(read["points"][:first]) - meant).max() < 1e-4


def _is_near(points: Sequence[Sequence[float]], place: OnImage | InPatient) -> None:
    """The middle of the points is the place itself but for the way to the slice, at most half of 2.5 mm."""
    assert isinstance(place, InPatient)
    away = np.linalg.norm(np.mean(points, axis=0) - np.array(place.center_lps))
    assert 0.1 < away < 1.25


def test_the_report_is_accepted_by_every_validator(tmp_path: Path) -> None:
    headers = ohif.square_stack()
    sample = samples.sample(headers, ohif.marked(samples.volume_of(headers)), forms=("OHIF",))
    report, sources = _result(tmp_path, sample, "OHIF")
    validators.dciodvfy(report)
    validators.dcentvfy(sources, [report])
    validators.dsrdump(report)
    validators.pixelmed_ohif_report(report)
    read = validators.dcmqi_report(report, tmp_path)
    numbers = [(item["quantity"]["CodeMeaning"], float(item["value"]))
               for group in read["Measurements"] for item in group["measurementItems"]]
    assert numbers == [("Area", pytest.approx(15.52)), ("Certainty of Finding", 87.0), ("Volume", 312.5),
                       ("Certainty of Finding", 25.0), ("Certainty of Finding", 50.0),
                       ("Diameter", pytest.approx(4.0)), ("Diameter", pytest.approx(8.0))]


def test_the_importer_still_misplaces_marks_on_pixels_that_are_not_square(tmp_path: Path) -> None:
    """Why nothing is marked there. When this fails, OHIF has learned it, and the limit can go."""
    headers = ohif.square_stack()
    sample = samples.sample(headers, ohif.marked(samples.volume_of(headers)), forms=("OHIF",))
    report, sources = _result(tmp_path, sample, "OHIF")
    for header, source in zip(headers, sources, strict=True):
        header.PixelSpacing = [ohif.SPACING, 2 * ohif.SPACING]
        source.write_bytes(samples.encoded(header))
    (line,) = [each for each in ohif.imported("SR", report, sources) if each["label"].startswith("Left lung")]
    down_the_image = np.subtract(*line["points"])
    assert np.abs(down_the_image[1]) == pytest.approx(2 * 8.0), "ten rows of 0.8 mm are 8 mm"
