from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, event, select
from support.rows import MINUTE, NOW, close_all, receive, reception, states

from radnode.storage import catalog
from radnode.storage.tables import EventRow, HeaderRow, RoutingRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from radnode.storage.catalog import SeriesSnapshot
    from radnode.storage.database import Database


def _only(database: Database) -> SeriesSnapshot:
    with database.read() as session:
        (series,) = catalog.open_series(session)
    return series


def _close(session: Any, series: SeriesSnapshot) -> bool:
    return catalog.close_series(session, series, grounds=[{"kind": "quiet"}], now=NOW)


def _hold(session: Any, series: SeriesSnapshot) -> bool:
    return catalog.hold_series(session, series, reason="a gap at 12.0 mm", grounds=[], now=NOW)


def _conflict(session: Any, series: SeriesSnapshot) -> bool:
    return catalog.conflict_series(session, series, reason="two patients", grounds=[], now=NOW)


DECISION = pytest.mark.parametrize(
    ("decide", "state", "instances"),
    [(_close, "CLOSED", "RECEIVED"), (_hold, "HELD", "INCOMPLETE"), (_conflict, "CONFLICT", "CONFLICT")],
    ids=["closed", "held", "in conflict"],
)


def test_an_open_series_tells_what_was_received_and_what_is_not_read_yet(database: Database) -> None:
    first, *_ = receive(
        database, reception(1), reception(2, association="a2"), reception(3, association="a2", at=NOW + MINUTE)
    )
    with database.begin() as session:
        catalog.store_headers(session, [(first.instance_id, {})])
    series = _only(database)
    assert (series.received, series.unindexed, series.associations_seen, series.revision) == (3, 2, 2, 1)
    assert (series.source, series.study_instance_uid, series.queried_count) == ("PACS", "1.2.5.1", None)


@DECISION
def test_a_series_is_decided_once(
    database: Database, decide: Callable[[Any, SeriesSnapshot], bool], state: str, instances: str
) -> None:
    receive(database, reception(1), reception(2))
    series = _only(database)
    with database.begin() as session:
        assert decide(session, series)
        assert not decide(session, series)
        assert session.scalar(select(SeriesRow.state)) == state
        assert list(session.scalars(select(EventRow.kind))) == [f"series {state.lower()}"]
    assert states(database) == {instances: 2}


@DECISION
def test_a_series_that_grew_since_it_was_seen_is_not_decided(
    database: Database, decide: Callable[[Any, SeriesSnapshot], bool], state: str, instances: str
) -> None:
    receive(database, reception(1))
    seen = _only(database)
    receive(database, reception(2))
    with database.begin() as session:
        assert not decide(session, seen)
        assert session.scalar(select(SeriesRow.state)) == "OPEN"
    assert states(database) == {"RECEIVED": 2}


def test_a_resend_does_not_keep_a_series_from_being_decided(database: Database) -> None:
    receive(database, reception(1))
    seen = _only(database)
    receive(database, reception(1))
    with database.begin() as session:
        assert _close(session, seen)


def test_headers_are_read_in_order_of_arrival_and_stored_again_without_harm(database: Database) -> None:
    recorded = receive(database, reception(2), reception(1))
    with database.read() as session:
        waiting = catalog.unindexed(session, 10)
    assert [each.instance_id for each in waiting] == [each.instance_id for each in recorded]
    assert waiting[0].digest == reception(2).digest
    for attributes in ({"Modality": "CT"}, {"Modality": "CT", "Rows": 512}):
        with database.begin() as session:
            catalog.store_headers(session, [(each.instance_id, attributes) for each in waiting])
    with database.read() as session:
        assert catalog.unindexed(session, 10) == []
        found = catalog.headers(session, recorded[0].series_id)
    assert [each.sop_instance_uid for each in found] == ["1.2.3.2", "1.2.3.1"]
    assert found[0].attributes == {"Modality": "CT", "Rows": 512}


