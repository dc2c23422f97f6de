"""What a study costs the tables when there are 10^3, 10^4, 10^5 and 10^6 already: statements and time, in one run.

    python tests/bench/growth.py --out bench-results

For SQLite and PostgreSQL four databases are filled, by the database itself, with closed series of one image each, with
their header, ledger, routing, job, result, delivery and timeline. Then studies of eight images go through each in
turn, one after the other, so that other work on the machine disturbs all alike: each image is received in a
transaction of its own, headers are stored, the series is closed and routed, a job is inserted, leased and ended, its
two results are sent, and the newest page of the list of studies and a later one are asked for; each by the code and in
the transactions with which a node does it. PostgreSQL does not flush (as in the tests), SQLite does: compare along a
line only. Writes growth.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, cast

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
sys.path.insert(0, str(TESTS / "bench"))

from pages import a_header  # noqa: E402
from sqlalchemy import JSON, Boolean, Integer, Text, func, insert, literal, select, text  # noqa: E402
from sqlalchemy import cast as sql_cast  # noqa: E402
from support import rows  # noqa: E402
from support.counted import counted  # noqa: E402
from support.postgres import Cluster  # noqa: E402

from radnode.storage import catalog, jobs, outbox, study_facts, study_search  # noqa: E402
from radnode.storage.configuration_tables import RouteMatchRow  # noqa: E402
from radnode.storage.database import Database  # noqa: E402
from radnode.storage.listing_tables import ListedInstanceRow, ListedSeriesRow, ListedStudyRow  # noqa: E402
from radnode.storage.study_search import Key, Wanted  # noqa: E402
from radnode.storage.tables import (  # noqa: E402
    DeliveryRow,
    EventRow,
    HeaderRow,
    InstanceRow,
    JobInputRow,
    JobRow,
    LedgerEvent,
    ResultObjectRow,
    RoutingRow,
    SeriesRow,
    StudyRow,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Table

SIZES = (1_000, 10_000, 100_000, 1_000_000)
AT_ONCE = 2_000
SLICES = 8
PAGE = 50
NOW = datetime.now(UTC)
HAPPENED = ("closed_at", "started_at", "ended_at", "sent_at", "confirmed_at")
NAMING = ("study_instance_uid", "series_instance_uid", "sop_instance_uid", "key", "digest", "accession_number",
          "patient_id")
CONDITIONS = [{"condition": f"condition {number}", "outcome": "met", "seen": ["CT"]} for number in range(4)]
EXPLAINED = [{"route": "chest", "enabled": True, "matched": True, "instances": 1, "matching": 1,
              "conditions": CONDITIONS}]
IS: dict[str, Any] = {
    "state": "CLOSED", "indexed": True, "modality": "CT", "source": "PACS", "pipeline": "ct-lung", "name": "SEG",
    "form": "SEG", "destination": "PACS", "kind": "acknowledged", "explanations": EXPLAINED, "route": "chest",
}
TABLES: tuple[tuple[Any, dict[str, Any]], ...] = (
    (StudyRow, {}), (SeriesRow, {}), (InstanceRow, {"state": "PROCESSED"}), (HeaderRow, {}), (LedgerEvent, {}),
    (LedgerEvent, {"kind": "IN_JOB"}), (LedgerEvent, {"kind": "PROCESSED"}), (RoutingRow, {}), (RouteMatchRow, {}),
    (JobRow, {"state": "PRODUCED"}), (JobInputRow, {}), (ResultObjectRow, {}), (DeliveryRow, {"state": "CONFIRMED"}),
    (EventRow, {"kind": "series closed"}), (EventRow, {"kind": "job produced"}), (ListedStudyRow, {}),
    (ListedSeriesRow, {}), (ListedInstanceRow, {"result_object_id": None}),
)
"""What is filled, and how a row of it differs from what IS says."""


def fill(database: Database, studies: int) -> None:
    """Studies 1 to n, the last one came now. The database counts, so that nothing goes over the wire."""
    for first in range(1, studies + 1, AT_ONCE):
        last = min(first + AT_ONCE, studies + 1) - 1
        at = NOW - timedelta(minutes=(studies - last) / 2 + 60)
        with database.begin() as session:
            for row, differs in TABLES:
                table = cast("Table", row.__table__)
                number = _numbers(database, first, last)
                asked = {column.name: _value(column, number, at, IS | differs) for column in table.columns
                         if not (column.primary_key and column.name == "id" and row in (LedgerEvent, EventRow))}
                session.execute(insert(table).from_select(list(asked), select(*asked.values())))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if database.engine.name == "postgresql":
            for row, _ in TABLES:
                name = row.__tablename__
                if "id" in row.__table__.columns:
                    largest = select(func.max(row.id)).scalar_subquery()
                    connection.execute(select(func.setval(f"{name}_id_seq", largest)))
        connection.execute(text("ANALYZE"))


def _numbers(database: Database, first: int, last: int) -> ColumnElement[int]:
    if database.engine.name == "postgresql":
        return func.generate_series(first, last).column_valued("n")
    counted_up = select(literal(first).label("n")).cte("numbers", recursive=True)
    return counted_up.union_all(select(counted_up.c.n + 1).where(counted_up.c.n < last)).c.n


def _value(column: Any, number: ColumnElement[int], at: datetime, said: dict[str, Any]) -> Any:
    """`number` for whatever names a row, also in texts that are unique."""
    if column.name in said:
        found: Any = literal(said[column.name], column.type)
    elif column.name == "id" or column.foreign_keys:
        found = number
    elif column.name in NAMING:
        found = literal(f"1.2.{len(column.name)}.", Text).concat(sql_cast(number, Text))
    elif column.name.endswith("_at") or column.name == "at":
        found = literal(at if column.name in HAPPENED or not column.nullable else None, column.type)
    else:
        found = literal(None if column.nullable else _empty(column), column.type)
    return found.label(column.name)


def _empty(column: Any) -> Any:
    kinds: tuple[tuple[type, Any], ...] = ((Boolean, False), (Integer, 1), (JSON, []))
    return next((value for kind, value in kinds if isinstance(column.type, kind)), "")


class Cost:
    """Statements and seconds of each kind of step."""

    def __init__(self) -> None:
        self.statements: dict[str, list[int]] = defaultdict(list)
        self.seconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def of(self, step: str, database: Database, units: int = 1) -> Iterator[None]:
        """What is done meanwhile, of so many units."""
        with counted(database) as sent:
            began = time.perf_counter()
            yield
            self.seconds[step].append((time.perf_counter() - began) / units)
        self.statements[step].append(len(sent) // units)


def study(database: Database, number: int, header: dict[str, Any], cost: Cost) -> None:
    """One study goes through."""
    at = datetime.now(UTC)
    first = number * SLICES
    recorded = []
    for image in range(first, first + SLICES):
        with cost.of("an image received", database):
            recorded += rows.receive(database, rows.reception(image, series=number, study=number, at=at))
    with cost.of("headers of 8 images", database):
        with database.read() as session:
            waiting = catalog.unindexed(session, 200)
        with database.begin() as session:
            catalog.store_headers(session, [(each.instance_id, header) for each in waiting])
    with cost.of("a series closed", database), database.begin() as session:
        (series,) = catalog.open_series(session)
        assert len(catalog.headers(session, series.series_id)) == SLICES
        assert catalog.close_series(session, series, grounds=[], now=at)
        catalog.store_routing(session, series, explanations=EXPLAINED, configuration_digest="c", now=at)
    with cost.of("a job done, two results sent", database):
        rows.insert_job(database, rows.new_job(f"job {number}", [each.instance_id for each in recorded], series=series))
        job = rows.must_lease(database, at)
        with database.begin() as session:
            jobs.heartbeat(session, job.job_id, job.token, at, rows.LEASE)
        rows.produce(database, job, *(rows.result(f"1.9.{number}.{order}", order) for order in (0, 1)), now=at)
        for _ in range(2):
            delivery = rows.must_lease_delivery(database, now=at)
            with database.begin() as session:
                outbox.sent(session, delivery, 0, at)
    with cost.of("the newest page of studies", database):
        last = page(database, None)
    with cost.of("a later page of studies", database):
        page(database, last)


def page(database: Database, after: Key | None) -> Key:
    """What the page of studies asks for."""
    with database.read() as session:
        found = study_search.newest(session, Wanted(), after=after, limit=PAGE)
        assert len(study_facts.facts(session, [key.study_id for key in found])) == PAGE
    return found[-1]


def measure(databases: dict[int, Database], times: int) -> dict[int, Cost]:
    """By size."""
    header = a_header()
    costs = {size: Cost() for size in databases}
    for time_ in range(-2, times):
        for size, database in databases.items():
            study(database, 10_000_000 + time_, header, Cost() if time_ < 0 else costs[size])
    return costs


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    parser.add_argument("--times", type=int, default=40, help="studies that go through each")
    parser.add_argument("--kind", choices=["sqlite", "postgresql"], action="append")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    sizes = [size for size in SIZES if size <= asked.largest]
    found = {}
    for kind in asked.kind or ["sqlite", "postgresql"]:
        with ExitStack() as stack:
            databases = {}
            for size, url in _urls(stack, kind, sizes).items():
                database = databases[size] = Database(url)
                stack.callback(database.close)
                database.upgrade()
                began = time.perf_counter()
                fill(database, size)
                print(f"{kind}: {size} studies filled in {time.perf_counter() - began:.0f} s", flush=True)
            found[kind] = {
                size: {step: {"statements": max(cost.statements[step]), "p50_ms": round(median(taken) * 1e3, 2)}
                       for step, taken in cost.seconds.items()}
                for size, cost in measure(databases, asked.times).items()
            }
    (asked.out / "growth.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    for kind, sizes_ in found.items():
        for step in next(iter(sizes_.values())):
            line = " | ".join(f"{each[step]['statements']} in {each[step]['p50_ms']} ms" for each in sizes_.values())
            print(f"| {kind} | {step} | {line} |")


def _urls(stack: ExitStack, kind: str, sizes: list[int]) -> dict[int, str]:
    if kind == "postgresql":
        cluster = stack.enter_context(Cluster())
        return {size: cluster.url(cluster.create()) for size in sizes}
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="radnode-growth-", dir="/var/tmp"))
    return {size: f"sqlite:///{folder}/{size}.db" for size in sizes}


if __name__ == "__main__":
    main()
