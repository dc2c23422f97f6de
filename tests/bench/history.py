"""Whether history is better kept in partitions by month: how a month of 10^6 rows goes, and what it does to who writes.

    python tests/bench/history.py --out bench-results

On one PostgreSQL: the journal of images (`ledger_events`), as it is and partitioned by month, a million rows in each of
six months. Of each, in this order and in one run: how long a row takes to enter while nothing else happens, how long
the journal of one image takes to read, and then, while a row enters every few milliseconds, how long the oldest month
takes to go, and how long rows took to enter meanwhile. A month goes by dropping its partition; of one table by deleting
5,000 rows at a time, each a transaction, by number, and by `VACUUM` in the end. Every row refers to an image, as in the
node. Writes history.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import psycopg  # noqa: E402
from support.postgres import Cluster  # noqa: E402
from support.steady import percentile  # noqa: E402
from support.waiting import eventually  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

MONTHS = 6
AT_ONCE = 5_000
IMAGES = "CREATE TABLE images (id bigint PRIMARY KEY)"
TABLES = {
    "one table": (
        "CREATE TABLE journal (id bigserial PRIMARY KEY, instance_id bigint NOT NULL, "
        "at timestamptz NOT NULL, kind varchar(20) NOT NULL, reason text NOT NULL)",
    ),
    "partitions": (
        "CREATE TABLE journal (id bigserial, instance_id bigint NOT NULL, at timestamptz NOT NULL, "
        "kind varchar(20) NOT NULL, reason text NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
        *(f"CREATE TABLE journal_{month} PARTITION OF journal FOR VALUES FROM ('2025-{month:02d}-01') TO "
          f"('{2025 + month // 12}-{month % 12 + 1:02d}-01')" for month in range(1, MONTHS + 1)),
    ),
}  # fmt: skip
INDEXES = (
    "ALTER TABLE journal ADD FOREIGN KEY (instance_id) REFERENCES images",
    "CREATE INDEX journal_instance ON journal (instance_id)",
    "CREATE INDEX journal_kind ON journal (kind)",
)
FILL = (
    "INSERT INTO journal (instance_id, at, kind, reason) SELECT (%(month)s - 1) * %(rows)s / 3 + n / 3 + 1, "
    "make_timestamptz(2025, %(month)s, 1, 0, 0, 0) + n * interval '1 second', "
    "(ARRAY['acknowledged', 'IN_JOB', 'PROCESSED'])[n %% 3 + 1], '' FROM generate_series(0, %(rows)s - 1) AS n"
)
ENTER = "INSERT INTO journal (instance_id, at, kind, reason) VALUES (%s, '2025-06-30', 'acknowledged', '')"
READ = "SELECT kind FROM journal WHERE instance_id = %s ORDER BY id"
DELETE = "DELETE FROM journal WHERE id <= %s AND id > %s"


class Writer(threading.Thread):
    """Rows enter, one transaction each, until :meth:`end`; the seconds of each."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        super().__init__(daemon=True)
        self._connection = connect()
        self._over = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        """A row, and a short pause."""
        while not self._over.wait(0.003):
            began = time.perf_counter()
            self._connection.execute(ENTER, (1,))
            self.seconds.append(time.perf_counter() - began)

    def end(self) -> dict[str, float]:
        """How long they took, in milliseconds."""
        self._over.set()
        self.join()
        self._connection.close()
        return _spread(self.seconds)


def measured(connect: Callable[[], psycopg.Connection], kind: str, rows: int) -> dict[str, Any]:
    """One way of keeping it."""
    connection = connect()
    for statement in (IMAGES, *TABLES[kind]):
        connection.execute(statement)  # type: ignore[call-overload]
    connection.execute("INSERT INTO images SELECT generate_series(1, %s)", (MONTHS * rows // 3 + 2,))
    for month in range(1, MONTHS + 1):
        connection.execute(FILL, {"month": month, "rows": rows})
    for statement in INDEXES:
        connection.execute(statement)
    connection.execute("VACUUM ANALYZE")
    found: dict[str, Any] = {"rows of a month": rows, "months": MONTHS}
    found["a row enters"] = _alone(connect)
    images = random.Random(1)
    found["the journal of an image is read"] = _spread([
        _seconds(lambda: connection.execute(READ, (images.randrange(1, MONTHS * rows // 3),)).fetchall())
        for _ in range(500)
    ])
    writer = Writer(connect)
    writer.start()
    found["a month goes, s"] = round(_seconds(lambda: _drop(connection, kind, rows)), 2)
    eventually(lambda: writer.seconds, within=10, why=str)
    found["a row enters meanwhile"] = writer.end()
    found["rows entered meanwhile"] = len(writer.seconds)
    connection.close()
    return found


def _drop(connection: psycopg.Connection, kind: str, rows: int) -> None:
    if kind == "partitions":
        connection.execute("ALTER TABLE journal DETACH PARTITION journal_1 CONCURRENTLY")
        connection.execute("DROP TABLE journal_1")
        return
    for last in range(AT_ONCE, rows + AT_ONCE, AT_ONCE):
        connection.execute(DELETE, (min(last, rows), last - AT_ONCE))
    connection.execute("VACUUM journal")


def _alone(connect: Callable[[], psycopg.Connection]) -> dict[str, float]:
    writer = Writer(connect)
    writer.start()
    time.sleep(5)
    return writer.end()


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"p50_ms": round(median(seconds) * 1e3, 2), "p99_ms": round(percentile(seconds, 0.99) * 1e3, 2),
            "max_ms": round(max(seconds) * 1e3, 2)}


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench-results"))
    parser.add_argument("--rows", type=int, default=1_000_000, help="of a month")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with Cluster() as cluster:
        found = {}
        for kind in TABLES:
            url = cluster.url(cluster.create()).replace("+psycopg", "")
            found[kind] = measured(lambda url=url: psycopg.connect(url, autocommit=True), kind, asked.rows)
            print(json.dumps({kind: found[kind]}, indent=1), flush=True)
    (asked.out / "history.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
