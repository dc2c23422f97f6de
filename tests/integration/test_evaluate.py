"""`radnode evaluate`: a pipeline over a folder of studies, against references of every format."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pydicom
import pypdf
import pytest
from support.chest import write_chest
from support.result_samples import ANATOMY, LEFT, LUNG, RIGHT, sample, volume_of
from typer.testing import CliRunner

from radnode.node.cli import app
from radnode.pipelines.ct_lung.measures import MILLILITRE, VOLUME
from radnode.pipelines.ct_lung.phantom import chest_phantom
from radnode.pipelines.findings import Findings, Measurement, Segment
from radnode.pipelines.forms import plan
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from pathlib import Path

    from support.chest import Series

LABELS = "1: lung_left\n2: lung_right\n7: heart\n"


@dataclass(frozen=True)
class Made:
    """What one evaluation wrote, and the series it was about, by what their reference is."""

    folder: Path
    series: dict[str, Series]
    metrics: dict[str, Any]
    rows: list[dict[str, str]]
    said: str


def _truth(series: Series, forms: tuple[str, ...], folder: Path) -> None:
    """The phantom's own lungs, as results are written; 2900 ml are said to have been measured on the left."""
    phantom = chest_phantom(slices=40, size=64)
    headers = [pydicom.dcmread(path) for path in series.files]
    volume = volume_of(headers)
    segments = tuple(
        Segment(key=f"drawn-{side.meaning}", label=f"{side.meaning} lung", category=ANATOMY, type=LUNG, voxels=mask,
                rgb=(200, 80, 80), laterality=side)
        for side, mask in ((LEFT, phantom.left_mask), (RIGHT, phantom.right_mask)))
    measured = (Measurement(of="drawn-Left", name=VOLUME, value=2900.0, unit=MILLILITRE),)
    drawn = sample(headers, Findings(volume=volume, segments=segments, measurements=measured, remarks=("Drawn.",)))
    written = write(drawn.findings, drawn.source, drawn.provenance, plan(forms))
    for result in written:
        if result.wanted.form in forms:
            result.dataset.save_as(folder / f"{result.wanted.form}.dcm", enforce_file_format=True)


