from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from support.rows import MINUTE, NOW, close_all, receive, reception, states

from radnode.storage import rebuilding, retention
from radnode.storage.acknowledgements import Expiry
from radnode.storage.files import FileStore
from radnode.storage.receptions import Reception

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.storage.database import Database

LATER = NOW + timedelta(days=14)


def _lines(store: FileStore) -> tuple[list[Reception], list[Expiry]]:
    found = list(store.acknowledgements.read())
    return [each for each in found if isinstance(each, Reception)], [each for each in found if isinstance(each, Expiry)]


@pytest.mark.catalogue("K19", "U7")
def test_a_rebuilt_ledger_remembers_what_was_deleted_and_enters_nothing_twice(
    database: Database, tmp_path: Path
) -> None:
    store = FileStore(tmp_path, 0)
    received = [reception(number, at=NOW + number * MINUTE) for number in range(1, 4)]
    store.note([*received, reception(1, at=NOW + 9 * MINUTE)])
    expired = Expiry(sop_instance_uid=received[0].sop_instance_uid, digest=received[0].digest, at=LATER)
    store.note([expired])
    for fresh in (3, 0):
        arrivals, deletions = _lines(store)
        assert len(rebuilding.enter(database, arrivals)) == fresh
        assert rebuilding.expire(database, deletions, LATER) == (1 if fresh else 0)
    assert states(database) == {"EXPIRED": 1, "RECEIVED": 2}
    assert receive(database, received[0])[0].duplicate, "a resend of what was deleted is known (U7)"
    assert states(database) == {"EXPIRED": 1, "RECEIVED": 2}


@pytest.mark.catalogue("K19")
def test_what_retention_deletes_is_written_down_for_a_rebuilt_ledger(database: Database, tmp_path: Path) -> None:
    store = FileStore(tmp_path, 0)
    receive(database, reception())
    close_all(database)
    assert retention.expire(database, store, NOW + MINUTE, LATER, 10) == 1
    _, (expiry,) = _lines(store)
    assert (expiry.sop_instance_uid, expiry.digest) == (reception().sop_instance_uid, reception().digest)


def test_what_is_missing_waits_in_quarantine_and_is_looked_at_again_once_it_comes(database: Database) -> None:
    rebuilding.enter(database, [reception(1), reception(2)])
    rebuilding.mark_missing(database, [reception(1).digest], LATER)
    assert states(database) == {"QUARANTINED": 1, "RECEIVED": 1}
    (series,) = close_all(database)
    assert series.unindexed == 1
    (again,) = receive(database, reception(1, at=LATER))
    assert again.duplicate
    assert states(database) == {"RECEIVED": 2}
    (series,) = close_all(database)
    assert (series.revision, series.received, series.unindexed) == (2, 2, 2)


def test_the_same_object_in_two_series_is_two_instances(database: Database) -> None:
    twice = [reception(1, content="same"), reception(1, series=2, content="same")]
    assert len(rebuilding.enter(database, twice)) == 2
    assert sum(states(database).values()) == 2
