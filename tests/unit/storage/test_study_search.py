"""Studies are found by what is known of them, whatever became of them, and each in its own state."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from support.rows import (
    NOW,
    close_all,
    fail,
    insert_job,
    must_lease,
    must_lease_delivery,
    new_job,
    produce,
    receive,
    reception,
    refuse,
    result,
)

from radnode.node.studies import searching
from radnode.node.studies.searching import search
from radnode.storage import by_hand, catalog, jobs, merges, outbox
from radnode.storage.merges import Merge
from radnode.storage.study_search import Wanted

if TYPE_CHECKING:
    from radnode.storage.database import Database

BY = {"by": "anna", "reason": "x", "now": NOW}


def arrive(database: Database, number: int, patient: str = "Meier^Anna") -> int:
    """Study `number`, one image, its header read; the row id."""
    at = NOW + timedelta(minutes=number)
    (recorded,) = receive(database, reception(number, series=number, study=number, patient_id=f"P{number}", at=at))
    header = {"PatientName": patient, "Modality": "CT" if number % 2 else "MR", "AccessionNumber": f"A{number}"}
    with database.begin() as session:
        catalog.store_headers(session, [(recorded.instance_id, header)])
    return number


def read(database: Database, number: int, how: str) -> None:
    """A study and the job over it, ended."""
    arrive(database, number)
    (series,) = close_all(database)
    insert_job(database, new_job(f"job {number}", [number], series=series))
    if how == "waiting":
        return
    job = must_lease(database)
    if how == "failed":
        fail(database, job)
    elif how == "refused":
        refuse(database, job)
    elif how == "discarded":
        with database.begin() as session:
            jobs.discard(session, job.job_id, **BY)
    elif how != "running":
        produce(database, job, result(f"1.9.{number}"))


@pytest.fixture
def many(database: Database) -> Database:
    """A study in each of several states, by number."""
    for number, how in enumerate(("failed", "refused", "discarded", "produced", "produced", "running"), start=1):
        read(database, number, how)
    first = must_lease_delivery(database)
    second = must_lease_delivery(database)
    with database.begin() as session:
        outbox.sent(session, first, 0, NOW)
        outbox.dead(session, second, "status 0xA900", NOW)
    read(database, 7, "waiting")
    with database.begin() as session:
        by_hand.hold(session, 7, **BY)
    arrive(database, 8)
    with database.begin() as session:
        (series,) = catalog.open_series(session)
        catalog.hold_series(session, series, reason="2 slices are missing", grounds=[], now=NOW)
    arrive(database, 9)
    close_all(database)
    arrive(database, 10, patient="Rossi^Bruno")
    return database


STATES = {1: "failed", 2: "not processed", 3: "discarded", 4: "delivered", 5: "undelivered", 6: "running",
          7: "on hold", 8: "incomplete", 9: "no route", 10: "arriving"}


def found(database: Database, **wanted: str) -> list[int]:
    with database.read() as session:
        return [each.study.study_id for each in search(session, Wanted(**wanted)).studies]  # type: ignore[arg-type]


def test_a_search_for_a_patient_finds_whoever_was_merged_into_him_one_merge_after_the_other(many: Database) -> None:
    def told(patient: str, *survivors: str) -> None:
        into = tuple((each, "HOSPITAL", "") for each in survivors)
        with many.begin() as session:
            merges.record(session, Merge(sender="HIS", patient=(patient, "", ""), survivors=into, at=NOW))

    told("P3", "P4")
    told("P4", "P5", "P-national")
    assert found(many, patient_id="P5") == [5, 4, 3]
    assert found(many, patient_id="P-national") == [4, 3]
    assert found(many, patient_id="P4") == [4, 3]
    assert found(many, patient_id="P3") == [3]
    assert found(many, patient_id="P-*") == []
    told("P5", "P3")
    assert found(many, patient_id="P3") == [5, 4, 3]


def test_the_newest_come_first_each_in_its_state(many: Database) -> None:
    with many.read() as session:
        page = search(session, Wanted())
    assert {each.study.study_id: each.state.value for each in page.studies} == STATES
    assert [each.study.study_id for each in page.studies] == sorted(STATES, reverse=True)
    assert page.after is None


@pytest.mark.parametrize(("number", "state"), STATES.items())
def test_a_study_is_found_in_its_state_alone(many: Database, number: int, state: str) -> None:
    assert found(many, state=state) == [number]


@pytest.mark.parametrize(("wanted", "numbers"), [
    ({"accession_number": "A3"}, [3]), ({"accession_number": "A1*"}, [10, 1]), ({"accession_number": "A_"}, []),
    ({"patient_id": "P4"}, [4]), ({"patient_name": "bruno, ros"}, []), ({"patient_name": "ros bru"}, [10]),
    ({"uid": "1.2.5.2"}, [2]), ({"uid": "1.2.4.3"}, [3]), ({"uid": "1.2.3.4"}, [4]), ({"uid": "1.9.5"}, [5]),
    ({"uid": "1"}, []), ({"modality": "MR", "state": "failed"}, []), ({"modality": "CT", "state": "failed"}, [1]),
    ({"source": "NOBODY"}, []), ({"route": "chest", "state": "undelivered"}, [5]), ({"route": "ches"}, []),
])
def test_a_study_is_found_by_what_is_known_of_it(
    many: Database, wanted: dict[str, str], numbers: list[int]
) -> None:
    assert found(many, **wanted) == numbers


def test_pages_follow_each_other_without_a_gap(many: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "PAGE", 4)
    seen: list[int] = []
    after = None
    with many.read() as session:
        for _ in range(3):
            page = search(session, Wanted(), after)
            seen += [each.study.study_id for each in page.studies]
            after = page.after
    assert seen == sorted(STATES, reverse=True)
    assert after is None


