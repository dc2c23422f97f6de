"""The radiologist: never sees radnode, only its results, and must never be misled by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import dcmtk
from support.chest import without, write_chest
from support.node import archive, modality
from support.waiting import eventually, stays

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

# PS3.3 C.12.1.1.2 and PS3.5 annexes H, I, J, K: the names that hospitals really have.
NAMES: dict[str, tuple[str | list[str], str]] = {
    "western": ("ISO_IR 100", "Buc^Jérôme"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "chinese-2022": (["", "ISO 2022 IR 58"], "Zhang^XiaoDong=张^小东"),
    "chinese-gb18030": ("GB18030", "Wang^XiaoDong=王^小东"),
    "unicode": ("ISO_IR 192", "Müller^Ægir=Мюллер^Эгир"),
}


@pytest.mark.catalogue("S1", "R13")
def test_a_late_slice_opens_a_new_revision_with_new_uids(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct")
    late, first = series.files[:13], series.files[13:]

    dcmtk.dcmsend(node.port, first, called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 2, within=120, why=lambda: f"two results\n{node.log()}")
    old = {str(result.SOPInstanceUID) for result in pacs.stored()}
    dcmtk.dcmsend(node.port, late, called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 4, within=120, why=lambda: f"two more\n{node.log()}")

    states = [(job["revision"], job["state"]) for job in node.jobs_of(series.series_instance_uid)]
    assert states == [(1, "SUPERSEDED"), (2, "PRODUCED")]
    new = [result for result in pacs.stored() if str(result.SOPInstanceUID) not in old]
    assert sorted(result.Modality for result in new) == ["SEG", "SR"]
    assert {result.PatientID for result in new} == {series.patient_id}
    (before,) = [result for result in pacs.stored(Modality="SR") if str(result.SOPInstanceUID) in old]
    (after,) = [result for result in new if result.Modality == "SR"]
    assert "PredecessorDocumentsSequence" not in before
    (named,) = after.PredecessorDocumentsSequence
    assert named.StudyInstanceUID == series.study_instance_uid
    assert named.ReferencedSeriesSequence[0].SeriesInstanceUID == before.SeriesInstanceUID
    assert named.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    node.wait_for_states(PROCESSED=len(series.files))


@pytest.mark.catalogue("G1", "R18")
def test_a_missing_inner_slice_holds_the_series_until_it_comes(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct")

    dcmtk.dcmsend(node.port, without(series, [20]), called=node.ae_title)

    node.wait_for_states(INCOMPLETE=len(series.files) - 1, within=30)
    stays(
        lambda: node.jobs() == [] and pacs.attempts == [], during=3, why="no result of an incomplete series"
    )
    assert node.timeline(series.study_instance_uid)["series"][0]["state"] == "HELD"
    dcmtk.dcmsend(node.port, [series.files[20]], called=node.ae_title)
    node.wait_for_states(PROCESSED=len(series.files), within=120)
    eventually(lambda: len(pacs.stored()) == 2, why=lambda: f"two results\n{node.log()}")


@pytest.mark.catalogue("S2", "S15")
def test_a_series_still_on_its_way_is_waited_for_when_the_pacs_can_be_asked(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    """The upper half alone is regular; only the sender's count (C-FIND) shows that it is half."""
    series = write_chest(tmp_path / "ct")
    pacs.keep(series.files)
    node = start_node(
        peers=[archive(pacs.port, answers_find=True)], settings={"quiet_time_s": 1, "hold_after_s": 60}
    )
    dcmtk.dcmsend(node.port, series.files[20:], called=node.ae_title, calling="PACS")
    eventually(lambda: pacs.find_requests, why="the node asks")
    stays(lambda: node.jobs() == [], during=4, why="20 of 40 are not a series")
    dcmtk.dcmsend(node.port, series.files[:20], called=node.ae_title, calling="PACS")
    eventually(lambda: len(pacs.attempts) == 2, within=120, why=lambda: f"two results\n{node.log()}")
    assert [job["revision"] for job in node.jobs()] == [1]


@pytest.mark.catalogue("I1", "I2")
def test_the_patient_s_name_is_the_same_in_the_result_whatever_its_characters(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    for patient_id, (character_set, name) in NAMES.items():
        write_chest(
            tmp_path / patient_id, patient_id=patient_id, patient_name=name, character_set=character_set
        )
        dcmtk.dcmsend(node.port, tmp_path / patient_id, called=node.ae_title)

    eventually(
        lambda: len(pacs.stored()) == 2 * len(NAMES), within=240, why=lambda: f"all results\n{node.log()}"
    )

    for kind in ("SEG", "SR"):
        shown = {str(result.PatientID): str(result.PatientName) for result in pacs.stored(Modality=kind)}
        assert shown == {patient_id: name for patient_id, (_, name) in NAMES.items()}


@pytest.mark.catalogue("S9", "I6")
def test_two_patients_in_one_study_get_no_result_at_all(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct")
    dcmtk.dcmodify(series.files[30:], insert=["(0010,0020)=SOMEBODY-ELSE"])
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    eventually(lambda: "CONFLICT" in node.states(), why=lambda: f"conflict: {node.states()}")
    stays(lambda: pacs.attempts == [], during=4, why="nobody can say whose lungs these are")


@pytest.mark.catalogue("S9")
def test_a_second_patient_in_another_series_stops_the_whole_study(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()], settings={"quiet_time_s": 6})
    one = write_chest(tmp_path / "one", name="1", slices=6)
    other = write_chest(tmp_path / "other", name="2", slices=6)
    dcmtk.dcmodify(other.files, insert=[f"(0020,000d)={one.study_instance_uid}", "(0010,0020)=SOMEBODY-ELSE"])

    dcmtk.dcmsend(node.port, tmp_path / "one", called=node.ae_title)
    dcmtk.dcmsend(node.port, tmp_path / "other", called=node.ae_title)

    node.wait_for_states(CONFLICT=12)
    assert node.jobs() == []
    assert pacs.attempts == []


@pytest.mark.catalogue("R15")
def test_a_result_says_what_made_it_and_is_marked_as_research(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 2, within=120, why=lambda: f"two results\n{node.log()}")
    (segmentation,) = pacs.stored(Modality="SEG")
    assert segmentation.Manufacturer == "radnode"
    assert segmentation.ContentQualification == "RESEARCH"
    assert segmentation.SoftwareVersions
    assert segmentation.FrameOfReferenceUID
    referenced = {
        str(item.ReferencedSOPInstanceUID)
        for series_item in segmentation.ReferencedSeriesSequence
        for item in series_item.ReferencedInstanceSequence
    }
    assert len(referenced) <= len(series.files)
    assert referenced


def test_an_abdomen_without_lungs_is_not_called_normal(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    """Soft tissue alone: the answer is "not processed" with a reason, never an empty segmentation."""
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct")
    _fill_with_soft_tissue(series.files)
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    job = node.wait_for_job(series.series_instance_uid, "NOT_PROCESSED")
    assert job["reason"]
    assert node.states() == {"NOT_PROCESSED": len(series.files)}
    assert pacs.stored(Modality="SEG") == []


def _fill_with_soft_tissue(files: tuple[Path, ...]) -> None:

    for file in files:
        dataset = pydicom.dcmread(file)
        dataset.PixelData = np.full(dataset.Rows * dataset.Columns, 40, "<i2").tobytes()
        dataset.save_as(file)