def _label_map(series: Series, folder: Path, *, moved_mm: float = 0.0, name: str = "") -> None:
    """As a tool that thinks in columns, rows, slices from the other side stores it."""
    phantom = chest_phantom(slices=40, size=64)
    labels = (phantom.left_mask + 2 * phantom.right_mask).astype(np.uint8).transpose(2, 1, 0)[::-1]
    affine = phantom.affine[:, [2, 1, 0, 3]].copy()
    affine[:3, 3] += affine[:3, 0] * (labels.shape[0] - 1) + [moved_mm, 0, 0]
    affine[:3, 0] *= -1
    image = nibabel.Nifti1Image(np.ascontiguousarray(labels), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
    nibabel.save(image, folder / f"{name or series.study_instance_uid}.nii.gz")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("evaluation")
    drawn = folder / "drawn"
    drawn.mkdir()
    series = {name: write_chest(folder / "images" / name, name=name, patient_id=f"CANARY-{name}")
              for name in ("seg", "rtstruct", "nifti", "beside", "gap", "none")}
    series["gap"].files[20].unlink()
    for name, forms in (("seg", ("SEG",)), ("rtstruct", ("RTSTRUCT",))):
        _truth(series[name], forms, drawn)
    (folder / "report").mkdir()
    _truth(series["seg"], ("SEG", "TID1500"), folder / "report")
    shutil.copy(folder / "report" / "TID1500.dcm", drawn)
    _label_map(series["nifti"], drawn)
    _label_map(series["beside"], drawn, moved_mm=30.0)
    _label_map(series["gap"], drawn)
    _label_map(series["nifti"], drawn, name="somebody-else")
    marks = f"study,x_mm,y_mm,z_mm,diameter_mm\n{series['nifti'].study_instance_uid},60,0,0,9\n"
    (drawn / "marks.csv").write_text(marks)
    (drawn / "notes.txt").write_text("no reference")
    (folder / "labels.yaml").write_text(LABELS)
    (folder / "radnode.yaml").write_text("node:\n  ae_title: RADNODE\n")
    done = _evaluate(folder)
    assert done.exit_code == 0, done.output
    out = folder / "out"
    with (out / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return Made(folder, series, json.loads((out / "metrics.json").read_text()), rows, done.output)


def _evaluate(folder: Path, *more: str) -> Any:
    return CliRunner().invoke(app, [
        "evaluate", "ct-lung", "--data", str(folder / "images"), "--reference", str(folder / "drawn"), "--labels",
        str(folder / "labels.yaml"), "--output", str(folder / "out"), "--config", str(folder / "radnode.yaml"), *more])


def _of(made: Made, name: str, about: str, metric: str) -> list[str]:
    uid = made.series[name].series_instance_uid
    return [row["value"] for row in made.rows if (row["case"], row["about"].lower(), row["metric"]) == (
        uid, about, metric)]


def test_the_same_truth_as_seg_rtstruct_and_nifti_gives_the_same_numbers(made: Made) -> None:
    for metric in ("dice", "hd95_mm", "reference_ml"):
        seen = {*_of(made, "seg", "left lung", metric), *_of(made, "rtstruct", "lung_l", metric),
                *_of(made, "nifti", "lung_left", metric)}
        assert len(seen) == 1, (metric, seen)
    (dice,) = _of(made, "seg", "left lung", "dice")
    assert 0.95 < float(dice) < 1


def test_every_case_is_accounted_for_with_its_reason(made: Made) -> None:
    assert made.metrics["counts"] == {"compared": 3, "not processed": 1, "failed": 0, "reference refused": 1,
                                      "without a reference": 1}
    reasons = {row["case"]: row["reason"] for row in made.rows}
    assert "missing" in reasons[made.series["gap"].series_instance_uid]
    assert "voxels beside" in reasons[made.series["beside"].series_instance_uid]
    assert "was not run" in reasons[made.series["none"].series_instance_uid]


def test_references_of_no_case_are_listed_and_nothing_is_compared_with_them(made: Made) -> None:
    unread = {each["source"]: each["reason"] for each in made.metrics["unread"]}
    assert "its name is no" in unread["somebody-else.nii.gz (somebody-else)"]
    assert "neither DICOM nor" in unread["notes.txt"]
    assert all(source in made.said for source in unread)


def test_a_structure_that_was_never_found_is_said_and_not_scored(made: Made) -> None:
    assert made.metrics["never_found"] == ["heart"]
    names = {each["label"].lower() for each in made.metrics["structures"]}
    assert "heart" not in names


def test_a_report_is_compared_by_what_it_measured(made: Made) -> None:
    (compared,) = made.metrics["measurements"]
    assert (compared["label"], compared["unit"], compared["reference"]) == ("Volume of Left Lung", "ml", [2900.0])
    assert compared["agreement"]["n"] == 1


def test_marks_that_a_pipeline_does_not_find_are_missed(made: Made) -> None:
    (marks,) = made.metrics["marks"]
    assert (marks["marks"], marks["detections"], marks["froc"]) == (1, 0, None)
    assert marks["rows"][0]["metrics"]["sensitivity"]["value"] == 0.0
    assert marks["rows"][0]["metrics"]["precision"]["value"] is None


def test_both_reports_say_what_they_rest_on_and_nothing_of_a_patient(made: Made) -> None:
    page = (made.folder / "out" / "report.html").read_text()
    paper = "".join(each.extract_text() for each in pypdf.PdfReader(made.folder / "out" / "report.pdf").pages)
    for text in (re.sub(r"\s+", " ", page), re.sub(r"\s+", " ", paper)):
        assert "3 of 6 cases were compared" in text
        assert "RESEARCH - not for diagnosis" in text
        assert "Canaria" not in text
        assert "CANARY" not in text
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


def test_a_folder_without_a_usable_case_says_so_and_fails(made: Made, tmp_path: Path) -> None:
    alone = replace(made, folder=tmp_path)
    shutil.copytree(made.folder / "images" / "none", alone.folder / "images")
    for name in ("drawn", "labels.yaml", "radnode.yaml"):
        source = made.folder / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, alone.folder / name)
    done = _evaluate(alone.folder)
    assert done.exit_code == 1
    assert "no case could be compared" in done.output
