"""What references say, on the grid of the images, and what is refused of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.dataset import Dataset
from support.result_samples import LEFT, LUNG, RIGHT, lungs, stack, volume_of

from radnode.pipelines.evaluation import reading_csv
from radnode.pipelines.evaluation.cases import Case, Image, age_band, group, subgroups_of
from radnode.pipelines.evaluation.naming import Reference, case_of
from radnode.pipelines.evaluation.pairing import pairs
from radnode.pipelines.evaluation.reading_nifti import on_grid, structures
from radnode.pipelines.evaluation.reading_rtstruct import filled
from radnode.pipelines.evaluation.references import read_labels
from radnode.pipelines.evaluation.truth import Answer, Number, ReferenceRefused, Structure, Truth, merged, words
from radnode.pipelines.findings import Code, InPatient

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def _case(**changes: object) -> Case:
    said = {"study_instance_uid": "1.1", "series_instance_uids": ("1.1.1",), "accession_number": "A1",
            "patient_id": "P1", "images": (), "subgroups": {}} | changes
    return Case(**said)  # type: ignore[arg-type]


def _header(**said: str) -> Dataset:
    header = Dataset()
    for keyword, value in said.items():
        setattr(header, keyword, value)
    return header


@pytest.mark.parametrize(("said", "band"), [
    ({"PatientAge": "017Y"}, "under 18"), ({"PatientAge": "018Y"}, "18 to 39"), ({"PatientAge": "011M"}, "under 18"),
    ({"PatientAge": "080Y"}, "80 and over"),
    ({"PatientBirthDate": "19660302", "StudyDate": "20260301"}, "40 to 59"),
    ({"PatientBirthDate": "19660301", "StudyDate": "20260301"}, "60 to 79"),
    ({"PatientBirthDate": "19660301"}, "unknown"), ({"PatientAge": "", "StudyDate": "20260301"}, "unknown"),
    ({"PatientBirthDate": "20270101", "StudyDate": "20260301"}, "unknown"),
])
def test_an_age_band_is_of_the_age_at_the_study(said: dict[str, str], band: str) -> None:
    assert age_band(_header(**said)) == band


def test_what_a_header_does_not_say_stays_unknown() -> None:
    assert subgroups_of(_header()) == {"scanner": "unknown", "sex": "unknown", "age": "unknown"}
    assert subgroups_of(_header(Manufacturer="Works", ManufacturerModelName="Ring 64", PatientSex="F"))["scanner"] == (
        "Works Ring 64")


def test_a_series_that_is_too_short_or_of_another_modality_is_no_case() -> None:
    manifest = SimpleNamespace(reads="volume", inputs=(), modality="CT", min_slices=3)
    images = [Image(path=Path(), sop_instance_uid=f"{series}.{number}", series_instance_uid=series,
                    study_instance_uid="1", modality=modality)
              for series, modality, count in (("1.1", "CT", 4), ("1.2", "CT", 2), ("1.3", "MR", 9))
              for number in range(count)]
    assert [case.uid for case in group(images, manifest)] == ["1.1"]  # type: ignore[arg-type]


def test_a_reference_belongs_to_the_one_case_that_it_names() -> None:
    cases = [_case(), _case(study_instance_uid="1.2", series_instance_uids=("1.2.1",), accession_number="A2")]

    def of(**named: object) -> object:
        found = case_of(Reference(source="x", read=lambda _: Truth(), **named), cases)  # type: ignore[arg-type]
        return found if isinstance(found, str) else found.uid

    assert [of(name=name) for name in ("1.2.1", "1.2", "A2")] == ["1.2.1"] * 3
    assert of(study="1.1", series=("1.1.1",)) == "1.1.1"
    assert of(study="1.1") == "1.1.1"
    assert "may be about 2 cases" in str(of(name="P1"))
    assert "series that is not among" in str(of(study="1.1", series=("1.1.9",)))
    assert "its name is no" in str(of(name="9.9"))


def test_a_label_map_comes_to_the_images_through_every_order_and_flip_of_its_axes() -> None:
    volume = volume_of(stack())
    labels = np.arange(volume.voxels.size).reshape(volume.voxels.shape)
    for axes in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        for flips in np.ndindex(2, 2, 2):
            steps = np.diag([*(-1.0 if flip else 1.0 for flip in flips), 1.0])
            steps[:3, 3] = [size - 1 if flip else 0 for size, flip in zip(labels.shape, flips, strict=True)]
            order = np.zeros((4, 4))
            for target, axis in enumerate(axes):
                order[axis, target] = 1.0
            order[3, 3] = 1.0
            flipped = labels[tuple(slice(None, None, -1 if flip else None) for flip in flips)]
            affine = TO_RAS @ volume.affine @ steps @ order
            assert (on_grid(flipped.transpose(axes), affine, volume.affine, labels.shape) == labels).all()


@pytest.mark.parametrize(("change", "reason"), [
    (lambda affine: affine + np.array([[0, 0, 0, 0.5], [0] * 4, [0] * 4, [0] * 4]), "voxels beside"),
    (lambda affine: affine @ np.diag([1, 1, 1.05, 1]), "voxels beside"),
    (lambda affine: np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ affine, "turned"),
])
def test_a_label_map_of_another_grid_is_refused(change: object, reason: str) -> None:
    volume = volume_of(stack())
    with pytest.raises(ReferenceRefused, match=reason):
        on_grid(np.zeros(volume.voxels.shape), change(TO_RAS @ volume.affine), volume.affine,  # type: ignore[operator]
                volume.voxels.shape)
    with pytest.raises(ReferenceRefused, match="5 x 24 x 32"):
        on_grid(np.zeros((5, 24, 32)), TO_RAS @ volume.affine, volume.affine, volume.voxels.shape)


def test_a_value_without_a_name_is_refused_and_a_name_without_a_voxel_is_an_empty_reference() -> None:
    values = np.array([[[0, 1, 1]]], dtype=np.uint8)
    with pytest.raises(ReferenceRefused, match="no name for the values 1"):
        structures(values, {2: "spleen"})
    with pytest.raises(ReferenceRefused, match="no labels"):
        structures(values + 0.5, {1: "spleen"})
    one, two = structures(values, {1: "spleen", 2: "liver"})
    assert (one.mask.sum(), two.mask.sum()) == (2, 0)


@pytest.mark.parametrize("said", ["spleen", "{spleen: 1}", "0: spleen", "1: ''", "1: [spleen]", "1: a\n 2: b"])
def test_a_file_of_labels_that_is_none_is_refused(said: str, tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text(said)
    with pytest.raises(ReferenceRefused, match=r"labels\.yaml"):
        read_labels(tmp_path / "labels.yaml")


def _ring(volume_affine: np.ndarray, place: float, low: float, high: float) -> np.ndarray:
    corners = np.array([[place, low, low], [place, low, high], [place, high, high], [place, high, low]])
    return corners @ volume_affine[:3, :3].T + volume_affine[:3, 3]


def test_a_contour_holds_the_voxels_whose_centre_is_inside_and_a_contour_within_is_a_hole() -> None:
    volume = volume_of(stack())
    shape = volume.voxels.shape
    outer, inner = _ring(volume.affine, 2, 3.5, 12.5), _ring(volume.affine, 2, 5.5, 8.5)
    expected = np.zeros(shape, dtype=bool)
    expected[2, 4:13, 4:13] = True
    assert (filled([outer], volume.affine, shape) == expected).all()
    expected[2, 6:9, 6:9] = False
    assert (filled([outer, inner], volume.affine, shape) == expected).all()


@pytest.mark.parametrize(("places", "high", "reason"), [
    ((1.5,), 12.5, "slices of the images"), ((0, 2, 4), 12.5, "some of the slices"), ((2,), 40.0, "beyond"),
    ((9,), 12.5, "beyond"),
])
def test_contours_beside_beyond_or_between_the_images_are_refused(
    places: tuple[float, ...], high: float, reason: str
) -> None:
    volume = volume_of(stack())
    with pytest.raises(ReferenceRefused, match=reason):
        filled([_ring(volume.affine, place, 3.5, high) for place in places], volume.affine, volume.voxels.shape)


def _structure(label: str, mask: np.ndarray, side: Code | None = None, kind: Code | None = LUNG) -> Structure:
    return Structure(label=label, voxels=mask, type=kind, laterality=side)


def test_structures_meet_by_code_and_side_then_by_name_in_any_spelling() -> None:
    found = lungs(volume_of(stack()))
    right, left = found.segments
    for reference, segment in (
        (_structure("something", left.mask, LEFT), left), (_structure("R", right.mask, RIGHT), right),
        (_structure("lung_left", left.mask, kind=None), left), (_structure("Lung_R", right.mask, kind=None), right),
    ):
        (pair,) = pairs([reference], found.segments)
        assert pair.found is not None
        assert (pair.found == segment.mask).all()


def test_a_structure_never_meets_the_other_side_or_another_organ() -> None:
    found = lungs(volume_of(stack()))
    empty = np.zeros(found.grid.voxels.shape, dtype=bool)
    only_left = [each for each in found.segments if each.laterality == LEFT]
    for reference in (_structure("Left lung", empty, RIGHT), _structure("Lung", empty), _structure("spleen", empty,
                                                                                                   kind=None)):
        (pair,) = pairs([reference], only_left)
        assert pair.found is None


def test_parts_that_only_a_number_tells_apart_are_compared_together() -> None:
    found = lungs(volume_of(stack()))
    whole = found.segments[0].mask
    one, two = whole.copy(), whole.copy()
    one[2:], two[:2] = False, False
    (pair,) = pairs([_structure("Right lung 1", one, RIGHT), _structure("Right lung 2", two, RIGHT)], found.segments)
    assert (pair.reference == whole).all()


@pytest.mark.parametrize(("table", "expected"), [
    ("study,x_mm,y_mm,z_mm,diameter_mm\nS,1,2,3,8\nS,4,5,6,\n", {"S": [4.0, None]}),
    ("Study , x_mm,y_mm,z_mm,diameter_mm,label\nS,,,,,\nT,1,2,3,6,mass\n", {"S": [], "T": [3.0]}),
    ("study,sop_instance_uid,column,row,diameter_px\nS,1.2.3,10,20,30\n", {"S": [15.0]}),
])
def test_a_table_of_marks_is_read_and_an_empty_row_says_that_there_is_nothing(
    table: str, expected: dict[str, list[float | None]], tmp_path: Path
) -> None:
    (tmp_path / "marks.csv").write_text(table)
    read = {each.name: each.read(None).marks for each in  # type: ignore[arg-type]
            reading_csv.references(tmp_path / "marks.csv", "marks.csv")}
    assert {study: [mark.radius for mark in found or ()] for study, found in read.items()} == expected
    first = next((found[0].at for found in read.values() if found), None)
    if "x_mm" in table:
        assert first == InPatient(center_lps=(1.0, 2.0, 3.0))


def test_answers_and_measurements_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("study,name,value\nS,Finding,Present\n")
    (tmp_path / "m.csv").write_text("study,of,name,value,unit\nS,Left lung,Volume,12.5,ml\n")
    (answer,), (number,) = (list(reading_csv.references(tmp_path / name, name)) for name in ("a.csv", "m.csv"))
    assert answer.read(None).answers == (Answer(name="Finding", value="Present"),)  # type: ignore[arg-type]
    assert number.read(None).numbers == (  # type: ignore[arg-type]
        Number(of="Left lung", name="Volume", value=12.5, unit="ml"),)


@pytest.mark.parametrize(("table", "reason"), [
    ("study,x,y\nS,1,2\n", "first line"), ("study,name,value\n,Finding,Present\n", "line 2 names no study"),
    ("study,x_mm,y_mm,z_mm,diameter_mm\nS,1,2,here,8\n", "line 2: z_mm is no number"),
    ("study,x_mm,y_mm,z_mm,diameter_mm\nS,1,2,3,-8\n", "above 0"),
    ("study,x_mm,y_mm,z_mm,diameter_mm\nS,1,2,3,8\nS,,,,\n", "one row of this study says that there is nothing"),
    ("study,sop_instance_uid,column,row,diameter_px\nS,1.2,1,2,\n", "diameter_px is empty"),
    ("study,of,name,value,unit\nS,lung,Volume,nan,ml\n", "no number"),
])
def test_a_mistake_in_a_table_is_named_with_its_line(table: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text(table)
    with pytest.raises(ReferenceRefused, match=reason):
        list(reading_csv.references(tmp_path / "marks.csv", "marks.csv"))


def test_two_references_that_speak_of_the_same_are_not_chosen_between() -> None:
    empty = np.zeros((2, 2, 2), dtype=bool)
    one, two = (Truth(structures=(_structure(label, empty),)) for label in ("Left lung", "lung_left"))
    with pytest.raises(ReferenceRefused, match=r"a\.nii and b\.dcm both speak"):
        merged([("a.nii", one), ("b.dcm", two)])
    assert merged([("a.nii", one), ("b.csv", Truth(marks=()))]).marks == ()


def test_sides_are_spelled_in_many_ways() -> None:
    assert len({words(each) for each in ("Left lung", "lung-left", "Lung_L", "lung Lt.")}) == 1
    assert words("Left lung") != words("Right lung")