def test_headers_describe_the_series_and_study_and_nothing_known_is_overwritten(database: Database) -> None:
    recorded = receive(database, reception(1), reception(2))
    described = {"Modality": "CT", "SeriesDescription": "LUNG 1.0", "AccessionNumber": "A1", "StudyDate": "20260301"}
    for each, attributes in zip(recorded, (described, {"Modality": "SR", "StudyDescription": "CHEST"}), strict=True):
        with database.begin() as session:
            catalog.store_headers(session, [(each.instance_id, attributes)])
    with database.read() as session:
        assert session.execute(select(SeriesRow.modality, SeriesRow.description)).one() == ("CT", "LUNG 1.0")
        study = session.scalars(select(StudyRow)).one()
        assert (study.accession_number, study.study_date, study.description) == ("A1", "20260301", "CHEST")


def test_an_instance_that_cannot_be_read_is_quarantined_and_counted(database: Database) -> None:
    bad, good = receive(database, reception(1), reception(2))
    with database.begin() as session:
        catalog.reject_header(session, bad.instance_id, "nested too deep", NOW)
        catalog.store_headers(session, [(good.instance_id, {})])
        assert catalog.unreadable(session, bad.series_id) == 1
        assert [each.instance_id for each in catalog.headers(session, bad.series_id)] == [good.instance_id]
        assert catalog.unindexed(session, 10) == []
    assert states(database) == {"QUARANTINED": 1, "RECEIVED": 1}


def test_what_contradicts_is_among_the_headers(database: Database) -> None:
    recorded = receive(database, reception(), reception(content="edited"))
    with database.begin() as session:
        catalog.store_headers(session, [(each.instance_id, {}) for each in recorded])
        found = catalog.headers(session, recorded[0].series_id)
    assert [each.state for each in found] == ["RECEIVED", "CONFLICT"]
    assert "other content" in found[1].reason


def test_what_the_source_counts_is_forgotten_when_a_late_instance_comes(database: Database) -> None:
    (recorded,) = receive(database, reception(1))
    with database.begin() as session:
        catalog.note_count(session, recorded.series_id, 5, NOW)
    assert _only(database).queried_count == 5
    close_all(database)
    receive(database, reception(2))
    assert _only(database).queried_count is None


def test_explanations_are_kept_for_each_revision(database: Database) -> None:
    receive(database, reception(1))
    (series,) = close_all(database)
    with database.begin() as session:
        catalog.store_routing(session, series, explanations=[{"route": "chest"}], configuration_digest="c", now=NOW)
    with database.read() as session:
        row = session.scalars(select(RoutingRow)).one()
        assert (row.revision, row.explanations) == (1, [{"route": "chest"}])


def test_attributes_of_any_script_come_back_as_they_were(database: Database) -> None:
    (recorded,) = receive(database, reception())
    attributes = {"PatientName": "山田^太郎=ヤマダ^タロウ", "Odd": "\u202e\0\x7f'; DROP TABLE", "Number": 1e-300}
    with database.begin() as session:
        catalog.store_headers(session, [(recorded.instance_id, attributes)])
    with database.read() as session:
        assert session.scalar(select(HeaderRow.attributes)) == attributes


@pytest.mark.parametrize("text", ["A\0B", "A\udc80B"], ids=["NUL", "no Unicode"])
def test_a_description_that_no_database_takes_is_kept_without_what_is_wrong(database: Database, text: str) -> None:
    (recorded,) = receive(database, reception())
    with database.begin() as session:
        catalog.store_headers(session, [(recorded.instance_id, {"SeriesDescription": text})])
        catalog.reject_header(session, recorded.instance_id, text, NOW)
        assert session.scalar(select(SeriesRow.description)) in ("AB", "A?B")


def test_no_headers_are_no_work(database: Database) -> None:
    with database.begin() as session:
        catalog.store_headers(session, [])


def test_S14_the_statements_for_a_series_grow_no_faster_than_its_instances(database: Database) -> None:
    small, large = (_statements(database, number, count) for number, count in ((1, 400), (2, 4000)))
    assert large <= 10 * small


def _statements(database: Database, series: int, count: int) -> int:
    """How many statements receive, catalogue, close and move a series of `count` images."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        images = [reception(100_000 * series + each, series=series, study=series) for each in range(count)]
        for start in range(0, count, 100):
            ids = [each.instance_id for each in receive(database, *images[start : start + 100])]
            with database.begin() as session:
                catalog.store_headers(session, [(each, {"Modality": "CT"}) for each in ids])
        with database.read() as session:
            assert len(catalog.headers(session, _only(database).series_id)) == count
        close_all(database)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert states(database)["RECEIVED"] >= count
    return len(seen)
