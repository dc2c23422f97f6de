from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text, update
from support.rows import (
    MINUTE,
    NOW,
    close_all,
    job_over,
    must_lease,
    produce,
    receive,
    reception,
    refuse,
    states,
)
from support.waiting import eventually

from radnode.storage import catalog, ledger
from radnode.storage.errors import TransactionEnded
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import InstanceRow, LedgerEvent, SeriesRow, StudyRow

if TYPE_CHECKING:
    from radnode.storage.database import Database


def _series(database: Database) -> tuple[str, int, int]:
    with database.read() as session:
        row = session.execute(select(SeriesRow.state, SeriesRow.revision, SeriesRow.received)).one()
        return row.state, row.revision, row.received


def _journal(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(LedgerEvent.kind).order_by(LedgerEvent.id)))


def somebody_waits(database: Database) -> bool:
    """For a lock that another transaction of PostgreSQL has."""
    with database.read() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_a_batch_is_answered_in_its_order(database: Database) -> None:
    batch = [reception(3), reception(1, series=2), reception(2), reception(1, series=1, study=2)]
    answers = receive(database, *batch)
    with database.read() as session:
        uids = dict(session.execute(select(InstanceRow.id, InstanceRow.sop_instance_uid)).all())
    assert [uids[answer.instance_id] for answer in answers] == [each.sop_instance_uid for each in batch]
    assert answers[0].series_id == answers[2].series_id != answers[1].series_id


@pytest.mark.catalogue("U1")
def test_the_same_bytes_again_are_no_new_instance(database: Database) -> None:
    (first,) = receive(database, reception())
    (again,) = receive(database, reception(at=NOW + MINUTE))
    assert (again.instance_id, again.duplicate, again.conflict) == (first.instance_id, True, False)
    with database.read() as session:
        assert session.execute(select(InstanceRow.receptions, InstanceRow.received_at)).one() == (2, NOW)
        assert ledger.balance(session).receptions == 2
    assert _journal(database) == ["acknowledged", "received again"]


@pytest.mark.catalogue("U8")
def test_the_same_bytes_twice_in_one_batch_are_one_instance(database: Database) -> None:
    first, again = receive(database, reception(), reception())
    assert (first.duplicate, again.duplicate) == (False, True)
    assert _series(database) == ("OPEN", 1, 1)


@pytest.mark.catalogue("U6")
@pytest.mark.parametrize("end", [produce, refuse], ids=["processed", "not processed"])
def test_a_resend_after_the_end_changes_no_state_and_opens_nothing(database: Database, end: object) -> None:
    job_over(database, 1, 2)
    end(database, must_lease(database))  # type: ignore[operator]
    before = states(database)
    answers = receive(database, reception(1), reception(2))
    assert all(answer.duplicate for answer in answers)
    assert states(database) == before
    assert _series(database) == ("CLOSED", 1, 2)


@pytest.mark.catalogue("U3", "I9")
def test_other_bytes_under_the_same_uid_are_kept_beside_the_first(database: Database) -> None:
    first, other = receive(database, reception(), reception(content="edited"))
    assert (first.conflict, other.conflict, other.duplicate) == (False, True, False)
    assert first.instance_id != other.instance_id
    assert states(database) == {"RECEIVED": 1, "CONFLICT": 1}


@pytest.mark.catalogue("U3")
def test_bytes_in_conflict_that_come_again_are_a_resend(database: Database) -> None:
    _, other = receive(database, reception(), reception(content="edited"))
    (again,) = receive(database, reception(content="edited"))
    assert (again.instance_id, again.duplicate) == (other.instance_id, True)


@pytest.mark.catalogue("U4", "I9")
@pytest.mark.parametrize("elsewhere", [{"series": 2}, {"study": 2}], ids=["other series", "other study"])
def test_a_uid_in_two_places_is_kept_in_both_and_the_second_is_in_conflict(
    database: Database, elsewhere: dict[str, int]
) -> None:
    first, second = receive(database, reception(), reception(**elsewhere))  # type: ignore[arg-type]
    assert (first.conflict, second.conflict) == (False, True)
    assert first.series_id != second.series_id


@pytest.mark.catalogue("S9", "I6")
def test_one_study_of_two_patients_is_marked_and_the_newcomer_is_in_conflict(database: Database) -> None:
    receive(database, reception(1))
    (other,) = receive(database, reception(2, patient_id="P2"))
    assert other.conflict
    with database.read() as session:
        assert "two Patient IDs" in str(session.scalar(select(StudyRow.conflict)))
        assert session.scalar(select(StudyRow.patient_id)) == "P1"


@pytest.mark.parametrize("patient_id", ["A\0B", "A\udc80B", "x" * 100_000], ids=["NUL", "no Unicode", "long"])
def test_a_patient_id_that_no_database_takes_harms_nobody(database: Database, patient_id: str) -> None:
    odd = [replace(reception(number), patient_id=patient_id) for number in (1, 2)]
    answers = receive(database, *odd, reception(3, study=2, series=2))
    assert not any(answer.conflict for answer in answers)
    (again,) = receive(database, odd[0])
    assert again.duplicate


