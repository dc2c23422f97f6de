"""Audit messages by time, person and event, by an index; and as files."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from radnode.node.audit.exporting import COLUMNS, as_csv, as_xml
from radnode.storage import audit
from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'audit.db'}")
    made.upgrade()
    with made.begin() as session:
        audit.append(session, [
            audit.NewMessage(
                at=BEGIN + timedelta(hours=number), event="Query" if number % 2 else "User Authentication", outcome=0,
                who="=ann" if number % 3 else "bob", study_instance_uid=None,
                message=f'<?xml version="1.0"?><AuditMessage number="{number}"/>',
            ) for number in range(48)
        ])
    yield made
    made.close()


def test_messages_are_found_by_day_person_and_event_together(database: Database) -> None:
    with database.read() as session:
        found = audit.newest(session, 100, since=BEGIN + timedelta(days=1), who="bob", event="Query")
        assert [each.at - BEGIN for each in found] == [timedelta(hours=hour) for hour in (45, 39, 33, 27)]
        assert len(audit.newest(session, 100, until=BEGIN + timedelta(days=1))) == 24
        assert audit.newest(session, 100, since=BEGIN + timedelta(days=9)) == []
        assert audit.newest(session, 100, until=BEGIN) == []


@pytest.mark.parametrize("filters", [
    {"who": "bob"}, {"event": "Query"}, {"since": BEGIN + timedelta(days=1)}, {"until": BEGIN + timedelta(days=1)},
])
def test_no_search_goes_through_the_whole_trail(database: Database, filters: dict[str, object]) -> None:
    statements: list[tuple[str, object]] = []
    event.listen(database.engine, "before_cursor_execute",
                 lambda _connection, _cursor, statement, given, *_: statements.append((statement, given)))
    with database.read() as session:
        audit.newest(session, 50, **filters)  # type: ignore[arg-type]
        asked = [each for each in statements if "audit_messages" in each[0]]
        assert asked
        for statement, given in asked:
            plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given).all()
            assert not [row for row in plan if "SCAN audit_messages" in row[-1] and "INDEX" not in row[-1]], plan


def test_the_export_is_csv_that_no_spreadsheet_executes_and_xml_that_is_whole(database: Database) -> None:
    with database.read() as session:
        messages = audit.newest(session, 100)
    rows = list(csv.reader("".join(as_csv(messages)).splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert {row[4] for row in rows[1:]} == {"'=ann", "bob"}
    assert len(ET.fromstring("".join(as_xml(messages)))) == 48  # noqa: S314 - written a line above
