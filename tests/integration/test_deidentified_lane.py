"""Images go outside without who they are of; what comes back from there is of them again in a real PACS."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, generate_uid
from support import dcmtk
from support.chest import write_chest
from support.network import free_port
from support.node import PeerEntry, modality
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.orthanc import Orthanc

pytestmark = pytest.mark.peer

ROUTE = {"name": "research", "when": {"modality": "CT"}, "forward": ["OUTSIDE"]}


def test_what_leaves_is_of_nobody_and_what_comes_back_is_of_its_patient(
    start_node: Callable[..., NodeProcess], start_orthanc: Callable[..., Orthanc], tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    inside, port, there = start_orthanc(ae_title="PACS"), free_port(), tmp_path / "outside"
    outside = dcmtk.storescp(port, there, ae_title="OUTSIDE")
    request.addfinalizer(outside.stop)
    secret = tmp_path / "secret"
    secret.write_text("c0ffee" * 8)
    secret.chmod(stat.S_IRUSR)
    lane = {"secret_file": str(secret), "retain": ["modified-dates"], "clean": ["descriptors"], "returns_to": ["PACS"]}
    node = start_node(
        peers=[
            modality(), PeerEntry(name="PACS", port=inside.port, more={"receives": True}),
            PeerEntry(name="OUTSIDE", port=port, more={"sends": True, "receives": True, "deidentify": lane}),
        ],
        routes=[ROUTE], settings={"quiet_time_s": 1, "hold_after_s": 1},
    )
    series = write_chest(tmp_path / "ct", slices=8, patient_name="Yamada^Tarou=山田^太郎=やまだ^たろう",
                         character_set=["", "ISO 2022 IR 87"])
    original = pydicom.dcmread(series.files[0])
    dcmtk.dcmsend(node.port, tmp_path / "ct", called="RADNODE")

    node.wait_for_states(NOT_ROUTED=8)
    eventually(lambda: len(list(there.iterdir())) == 8 and node.log().count("image.settled") == 8,
               why=lambda: f"8 are sent\n{node.log()}")
    paths = sorted(there.iterdir())
    files = [path.read_bytes() for path in paths]
    sent = pydicom.dcmread(paths[0])
    assert sent.PatientIdentityRemoved == "YES"
    assert sent.PatientID == sent.PatientName
    for value in ("Yamada", "山田", "CANARY", series.study_instance_uid, original.StudyDate):
        for encoding in ("utf-8", "iso2022_jp"):
            assert not [None for content in files if value.encode(encoding) in content], value

    result = _result(sent, "Lungs without a finding.")
    stranger = _result(sent, "Of nobody that was sent.")
    stranger.StudyInstanceUID = generate_uid()
    reports = [_written(result, tmp_path / "result.dcm"), _written(stranger, tmp_path / "stranger.dcm")]
    dcmtk.dcmsend(node.port, [*reports, paths[0]], called="RADNODE", calling="OUTSIDE")
    (returned,) = inside.wait_for(series.study_instance_uid, Modality="SR")
    assert returned.PatientName == original.PatientName
    assert (returned.PatientID, returned.StudyDate) == (series.patient_id, original.StudyDate)
    evidence = returned.CurrentRequestedProcedureEvidenceSequence[0]
    assert evidence.StudyInstanceUID == series.study_instance_uid
    referred = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert referred in {pydicom.dcmread(each).SOPInstanceUID for each in series.files}
    assert returned.ContentDate == result.ContentDate  # when it was made, which nobody moved

    node.wait_for_states(NOT_ROUTED=10, QUARANTINED=1)
    listed = node.command("transfers", "--config", node.config).stdout
    assert "its study is none that was ever sent to OUTSIDE" in listed
    assert "KNOWN" in listed
    assert inside.get("/statistics")["CountInstances"] == 1  # and not our own image, which came back as well

    said = node.command("reidentify", str(sent.PatientID), "--profile", "OUTSIDE", "--why", "test", "--config",
                        node.config).stdout
    assert "PatientID: CANARY-0001" in said


def _result(image: Dataset, text: str) -> Dataset:
    """A text report on one image, as somebody outside makes it: with the names that it has there."""
    report = Dataset()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber"):
        setattr(report, keyword, image[keyword].value)
    report.SOPClassUID, report.SOPInstanceUID = BasicTextSRStorage, generate_uid()
    report.SeriesInstanceUID = generate_uid()
    report.Modality, report.SeriesNumber, report.InstanceNumber = "SR", 1, 1
    report.ContentDate, report.ContentTime = "20261122", "120000"
    report.ValueType, report.ContinuityOfContent = "CONTAINER", "SEPARATE"
    one = Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = image.SeriesInstanceUID, Items([one])
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = image.StudyInstanceUID, Items([series])
    report.CurrentRequestedProcedureEvidenceSequence = Items([study])
    item = Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", text
    report.ContentSequence = Items([item])
    return report


def _written(dataset: Dataset, target: Path) -> Path:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(target, dataset, enforce_file_format=True)
    return target
