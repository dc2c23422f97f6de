"""People can make a result by hand, ask whether it is valid, read it and look at it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from PIL import Image
from support import result_samples as samples
from support.chest import write_chest
from typer.testing import CliRunner

from radnode.node.cli import app
from radnode.pipelines import findings_file, inspection, languages
from radnode.pipelines.findings import Findings, Segment

if TYPE_CHECKING:
    from pathlib import Path

runner = CliRunner()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, saved findings about them, and results that the command made."""
    folder = tmp_path_factory.mktemp("by-hand")
    write_chest(folder / "images", slices=20)
    volume = inspection._volume(folder / "images")
    mask = np.zeros(volume.voxels.shape, dtype=bool)
    mask[5:9, 20:40, 10:30] = True
    segment = Segment(key="box", label="Box", category=samples.ANATOMY, type=samples.LUNG, voxels=mask,
                      rgb=(200, 60, 60))
    findings_file.save(Findings(volume=volume, segments=(segment,), remarks=("A box.",)), folder / "findings.zip")
    done = runner.invoke(app, [
        "result", "make", str(folder / "findings.zip"), "--images", str(folder / "images"), "--pipeline", "ct-lung",
        "--form", "SEG", "--form", "TID1500", "--form", "FRACTIONAL", "--output", str(folder / "results"),
    ])
    assert done.exit_code == 0, done.output
    assert "nothing to show as FRACTIONAL" in done.output
    return folder


def test_a_pdf_made_by_hand_is_in_the_language_asked_for(made: Path, tmp_path: Path) -> None:
    if not languages.EAST_ASIAN_FONT.is_file():
        pytest.skip("fonts-wqy-microhei is not installed")
    done = runner.invoke(app, [
        "result", "make", str(made / "findings.zip"), "--images", str(made / "images"), "--pipeline", "ct-lung",
        "--form", "PDF", "--language", "zh", "--output", str(tmp_path),
    ])
    assert done.exit_code == 0, done.output
    assert pydicom.dcmread(tmp_path / "PDF-1.dcm").DocumentTitle.startswith("AI 结果")


def test_a_configuration_in_a_language_without_its_font_is_refused_with_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "radnode.yaml").write_text("node:\n  ae_title: RADNODE\n  report_language: zh\n")
    monkeypatch.setattr(languages, "EAST_ASIAN_FONT", tmp_path / "absent.ttc")
    done = runner.invoke(app, ["check", str(tmp_path / "radnode.yaml")])
    assert done.exit_code == 1
    assert "radnode.yaml:3: node.report_language" in done.output
    assert "fonts-wqy-microhei" in done.output
    (tmp_path / "absent.ttc").touch()
    assert runner.invoke(app, ["check", str(tmp_path / "radnode.yaml")]).exit_code == 0


def test_results_made_by_hand_never_pass_for_those_the_node_sent(made: Path) -> None:
    report = pydicom.dcmread(made / "results" / "TID1500+SEG-1.dcm")
    assert report.ContentQualification == "RESEARCH"
    assert "by hand" in report.SoftwareVersions


def test_findings_are_not_made_into_results_over_other_images(made: Path, tmp_path: Path) -> None:
    write_chest(tmp_path / "others", name="2", slices=20)
    done = runner.invoke(app, [
        "result", "make", str(made / "findings.zip"), "--images", str(tmp_path / "others"), "--pipeline", "ct-lung",
        "--form", "SEG", "--output", str(tmp_path / "results"),
    ])
    assert done.exit_code == 1
    assert "about other images" in done.output
    assert not list(tmp_path.glob("results/*.dcm"))


def test_a_form_that_nobody_writes_is_refused_by_name(made: Path, tmp_path: Path) -> None:
    done = runner.invoke(app, [
        "result", "make", str(made / "findings.zip"), "--images", str(made / "images"), "--pipeline", "ct-lung",
        "--form", "HOLOGRAM", "--output", str(tmp_path),
    ])
    assert done.exit_code == 1
    assert "HOLOGRAM" in done.output


def test_a_report_is_shown_as_a_tree_and_a_segmentation_by_its_segments(made: Path) -> None:
    report = runner.invoke(app, ["result", "show", str(made / "results" / "TID1500+SEG-1.dcm")]).output
    assert "CONTAINS: Imaging Measurements" in report
    assert "CONTAINS: Comment = A box." in report
    segmentation = runner.invoke(app, ["result", "show", str(made / "results" / "SEG-1.dcm")]).output
    assert "1: Box: Lung (39607008, SCT)" in segmentation


def test_a_segmentation_is_drawn_over_its_images(made: Path, tmp_path: Path) -> None:
    arguments = ["result", "show", str(made / "results" / "SEG-1.dcm"), "--png", str(tmp_path / "seg.png")]
    without = runner.invoke(app, arguments)
    assert without.exit_code == 1
    assert "--images" in without.output
    assert runner.invoke(app, [*arguments, "--images", str(made / "images")]).exit_code == 0
    drawn = np.asarray(Image.open(tmp_path / "seg.png").convert("RGB")).astype(int)
    assert (drawn.max(axis=-1) - drawn.min(axis=-1) > 60).sum() > 100  # coloured, over grey images


@pytest.mark.peer
def test_validators_find_no_error_in_a_good_object_and_name_the_fault_of_a_bad_one(made: Path, tmp_path: Path) -> None:
    good = made / "results" / "TID1500+SEG-1.dcm"
    done = runner.invoke(app, ["result", "validate", str(good)])
    assert done.exit_code == 0, done.output
    assert "dsrdump: no error" in done.output
    bad = tmp_path / "bad.dcm"
    dataset = pydicom.dcmread(good)
    del dataset.CurrentRequestedProcedureEvidenceSequence
    dataset.save_as(bad, enforce_file_format=True)
    done = runner.invoke(app, ["result", "validate", str(bad)])
    assert done.exit_code == 1
    assert "Error" in done.output


def test_without_a_validator_nothing_passes(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(inspection.sys, "executable", "/nowhere/python")
    done = runner.invoke(app, ["result", "validate", str(made / "results" / "SEG-1.dcm")])
    assert done.exit_code == 1
    assert "not installed" in done.output


def test_a_file_that_is_no_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no DICOM")
    done = runner.invoke(app, ["result", "show", str(tmp_path / "note.txt")])
    assert done.exit_code == 1
    assert "no DICOM file" in done.output
