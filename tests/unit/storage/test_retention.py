from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select
from support.rows import (
    MINUTE,
    NOW,
    close_all,
    insert_job,
    must_lease,
    must_lease_delivery,
    new_job,
    produce,
    receive,
    reception,
    result,
    states,
)

from radnode.config.settings import Settings
from radnode.node.delivery.backoff import HORIZON
from radnode.storage import catalog, outbox, retention, transfers
from radnode.storage.acknowledgements import Expiry
from radnode.storage.files import FileStore
from radnode.storage.tables import HeaderRow, InstanceRow, RemovalRow
from radnode.storage.transfers import TransferState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from radnode.storage.database import Database
    from radnode.storage.receptions import Reception

LATER = NOW + timedelta(days=14)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """An empty store."""
    return FileStore(tmp_path / "data", 0)


def _arrive(database: Database, store: FileStore, *received: Reception) -> list[int]:
    """Keep the bytes and record them, as intake does; the ids."""
    for each in received:
        spooled = store.new_spool_path()
        spooled.write_bytes(b"DICM")
        store.keep(spooled, each.digest)
    return [each.instance_id for each in receive(database, *received)]


def _expire(database: Database, store: FileStore, limit: int = 100) -> int:
    return retention.expire(database, store, NOW + MINUTE, LATER, limit)


def _files(store: FileStore) -> int:
    return len(list((store.root / "instances").rglob("*.dcm")))


def _notes(database: Database) -> int | None:
    with database.read() as session:
        return session.scalar(select(func.count(RemovalRow.id)))


def _with_job(database: Database, ids: Sequence[int]) -> None:
    (series,) = close_all(database)
    insert_job(database, new_job("job", ids, series=series))


def test_what_is_old_and_settled_goes_with_its_header_and_the_ledger_remembers(
    database: Database, store: FileStore
) -> None:
    ids = _arrive(database, store, reception(1), reception(2, at=LATER))
    with database.begin() as session:
        catalog.store_headers(session, [(each, {"Modality": "CT"}) for each in ids])
    close_all(database)
    assert _expire(database, store) == 1
    assert states(database) == {"EXPIRED": 1, "RECEIVED": 1}
    assert _files(store) == 1
    with database.read() as session:
        assert list(session.scalars(select(HeaderRow.instance_id))) == [ids[1]]
    assert _notes(database) == 0


def test_an_open_series_is_not_touched(database: Database, store: FileStore) -> None:
    _arrive(database, store, reception())
    assert _expire(database, store) == 0
    assert _files(store) == 1


def test_the_input_of_a_job_that_waits_or_runs_is_kept(database: Database, store: FileStore) -> None:
    _with_job(database, _arrive(database, store, reception()))
    assert _expire(database, store) == 0
    job = must_lease(database)
    assert _expire(database, store) == 0
    produce(database, job)
    assert _expire(database, store) == 1


def test_the_input_of_a_result_that_was_not_sent_is_kept(database: Database, store: FileStore) -> None:
    _with_job(database, _arrive(database, store, reception()))
    produce(database, must_lease(database), result("1.1"))
    assert _expire(database, store) == 0
    delivery = must_lease_delivery(database)
    assert _expire(database, store) == 0
    with database.begin() as session:
        outbox.sent(session, delivery, 0, NOW)
    assert _expire(database, store) == 1


