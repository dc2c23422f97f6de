"""The validators are awake: each notices the faults it is there for, and one that cannot run is no pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
import pytest
from support import result_samples as samples
from support import validators
from support.validators import Rejected

from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

pytestmark = [pytest.mark.peer, pytest.mark.goal("validators")]


def _broken(folder: Path, form: str, change: Callable[[Dataset], None]) -> Path:
    sample = samples.sample()
    written = {each.wanted.form: each.dataset for each in write(
        sample.findings, sample.source, sample.provenance, sample.provenance.order.forms
    )}  # fmt: skip
    path = folder / f"{form}.dcm"
    written[form].save_as(path, enforce_file_format=True)
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _without(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: delattr(dataset, keyword)


def _wrong_number_of_frames(segmentation: Dataset) -> None:
    segmentation.NumberOfFrames = int(segmentation.NumberOfFrames) + 1


@pytest.mark.parametrize("change", [
    _without("SegmentSequence"), _without("ReferencedSeriesSequence"), _without("SeriesNumber"),
    _wrong_number_of_frames,
])  # fmt: skip
def test_dciodvfy_notices_a_broken_segmentation(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        validators.dciodvfy(_broken(tmp_path, "SEG", change))


def test_dciodvfy_notices_missing_evidence(tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        validators.dciodvfy(
            _broken(tmp_path, "TID1500", _without("CurrentRequestedProcedureEvidenceSequence"))
        )


def test_dcentvfy_notices_another_patient(tmp_path: Path) -> None:
    def change(dataset: Dataset) -> None:
        dataset.PatientID = "PAT-2"

    path = _broken(tmp_path, "SEG", change)
    source = tmp_path / "source.dcm"
    source.write_bytes(samples.encoded(samples.stack()[0]))
    with pytest.raises(Rejected):
        validators.dcentvfy([source], [path])


def test_dcmqi_notices_a_missing_plane(tmp_path: Path) -> None:
    def change(segmentation: Dataset) -> None:
        del segmentation.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence

    path = _broken(tmp_path, "SEG", change)
    with pytest.raises(Rejected):
        validators.dcmqi_segments(path, tmp_path / "segments")


def _illegal_relation(report: Dataset) -> None:
    report.ContentSequence[-1].RelationshipType = "INFERRED FROM"


def _no_unit(report: Dataset) -> None:
    group = report.ContentSequence[-2].ContentSequence[-1]
    number = next(item for item in group.ContentSequence if item.ValueType == "NUM")
    del number.MeasuredValueSequence[0].MeasurementUnitsCodeSequence


@pytest.mark.parametrize("change", [_illegal_relation, _no_unit])
def test_dsrdump_notices_a_broken_tree(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        validators.dsrdump(_broken(tmp_path, "TID1500", change))


def _other_meaning(report: Dataset) -> None:
    group = report.ContentSequence[-2].ContentSequence[-1]
    group.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning = "Name of the thing"


@pytest.mark.parametrize("change", [_illegal_relation, _other_meaning])
def test_pixelmed_notices_a_breach_of_the_template(change: Callable[[Dataset], None], tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        validators.pixelmed_report(_broken(tmp_path, "TID1500", change))


@pytest.mark.parametrize("validate", [
    validators.dciodvfy, validators.dsrdump, validators.pixelmed_report,
])  # fmt: skip
def test_a_validator_that_cannot_read_the_file_is_no_pass(
    validate: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "no-dicom.dcm"
    path.write_bytes(b"no DICOM")
    with pytest.raises(Rejected):
        validate(path)
