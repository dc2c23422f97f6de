"""The node dies at a chosen place and starts again: what was kept is whole, once, and nothing half is left."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import text, update
from support.databases import a_node_of_the_first_version
from support.mortal import MortalNode, answer_to, body_of
from support.network import free_port
from support.node import modality
from support.receiver import data_set
from support.stow import RELATED, STUDIES, file, multipart, stored
from support.waiting import eventually

from radnode.storage.tables import HeaderRow, InstanceRow, RemovalRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.storage.database import Database

pytestmark = [pytest.mark.slow, pytest.mark.goal("ledger")]

SUCCESS = 0x0000


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[MortalNode]:
    """A node that runs nothing on what it gets."""
    with MortalNode(tmp_path / "node", peers=[modality()], routes=[]) as node:
        yield node


def _image(number: int) -> tuple[str, bytes]:
    uid = f"1.2.3.{number}"
    return uid, data_set(instance=uid.encode() + b"\0" * (len(uid) % 2), pixels=1000 + number)


def test_K1_K2_K3_K4_K5_a_reception_that_is_cut_leaves_all_or_nothing_and_its_resend_one_copy(
    receiving: MortalNode,
) -> None:
    node, sent = receiving, {}
    before_the_name = (
        ("after", "node.intake.spooling:Spooled.write"),
        ("before", "storage.files:SystemOps.fsync"),
        ("before", "storage.files:SystemOps.link"),
    )
    before_the_commit = (("after", "storage.files:FileStore.keep"), ("after", "storage.receptions:record"))
    for number, place in enumerate((*before_the_name, *before_the_commit)):
        uid, data = _image(number)
        node.arm(*place)
        assert answer_to(node, data, uid) is None, place
        node.dies()
        assert len(node.spooled()) == 1, place
        assert len(_kept(node)) == len(sent) + (place in before_the_commit), place
        node.start()
        node.assert_kept_once(sent)
        assert answer_to(node, data, uid) == SUCCESS
        sent[uid] = data
        node.assert_kept_once(sent)
    assert node.ledger()["receptions"] == len(sent), "what was not acknowledged is no duplicate"

    uid, data = _image(len(sent))
    sent[uid] = data
    node.arm("after", "node.intake.committer:Committer.commit")
    assert answer_to(node, data, uid) is None
    node.dies()
    node.start()
    node.assert_kept_once(sent)
    assert answer_to(node, data, uid) == SUCCESS
    node.assert_kept_once(sent)
    assert node.ledger()["receptions"] == len(sent) + 1


def _kept(node: MortalNode) -> list[Path]:
    return list((node.data / "instances").rglob("*.dcm"))


def test_K15_a_deletion_that_is_cut_is_finished_at_the_next_start(receiving: MortalNode) -> None:
    node = receiving
    for uid, data in map(_image, range(3)):
        assert answer_to(node, data, uid) == SUCCESS
    node.wait_for_states(NOT_ROUTED=3)
    node.kill()
    with node.database() as database, database.begin() as session:
        session.execute(update(InstanceRow).values(received_at=datetime.now(UTC) - timedelta(days=4000)))
    for left, place in ((2, ("before", "storage.files:FileStore.remove", 2)),
                        (0, ("after", "storage.files:FileStore.remove", 3))):  # fmt: skip
        node.arm(*place)
        node.launch()
        node.dies()
        assert len(_kept(node)) == left
        assert node.count(InstanceRow, InstanceRow.state == "EXPIRED") == 3, "the row says it before the file goes"
        assert node.count(RemovalRow) == 3
    node.start()
    eventually(lambda: node.count(RemovalRow) == 0, why=node.log)
    assert node.states() == {"EXPIRED": 3}
    assert node.count(HeaderRow) == 0
    assert _kept(node) == node.spooled() == []


def test_K16_a_migration_that_is_cut_leaves_the_schema_and_the_rows_as_they_were(tmp_path: Path) -> None:
    node = MortalNode(tmp_path / "node", peers=[modality()], routes=[])
    statement = "alembic.ddl.impl:DefaultImpl._exec"
    node.arm("before", statement, 9)
    node.launch()
    node.dies()
    with node.database() as database:
        assert database.schema() == "none"
        a_node_of_the_first_version(database)
    node.arm("before", statement, 3)
    node.launch()
    node.dies()
    with node.database() as database:
        assert database.schema() == "older"
        assert _results(database) == [(1, "SEG")]
    with node:
        assert node.states() == {}
    with node.database() as database:
        assert database.schema() == "current"
        assert _results(database) == [(1, "SEG")]


@pytest.mark.alone("several receivers may work on one folder and one database")
def test_K17_a_second_node_on_the_folder_or_the_database_does_not_start(
    receiving: MortalNode, tmp_path: Path
) -> None:
    node = receiving
    for number, (said, settings) in enumerate((
        ("another process", {"data": str(node.data)}),
        ("another node works on this database", {"database_url": f"sqlite:///{node.data / 'radnode.db'}"}),
        (f"http_port: port {node.http_port}: Address already in use", {"http_port": node.http_port}),
    )):
        second = MortalNode(tmp_path / f"second-{number}", peers=[modality()], routes=[], settings=settings)
        done = second.command("serve", "--config", second.config, check=False, within=60)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    uid, data = _image(1)
    assert answer_to(node, data, uid) == SUCCESS
    node.assert_kept_once({uid: data})


CUT_WHERE_A_FILE_GROWS = """
import resource, signal, sqlite3, sys
opened = sqlite3.connect(sys.argv[1], isolation_level=None)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
opened.execute(sys.argv[3])
"""
CUT_BACK_UP = """
import os, sqlite3, sys
opened = sqlite3.connect(sys.argv[1], isolation_level=None)
def progress(_status, remaining, _total):
    if remaining:
        os.kill(os.getpid(), 9)