def test_the_oldest_go_first_and_no_more_than_asked_for(database: Database, store: FileStore) -> None:
    _arrive(database, store, *(reception(number, at=NOW - number * MINUTE) for number in range(5)))
    close_all(database)
    assert [_expire(database, store, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert _files(store) == 0


@pytest.mark.catalogue("U7")
def test_a_resend_of_what_expired_leaves_no_file(database: Database, store: FileStore) -> None:
    _arrive(database, store, reception())
    close_all(database)
    _expire(database, store)
    _arrive(database, store, reception())
    assert _files(store) == 1
    assert _expire(database, store) == 0
    assert _files(store) == 0
    assert states(database) == {"EXPIRED": 1}


@pytest.mark.parametrize(("end", "says"), [
    ("confirmed", "retention"),
    ("sent", "retention; results of it were sent, but never found at their destination"),
    ("dead", "retention; results of it were given up"),
])
def test_images_without_a_confirmed_result_stay_longer_and_the_ledger_says_how_they_went(
    database: Database, store: FileStore, end: str, says: str
) -> None:
    (number,) = ids = _arrive(database, store, reception())
    _with_job(database, ids)
    produce(database, must_lease(database), result("1.1"))
    delivery = must_lease_delivery(database)
    with database.begin() as session:
        if end == "dead":
            outbox.dead(session, delivery, "no", LATER)
        else:
            outbox.sent(session, delivery, 0, LATER)
        if end == "confirmed":
            outbox.confirmed(session, delivery, LATER, "C-FIND")
    assert _expire(database, store) == (0 if end == "sent" else 1)
    retention.expire(database, store, LATER + MINUTE, LATER, 10)
    with database.read() as session:
        row = session.get_one(InstanceRow, number)
        assert (row.state, row.reason) == ("EXPIRED", says)
    assert _files(store) == 0


def test_images_are_kept_longer_than_a_result_is_sent_again() -> None:
    with pytest.raises(ValidationError):
        Settings(retention_days=HORIZON / timedelta(days=1))
    assert timedelta(days=Settings(retention_days=4).retention_days) > HORIZON


class _DiesBefore(FileStore):
    """A process killed when it comes to deleting."""

    def remove(self, digest: str, area: object = "instances") -> None:
        raise KeyboardInterrupt


class _DiesAfter(FileStore):
    """A process killed when the first file is gone."""

    def remove(self, digest: str, area: object = "instances") -> None:
        super().remove(digest)
        raise KeyboardInterrupt


@pytest.mark.catalogue("K15")
def test_a_deletion_cut_short_after_its_first_file_ends_at_the_next_and_is_remembered(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    _arrive(database, store, reception(1), reception(2))
    close_all(database)
    with pytest.raises(KeyboardInterrupt):
        _expire(database, _DiesAfter(tmp_path / "data", 0))
    assert (states(database), _files(store), _notes(database)) == ({"EXPIRED": 2}, 1, 2)
    assert _expire(database, store) == 0
    assert (states(database), _files(store), _notes(database)) == ({"EXPIRED": 2}, 0, 0)
    written = {entry.digest for entry in store.acknowledgements.read() if isinstance(entry, Expiry)}
    assert written == {reception(1).digest, reception(2).digest}


@pytest.mark.catalogue("K15")
def test_files_of_a_deletion_that_was_cut_short_go_at_the_next(
    database: Database, store: FileStore, tmp_path: Path
) -> None:
    _arrive(database, store, reception(1), reception(2))
    close_all(database)
    with pytest.raises(KeyboardInterrupt):
        _expire(database, _DiesBefore(tmp_path / "data", 0))
    assert (states(database), _files(store), _notes(database)) == ({"EXPIRED": 2}, 2, 2)
    assert _expire(database, store) == 0
    assert (_files(store), _notes(database)) == (0, 0)


def test_more_than_one_statement_takes_go_at_once(database: Database, store: FileStore) -> None:
    receive(database, *(reception(number) for number in range(600)))
    close_all(database)
    assert _expire(database, store, limit=2000) == 600
    assert states(database) == {"EXPIRED": 600}


def test_an_image_that_is_still_to_be_sent_on_stays(database: Database, store: FileStore) -> None:
    waiting, settled = _arrive(database, store, reception(1), reception(2))
    close_all(database)
    with database.begin() as session:
        transfers.plan(session, [waiting, settled], ["OUTSIDE"], "ON", NOW)
        second = next(each for each in transfers.due(session, NOW, 9) if each.instance_id == settled)
        transfers.end(session, second, TransferState.HELD, "a report", NOW)
    assert _expire(database, store) == 1
    with database.begin() as session:
        assert transfers.again(session, "OUTSIDE", NOW) == 1
