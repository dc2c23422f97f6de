"""The PACS: a machine that sends when it likes, more than once, and is sometimes away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
import pytest
from support import dcmtk
from support.chest import write_chest
from support.network import free_port
from support.node import NodeProcess, archive, modality
from support.orthanc import Target
from support.pacs import Attempt, Cut, Fault, Refuse, StandInPacs
from support.published import with_uids
from support.waiting import eventually, stays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.chest import Series
    from support.orthanc import Orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def test_orthanc_forwards_a_chest_and_finds_seg_and_report_in_the_same_study(
    start_node: Callable[..., NodeProcess],
    start_orthanc: Callable[..., Orthanc],
    real_data: Callable[[str], Path],
) -> None:
    """With the careless rule: the PACS sends everything again, results too, whenever the study grew."""
    images = real_data("ct-chest")
    source = pydicom.dcmread(min(images.glob("*.dcm")), stop_before_pixels=True)
    study, number = source.StudyInstanceUID, len(list(images.glob("*.dcm")))
    target = Target(ae_title="RADNODE", port=free_port())
    orthanc = start_orthanc(node=target, forward="all")
    node = start_node(port=target.port, peers=[archive(orthanc.port, ae_title="ORTHANC")], routes=[_EVERY_CT])

    orthanc.send(images)
    results = [
        *orthanc.wait_for(study, Modality="SEG", within=240),
        *orthanc.wait_for(study, Modality="SR", within=60),
    ]

    assert {result.PatientID for result in results} == {source.PatientID}
    assert {str(result.PatientName) for result in results} == {str(source.PatientName)}
    assert {result.SeriesInstanceUID for result in results}.isdisjoint({source.SeriesInstanceUID})
    node.wait_for_states(PROCESSED=number, OWN_RESULT=2)
    before = node.ledger()["receptions"]
    orthanc.forward_again(study)
    eventually(
        lambda: node.ledger()["receptions"] >= before + number + 2,
        why=lambda: f"all received again: {node.ledger()}",
    )
    stays(lambda: len(node.jobs()) == 1, during=4, why="a study that comes again triggers nothing")
    assert len(orthanc.instances(study)) == number + 2
    assert node.states() == {"PROCESSED": number, "OWN_RESULT": 2}


def test_a_compressed_abdomen_from_orthanc_gets_an_honest_answer(
    start_node: Callable[..., NodeProcess],
    start_orthanc: Callable[..., Orthanc],
    real_data: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    images = tmp_path / "images"
    files = with_uids(real_data("ct-abdomen/dicom"), images)
    source = pydicom.dcmread(files[0], stop_before_pixels=True)
    target = Target(ae_title="RADNODE", port=free_port())
    orthanc = start_orthanc(node=target, forward="foreign")
    node = start_node(port=target.port, peers=[archive(orthanc.port, ae_title="ORTHANC")], routes=[_EVERY_CT])

    orthanc.send(images)

    eventually(
        lambda: [job["state"] for job in node.jobs()] in (["PRODUCED"], ["NOT_PROCESSED"]),
        within=120,
        why=lambda: f"an answer: {node.jobs()}\n{node.log()}",
    )
    (job,) = node.jobs_of(source.SeriesInstanceUID)
    if job["state"] == "NOT_PROCESSED":
        assert job["reason"]
    assert sum(node.states().values()) == len(files)
    assert "FAILED" not in node.states()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, StandInPacs]]:
    """A node and its PACS, for sentences about one study each."""
    folder = tmp_path_factory.mktemp("site") / "node"
    with StandInPacs() as pacs, NodeProcess(folder, peers=[archive(pacs.port), modality()]) as node:
        yield node, pacs


@pytest.mark.parametrize("sender", [dcmtk.storescu, dcmtk.dcmsend], ids=["storescu", "dcmsend"])
def test_a_study_from_dcmtk_is_answered_with_one_seg_and_one_report(
    site: tuple[NodeProcess, StandInPacs], tmp_path: Path, sender: Callable[..., object]
) -> None:
    node, pacs = site
    series = write_chest(tmp_path / "ct", name=str(tmp_path))
    before = node.states().get("PROCESSED", 0)
    assert dcmtk.echoscu(node.port, called=node.ae_title).returncode == 0

    sender(node.port, tmp_path / "ct", called=node.ae_title)

    node.wait_for_states(PROCESSED=before + len(series.files), within=120)
    results = _results(node, pacs, series)
    assert sorted(result.Modality for result in results) == ["SEG", "SR"]
    assert {attempt.calling_ae for attempt in pacs.attempts} == {node.ae_title}


@pytest.mark.catalogue("U6", "U10")
def test_what_is_sent_again_is_counted_and_triggers_nothing(
    site: tuple[NodeProcess, StandInPacs], tmp_path: Path
) -> None:
    node, pacs = site
    series = write_chest(tmp_path / "ct", name="again")
    before = node.ledger()
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    _results(node, pacs, series)
    attempts = len(pacs.attempts)

    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)

    assert node.ledger()["receptions"] == before["receptions"] + 2 * len(series.files)
    assert node.ledger()["acknowledged"] == before["acknowledged"] + len(series.files)
    stays(lambda: len(node.jobs_of(series.series_instance_uid)) == 1 and len(pacs.attempts) == attempts, during=4)


@pytest.mark.catalogue("A1")
def test_an_unknown_caller_is_refused_and_nothing_is_kept(
    site: tuple[NodeProcess, StandInPacs], tmp_path: Path
) -> None:
    node, _ = site
    before = node.ledger()
    write_chest(tmp_path / "ct", name="stranger", slices=2)
    refused = dcmtk.storescu(
        node.port, tmp_path / "ct", called=node.ae_title, calling="STRANGER", check=False
    )
    assert refused.returncode != 0
    assert node.ledger() == before


@pytest.mark.catalogue("R1")
def test_results_wait_for_a_pacs_that_is_away_and_arrive_under_the_same_uids(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    pacs.stop()
    series = write_chest(tmp_path / "ct")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_job(series.series_instance_uid, "PRODUCED")
    eventually(lambda: "PACS" in node.alarms(), why=lambda: f"an alarm says so: {node.alarms()}")
    waiting = _result_uids(node, series.study_instance_uid)
    assert len(waiting) == 2
    assert pacs.attempts == []

    pacs.start()

    eventually(lambda: len(pacs.stored()) == 2, within=90, why=lambda: f"delivered\n{node.log()}")
    assert {str(result.SOPInstanceUID) for result in pacs.stored()} == waiting
    eventually(lambda: "destination" not in node.alarms(), why=lambda: f"over: {node.alarms()}")


@pytest.mark.catalogue("R3")
def test_a_pacs_out_of_resources_gets_the_same_objects_later(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    """PS3.4 Table B.2-1: A7xx is the peer's trouble, not the object's."""
    pacs.plan = lambda attempt: Refuse(0xA700) if attempt.number == 1 else None
    node = start_node(peers=[archive(pacs.port), modality()])
    write_chest(tmp_path / "ct")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 2, within=150, why=lambda: f"delivered\n{node.log()}")
    _each_uid_always_the_same_bytes(pacs)


@pytest.mark.catalogue("R6")
def test_a_lost_answer_is_asked_again_with_the_same_object(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    def plan(attempt: Attempt) -> Fault | None:
        """Of the segmentation also the second time, before it is kept again."""
        if attempt.number == 1:
            return Cut(keep=True)
        return Cut() if attempt.number == 2 and attempt.sop_class_uid == _SEGMENTATION else None

    pacs.plan = plan
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    eventually(
        lambda: _delivery_states(node, series.study_instance_uid) <= {"SENT", "CONFIRMED"},
        within=180,
        why=lambda: f"delivered in the end\n{node.log()}",
    )
    assert len(pacs.stored()) == 2
    _each_uid_always_the_same_bytes(pacs)


_SEGMENTATION, _PICTURES = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.catalogue("R4")
def test_a_refusal_for_good_is_dead_and_visible(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    """0122H, SOP class not supported (PS3.7 C.5.6): trying again will not help, somebody must know."""
    pacs.plan = lambda _attempt: Refuse(0x0122)
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_job(series.series_instance_uid, "PRODUCED")
    eventually(
        lambda: _delivery_states(node, series.study_instance_uid) == {"DEAD", "REPLACED"},
        within=60,
        why=lambda: f"dead: {node.timeline(series.study_instance_uid)}",
    )
    # The segmentation was tried as pictures, too, and the report in the older class: nothing was taken.
    offered = {attempt.sop_class_uid for attempt in pacs.attempts}
    assert {_SEGMENTATION, _PICTURES} <= offered
    assert "0122" in str(node.timeline(series.study_instance_uid)["deliveries"]).upper()
    assert "PACS" in node.alarms()
    assert node.states() == {"PROCESSED": len(series.files)}


@pytest.mark.catalogue("R1", "R9")
def test_a_pacs_that_dies_between_the_two_results_has_both_in_the_end(
    start_node: Callable[..., NodeProcess], start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    orthanc = start_orthanc()
    node = start_node(peers=[archive(orthanc.port, ae_title="ORTHANC"), modality()])
    series = write_chest(tmp_path / "ct")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_job(series.series_instance_uid, "PRODUCED")
    orthanc.kill()
    orthanc.start()
    orthanc.wait_for(series.study_instance_uid, Modality="SR", within=90)
    assert len(orthanc.instances(series.study_instance_uid)) == 2


_EVERY_CT = {"name": "every-ct", "when": {"modality": "CT"}, "run": ["ct-lung"], "send": ["PACS"]}


def _results(node: NodeProcess, pacs: StandInPacs, series: Series) -> list[pydicom.Dataset]:
    """The two of this study, once they are there."""

    def look() -> list[pydicom.Dataset]:
        found = pacs.stored(StudyInstanceUID=series.study_instance_uid)
        return found if len(found) == 2 else []

    return eventually(look, within=120, why=lambda: f"two results\n{node.log()}")


def _result_uids(node: NodeProcess, study_instance_uid: str) -> set[str]:
    return {delivery["sop_instance_uid"] for delivery in node.timeline(study_instance_uid)["deliveries"]}


def _delivery_states(node: NodeProcess, study_instance_uid: str) -> set[str]:
    return {delivery["state"] for delivery in node.timeline(study_instance_uid)["deliveries"]} or {"none"}


def _each_uid_always_the_same_bytes(pacs: StandInPacs) -> None:
    digests: dict[str, set[str]] = {}
    for attempt in pacs.attempts:
        digests.setdefault(attempt.sop_instance_uid, set()).add(attempt.digest)
    assert len(digests) == 2
    assert all(len(seen) == 1 for seen in digests.values())
    assert pacs.conflicts == []
