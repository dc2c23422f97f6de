from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

from support.rows import LEASE, NOW

from radnode.storage import leases

if TYPE_CHECKING:
    from datetime import datetime

    from radnode.storage.database import Database


def _acquire(database: Database, owner: str, now: datetime = NOW) -> int | None:
    with database.begin() as session:
        return leases.acquire(session, "scheduler", owner, now, LEASE)


def test_only_one_owner_at_a_time(database: Database) -> None:
    assert _acquire(database, "a") == 1
    assert _acquire(database, "b") is None
    assert _acquire(database, "b", NOW + LEASE) == 2


def test_an_owner_that_acquires_again_is_somebody_new(database: Database) -> None:
    first = _acquire(database, "a")
    again = _acquire(database, "a")
    assert (first, again) == (1, 2)
    with database.begin() as session:
        assert not leases.renew(session, "scheduler", 1, NOW, LEASE)


def test_renewing_prolongs_and_releasing_ends(database: Database) -> None:
    token = _acquire(database, "a")
    assert token is not None
    almost = NOW + LEASE - timedelta(seconds=1)
    with database.begin() as session:
        assert leases.renew(session, "scheduler", token, almost, LEASE)
    assert _acquire(database, "b", NOW + LEASE) is None
    with database.begin() as session:
        assert leases.release(session, "scheduler", token, NOW + LEASE)
    assert _acquire(database, "b", NOW + LEASE) == token + 1


def test_a_lease_that_ended_is_neither_renewed_nor_released(database: Database) -> None:
    token = _acquire(database, "a")
    assert token is not None
    with database.begin() as session:
        assert not leases.renew(session, "scheduler", token, NOW + LEASE, LEASE)
        assert not leases.release(session, "scheduler", token, NOW + LEASE)


def test_of_many_that_ask_at_once_one_gets_it(database: Database) -> None:
    with ThreadPoolExecutor(6) as pool:
        tokens = list(pool.map(lambda owner: _acquire(database, owner), "abcdef"))
    assert sorted(token for token in tokens if token is not None) == [1]
