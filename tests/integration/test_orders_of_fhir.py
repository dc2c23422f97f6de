"""A FHIR server is asked for the order of a study; its answer stands for the study as an order of HL7 v2 would."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.databases import SqliteDatabases
from support.fhir import FhirPeer, server
from support.rows import NOW, receive, reception

from radnode.config.messaging import FhirServer
from radnode.node.alarms import Alarms
from radnode.node.messaging.fhir_asking import OrderAsker
from radnode.node.messaging.fhir_orders import orders_in, studies_in
from radnode.storage import catalog, orders
from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENTS, ACCESSIONS = "urn:oid:1.2.3", "urn:oid:1.2.4"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with SqliteDatabases(tmp_path).migrated() as url:
        opened = Database(url)
        yield opened
        opened.close()


def study(database: Database, number: int, patient: str, accession: str) -> int:
    """Images of a study come; its number in the database."""
    (recorded,) = receive(database, reception(number, study=number, series=number, patient_id=patient))
    with database.begin() as session:
        catalog.store_headers(session, [(recorded.instance_id, {
            "Modality": "CT", "AccessionNumber": accession, "PatientBirthDate": "19600102"})])
    return number


def asker(database: Database, peer: FhirServer, alarms: Alarms) -> OrderAsker:
    issuers = {"patient_system": PATIENTS, "accession_system": ACCESSIONS}
    return OrderAsker(peer, database=database, issuers=issuers, now=lambda: NOW + timedelta(minutes=1), alarms=alarms)


@pytest.mark.peer
def test_an_order_of_a_fhir_server_stands_for_the_study_of_its_patient_and_for_no_other(
    database: Database, tmp_path: Path
) -> None:
    with FhirPeer(tmp_path) as peer:
        patient = peer.create({"resourceType": "Patient", "birthDate": "1960-01-02", "identifier": [
            {"system": PATIENTS, "value": "P-1"}, {"system": "urn:oid:9.9", "value": "P-2"}]})
        for accession in ("A-1", "A-2"):
            peer.create({
                "resourceType": "ServiceRequest", "status": "active", "intent": "order", "priority": "stat",
                "identifier": [{"system": ACCESSIONS, "value": accession}], "code": {"text": "CT chest"},
                "reasonCode": [{"text": "Cough"}], "subject": {"reference": f"Patient/{patient['id']}"},
            })
        right, wrong = study(database, 1, "P-1", "A-1"), study(database, 2, "P-2", "A-2")
        none = study(database, 3, "P-1", "A-3")
        alarms = Alarms(lambda: NOW)
        assert asker(database, server(peer), alarms).step() is False

    assert alarms.raised() == []
    with database.read() as session:
        found = {each: orders.context_of(session, each) for each in (right, wrong, none)}
    assert found[none] is None
    attached, conflict = found[right], found[wrong]
    assert attached is not None
    assert conflict is not None
    assert {key: attached.context[key] for key in ("priority", "reason", "procedure")} == {
        "priority": "stat", "reason": "Cough", "procedure": "CT chest"}
    assert (conflict.context, bool(conflict.conflict)) == ({}, True)


@pytest.mark.peer
def test_an_imaging_study_stands_for_the_images_of_its_uid_with_the_order_it_is_based_on_or_its_own_words(
    database: Database, tmp_path: Path
) -> None:
    based, alone, foreign = (study(database, number, "P-1", f"A-{number}") for number in (1, 2, 3))
    with database.read() as session:
        uids = {each.study_id: each.study_instance_uid for each in orders.without_order(session, NOW)}
    with FhirPeer(tmp_path) as peer:
        patient, other = (peer.create({"resourceType": "Patient", "identifier": [{"system": PATIENTS, "value": value}]})
                          for value in ("P-1", "P-2"))
        request = peer.create({"resourceType": "ServiceRequest", "status": "active", "intent": "order",
                               "priority": "urgent", "code": {"text": "CT chest"},
                               "subject": {"reference": f"Patient/{patient['id']}"}})
        for number, whose, more in (
            (based, patient, {"basedOn": [{"reference": f"ServiceRequest/{request['id']}"}]}),
            (alone, patient, {"reasonCode": [{"text": "Cough"}], "procedureCode": [{"text": "CT of the chest"}]}),
            (foreign, other, {"reasonCode": [{"text": "Fever"}]}),
        ):
            peer.create({"resourceType": "ImagingStudy", "status": "available",
                         "subject": {"reference": f"Patient/{whose['id']}"},
                         "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uids[number]}"}], **more})
        assert asker(database, server(peer), Alarms(lambda: NOW)).step() is False

    with database.read() as session:
        found = {each: orders.context_of(session, each) for each in (based, alone, foreign)}
    said = {number: (each.context.get("priority"), each.context.get("procedure"), each.context.get("reason"))
            for number, each in found.items() if each is not None}
    assert said == {based: ("urgent", "CT chest", ""), alone: ("", "CT of the chest", "Cough"),
                    foreign: (None, None, None)}
    conflict = found[foreign]
    assert conflict is not None
    assert "another patient" in conflict.conflict


def test_a_server_that_answers_with_everything_gives_no_order() -> None:
    request = {"resourceType": "ServiceRequest", "id": "1", "identifier": [{"value": "A-9"}],
               "subject": {"identifier": {"value": "P-1"}}}
    bundle: dict[str, Any] = {"resourceType": "Bundle", "entry": [{"resource": request}]}

    assert orders_in(bundle, "A-1", {}) == []
    assert [each.patients for each in orders_in(bundle, "A-9", {})] == [(("P-1", "", ""),)]
    assert orders_in(bundle, "A-9", {"accession_system": ACCESSIONS}) == []
    assert orders_in({"entry": ["x", {"resource": 7}]}, "A-1", {}) == []
    assert orders_in(None, "A-1", {}) == []
    other = {"resourceType": "ImagingStudy", "id": "1", "subject": {"identifier": {"value": "P-1"}},
             "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.30"}]}
    assert studies_in({"entry": [{"resource": other}]}, "1.2.3", "A-1", {}) == []


def test_a_server_that_is_not_there_is_an_alarm_and_is_left_alone_for_a_minute(database: Database) -> None:
    study(database, 1, "P-1", "A-1")
    alarms = Alarms(lambda: NOW)
    asking = asker(database, FhirServer(url="http://127.0.0.1:9/fhir"), alarms)

    assert asking.step() is False
    assert [each.name for each in alarms.raised()] == ["order-server"]
    assert asking.step() is False
