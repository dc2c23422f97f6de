"""What radnode writes, judged by implementations of DICOM that are not ours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from support import charset_sources, validators
from support import result_samples as samples
from support.charset_sources import TEXTS, Text

from radnode.pipelines.geometry import SourceFrame, to_index
from radnode.pipelines.results.gate import check
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

pytestmark = pytest.mark.peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Source files and result files of one job."""

    sample: samples.Sample
    sources: tuple[Path, ...]
    results: dict[str, Path]


def _study(folder: Path, sample: samples.Sample, contents: Sequence[bytes] = ()) -> Study:
    """Files of a job. contents: the source files, all in UTF-8 because dcentvfy compares bytes."""
    sources = []
    for number, content in enumerate(contents or map(samples.encoded, sample.headers)):
        sources.append(folder / f"source-{number:03d}.dcm")
        sources[-1].write_bytes(content + _pixel_data(2 * 24 * 32))
    results, files = {}, {}
    for result in write(sample.findings, sample.source, sample.provenance, sample.provenance.order.forms):
        results[result.wanted.form] = folder / f"{result.wanted.form}.dcm"
        result.dataset.save_as(results[result.wanted.form], enforce_file_format=True)
        files[result.wanted.name] = [results[result.wanted.form]]
    check(files, sample.findings, sample.source, sample.provenance)
    return Study(sample=sample, sources=tuple(sources), results=results)


def _pixel_data(size: int) -> bytes:
    return b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little") + b"\0" * size


def _everybody_accepts(study: Study, folder: Path, *, templates: bool) -> None:
    for path in study.results.values():
        validators.dciodvfy(path)
    validators.dcentvfy(study.sources, study.results.values())
    validators.dsrdump(study.results["TID1500"])
    validators.dcmqi_report(study.results["TID1500"], folder)
    if templates:
        validators.pixelmed_report(study.results["TID1500"])


def _same_voxels(study: Study, folder: Path) -> None:
    """dcmqi and ITK find exactly the voxels of the findings, at the same patient coordinates."""
    read = validators.dcmqi_segments(study.results["SEG"], folder / "segments")
    findings = study.sample.findings
    assert sorted(read) == list(range(1, len(findings.segments) + 1))
    for number, segment in enumerate(findings.segments, 1):
        index = to_index(findings.grid.affine, read[number])
        assert np.abs(index - np.rint(index)).max() < 0.001
        assert np.array_equal(np.unique(np.rint(index), axis=0), np.argwhere(segment.mask))
        assert len(index) == np.count_nonzero(segment.mask)


