"""Contours are drawn on the picture that they name, where they lie in the patient, and nowhere else."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from support import result_samples as samples

from radnode.node.dicomweb_out.frames import NoPicture
from radnode.node.pictures import reading_contours
from radnode.node.pictures.planes import plane_of, sides_of_plane
from radnode.pipelines.forms import plan
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
FEET_FIRST_PRONE = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TURNED = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)
DATA = Tag("ContourData")


class Case:
    """A structure set of two lungs, as the node writes it, over a stack."""

    def __init__(self, folder: Path, orientation: Sequence[float] = samples.AXIAL, step: float = 2.5) -> None:
        self.headers = samples.stack(orientation=orientation, step=step)
        sample = samples.sample(self.headers, forms=plan(("RTSTRUCT",)))
        self.segments = sample.findings.segments
        (written,) = write(sample.findings, sample.source, sample.provenance, sample.provenance.order.forms)
        self.dataset = written.dataset
        self.path = folder / "rtstruct.dcm"
        self.save()

    def save(self) -> None:
        reading_contours._opened.cache_clear()
        self.dataset.save_as(self.path, enforce_file_format=True)

    def contours(self) -> list[Dataset]:
        return [each for structure in self.dataset.ROIContourSequence for each in structure.ContourSequence]

    def index(self, pictures: Sequence[Any] | None = None) -> dict[str, Any]:
        return reading_contours.index(self.path, pictures or [picture(each) for each in self.headers])

    def lines(self, header: Dataset, *structures: int) -> str:
        return reading_contours.drawing(self.path, picture(header), structures).decode()


def picture(header: Dataset) -> Any:
    plane = plane_of({name: list(map(float, np.atleast_1d(header[name].value))) if name not in ("Rows", "Columns")
                      else int(header[name].value) for name in
                      ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns")})
    assert plane is not None
    return [str(header.SOPInstanceUID), 0, str(header.FrameOfReferenceUID), asdict(plane)]


def inside(svg: str, rows: int, columns: int) -> NDArray[np.bool_]:
    """The pixels whose middle lies within the coloured lines: an even-odd count of what is crossed to the right."""
    crossed = np.zeros((rows, columns), int)
    middle = np.arange(rows) + 0.5
    for path in re.findall(r'd="([^"]+)" stroke="rgb', svg):
        at = (0.0, 0.0)
        for command, x, y in re.findall(r"([ML])([-\d.e]+) ([-\d.e]+)", path):
            to = float(x), float(y)
            if command == "L" and to[1] != at[1]:
                hit = (np.minimum(at[1], to[1]) <= middle) & (middle < np.maximum(at[1], to[1]))
                where = at[0] + (middle - at[1]) / (to[1] - at[1]) * (to[0] - at[0])
                crossed += hit[:, np.newaxis] & (np.arange(columns) + 0.5 < where[:, np.newaxis])
            at = to
    return crossed % 2 == 1


@pytest.mark.parametrize("step", [2.5, -2.5])
@pytest.mark.parametrize("orientation", [samples.AXIAL, samples.OBLIQUE, CORONAL, FEET_FIRST_PRONE, TURNED])
def test_a_contour_encloses_the_pixels_of_its_segment_on_their_own_slice_however_that_lies(
    tmp_path: Path, orientation: Sequence[float], step: float
) -> None:
    case = Case(tmp_path, orientation, step)
    assert all(case.index()[each] == 0 for each in ("elsewhere", "displaced", "foreign"))
    for place, header in enumerate(case.headers):
        for number, segment in enumerate(case.segments, 1):
            found = inside(case.lines(header, number), 24, 32)
            assert found.tolist() == segment.mask[place].tolist()


@pytest.mark.parametrize("orientation", [samples.AXIAL, CORONAL, FEET_FIRST_PRONE, (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)])
def test_what_lies_towards_the_left_of_the_patient_is_drawn_towards_the_letter_l(
    tmp_path: Path, orientation: Sequence[float]
) -> None:
    case = Case(tmp_path, orientation)
    header = case.headers[2]
    shown = picture(header)
    plane = plane_of({"ImagePositionPatient": list(shown[3]["position"]), "Rows": 24, "Columns": 32, "PixelSpacing":
                      list(shown[3]["spacing"]), "ImageOrientationPatient": [*shown[3]["row"], *shown[3]["column"]]})
    assert plane is not None
    _, right_end, low_end = plane.corners()
    middle = (right_end + low_end) / 2
    contour = case.contours()[0]
    near = np.array([[6.0, 0, 0], [6, 1, 0], [5, 1, 0], [6.0, 0, 1], [6, 0, 2]])
    flat = near - np.outer(near @ plane.normal, plane.normal)
    contour.ContourData = [round(float(each), 4) for each in (middle + flat).ravel()]
    contour.NumberOfContourPoints = len(near)
    contour.ContourImageSequence[0].ReferencedSOPInstanceUID = header.SOPInstanceUID
    case.dataset.ROIContourSequence = [case.dataset.ROIContourSequence[0]]
    case.dataset.ROIContourSequence[0].ContourSequence = [contour]
    case.save()
    xs = [float(each) for each in re.findall(r"[ML]([-\d.]+) ", case.lines(header, 1))]
    sides = sides_of_plane(plane)
    assert "L" in (sides.left, sides.right)
    assert xs
    assert (min(xs) > 16) if sides.right == "L" else (max(xs) < 16)


def test_contours_of_images_that_are_not_shown_are_drawn_nowhere(tmp_path: Path) -> None:
    case = Case(tmp_path)
    other = [picture(each) for each in case.headers]
    for number, each in enumerate(other):
        each[0] = f"1.2.3.{number}"
    said = case.index(other)
    assert (said["on"], said["elsewhere"]) == ([{}] * 6, len(case.contours()))
    assert "<path" not in reading_contours.drawing(case.path, other[3], [1, 2]).decode()


def test_contours_off_the_plane_of_the_picture_that_they_name_are_not_drawn_and_counted(tmp_path: Path) -> None:
    case = Case(tmp_path)
    moved = case.contours()[0]
    points = np.array(moved.ContourData, float).reshape(-1, 3)
    points[-1, 2] += 0.2
    moved.ContourData = [str(each) for each in points.ravel()]
    named = str(moved.ContourImageSequence[0].ReferencedSOPInstanceUID)
    case.save()
    assert case.index()["displaced"] == 1
    header = next(each for each in case.headers if named == each.SOPInstanceUID)
    assert not inside(case.lines(header, 1), 24, 32).any()


def test_contours_in_another_frame_of_reference_are_not_drawn_even_where_they_name_the_picture(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = "1.2.3.4"
    case.save()
    said = case.index()
    assert said["foreign"] == len(case.dataset.ROIContourSequence[0].ContourSequence)
    assert not any(1 in each for each in said["on"])
    assert all(not inside(case.lines(each, 1), 24, 32).any() for each in case.headers)
    assert any(inside(case.lines(each, 2), 24, 32).any() for each in case.headers)


def test_a_contour_that_names_no_image_is_on_the_planning_slice_whose_plane_it_lies_in_and_on_no_other_series(
    tmp_path: Path,
) -> None:
    case = Case(tmp_path)
    before = case.index()["on"]
    for each in case.contours():
        del each.ContourImageSequence
    case.save()
    assert case.index()["on"] == before
    other = [[f"1.2.3.{number}", *picture(each)[1:]] for number, each in enumerate(case.headers)]
    assert case.index(other)["elsewhere"] == len(case.contours())
    assert "<path" not in reading_contours.drawing(case.path, other[2], [1, 2]).decode()


def test_structures_come_with_their_names_sides_and_colours(tmp_path: Path) -> None:
    case = Case(tmp_path)
    first, second = case.index()["structures"]
    assert (first["label"], first["colour"], first["side"]) == ("Lung_R", [90, 160, 220], "Right")
    assert (second["label"], second["colour"], second["side"]) == ("Lung_L", [220, 160, 90], "Left")
    assert "rgb(90,160,220)" in case.lines(case.headers[2], 1)


def test_the_cut_that_leads_to_a_hole_is_not_drawn(tmp_path: Path) -> None:
    case = Case(tmp_path)
    hole = replace(case.segments[0], voxels=case.segments[0].mask.copy())
    hole.voxels[2, 6:9, 4:6] = False
    findings = samples.lungs(samples.volume_of(case.headers))
    sample = samples.sample(case.headers, replace(findings, segments=(hole,), measurements=()),
                            forms=plan(("RTSTRUCT",)))
    (written,) = write(sample.findings, sample.source, sample.provenance, sample.provenance.order.forms)
    case.dataset = written.dataset
    case.save()
    svg = case.lines(case.headers[2], 1)
    assert inside(svg, 24, 32).tolist() == hole.voxels[2].tolist()
    (line,) = re.findall(r'd="([^"]+)" stroke="rgb', svg)
    assert "L2 8.5M4 8.5" in line, "the hole begins where the cut ended"
    assert "M2 8.5L2 3.5" in line, "and the outside goes on where it began"


def raw(content: bytes) -> RawDataElement:
    return RawDataElement(DATA, "DS", len(content), content, 0, True, True)


def with_data(content: bytes, points: int = 1) -> Callable[[Dataset], None]:
    def change(contour: Dataset) -> None:
        contour[DATA] = raw(content)
        contour.NumberOfContourPoints = points

    return change


@pytest.mark.parametrize(("change", "why"), [
    (with_data(b"1\\2\\nan "), "a coordinate that is no number"),
    (with_data(b"1\\2\\1e999 "), "a coordinate that is no number"),
    (with_data(b"1\\2\\1_0 "), "a coordinate that is no number"),
    (with_data(b"1\\2\\"), "a coordinate that is no number"),
    (with_data(b"1\\2\\3\\4 "), "has 4 numbers, which are no points of three"),
    (with_data(b"  "), "has no points"),
    (with_data(b"1\\2\\3 ", 7), "has 1 points and says 7"),
    (with_data(b"\\".join([b"1"] * 3 * (reading_contours.MOST_POINTS + 1))), "more than 2000000 points"),
])
def test_a_set_with_a_contour_that_is_none_is_refused_whole_and_in_words(
    tmp_path: Path, change: Callable[[Dataset], None], why: str
) -> None:
    case = Case(tmp_path)
    change(case.contours()[1])
    case.save()
    for ask in (case.index, lambda: case.lines(case.headers[0], 1)):
        with pytest.raises(NoPicture, match=why):
            ask()


def test_a_structure_that_is_drawn_twice_or_has_no_name_is_refused(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.dataset.ROIContourSequence[1].ReferencedROINumber = 1
    case.save()
    with pytest.raises(NoPicture, match="draws a structure twice"):
        case.index()
    case.dataset.ROIContourSequence[1].ReferencedROINumber = 9
    case.save()
    with pytest.raises(NoPicture, match="or one that it does not name"):
        case.index()