@pytest.mark.catalogue("S1")
def test_a_late_instance_opens_a_new_revision_once(database: Database) -> None:
    receive(database, reception(1))
    close_all(database)
    receive(database, reception(2), reception(3))
    assert _series(database) == ("OPEN", 2, 3)
    with database.read() as session:
        (snapshot,) = catalog.open_series(session)
    assert (snapshot.revision, snapshot.received) == (2, 3)


def test_a_late_instance_opens_a_held_series(database: Database) -> None:
    receive(database, reception(1))
    with database.begin() as session:
        (series,) = catalog.open_series(session)
        catalog.hold_series(session, series, reason="gap", grounds=[], now=NOW)
    assert states(database) == {"INCOMPLETE": 1}
    receive(database, reception(2))
    assert _series(database) == ("OPEN", 2, 2)


def test_the_journal_is_written_once_for_each_acknowledgement(database: Database) -> None:
    receive(database, *(reception(number) for number in range(5)))
    receive(database, reception(0), reception(0, content="x"))
    assert _journal(database).count("acknowledged") == 6
    with database.read() as session:
        balance = ledger.balance(session)
    assert (balance.acknowledged, balance.receptions, balance.difference) == (6, 7, 0)


@pytest.mark.catalogue("U8")
def test_senders_of_the_same_images_at_once_get_one_row_each(database: Database) -> None:
    batch = [reception(number) for number in range(10)]
    ready = Barrier(4)

    def send(turn: int) -> int:
        ready.wait()
        order = batch if turn % 2 else batch[::-1]
        return sum(answer.duplicate for each in order for answer in receive(database, each))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(send, range(4))) == 30
    assert states(database) == {"RECEIVED": 10}
    assert _series(database) == ("OPEN", 1, 10)


@pytest.mark.catalogue("U4")
def test_one_uid_under_two_studies_at_once_is_seen(database: Database) -> None:
    for number in range(10):
        ready = Barrier(2)

        def send(study: int, number: int = number, ready: Barrier = ready) -> bool:
            ready.wait()
            return receive(database, reception(number, study=study))[0].conflict

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(send, (1, 2))) == [False, True]


def test_batches_that_share_studies_in_any_order_do_not_block_each_other(database: Database) -> None:
    batches = [
        [reception(100 * turn + study, study=study, series=study) for study in range(6)] for turn in range(6)
    ]
    batches[1::2] = [batch[::-1] for batch in batches[1::2]]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda batch: receive(database, *batch), batches))
    assert states(database) == {"RECEIVED": 36}


@pytest.mark.catalogue("U7")
def test_a_resend_of_what_expired_stays_expired(database: Database) -> None:
    (first,) = receive(database, reception())
    close_all(database)
    with database.begin() as session:
        ledger.move(session, [first.instance_id], InstanceState.EXPIRED, reason="retention", now=NOW)
    (again,) = receive(database, replace(reception(), association="a2"))
    assert again.duplicate
    assert states(database) == {"EXPIRED": 1}


def test_a_reception_that_waits_for_what_waits_for_it_is_ended_and_recorded_when_it_comes_again(
    database: Database,
) -> None:
    if database.engine.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    receive(database, reception(1))
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as session:
            session.execute(update(SeriesRow).values(queried_count=7))
            second = pool.submit(receive, database, reception(2))
            eventually(lambda: somebody_waits(database), within=30)
            session.execute(update(StudyRow).values(last_received_at=NOW + MINUTE))
        with pytest.raises(TransactionEnded, match="deadlock"):
            second.result(30)
    receive(database, reception(2))
    assert states(database) == {"RECEIVED": 2}


def test_headers_are_stored_beside_a_reception_of_the_same_study_without_either_waiting_for_the_other(
    database: Database,
) -> None:
    """Whoever has the study goes on to its series; whoever wants it has nothing yet that the first one wants."""
    if database.engine.name == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    (recorded,) = receive(database, reception(1))

    def store() -> None:
        with database.begin() as session:
            catalog.store_headers(session, [(recorded.instance_id, {"Modality": "CT", "AccessionNumber": "A1"})])

    with ThreadPoolExecutor(1) as pool:
        with database.begin() as session:
            session.execute(update(StudyRow).values(last_received_at=NOW + MINUTE))
            stored = pool.submit(store)
            eventually(lambda: somebody_waits(database), within=30)
            session.execute(update(SeriesRow).values(received=SeriesRow.received + 1))
        stored.result(30)
    with database.read() as session:
        assert session.scalar(select(SeriesRow.modality)) == "CT"
        assert session.scalar(select(StudyRow.accession_number)) == "A1"
