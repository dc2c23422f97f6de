"""How long the ledger's balance takes over a million instances: `python tests/bench/ledger_balance.py [instances]`."""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from sqlalchemy import text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from support.figures import write_down  # noqa: E402

from radnode.storage import ledger  # noqa: E402
from radnode.storage.database import Database  # noqa: E402

NOW = datetime(2026, 1, 1, tzinfo=UTC)

STUDY = """INSERT INTO studies (id, study_instance_uid, patient_id, conflict, first_received_at, last_received_at)
    VALUES (1, '1.2.3', '', '', :now, :now)"""
SERIES = """INSERT INTO series (id, study_id, series_instance_uid, source, state, revision, received, reason, grounds,
    first_received_at, last_received_at) VALUES (1, 1, '1.2.3.4', 'PACS', 'CLOSED', 1, :count, '', '[]', :now, :now)"""
INSTANCES = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
    INSERT INTO instances (id, series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, digest, size_bytes,
    source, association, received_at, receptions, state, reason, indexed)
    SELECT i, 1, '1.2.826.0.1.3680043.8.498.' || (i * 7919), '1.2.840.10008.5.1.4.1.1.2', '1.2.840.10008.1.2.1',
    printf('%064x', i * 7919), 524288, 'PACS', 'association', :now, 1,
    CASE WHEN i % 50 = 0 THEN 'NOT_ROUTED' WHEN i % 51 = 0 THEN 'FAILED' ELSE 'PROCESSED' END, '', 1 FROM n"""
JOURNAL = """INSERT INTO ledger_events (instance_id, at, kind, reason)
    SELECT id, received_at, :kind, '' FROM instances"""


def fill(database: Database, instances: int, now: datetime = NOW) -> None:
    """One study of so many instances, each acknowledged, taken into a job and ended; all of it at one moment."""
    with database.begin() as session:
        values = {"now": now.replace(tzinfo=None).isoformat(" "), "count": instances}
        for statement in (STUDY, SERIES, INSTANCES):
            session.execute(text(statement), values)
        for kind in ("acknowledged", "IN_JOB", "PROCESSED"):
            session.execute(text(JOURNAL), {"kind": kind})


def main() -> None:
    """Fill, ask ten times, print."""
    instances = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'radnode.db'}")
        database.upgrade()
        fill(database, instances)
        seconds = []
        for _ in range(10):
            started = time.perf_counter()
            with database.read() as session:
                found = ledger.balance(session)
            seconds.append(time.perf_counter() - started)
        database.close()
    write_down("ledger_balance", instances=instances, median_ms=round(median(seconds) * 1e3, 1),
               first_ms=round(seconds[0] * 1e3, 1))
    print(f"{instances} instances: first {seconds[0] * 1e3:.0f} ms, median {median(seconds) * 1e3:.1f} ms; {found}")


if __name__ == "__main__":
    main()
