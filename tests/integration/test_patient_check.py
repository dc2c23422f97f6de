"""Results of a patient who is another in the archive by the time they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydicom import Dataset
from support.outbound import Outbound, destination, uid_of

from radnode.config.peers import Peer
from radnode.node.delivery.patient import differences
from radnode.storage import merges, outbox
from radnode.storage.merges import Merge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.pacs import StandInPacs

OURS = {"PatientID": "MRN1", "PatientName": "Canaria^Serinus", "PatientBirthDate": "19700101"}


def _patient(**said: Any) -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in {**OURS, **said}.items():
        setattr(made, keyword, value)
    return made


@pytest.fixture
def node(tmp_path: Path, pacs: StandInPacs) -> Iterator[Outbound]:
    made = Outbound(tmp_path, destination(pacs.port, answers_find=True, check_patient=True))
    made.patient = _patient()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("said", "differing"),
    [
        ({}, []),
        ({"PatientName": "CANARIA^SERINUS^^^"}, []),
        ({"PatientName": "Canaria^Serinus=カナリア"}, []),
        ({"PatientBirthDate": ""}, []),
        ({"PatientID": " MRN1 "}, []),
        ({"PatientID": "MRN2"}, ["Patient ID"]),
        ({"PatientName": "Canaria^Serina", "PatientBirthDate": "19700102"},
         ["Patient's Name", "Patient's Birth Date"]),
    ],
)
def test_I5_a_difference_is_one_of_meaning_not_of_spelling(said: dict[str, str], differing: list[str]) -> None:
    assert differences(_patient(), _patient(**said)) == differing


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "PatientBirthDate"])
def test_I5_a_result_whose_patient_was_changed_in_the_archive_is_held_back_until_somebody_releases_it(
    node: Outbound, pacs: StandInPacs, keyword: str
) -> None:
    pacs.keep([node.image(1, _patient(**{keyword: "19991231"}))])
    node.produce()
    node.deliver()
    assert node.states() == ["DEAD", "DEAD"]
    assert pacs.attempts == []
    held, referring = node.deliveries()
    assert held.reason.startswith("held back: PACS has the study under another Patient")
    assert "MRN1" not in held.reason + referring.reason
    assert "19991231" not in held.reason
    alarms = node.standing()
    assert "held back" in alarms["patient:PACS"]
    with node.database.begin() as session:
        assert held.id not in outbox.dead_deliveries(session), "nothing releases it but its number or its job"
        assert outbox.resend(session, [held.id, referring.id], node.clock.time) == [held.id, referring.id]
    node.deliver()
    assert node.states() == ["CONFIRMED", "CONFIRMED"]
    assert "patient:PACS" not in node.standing()
    assert node.events("result sent again by hand")


def test_I5_the_archive_is_asked_once_for_the_results_of_a_job_and_the_same_patient_is_no_hindrance(
    node: Outbound, pacs: StandInPacs
) -> None:
    pacs.keep([node.image(1, _patient())])
    node.produce()
    node.deliver()
    assert node.states() == ["CONFIRMED", "CONFIRMED"]
    assert [each.QueryRetrieveLevel for each in pacs.find_requests].count("STUDY") == 1
    assert [each.sop_instance_uid for each in pacs.attempts] == [uid_of(1, "SEG"), uid_of(1, "TID1500+SEG")]


def test_I5_a_study_that_the_archive_does_not_have_is_no_other_patients(node: Outbound, pacs: StandInPacs) -> None:
    node.produce(["SEG"])
    node.deliver()
    assert node.states() == ["CONFIRMED"]
    assert len(pacs.attempts) == 1


def test_I5_without_c_find_the_check_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ValueError, match="answers_find: true"):
        Peer(name="PACS", ae_title="PACS", host="127.0.0.1", port=104, receives=True, check_patient=True)


def test_results_of_a_patient_who_was_merged_are_held_back_until_somebody_releases_them(
    tmp_path: Path, pacs: StandInPacs
) -> None:
    node = Outbound(tmp_path, destination(pacs.port))
    node.produce(["SEG"])
    merge = Merge(sender="RIS", patient=("P1", "", ""), survivors=(("P2", "", ""),), at=node.clock.time)
    with node.database.begin() as session:
        merges.record(session, merge)
    node.deliver()
    assert (node.states(), pacs.attempts) == (["DEAD"], [])
    (held,) = node.deliveries()
    assert held.reason.startswith("held back: RIS has merged the patient whom the images name into another since 20")
    assert "patient:PACS" in node.standing()

    with node.database.begin() as session:
        outbox.resend(session, [held.id], node.clock.time)
    node.deliver()
    assert len(pacs.attempts) == 1, "a person has released it"
    with node.database.begin() as session:
        merges.record(session, Merge(sender="RIS", patient=("P2", "", ""), survivors=(("P1", "", ""),),
                                     at=node.clock.time))
    node.produce(["SEG"])
    node.deliver()
    assert len(pacs.attempts) == 2, "P1 is in use again"
    node.close()