@pytest.mark.parametrize("orientation", [samples.AXIAL, samples.OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("step", [2.5, -2.5], ids=["ascending", "descending"])
def test_segmentation_and_report_are_accepted_and_lie_where_the_findings_are(
    orientation: Sequence[float], step: float, tmp_path: Path
) -> None:
    study = _study(tmp_path, samples.sample(samples.stack(orientation=orientation, step=step)))
    _everybody_accepts(study, tmp_path, templates=orientation == samples.AXIAL and step > 0)
    _same_voxels(study, tmp_path)


@pytest.mark.parametrize("charset", TEXTS)
def test_results_of_sources_in_every_character_set_are_accepted(charset: str, tmp_path: Path) -> None:
    headers = [charset_sources.header_in(TEXTS[charset], header) for header in samples.stack()]
    in_utf_8 = Text("ISO_IR 192", TEXTS[charset].meant.encode(), TEXTS[charset].meant)
    contents = [charset_sources.encoded_in(in_utf_8, header) for header in samples.stack()]
    study = _study(tmp_path, samples.sample(headers), contents)
    for path in study.results.values():
        assert str(pydicom.dcmread(path).PatientName) == TEXTS[charset].meant
    _everybody_accepts(study, tmp_path, templates=charset == "GB18030")
    assert TEXTS[charset].meant.split("=")[-1].split("^")[0] in validators.dcmtk_text(
        study.results["TID1500"], "0010,0010"
    )


def test_results_over_an_enhanced_multi_frame_image_are_accepted_and_name_its_frames(tmp_path: Path) -> None:
    headers = samples.stack(8)
    image, volume = samples.enhanced(headers), samples.volume_of(headers)
    frames = tuple(
        SourceFrame(
            sop_class_uid=str(image.SOPClassUID),
            sop_instance_uid=str(image.SOPInstanceUID),
            frame_number=number,
        )
        for number in range(1, 9)
    )
    study = _study(tmp_path, samples.sample([image], samples.lungs(replace(volume, frames=frames))))
    for path in study.results.values():
        validators.dciodvfy(path)
    validators.dsrdump(study.results["TID1500"])
    validators.pixelmed_report(study.results["TID1500"])
    _same_voxels(study, tmp_path)
    segmentation = pydicom.dcmread(study.results["SEG"])
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        named = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        place = group.PlanePositionSequence[0].ImagePositionPatient
        assert list(place) == list(headers[int(named) - 1].ImagePositionPatient)


def _no_type_2(header: Dataset) -> None:
    for keyword in (
        "AccessionNumber",
        "StudyID",
        "ReferringPhysicianName",
        "PatientBirthDate",
        "PatientSex",
        "StudyTime",
    ):
        delattr(header, keyword)


def _empty_type_2(header: Dataset) -> None:
    for keyword in (
        "AccessionNumber",
        "StudyID",
        "ReferringPhysicianName",
        "PatientBirthDate",
        "PatientSex",
        "PatientName",
        "StudyDate",
        "StudyTime",
    ):
        setattr(header, keyword, "")


def _a_request(header: Dataset) -> None:
    request = Dataset()
    request.AccessionNumber = "A-77"
    request.RequestedProcedureID = "RP-1"
    request.RequestedProcedureDescription = "CT thorax"
    request.ScheduledProcedureStepID = "SPS-1"
    header.RequestAttributesSequence = [request]
    header.TimezoneOffsetFromUTC = "+0530"


def _much_about_the_patient(header: Dataset) -> None:
    header.PatientAge, header.PatientWeight, header.PatientSize = "066Y", 71.5, 1.68
    header.OtherPatientIDsSequence = [Dataset()]
    header.OtherPatientIDsSequence[0].PatientID = "OLD-1"
    header.OtherPatientIDsSequence[0].TypeOfPatientID = "TEXT"
    header.PatientComments = "allergic to peanuts"
    header.PatientIdentityRemoved, header.DeidentificationMethod = "YES", "basic profile"
    header.ClinicalTrialProtocolID, header.ClinicalTrialSponsorName = "CT-1", "Sponsor"
    header.ClinicalTrialSubjectID = "SUBJECT-1"
    header.ClinicalTrialProtocolName = header.ClinicalTrialSiteID = header.ClinicalTrialSiteName = ""


@pytest.mark.parametrize("change", [_no_type_2, _empty_type_2, _a_request, _much_about_the_patient])
def test_results_of_sources_with_more_or_less_in_the_header_are_accepted(
    change: Callable[[Dataset], None], tmp_path: Path
) -> None:
    headers = samples.stack()
    for header in headers:
        change(header)
    _everybody_accepts(_study(tmp_path, samples.sample(headers)), tmp_path, templates=False)


@pytest.mark.catalogue("R10")
def test_a_run_that_found_nothing_says_so_in_an_accepted_report(tmp_path: Path) -> None:
    headers = samples.stack()
    study = _study(tmp_path, samples.sample(headers, samples.nothing(samples.volume_of(headers))))
    assert list(study.results) == ["TID1500"]
    _everybody_accepts(study, tmp_path, templates=True)
    shown = validators.dsrdump(study.results["TID1500"])
    assert '(111241,DCM,"All algorithms succeeded; without findings")' in shown
    assert "Nothing found by Lung volumes in chest CT (1.2.3)." in shown
    assert "No lung in the images." in shown


def test_a_report_without_a_segmentation_is_accepted(tmp_path: Path) -> None:
    study = _study(tmp_path, samples.sample(forms=("TID1500",)))
    assert list(study.results) == ["TID1500"]
    _everybody_accepts(study, tmp_path, templates=True)


@pytest.mark.catalogue("R15")
def test_a_reader_of_the_report_sees_what_made_it_and_that_it_is_research(tmp_path: Path) -> None:
    shown = validators.dsrdump(_study(tmp_path, samples.sample()).results["TID1500"])
    for said in (
        "RESEARCH",
        "Not verified by a person",
        "The left lung touches the edge of the scan.",
        "6 instances received, 6 images read",
        samples.MANIFEST.model_digest,
        "1.2.3",
    ):
        assert said in shown


def test_dcmqi_reads_the_same_numbers(tmp_path: Path) -> None:
    study = _study(tmp_path, samples.sample())
    report = validators.dcmqi_report(study.results["TID1500"], tmp_path)
    read = [
        (item["quantity"]["CodeMeaning"], item["units"]["CodeValue"], float(item["value"]))
        for group in report["Measurements"]
        for item in group["measurementItems"]
    ]
    meant = [(each.name.meaning, each.unit.value, each.value) for each in study.sample.findings.measurements]
    assert [each[:2] for each in read] == [each[:2] for each in meant]
    assert np.allclose([each[2] for each in read], [each[2] for each in meant], rtol=1e-9)


def test_each_result_has_a_series_of_its_own_and_the_codes_that_viewers_compare(tmp_path: Path) -> None:
    """OHIF shows the last instance of a series, and compares code meanings as strings."""
    study = _study(tmp_path, samples.sample())
    results = [pydicom.dcmread(path) for path in study.results.values()]
    assert len({result.SeriesInstanceUID for result in results}) == len(results)
    assert [int(result.SeriesNumber) for result in results] == [9100, 9101]
    assert [result.SeriesDescription for result in results] == [
        "AI Lung volumes in chest CT SEG 1.2.3 RESEARCH",
        "AI Lung volumes in chest CT SR 1.2.3 RESEARCH",
    ]
    shown = validators.dsrdump(study.results["TID1500"])
    for meaning in (
        '(126000,DCM,"Imaging Measurement Report")',
        '(126010,DCM,"Imaging Measurements")',
        '(125007,DCM,"Measurement Group")',
        '(112039,DCM,"Tracking Identifier")',
        '(112040,DCM,"Tracking Unique Identifier")',
        '(111028,DCM,"Image Library")',
    ):
        assert meaning in shown
    segmentation = results[0]
    assert (segmentation.Rows, segmentation.Columns) == (24, 32)
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == samples.SERIES
    assert all(item.RecommendedDisplayCIELabValue for item in segmentation.SegmentSequence)
