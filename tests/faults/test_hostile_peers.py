"""Peers that mean harm, and peers that lost their power, which looks the same: others notice nothing."""

from __future__ import annotations

import contextlib
import resource
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import CTImageStorage
from support.receiver import IMPATIENT, Peer, Receiver, at_once_s, command, data_set, p_data, pdv, store_request
from support.waiting import eventually

from radnode.node.intake.connection import Deadlines
from radnode.node.intake.guards import ROOM

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radnode.storage.receptions import Reception, Recorded

ACCEPTED = 2


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path) as running:
        yield running


@contextlib.contextmanager
def crowd(receiver: Receiver, number: int, first_words: bytes = b"") -> Iterator[list[Peer]]:
    """Connections that say their first words and then nothing."""
    with contextlib.ExitStack() as open_peers:
        peers = [open_peers.enter_context(Peer(receiver.port)) for _ in range(number)]
        for peer in peers:
            with contextlib.suppress(ConnectionError):
                peer.send(first_words)
        yield peers


def trickle(peer: Peer, within_s: float) -> None:
    """A byte now and then until the receiver has enough of it."""
    deadline = time.monotonic() + within_s
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            peer.send(b"\0")
            time.sleep(0.05)  # the peer's own slowness


def seconds_of_an_echo(receiver: Receiver) -> float:
    began = time.monotonic()
    with Peer(receiver.port) as known:
        assert known.associate() == ACCEPTED
        assert known.echo() == 0x0000
    return time.monotonic() - began


def at_once_for(receiver: Receiver) -> float:
    """What an echo may take in a crowd; asked before there is one."""
    return at_once_s(max(seconds_of_an_echo(receiver) for _ in range(3)))


def resident_mib() -> float:
    """Memory of this process, which is the receiver's."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def served_threads() -> int:
    return sum(thread.name.startswith("dicom-127") for thread in threading.enumerate())


@pytest.mark.catalogue("N1", "N16")
@pytest.mark.parametrize(
    "first_words", [b"", b"\1", struct.pack(">BxL", 1, 300)], ids=["nothing", "byte", "header"]
)
def test_a_known_peer_is_served_at_once_beside_two_hundred_that_are_silent(
    receiver: Receiver, first_words: bytes
) -> None:
    at_once = at_once_for(receiver)
    with crowd(receiver, 200, first_words):
        assert max(seconds_of_an_echo(receiver) for _ in range(5)) < at_once
        assert served_threads() <= ROOM + 5


@pytest.mark.catalogue("N1")
def test_silent_peers_are_closed_within_their_time(tmp_path: Path) -> None:
    with Receiver(tmp_path, deadlines=IMPATIENT) as receiver, crowd(receiver, 12, b"\1") as silent:
        began = time.monotonic()
        assert all(peer.closed() for peer in silent)
        assert time.monotonic() - began < Deadlines().request, "not the usual time, but theirs"
        eventually(lambda: served_threads() == 0, within=5)


@pytest.mark.catalogue("N3")
def test_a_byte_now_and_then_does_not_extend_the_time_of_a_pdu(tmp_path: Path) -> None:
    with Receiver(tmp_path, deadlines=IMPATIENT) as receiver, Peer(receiver.port) as trickling:
        trickling.associate()
        began = time.monotonic()
        trickling.send(struct.pack(">BxL", 4, 10_000))
        trickle(trickling, within_s=30)
        assert time.monotonic() - began < Deadlines().pdu, "not the usual time, but its own"


@pytest.mark.catalogue("A11")
def test_the_length_that_a_peer_announces_takes_no_memory(receiver: Receiver) -> None:
    before = resident_mib()
    with crowd(receiver, 5, struct.pack(">BxL", 1, 0xFFFFFFFF)) as boasting:
        for peer in boasting:
            with contextlib.suppress(ConnectionError):
                peer.send(bytes(1_000_000))
        assert all(peer.closed() for peer in boasting)
        assert resident_mib() - before < 16


@pytest.mark.catalogue("A14")
def test_a_peer_that_sends_ahead_is_held_back(tmp_path: Path) -> None:
    """The answer to the first object is not given, so the others must wait in the peer, not in our memory."""
    go_on = threading.Event()
    requests = store_request(data_set(pixels=500_000))
    before = resident_mib()

    def record(receptions: Sequence[Reception]) -> Sequence[Recorded]:
        assert go_on.wait(20)
        return receiver._in_database(receptions)

    with Receiver(tmp_path, record=record) as receiver, Peer(receiver.port) as pipelining:
        pipelining.associate()
        pipelining.socket.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 800:
                pipelining.send(requests)
                sent += 1
        assert sent < 50
        assert resident_mib() - before < 32
        go_on.set()


def test_a_peer_that_never_reads_its_answers_does_not_stop_others(tmp_path: Path) -> None:
    with Receiver(tmp_path, deadlines=IMPATIENT) as receiver:
        at_once = at_once_for(receiver)
        with Peer(receiver.port) as deaf:
            deaf.associate()
            echo = p_data(pdv(3, 3, command(0x30, "1.2.840.10008.1.1", None)))
            with contextlib.suppress(OSError):
                while True:
                    deaf.send(echo * 1000)
            assert seconds_of_an_echo(receiver) < at_once


@pytest.mark.catalogue("N1", "N5", "N10")
def test_after_a_mixed_crowd_nothing_is_left(tmp_path: Path) -> None:
    with Receiver(tmp_path, deadlines=IMPATIENT) as receiver:
        before, at_once = resident_mib(), at_once_for(receiver)
        half = store_request(data_set(pixels=300_000))[:200_000]
        with (
            crowd(receiver, 50),
            crowd(receiver, 12, b"\1"),
            crowd(receiver, 10, b"\x16\x03\x01\x02\x00" + bytes(200)),
            crowd(receiver, 10, b"GET / HTTP/1.1\r\n\r\n"),
            contextlib.ExitStack() as cut,
        ):
            for _ in range(5):
                peer = cut.enter_context(Peer(receiver.port))
                assert peer.associate() == ACCEPTED
                peer.send(half)
            assert seconds_of_an_echo(receiver) < at_once
        eventually(lambda: served_threads() == 0, within=15)
        assert receiver.spooled() == receiver.kept() == []
        assert resident_mib() - before < 64
        with Peer(receiver.port) as known:
            assert known.associate() == ACCEPTED
            assert known.store(data_set()) == 0x0000


@pytest.mark.catalogue("A19")
def test_an_echo_storm_is_answered(receiver: Receiver) -> None:
    with Peer(receiver.port) as stormy:
        stormy.associate()
        assert {stormy.echo() for _ in range(500)} == {0x0000}


@pytest.mark.catalogue("X3")
def test_the_accepting_thread_survives_when_nothing_can_be_opened(receiver: Receiver) -> None:
    """As many descriptors as the process may have are open: later, not never."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Peer(receiver.port) as waiting:
        used = len(list(Path("/proc/self/fd").iterdir()))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
        try:
            time.sleep(0.3)  # accept() has to fail a few times
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert waiting.associate(contexts=(CTImageStorage, "1.2.840.10008.1.1")) == ACCEPTED