opened.backup(sqlite3.connect(sys.argv[1] + ".copy"), pages=5, progress=progress)
"""


@pytest.mark.alone("about the file of SQLite")
def test_K20_a_checkpoint_a_vacuum_or_a_back_up_that_is_cut_leaves_a_database_that_opens(
    receiving: MortalNode,
) -> None:
    node = receiving
    sent = dict(map(_image, range(20)))
    for uid, data in sent.items():
        assert answer_to(node, data, uid) == SUCCESS
    node.kill()
    file = node.data / "radnode.db"
    larger = str(file.stat().st_size + 10 * 4096)  # SQLite writes pages in their order
    for died_of, code, *arguments in (
        (signal.SIGXFSZ, CUT_WHERE_A_FILE_GROWS, larger, "PRAGMA wal_checkpoint(TRUNCATE)"),
        (signal.SIGXFSZ, CUT_WHERE_A_FILE_GROWS, "80000", "VACUUM"),
        (signal.SIGKILL, CUT_BACK_UP),
    ):
        done = subprocess.run([sys.executable, "-c", code, str(file), *arguments], check=False, capture_output=True)
        assert done.returncode == -died_of, (arguments, done)
        with closing(sqlite3.connect(file)) as opened:
            assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        node.assert_kept_once(sent)
    node.start()
    node.wait_for_states(NOT_ROUTED=len(sent))
    node.assert_kept_once(sent)


def _results(database: Database) -> list[tuple[int, str]]:
    with database.read() as session:
        return [(number, form) for number, form in session.execute(text("SELECT id, form FROM result_objects"))]


def test_K4_K5_an_instance_stored_by_stow_survives_a_death_of_the_node_whole_or_not_at_all(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a token")
    port = free_port()
    web = modality()
    with MortalNode(
        tmp_path / "node", routes=[], settings={"dicomweb": {"port": port}},
        peers=[replace(web, more={**web.more, "token_file": str(token)})],
    ) as node:  # fmt: skip
        sent: dict[str, bytes] = {}

        def store(*numbers: int) -> httpx.Response:
            for number in numbers:
                sent[f"1.2.3.{number}"] = body_of(file(number))
            return httpx.post(
                f"http://127.0.0.1:{port}{STUDIES}", content=multipart(*map(file, numbers)), trust_env=False,
                headers={"Authorization": "Bearer a token", "Content-Type": RELATED}, timeout=30,
            )  # fmt: skip

        for number, place in enumerate((
            ("after", "node.intake.spooling:Spooled.write", 2),
            ("before", "storage.files:SystemOps.link", 2),
            ("after", "storage.receptions:record", 2),
        )):  # fmt: skip
            node.arm(*place)
            with pytest.raises(httpx.TransportError):
                store(10 * number + 1, 10 * number + 2)
            node.dies()
            node.start()
            assert node.spooled() == []
            assert node.count(InstanceRow, InstanceRow.sop_instance_uid == f"1.2.3.{10 * number + 1}") == 1, "the first"
            again = store(10 * number + 1, 10 * number + 2)
            assert (again.status_code, len(stored(again))) == (200, 2)
        node.assert_kept_once(sent)
