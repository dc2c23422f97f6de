"""What belongs to a study, what does not, and what is no study of images at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless
from support import dcmtk
from support.chest import write_chest
from support.node import CHEST_CT, archive, modality
from support.waiting import eventually, stays

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.node import NodeProcess
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def test_S6_S10_M16_a_prior_under_the_same_accession_number_is_a_study_of_its_own(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    current = write_chest(tmp_path / "both/current", name="current", slices=30)
    prior = write_chest(tmp_path / "both/prior", name="prior", slices=24)
    dcmtk.dcmodify(prior.files, insert=["(0008,0020)=20230405"])
    numbers = {pydicom.dcmread(each.files[0]).AccessionNumber for each in (current, prior)}
    assert len(numbers) == 1

    dcmtk.dcmsend(node.port, tmp_path / "both", called=node.ae_title)

    eventually(lambda: len(pacs.stored()) == 4, within=120, why=lambda: f"two results each\n{node.log()}")
    for series, date in ((current, "20260102"), (prior, "20230405")):
        results = pacs.stored(StudyInstanceUID=series.study_instance_uid)
        assert sorted(result.Modality for result in results) == ["SEG", "SR"]
        assert {result.StudyDate for result in results} == {date}
        inputs = {str(pydicom.dcmread(file).SOPInstanceUID) for file in series.files}
        (segmentation,) = pacs.stored(StudyInstanceUID=series.study_instance_uid, Modality="SEG")
        (referenced,) = segmentation.ReferencedSeriesSequence
        assert {each.ReferencedSOPInstanceUID for each in referenced.ReferencedInstanceSequence} == inputs


def test_S11_a_phantom_is_left_out_by_a_rule_that_says_so(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    route = {**CHEST_CT, "when": {"modality": "CT", "not": {"patient_id": {"matches": "^(QA|TEST)"}}}}
    node = start_node(peers=[archive(pacs.port), modality()], routes=[route])
    series = write_chest(tmp_path / "ct", slices=10, patient_id="QA-7")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)

    node.wait_for_states(NOT_ROUTED=10)

    assert node.jobs() == []
    said = node.command("routes", "explain", series.study_instance_uid, "--config", node.config).stdout
    assert "not met" in said
    assert "patient_id" in said.lower()


def test_S13_D21_a_study_of_reports_alone_ends_quietly(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    (tmp_path / "sr").mkdir()
    pydicom.dcmread(Path(pydicom.__file__).parent / "data/test_files/test-SR.dcm").save_as(tmp_path / "sr/1.dcm")
    dcmtk.dcmsend(node.port, tmp_path / "sr", called=node.ae_title)

    node.wait_for_states(NOT_ROUTED=1)

    assert node.jobs() == []
    assert node.status()["alarms"] == []
    stays(lambda: pacs.attempts == [], during=2)


def test_U2_the_same_image_in_another_syntax_is_kept_and_nothing_is_said_about_either(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()], settings={"quiet_time_s": 4, "settle_time_s": 4})
    series = write_chest(tmp_path / "ct", slices=10)
    again = pydicom.dcmread(series.files[4])
    again.compress(JPEG2000Lossless, generate_instance_uid=False)
    (tmp_path / "again").mkdir()
    again.save_as(tmp_path / "again/4.dcm")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    dcmtk.dcmsend(node.port, tmp_path / "again", called=node.ae_title)

    eventually(lambda: node.states().get("CONFLICT", 0) >= 1, why=lambda: f"in conflict: {node.states()}")
    assert node.ledger()["acknowledged"] == 11
    stays(lambda: node.jobs() == [] and pacs.attempts == [], during=6)
