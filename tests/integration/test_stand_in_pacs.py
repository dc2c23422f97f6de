"""The double that injects faults is itself true to the protocol, as DCMTK sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import dcmtk
from support.chest import write_chest
from support.pacs import Attempt, Cut, Fault, Refuse

if TYPE_CHECKING:
    from pathlib import Path

    from support.pacs import StandInPacs

pytestmark = pytest.mark.peer


def test_it_keeps_what_dcmtk_sends_byte_for_byte(pacs: StandInPacs, tmp_path: Path) -> None:
    series = write_chest(tmp_path / "ct", slices=3)
    dcmtk.dcmsend(pacs.port, tmp_path / "ct", called="PACS")
    stored = {ds.SOPInstanceUID: ds for ds in pacs.stored(Modality="CT")}
    assert len(stored) == 3
    assert {attempt.calling_ae for attempt in pacs.attempts} == {"TESTSCU"}
    assert stored[pacs.attempts[0].sop_instance_uid].PatientID == series.patient_id


@pytest.mark.parametrize(
    ("level", "keys", "answers"),
    [
        ("STUDY", ["StudyInstanceUID={study}", "NumberOfStudyRelatedInstances"], 1),
        ("SERIES", ["StudyInstanceUID={study}", "SeriesInstanceUID", "NumberOfSeriesRelatedInstances"], 2),
        ("IMAGE", ["StudyInstanceUID={study}", "SeriesInstanceUID={series}", "SOPInstanceUID"], 3),
        ("IMAGE", ["StudyInstanceUID=1.2.3", "SOPInstanceUID"], 0),
    ],
    ids=["study", "series", "image", "unknown study"],
)
def test_it_answers_a_query_at_each_level(
    pacs: StandInPacs, tmp_path: Path, level: str, keys: list[str], answers: int
) -> None:
    series = write_chest(tmp_path / "a", slices=3)
    pacs.keep(series.files)
    with_another = write_chest(tmp_path / "b", name="2", slices=2).files
    dcmtk.dcmodify(with_another, insert=[f"(0020,000d)={series.study_instance_uid}"])
    pacs.keep(with_another)
    asked = [key.format(study=series.study_instance_uid, series=series.series_instance_uid) for key in keys]
    text = dcmtk.findscu(pacs.port, called="PACS", level=level, keys=asked)
    assert text.count("(Pending)") == answers
    if level == "STUDY":
        assert "[5" in text


def test_it_refuses_cuts_and_recovers_by_plan(pacs: StandInPacs, tmp_path: Path) -> None:
    def plan(attempt: Attempt) -> Fault | None:
        return {1: Refuse(0xA700), 2: Cut(), 3: Cut(keep=True)}.get(attempt.number)

    pacs.plan = plan
    (file,) = write_chest(tmp_path / "ct", slices=1).files
    held = []
    for _ in range(4):
        dcmtk.storescu(pacs.port, [file], called="PACS", check=False)
        held.append(len(pacs.stored()))
    assert held == [0, 0, 1, 1]
    assert len(pacs.attempts) == 4
    assert len({attempt.digest for attempt in pacs.attempts}) == 1
    assert pacs.conflicts == []


def test_a_stopped_one_refuses_connections_and_remembers(pacs: StandInPacs, tmp_path: Path) -> None:
    pacs.keep(write_chest(tmp_path / "ct", slices=1).files)
    pacs.stop()
    assert dcmtk.echoscu(pacs.port, called="PACS").returncode != 0
    pacs.start()
    assert dcmtk.echoscu(pacs.port, called="PACS").returncode == 0
    assert len(pacs.stored()) == 1
