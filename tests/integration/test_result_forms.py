"""Every result form in a real PACS, or what it takes instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from support import dcmtk
from support.chest import write_chest
from support.network import free_port
from support.node import archive, modality
from support.orthanc import Target
from support.pacs import Attempt, Fault, Refuse
from support.waiting import eventually

from radnode.pipelines.languages import EAST_ASIAN_FONT
from radnode.pipelines.results.writers import WRITERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.chest import Series
    from support.node import NodeProcess
    from support.orthanc import Orthanc
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def _deliveries(node: NodeProcess, series: Series) -> list[dict[str, Any]]:
    return list(node.timeline(series.study_instance_uid)["deliveries"])


def _settled(node: NodeProcess, series: Series) -> bool:
    """Every delivery of the study has come to its end, and nothing is being written again."""
    found = _deliveries(node, series)
    names = {each["name"] for each in found}
    return bool(found) and all(each["state"] not in ("WAITING", "SENDING", "SENT") for each in found) and (
        "LABELMAP" not in names or {"TID1500+SEG", "COMPREHENSIVE+SEG"} <= names
    )


def test_orthanc_takes_every_form_or_gets_another_and_a_resend_is_harmless(
    start_node: Callable[..., NodeProcess], start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    """As it comes, Orthanc 1.10 refuses Label Map Segmentations, which are newer."""
    series = write_chest(tmp_path / "ct", slices=20)
    target = Target(ae_title="RADNODE", port=free_port())
    orthanc = start_orthanc(node=target, forward="foreign", unknown_classes=False)
    node = start_node(port=target.port, peers=[
        archive(orthanc.port, ae_title="ORTHANC", result_forms=list(WRITERS), answers_find=True), modality(),
    ])
    dcmtk.dcmsend(node.port, tmp_path / "ct", called="RADNODE")
    eventually(lambda: _settled(node, series), within=120, why=lambda: f"all delivered: {_deliveries(node, series)}")
    states = {each["name"]: each["state"] for each in _deliveries(node, series)}
    assert states.pop("LABELMAP") == "REPLACED"
    assert states.pop("TID1500+LABELMAP") == "REPLACED"
    assert {name for name in states if states[name] == "REPLACED"} <= {"COMPREHENSIVE+LABELMAP"}
    kept = {name for name, state in states.items() if state == "CONFIRMED"}
    assert {"SEG", "TID1500+SEG", "RTSTRUCT"} <= kept
    assert set(states.values()) <= {"CONFIRMED", "REPLACED"}
    assert "PACS refused LABELMAP" in node.alarms()
    before = len(orthanc.instances(series.study_instance_uid))
    delivered = {each["sop_instance_uid"] for each in _deliveries(node, series) if each["state"] == "CONFIRMED"}
    for path in sorted((node.data / "results").rglob("*.dcm")):
        if pydicom.misc.is_dicom(path) and pydicom.dcmread(path).SOPInstanceUID in delivered:
            dcmtk.dcmsend(orthanc.port, path, called="ORTHANC")
    assert len(orthanc.instances(series.study_instance_uid)) == before
    node.command("offer-again", "PACS", "--config", node.config)


@pytest.mark.catalogue("R2")
def test_a_destination_that_takes_no_label_map_gets_binary_segments_at_once_the_next_time(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    pacs.plan = lambda attempt: Refuse(0x0122) if attempt.sop_class_uid == LABEL_MAP else None
    node = start_node(peers=[archive(pacs.port, result_forms=["LABELMAP", "TID1500"]), modality()])
    for number in (1, 2):
        write_chest(tmp_path / str(number), name=str(number), slices=20)
        dcmtk.dcmsend(node.port, tmp_path / str(number), called="RADNODE")
        eventually(
            lambda expected=number: len(pacs.stored(Modality="SEG")) == len(pacs.stored(Modality="SR")) == expected,
            within=120, why=lambda: f"{node.jobs()}",
        )
    offered = [attempt.sop_class_uid for attempt in pacs.attempts]
    assert offered.count(LABEL_MAP) == 1
    assert offered.count(SEGMENTATION) == 2
    for report in pacs.stored(Modality="SR"):
        segmentations = {str(each.SOPInstanceUID) for each in pacs.stored(Modality="SEG")}
        assert any(uid in str(report) for uid in segmentations)


def test_one_object_that_is_not_understood_is_replaced_and_the_next_label_map_is_offered_again(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    refused: list[str] = []

    def first_label_map(attempt: Attempt) -> Fault | None:
        if attempt.sop_class_uid == LABEL_MAP and not refused:
            refused.append(attempt.sop_instance_uid)
            return Refuse(0xC000)
        return None

    pacs.plan = first_label_map
    node = start_node(peers=[archive(pacs.port, result_forms=["LABELMAP"]), modality()])
    for number, wanted in ((1, SEGMENTATION), (2, LABEL_MAP)):
        write_chest(tmp_path / str(number), name=str(number), slices=20)
        dcmtk.dcmsend(node.port, tmp_path / str(number), called="RADNODE")
        eventually(
            lambda expected=number: len(pacs.stored(Modality="SEG")) == expected, within=120,
            why=lambda: f"{node.jobs()}",
        )
        assert pacs.attempts[-1].sop_class_uid == wanted


def test_a_study_that_is_not_read_is_answered_with_a_report_that_says_so(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port, profile="any-pacs"), modality()])
    write_chest(tmp_path / "ct", slices=8)
    dcmtk.dcmsend(node.port, tmp_path / "ct", called="RADNODE")
    eventually(lambda: len(pacs.stored(Modality="SR")) == 1, within=120, why=lambda: f"{node.jobs()}")
    (report,) = pacs.stored(Modality="SR")
    assert "NOT analysed" in " ".join(str(item.get("TextValue", "")) for item in report.ContentSequence)
    assert [job["state"] for job in node.jobs()] == ["NOT_PROCESSED"]


def test_a_report_written_again_names_the_one_of_the_earlier_revision_that_was_written_again(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    """The report beside the label map went nowhere in either revision; the one beside the BINARY segments did."""
    pacs.plan = lambda attempt: Refuse(0xC000) if attempt.sop_class_uid == LABEL_MAP else None
    node = start_node(peers=[archive(pacs.port, result_forms=["LABELMAP", "TID1500"]), modality()])
    series = write_chest(tmp_path / "ct")
    for number, files in ((1, series.files[13:]), (2, series.files[:13])):
        dcmtk.dcmsend(node.port, files, called="RADNODE")
        eventually(
            lambda expected=number: len(pacs.stored(Modality="SEG")) == len(pacs.stored(Modality="SR")) == expected,
            within=120, why=lambda: f"{node.jobs()}",
        )
        eventually(lambda: all(each["state"] not in ("WAITING", "SENDING") for each in _deliveries(node, series)))
    first, second = pacs.stored(Modality="SR")
    if "PredecessorDocumentsSequence" in first:
        first, second = second, first
    assert "PredecessorDocumentsSequence" not in first
    (named,) = second.PredecessorDocumentsSequence
    (reports,) = named.ReferencedSeriesSequence
    assert [each.ReferencedSOPInstanceUID for each in reports.ReferencedSOPSequence] == [first.SOPInstanceUID]
    assert pacs.conflicts == []


def test_a_second_refusal_names_the_first_and_a_page_is_in_the_configured_language(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    """Eight slices, nine, then all: two refusals, then a page."""
    if not EAST_ASIAN_FONT.is_file():
        pytest.skip("fonts-wqy-microhei is not installed")
    node = start_node(peers=[archive(pacs.port, result_forms=["PDF", "NOT-PROCESSED"]), modality()],
                      settings={"report_language": "zh"})
    files = write_chest(tmp_path / "ct", slices=20).files
    for number, some in enumerate((files[:8], files[8:9]), 1):
        dcmtk.dcmsend(node.port, some, called="RADNODE")
        eventually(lambda expected=number: len(pacs.stored(Modality="SR")) == expected, within=120,
                   why=lambda: f"{node.jobs()}")
        eventually(lambda: all(each["state"] == "NOT_PROCESSED" for each in node.jobs()))
    first, second = sorted(pacs.stored(Modality="SR"), key=lambda each: "PredecessorDocumentsSequence" in each)
    assert "PredecessorDocumentsSequence" not in first
    (named,) = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    dcmtk.dcmsend(node.port, files[9:], called="RADNODE")
    eventually(lambda: len(pacs.stored(Modality="DOC")) == 1, within=120, why=lambda: f"{node.jobs()}")
    (page,) = pacs.stored(Modality="DOC")
    assert page.DocumentTitle.startswith("AI 结果")
    assert "PredecessorDocumentsSequence" not in page
