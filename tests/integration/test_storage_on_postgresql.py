"""What only a server, or only several processes, can do to the tables; their rules are tested in unit/storage."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text
from support.databases import databases_of
from support.rows import MINUTE, NOW, job_over, lease, must_lease, receive, reception, states

from radnode.storage import jobs, ledger, outbox
from radnode.storage.database import Database
from radnode.storage.errors import DatabaseUnavailable
from radnode.storage.tables import InstanceRow, JobRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.databases import Databases, PostgresDatabases

PROCESSES = 3

ON_A_SERVER = pytest.mark.parametrize(
    "databases", [pytest.param("postgresql", marks=pytest.mark.peer)], indirect=True, scope="session"
)

SEND = """
import json, sys
from support.rows import receive, reception
from radnode.storage.database import Database
database = Database(sys.argv[1])
database.upgrade()
print("ready", flush=True)
sys.stdin.readline()
number = int(sys.argv[2])
order = range(30) if number % 2 else range(29, -1, -1)
answers = [receive(database, reception(each))[0] for each in order]
print(json.dumps([sum(a.duplicate for a in answers), len({a.instance_id for a in answers})]))
"""

LEASE_ALL = """
import json, sys
from support.rows import lease
from radnode.storage.database import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
keys = []
while job := lease(database, worker=sys.argv[2]):
    keys.append(job.key)
print(json.dumps(keys))
"""


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer)])
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Both: several processes may share one file as well."""
    with databases_of(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


def _together(code: str, url: str) -> list[list[object]]:
    """Run `code` in several processes that begin at the same moment; what each prints."""
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}", url, str(number)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            for number in range(PROCESSES)
        ]  # fmt: skip
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        found = [process.communicate("go\n", timeout=60)[0] for process in running]
        assert [process.returncode for process in running] == [0] * PROCESSES
    return [json.loads(each) for each in found]


def test_processes_that_start_on_an_empty_database_and_receive_the_same_images_make_one_row_each(
    databases: Databases,
) -> None:
    with databases.empty() as url:
        answers = _together(SEND, url)
        assert sum(duplicates for duplicates, _ in answers) == 30 * (PROCESSES - 1)  # type: ignore[misc]
        assert [instances for _, instances in answers] == [30] * PROCESSES
        database = Database(url)
        assert states(database) == {"RECEIVED": 30}
        with database.read() as session:
            assert session.scalar(select(func.sum(InstanceRow.receptions))) == 30 * PROCESSES
        database.close()


def test_processes_that_ask_for_jobs_at_once_get_each_job_once(databases: Databases) -> None:
    with databases.migrated() as url:
        database = Database(url)
        for number in range(20):
            job_over(database, number, key=f"job {number}")
        taken = [key for keys in _together(LEASE_ALL, url) for key in keys]
        assert len(taken) == len(set(taken)) == 20
        database.close()


@ON_A_SERVER
def test_a_server_that_drops_its_connections_is_unavailable_once_and_then_works(databases: PostgresDatabases) -> None:
    with databases.migrated() as url:
        database = Database(url)

        def interrupted() -> None:
            with database.begin() as session:
                session.execute(select(1))
                databases.cluster.end_connections(url.rpartition("/")[2])
                session.execute(select(1))

        with pytest.raises(DatabaseUnavailable):
            interrupted()
        receive(database, reception())
        assert states(database) == {"RECEIVED": 1}
        database.close()


@ON_A_SERVER
def test_a_server_that_is_not_there_is_unavailable(databases: PostgresDatabases) -> None:
    database = Database(databases.cluster.url("never_made"))
    with pytest.raises(DatabaseUnavailable), database.read() as session:
        session.execute(text("SELECT 1"))
    database.close()


@pytest.mark.goal("ledger")
@ON_A_SERVER
def test_the_balance_holds_at_every_instant_while_images_arrive(databases: PostgresDatabases) -> None:
    with databases.migrated() as url:
        database = Database(url)
        with database.read() as session:
            before = session.execute(select(func.count(InstanceRow.id))).scalar_one()
            receive(database, *(reception(number) for number in range(50)))
            balance = ledger.balance(session)
        assert (before, balance.acknowledged, balance.difference) == (0, 0, 0)
        database.close()


@ON_A_SERVER
def test_a_job_that_somebody_looks_at_is_passed_over_not_waited_for(databases: PostgresDatabases) -> None:
    with databases.migrated() as url:
        database = Database(url)
        job_over(database, 1, key="first")
        with database.begin() as session:
            session.execute(select(JobRow).with_for_update()).all()
            assert lease(database) is None
        assert must_lease(database).key == "first"
        database.close()


@ON_A_SERVER
def test_leases_that_end_are_reaped_by_only_one_of_several_nodes(databases: PostgresDatabases) -> None:
    with databases.migrated() as url:
        database = Database(url)
        job_id = job_over(database, 1)
        must_lease(database)
        with database.begin() as one:
            assert jobs.reap(one, NOW + MINUTE) == [job_id]
        with database.begin() as other:
            assert jobs.reap(other, NOW + MINUTE) == []
            assert outbox.reap(other, NOW + MINUTE) == 0
        with database.read() as session:
            assert session.scalar(select(JobRow.crashes)) == 1
        database.close()
