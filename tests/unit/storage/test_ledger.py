from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, select, update
from support.rows import NOW, receive, reception, states

from radnode.storage import ledger
from radnode.storage.ledger import ALLOWED, InstanceState
from radnode.storage.tables import InstanceRow, LedgerEvent

if TYPE_CHECKING:
    from radnode.storage.database import Database

pytestmark = pytest.mark.goal("ledger")


@pytest.mark.parametrize("new", InstanceState)
def test_an_instance_moves_where_the_table_allows_and_nowhere_else(database: Database, new: InstanceState) -> None:
    recorded = receive(database, *(reception(number) for number, _ in enumerate(InstanceState)))
    olds = {each.instance_id: old for each, old in zip(recorded, InstanceState, strict=True)}
    with database.begin() as session:
        for instance_id, old in olds.items():
            session.execute(update(InstanceRow).where(InstanceRow.id == instance_id).values(state=old))
        assert ledger.move(session, list(olds), new, reason="because", now=NOW) == len(ALLOWED[new])
        found = dict(session.execute(select(InstanceRow.id, InstanceRow.state)).all())
    assert found == {each: new if old in ALLOWED[new] else old for each, old in olds.items()}


def test_every_move_is_in_the_journal_with_its_reason(database: Database) -> None:
    (first,) = receive(database, reception())
    with database.begin() as session:
        ledger.move(session, [first.instance_id], InstanceState.NOT_ROUTED, reason="no route matched", now=NOW)
    with database.read() as session:
        journal = session.execute(select(LedgerEvent.kind, LedgerEvent.reason).order_by(LedgerEvent.id)).all()
    assert journal == [("acknowledged", ""), ("NOT_ROUTED", "no route matched")]


def test_more_instances_than_one_statement_takes_move_at_once(database: Database) -> None:
    recorded = receive(database, *(reception(number) for number in range(600)))
    with database.begin() as session:
        ids = [each.instance_id for each in recorded]
        assert ledger.move(session, ids, InstanceState.NOT_ROUTED, reason="", now=NOW) == 600
    assert states(database) == {"NOT_ROUTED": 600}


def test_nothing_to_move_is_nothing_moved(database: Database) -> None:
    with database.begin() as session:
        assert ledger.move(session, [], InstanceState.NOT_ROUTED, reason="", now=NOW) == 0


def test_a_row_that_is_lost_is_seen_in_the_balance(database: Database) -> None:
    lost, _ = receive(database, reception(1), reception(2))
    with database.begin() as session:
        session.execute(delete(LedgerEvent).where(LedgerEvent.instance_id == lost.instance_id))
        balance = ledger.balance(session)
    assert (balance.difference, balance.holds) == (-1, False)
