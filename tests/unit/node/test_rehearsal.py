"""Routes are tried on what came before they are in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from support.rows import receive, reception
from typer.testing import CliRunner

from radnode.config.loading import parse
from radnode.node.cli import app
from radnode.node.rehearsal import rehearse
from radnode.storage import catalog
from radnode.storage.database import Database
from radnode.storage.tables import EventRow, JobRow, LedgerEvent, RoutingRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.node.rehearsal import Rehearsal

LUNGS = "  - {name: lungs, when: {modality: CT, slice_thickness: {at_most: 2}}, run: [ct-lung], send: [PACS]}\n"
THICK = "  - {name: lungs, when: {modality: CT, slice_thickness: {at_most: 9}}, run: [ct-lung], send: [PACS]}\n"
EVERY = "  - {name: every, when: {modality: {exists: true}}, run: [ct-lung], send: [PACS]}\n"
ULTRASOUND = "  - {name: ultrasound, when: {modality: US}, run: [ct-lung], send: [PACS]}\n"

PAST: list[dict[str, object]] = [
    {"Modality": "CT", "SliceThickness": 1.0}, {"Modality": "CT", "SliceThickness": 5.0}, {"Modality": "MR"},
    {"Modality": "CT", "SliceThickness": 1.0, "Manufacturer": "radnode"},
]


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Database]:
    """Four series of one image each: thin CT, thick CT, MR, and a result of our own."""
    database = Database(f"sqlite:///{tmp_path / 'radnode.db'}")
    database.upgrade()
    recorded = receive(database, *(reception(n, series=n, study=n) for n in range(1, len(PAST) + 1)))
    with database.begin() as session:
        catalog.store_headers(
            session, [(each.instance_id, attributes) for each, attributes in zip(recorded, PAST, strict=True)]
        )
    yield database
    database.close()


def _tried(database: Database, present: str, proposed: str, newest: int = 100) -> Rehearsal:
    with database.read() as session:
        return rehearse(
            session, parse(f"routes:\n{present}", "a.yaml").routes, parse(f"routes:\n{proposed}", "b.yaml").routes,
            newest,
        )


def test_C3_every_series_that_would_be_answered_otherwise_is_named(past: Database) -> None:
    tried = _tried(past, LUNGS, THICK)
    assert (tried.series, tried.matched) == (3, {"lungs": 2})
    (difference,) = tried.differences
    assert difference.series.series_instance_uid == "1.2.4.2"
    assert (difference.ends, difference.begins) == ((), (("lungs", "ct-lung"),))
    (back,) = _tried(past, THICK, LUNGS).differences
    assert (back.ends, back.begins) == ((("lungs", "ct-lung"),), ())
    assert _tried(past, LUNGS, LUNGS).differences == ()


def test_C3_routes_that_match_nothing_everything_or_the_same_are_said(past: Database) -> None:
    tried = _tried(past, LUNGS, LUNGS + EVERY + ULTRASOUND)
    assert tried.matched == {"lungs": 1, "every": 3, "ultrasound": 0}
    assert tried.remarks() == [
        "ultrasound matches none of them", "every matches every one",
        "in 1 series several routes ask for the same pipeline; it runs once",
    ]


def test_C3_the_newest_are_tried_and_without_any_it_is_said(past: Database) -> None:
    assert _tried(past, LUNGS, LUNGS, newest=2).series == 1  # of the two, one is our own
    with past.begin() as session:
        for series in catalog.newest_series(session, 10):
            assert series.source == "PACS"
    assert _tried(past, LUNGS, LUNGS, newest=1).remarks() == ["there is no past series to try them on"]


def test_C3_trying_routes_changes_nothing_and_prints_the_difference(past: Database, tmp_path: Path) -> None:
    peers = "peers:\n  PACS: {ae_title: PACS, host: 127.0.0.1, port: 104, sends: true, receives: true}\n"
    node = f"node:\n  data: {tmp_path / 'data'}\n  database_url: 'sqlite:///{tmp_path / 'radnode.db'}'\n"
    for name, routes in (("now.yaml", LUNGS), ("then.yaml", THICK + ULTRASOUND)):
        (tmp_path / name).write_text(f"{node}{peers}routes:\n{routes}")
    before = _rows(past)
    done = CliRunner().invoke(
        app, ["routes", "try", str(tmp_path / "then.yaml"), "--config", str(tmp_path / "now.yaml")]
    )
    assert done.exit_code == 0, done.output
    assert "1.2.4.2 CT: + lungs (ct-lung)" in done.output
    assert "look twice: ultrasound matches none of them" in done.output
    assert _rows(past) == before
    (tmp_path / "then.yaml").write_text(f"{node}{peers}routes:\n{THICK.replace('ct-lung', 'ct-lungs')}")
    refused = CliRunner().invoke(
        app, ["routes", "try", str(tmp_path / "then.yaml"), "--config", str(tmp_path / "now.yaml")]
    )
    assert refused.exit_code == 1


def _rows(database: Database) -> list[int | None]:
    with database.read() as session:
        return [
            session.scalar(select(func.count()).select_from(table))
            for table in (EventRow, JobRow, LedgerEvent, RoutingRow)
        ]
