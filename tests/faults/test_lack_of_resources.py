"""Whatever runs out or breaks under the receiver, an object is answered truly, and nobody has to restart for space."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from support.receiver import Peer, Receiver, data_set
from support.rows import NOW
from support.small_disk import on_small_disk, set_read_only

from radnode.config.loading import parse
from radnode.node import observability
from radnode.node.alarming.watch import AlarmWatch
from radnode.node.alarms import Alarms
from radnode.node.answers import Answers
from radnode.node.observability import Metrics, configure_logging
from radnode.node.upkeep import Upkeep
from radnode.pipelines.runner import NICENESS
from radnode.storage import database as database_module
from radnode.storage.files import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterator

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700
MIB = 1024 * 1024
BURST = int(os.environ.get("RADNODE_TEST_BURST", "400"))
"""Objects from each of four senders."""


def _store(peer: Peer, number: int, pixels: int = 1000) -> int:
    instance = f"1.2.{1000 + number}"
    return peer.store(data_set(instance=instance.encode(), pixels=pixels), instance)


@dataclass(frozen=True)
class Watched:
    """What looks after a node, without the node."""

    upkeep: Upkeep
    watch: AlarmWatch
    answers: Answers


def _upkeep(receiver: Receiver) -> Watched:
    reported, metrics, configuration = Alarms(lambda: NOW), Metrics(), parse("{}", "a.yaml")
    upkeep = Upkeep(
        database=receiver._database, store=receiver.store, now=lambda: NOW, alarms=reported, metrics=metrics,
        retention_time=timedelta(days=4), peers=dict, on_jobs=lambda: None,
    )
    watch = AlarmWatch(
        database=receiver._database, store=receiver.store, configuration=lambda: configuration, reported=reported,
        refused=dict, now=lambda: NOW, metrics=metrics, on_change=lambda: None,
    )
    return Watched(upkeep, watch, Answers(receiver._database, reported, list, list, receiver.store.quarantine))


def _alarms(watched: Watched) -> dict[str, str]:
    watched.upkeep.step()
    watched.watch.step()
    return {alarm["name"]: alarm["text"] for alarm in watched.answers.alarms()}


def test_X1_below_the_reserve_there_is_an_alarm_and_both_end_by_themselves_with_space(tmp_path: Path) -> None:
    disk = tmp_path / "disk"

    def fill() -> None:
        store = FileStore(disk / "data", 4 * MIB)
        with Receiver(tmp_path / "receiver", store=store) as receiver, Peer(receiver.port) as peer:
            peer.associate()
            alarms = _upkeep(receiver)
            assert _store(peer, 1) == SUCCESS
            assert "disk" not in _alarms(alarms)
            (disk / "filler").write_bytes(bytes(5 * MIB))
            time.sleep(0.2)  # the free space is asked ten times a second
            assert _store(peer, 2) == OUT_OF_RESOURCES
            assert "images are refused with A700" in _alarms(alarms)["disk"]
            (disk / "filler").unlink()
            time.sleep(0.2)
            assert _store(peer, 2) == SUCCESS
            assert "disk" not in _alarms(alarms)
            assert receiver.spooled() == []
            assert len(receiver.kept()) == 2

    on_small_disk(disk, 8 * MIB, fill)


def test_X3_without_a_file_left_on_the_volume_objects_are_refused_until_there_is_one(tmp_path: Path) -> None:
    disk = tmp_path / "disk"

    def fill() -> None:
        with (
            Receiver(tmp_path / "receiver", store=FileStore(disk / "data", 0)) as receiver,
            Peer(receiver.port) as peer,
        ):
            peer.associate()
            statuses = [_store(peer, number) for number in range(30)]
            stored = statuses.count(SUCCESS)
            assert 0 < stored < 30
            assert set(statuses[stored:]) == {OUT_OF_RESOURCES}
            assert receiver.spooled() == receiver.quarantined() == []
            assert len(receiver.recorded) == stored
            (disk / "data" / "quarantine").rmdir()
            (disk / "data" / "results").rmdir()
            (disk / "data" / "recorded").rmdir()
            assert _store(peer, 0) == SUCCESS, "a resend needs no new folder"

    on_small_disk(disk, 8 * MIB, fill, files=40)


@pytest.fixture
def _few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_few_descriptors")
def test_X3_without_a_file_descriptor_an_object_is_refused_and_the_next_is_stored(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Receiver(tmp_path) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        assert _store(peer, 1) == SUCCESS
        used = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
        with contextlib.ExitStack() as taken:
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
            with contextlib.suppress(OSError):
                while True:
                    taken.callback(os.close, os.open("/dev/null", os.O_RDONLY))
            assert _store(peer, 2) == OUT_OF_RESOURCES
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert _store(peer, 2) == SUCCESS
        assert len(receiver.kept()) == len(receiver.recorded) == 2


def test_X5_a_volume_that_was_read_only_takes_nothing_until_it_passes_its_test(tmp_path: Path) -> None:
    disk = tmp_path / "disk"

    def break_it() -> None:
        store = FileStore(disk / "data", 0)
        with Receiver(tmp_path / "receiver", store=store) as receiver, Peer(receiver.port) as peer:
            peer.associate()
            assert _store(peer, 1) == SUCCESS
            set_read_only(disk, read_only=True)
            assert _store(peer, 2) == OUT_OF_RESOURCES
            assert "check it, then restart the node" in _alarms(_upkeep(receiver))["volume"]
            set_read_only(disk, read_only=False)
            assert _store(peer, 2) == OUT_OF_RESOURCES
            assert peer.echo() == SUCCESS
            store.self_test()
            assert _store(peer, 2) == SUCCESS
            assert len(receiver.kept()) == len(receiver.recorded) == 2

    on_small_disk(disk, 8 * MIB, break_it)


@pytest.mark.alone("about the file of SQLite")
def test_X6_a_locked_database_is_waited_for_and_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "SQLITE_WAIT_MS", 300)
    with Receiver(tmp_path) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        with contextlib.closing(sqlite3.connect(tmp_path / "radnode.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert _store(peer, 1) == OUT_OF_RESOURCES
            assert receiver.recorded == receiver.spooled() == []
            other.execute("ROLLBACK")
        assert _store(peer, 1) == SUCCESS
        assert len(receiver.recorded) == len(receiver.kept()) == 1
        assert not receiver.outcomes[0].duplicate, "the refused one left no row"


@pytest.mark.alone("about the file of SQLite")
def test_X6_a_full_database_is_never_success_without_a_row(tmp_path: Path) -> None:
    disk = tmp_path / "disk"

    def fill() -> None:
        with (
            Receiver(disk, store=FileStore(tmp_path / "data", 0)) as receiver,
            Peer(receiver.port) as peer,
        ):
            peer.associate()
            assert _store(peer, 0) == SUCCESS
            filler = (disk / "filler").open("wb", buffering=0)
            with filler, contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(4096))
            statuses = [_store(peer, number) for number in range(1, 40)]
            assert statuses[-1] == OUT_OF_RESOURCES
            assert set(statuses) <= {SUCCESS, OUT_OF_RESOURCES}
            assert len(receiver.recorded) == 1 + statuses.count(SUCCESS)
            (disk / "filler").unlink()
            assert {_store(peer, number) for number in range(40)} == {SUCCESS}
            with receiver._database.read() as session:
                rows = session.connection().exec_driver_sql("SELECT count(*) FROM instances").scalar()
            assert rows == len(receiver.kept()) == 40

    on_small_disk(disk, 4 * MIB, fill)


@contextlib.contextmanager
def _log_to_full_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = structlog.get_config()
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115 - closing it fails as well
    try:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", full)
            configure_logging(as_json=True, level="DEBUG")
            yield
    finally:
        structlog.configure(**before)
        observability._sink.failing = False
        with contextlib.suppress(OSError):
            full.close()


def test_X9_without_space_for_its_log_the_receiver_goes_on_and_an_alarm_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver(tmp_path) as receiver, _log_to_full_device(monkeypatch):
        for number in range(2):
            with Peer(receiver.port) as peer:
                peer.associate()
                assert _store(peer, number) == SUCCESS
                assert peer.store(b"no data set", "1.2.3") & 0xF000 == 0xC000
        assert len(receiver.kept()) == 2
        assert "log lines are lost" in _alarms(_upkeep(receiver))["log"]


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MIB


def test_X11_a_burst_is_on_disk_and_not_in_memory(tmp_path: Path) -> None:
    def send(port: int, first: int, number: int) -> set[int]:
        with Peer(port) as peer:
            peer.associate()
            return {_store(peer, first + each, pixels=20_000) for each in range(number)}

    with Receiver(tmp_path) as receiver, ThreadPoolExecutor(4) as senders:
        list(senders.map(lambda sender: send(receiver.port, sender * 100_000, 20), range(4)))
        before = _resident_mib()
        answers = list(senders.map(lambda sender: send(receiver.port, 50_000 + sender * 100_000, BURST), range(4)))
        assert answers == [{SUCCESS}] * 4
        receiver.recorded.clear()
        assert _resident_mib() - before < 16
        assert len(receiver.kept()) == 4 * (20 + BURST)
        assert receiver.spooled() == []


def test_X12_while_models_take_all_processors_an_echo_is_answered_within_a_second(tmp_path: Path) -> None:
    busy = f"import os; os.nice({NICENESS})\nwhile True: pass"
    models = [subprocess.Popen([sys.executable, "-c", busy]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        with Receiver(tmp_path) as receiver, Peer(receiver.port) as peer:
            peer.associate()
            seconds = []
            for number in range(100):
                began = time.monotonic()
                assert peer.echo() == SUCCESS
                seconds.append(time.monotonic() - began)
                if number % 10 == 0:
                    assert _store(peer, number) == SUCCESS
            assert sorted(seconds)[98] < 1
    finally:
        for model in models:
            model.kill()
            model.wait()
