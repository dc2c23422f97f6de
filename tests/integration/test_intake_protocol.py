"""What the receiver answers to a peer that it cannot trust to be sensible: byte by byte."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.uid import CTImageStorage
from support.receiver import (
    AE_TITLE,
    IMPATIENT,
    VERIFICATION,
    Peer,
    Receiver,
    association_request,
    command,
    data_set,
    p_data,
    pdv,
    store_request,
)
from support.waiting import eventually

from radnode.config import peers
from radnode.node.intake import pdus
from radnode.node.intake.admission import admit
from radnode.node.intake.connection import Connection, Deadlines
from radnode.storage.errors import DatabaseUnavailable, StorageFull

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from radnode.storage.receptions import Reception, Recorded

ACCEPTED, REJECTED, ABORTED = 2, 3, 7
PERMISSION = {"name": "CT1", "ae_title": "PEER", "host": "127.0.0.1", "port": 104, "sends": True}


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path, deadlines=IMPATIENT) as running:
        yield running


@pytest.fixture
def peer(receiver: Receiver) -> Iterator[Peer]:
    with Peer(receiver.port) as connected:
        assert connected.associate() == ACCEPTED
        yield connected


def test_success_means_that_bytes_and_row_are_there(receiver: Receiver, peer: Peer) -> None:
    assert peer.store(data_set()) == 0x0000
    (path,) = receiver.kept()
    (reception,) = receiver.recorded
    assert path.stem == reception.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert reception.size_bytes == path.stat().st_size
    assert path.read_bytes().endswith(data_set())
    assert pydicom.dcmread(path).SOPInstanceUID == reception.sop_instance_uid == "1.2.3"
    assert (reception.series_instance_uid, reception.study_instance_uid) == ("1.2.5", "1.2.4")
    assert (reception.patient_id, reception.source) == ("P-1", "PEER")
    assert receiver.spooled() == []


@pytest.mark.catalogue("U1", "N7")
def test_the_same_object_again_is_answered_with_success_and_is_no_second_file(
    receiver: Receiver, peer: Peer
) -> None:
    assert peer.store(data_set()) == 0x0000
    with Peer(receiver.port) as other:
        other.associate(calling="OTHER")
        assert other.store(data_set()) == 0x0000
    assert len(receiver.kept()) == 1
    assert [each.duplicate for each in receiver.outcomes] == [False, True]


@pytest.mark.catalogue("U3")
def test_the_same_uid_with_other_bytes_is_kept_beside_the_first(receiver: Receiver, peer: Peer) -> None:
    assert [peer.store(data_set(pixels=size)) for size in (10, 20)] == [0, 0]
    assert len(receiver.kept()) == 2
    assert receiver.outcomes[1].conflict


@pytest.mark.catalogue("D1", "D2", "D3", "D4", "D7", "A22")
@pytest.mark.parametrize(
    ("data", "instance", "status"),
    [
        (data_set(instance=b"1.2.9\0"), "1.2.3", 0xA900),
        (data_set(sop_class=b"1.2.840.10008.5.1.4.1.1.4\0"), "1.2.3", 0xA900),
        (data_set(study=b"../../x "), "1.2.3", 0xA900),
        (data_set(study=b""), "1.2.3", 0xC002),
        (data_set(series=b"\0\0"), "1.2.3", 0xC002),
        (data_set()[:-1], "1.2.3", 0xC004),
        (b"GET / HTTP/1.1\r\n\r\n", "1.2.3", 0xC000),
        (b"", "1.2.3", 0xC002),
        (data_set(), b"../../../tmp/x", 0x0117),
        (data_set(), b"/etc/cron.d/a", 0x0117),
        (data_set(), b"1.2.3;touch a", 0x0117),
        (data_set(), b"1.2\n.3", 0x0117),
        (data_set(), b"1" * 65, 0x0117),
        (data_set(), b"", 0x0117),
        (data_set(), b"\0\0", 0x0117),
    ],
    ids=["other instance", "other class", "path as study", "no study", "no series", "truncated",
         "no data set", "nothing", "relative path", "absolute path", "shell", "newline", "long", "empty",
         "NUL"],
)  # fmt: skip
def test_an_object_that_is_not_what_it_says_is_refused_and_the_association_goes_on(
    receiver: Receiver, peer: Peer, data: bytes, instance: str | bytes, status: int
) -> None:
    assert peer.store(data, instance) == status
    assert receiver.kept() == receiver.recorded == receiver.spooled() == []
    assert len(receiver.quarantined()) == 1
    assert all(path.is_relative_to(receiver.store.root) for path in receiver.quarantined())
    assert peer.store(data_set()) == 0x0000


@pytest.mark.catalogue("A22")
def test_a_request_without_the_instance_uid_is_answered_at_once(receiver: Receiver, peer: Peer) -> None:
    peer.send(p_data(pdv(1, 3, command(1, CTImageStorage, None, has_data_set=True)), pdv(1, 2, data_set())))
    assert peer.status() == 0x0117


def test_a_class_that_is_not_the_context_s_is_refused(receiver: Receiver, peer: Peer) -> None:
    assert peer.store(data_set(), sop_class="1.2.840.10008.5.1.4.1.1.4") == 0x0122


@pytest.mark.catalogue("D23")
def test_an_object_over_the_limit_is_refused_for_good_and_leaves_nothing(tmp_path: Path) -> None:
    with Receiver(tmp_path, largest_object=300_000) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        assert peer.store(data_set(pixels=400_000)) == 0xC001
        assert receiver.kept() == receiver.spooled() == receiver.quarantined() == []
        assert peer.store(data_set()) == 0x0000


@pytest.mark.catalogue("A13", "D23")
def test_an_object_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    with Receiver(tmp_path, largest_object=100_000) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(1, 3, command(1, CTImageStorage, "1.2.3", has_data_set=True))))
        peer.send(p_data(pdv(1, 0, bytes(65_000))) * 5)
        assert peer.read()[0] == ABORTED
        assert receiver.spooled() == []


@pytest.mark.catalogue("N5")
@pytest.mark.parametrize("answer", ["abort", "reset", "close"])
def test_an_association_that_ends_in_an_object_leaves_no_part_and_no_row(
    receiver: Receiver, peer: Peer, answer: str
) -> None:
    request = store_request(data_set(pixels=1_000_000))
    peer.send(request[: 7 * len(request) // 10])
    if answer == "abort":
        peer.send(struct.pack(">BxLL", 7, 4, 0))
    elif answer == "reset":
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.socket.close()
    else:
        peer.socket.close()
    eventually(lambda: receiver.metrics.registry.get_sample_value("radnode_associations_open") == 0)
    assert receiver.spooled() == receiver.kept() == receiver.recorded == []


@pytest.mark.catalogue("A21")
def test_what_was_answered_stays_when_the_peer_aborts(receiver: Receiver, peer: Peer) -> None:
    assert peer.store(data_set()) == 0x0000
    peer.send(struct.pack(">BxLL", 7, 4, 0))
    eventually(lambda: receiver.ended("aborted") == 1)
    assert len(receiver.kept()) == 1


def test_A15_two_requests_under_one_message_id_are_both_answered_and_both_kept(
    receiver: Receiver, peer: Peer
) -> None:
    first, second = data_set(), data_set(instance=b"1.2.7\0")
    peer.send(store_request(first, "1.2.3") + store_request(second, "1.2.7"))
    assert [peer.status(), peer.status()] == [0, 0]
    assert sorted(each.sop_instance_uid for each in receiver.recorded) == ["1.2.3", "1.2.7"]
    assert len(receiver.kept()) == 2


def test_A23_the_fields_of_a_move_originator_are_accepted(receiver: Receiver, peer: Peer) -> None:
    originator = struct.pack("<HHL", 0, 0x1030, 8) + b"PACS\0\0\0\0" + struct.pack("<HHLH", 0, 0x1031, 2, 77)
    plain = command(1, CTImageStorage, "1.2.3", has_data_set=True)
    peer.send(p_data(pdv(1, 3, plain + originator)) + p_data(pdv(1, 2, data_set())))
    assert peer.status() == 0x0000
    assert len(receiver.kept()) == 1


def test_N6_what_is_whole_stays_when_the_peer_is_gone_before_the_answer(tmp_path: Path) -> None:
    with _held_at_its_record(tmp_path) as (receiver, arrived, go_on):
        with Peer(receiver.port) as peer:
            peer.associate()
            peer.send(store_request(data_set()))
            assert arrived.wait(10)
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        go_on.set()
        eventually(lambda: len(receiver.outcomes) == 1)
        eventually(lambda: receiver.ended("lost") + receiver.ended("aborted") == 1)
        assert len(receiver.kept()) == len(receiver.recorded) == 1
        assert receiver.spooled() == []
        with Peer(receiver.port) as again:
            again.associate()
            assert again.store(data_set()) == 0x0000
        assert [each.duplicate for each in receiver.outcomes] == [False, True]


def test_N4_N8_the_kernel_probes_a_silent_peer_within_a_minute_and_sends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
        with peer, ours:
            Connection(ours, "127.0.0.1", Deadlines())
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, every, probes = (
                ours.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            )
            assert idle + every * probes <= 60
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 60_000
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_U9_what_was_refused_for_want_of_room_may_come_again_in_any_order(
    receiver: Receiver, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    uids = [f"1.2.{number}" for number in range(10, 16)]
    objects = [data_set(instance=f"{uid}".encode() + b"\0" * (len(uid) % 2)) for uid in uids]

    def full() -> None:
        raise StorageFull(receiver.store.root, 0)

    with monkeypatch.context() as patched:
        patched.setattr(receiver.store, "check_reserve", full)
        assert [peer.store(each, uid) for each, uid in zip(objects, uids, strict=True)] == [0xA700] * 6
    assert receiver.kept() == receiver.recorded == receiver.spooled() == []
    for place in (4, 0, 5, 2, 1, 3):
        assert peer.store(objects[place], uids[place]) == 0x0000
    assert {each.sop_instance_uid for each in receiver.recorded} == set(uids)
    assert not any(each.conflict or each.duplicate for each in receiver.outcomes)


@pytest.mark.catalogue("A14")
def test_objects_that_are_sent_ahead_are_answered_in_order(receiver: Receiver, peer: Peer) -> None:
    peer.send(store_request(data_set()) + store_request(b"junk", "1.2.9") + store_request(data_set()))
    assert [peer.status() for _ in range(3)] == [0x0000, 0xC004, 0x0000]


def test_a_whole_message_may_come_in_one_pdu_or_in_pieces_of_one_byte(receiver: Receiver, peer: Peer) -> None:
    request = command(1, CTImageStorage, "1.2.3", has_data_set=True)
    peer.send(p_data(pdv(1, 3, request), pdv(1, 2, data_set())))
    assert peer.status() == 0x0000
    pieces = [pdv(1, 1, request[at : at + 1]) for at in range(len(request))]
    peer.send(b"".join(p_data(piece) for piece in pieces[:-1]) + p_data(pdv(1, 3, request[-1:])))
    data = data_set(pixels=10)
    peer.send(p_data(*(pdv(1, 0, data[at : at + 1]) for at in range(len(data))), pdv(1, 2, b"")))
    assert peer.status() == 0x0000


@pytest.mark.catalogue("A11", "A12", "A13", "N10")
@pytest.mark.parametrize(
    "sent",
    [
        p_data(pdv(5, 3, command(0x30, VERIFICATION, None))),
        p_data(pdv(1, 2, b"data before its command")),
        p_data(pdv(1, 3, command(1, CTImageStorage, "1.2", has_data_set=True)), pdv(1, 3, b"command")),
        p_data(pdv(1, 3, command(1, CTImageStorage, "1.2", has_data_set=True)), pdv(3, 2, b"data")),
        p_data(pdv(1, 3, b"no command set")),
        p_data(*(pdv(1, 1, bytes(16_000)) for _ in range(3))),
        struct.pack(">BxL", 4, 200_000),
        struct.pack(">BxL", 4, 0xFFFFFFFF),
        struct.pack(">BxLBB", 4, 6, 0, 0) + bytes(10),
        association_request(),
        struct.pack(">BxLL", 2, 4, 0),
        struct.pack(">BxLL", 9, 4, 0),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["context not accepted", "data first", "command in data", "two contexts", "no command",
         "endless command", "PDU longer than agreed", "PDU of 4 GiB", "PDV too short", "second request",
         "A-ASSOCIATE-AC", "unknown PDU", "HTTP"],
)  # fmt: skip
def test_a_breach_of_the_protocol_ends_the_association(receiver: Receiver, peer: Peer, sent: bytes) -> None:
    peer.send(sent)
    kind, body = peer.read()
    assert (kind, body[2]) == (ABORTED, 2)
    assert peer.closed()
    eventually(lambda: receiver.ended("violated") == 1)
    assert receiver.spooled() == []


@pytest.mark.catalogue("N10", "A11")
@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">BxL", 1, 0xFFFFFFFF), struct.pack(">BxL", 4, 8) + bytes(8),
     struct.pack(">BxL", 1, 10) + bytes(10), struct.pack(">BxL", 1, 5000) + b"\xff" * 5000],
    ids=["HTTP", "request of 4 GiB", "data first", "short request", "junk request"],
)  # fmt: skip
def test_whoever_does_not_speak_dicom_is_turned_away(receiver: Receiver, sent: bytes) -> None:
    with Peer(receiver.port) as stranger:
        stranger.send(sent)
        assert stranger.closed()
    eventually(lambda: receiver.ended("refused") == 1)


@pytest.mark.catalogue("A20")
def test_an_operation_that_is_not_offered_is_answered_so(receiver: Receiver, peer: Peer) -> None:
    peer.send(p_data(pdv(1, 3, command(0x0020, CTImageStorage, None, has_data_set=True)), pdv(1, 2, b"key")))
    assert peer.status() == 0x0211
    assert peer.echo() == 0x0000


@pytest.mark.catalogue("A6", "A8", "A20")
def test_an_unknown_or_unwanted_context_is_refused_and_the_others_are_accepted(receiver: Receiver) -> None:
    with Peer(receiver.port) as peer:
        contexts = ("1.2.826.0.1.3680043.2.1", VERIFICATION, "1.2.840.10008.5.1.4.1.2.2.1")
        assert peer.associate(contexts=contexts) == ACCEPTED
        results = [peer.answer[at + 6] for at in _items(peer.answer, 0x21)]
        assert results == [3, 0, 3]
        assert peer.echo() == 0x0000


@pytest.mark.catalogue("A6")
def test_an_association_in_which_no_context_is_accepted_is_answered(receiver: Receiver) -> None:
    with Peer(receiver.port) as peer:
        assert peer.associate(contexts=("1.2.826.0.1.3680043.2.1",)) == ACCEPTED
        peer.send(struct.pack(">BxLL", 5, 4, 0))
        assert peer.read()[0] == 6


@pytest.mark.catalogue("A1", "A2", "A3")
@pytest.mark.parametrize(
    ("calling", "called", "codes"),
    [("STRANGER", AE_TITLE, (1, 1, 3)), ("peer", AE_TITLE, (1, 1, 3)), ("PEER", "OTHER", (1, 1, 7))],
    ids=["unknown caller", "lower case", "wrong called title"],
)
def test_only_configured_peers_are_let_in(
    tmp_path: Path, calling: str, called: str, codes: tuple[int, int, int]
) -> None:
    with Receiver(tmp_path, admit=_configured(PERMISSION)) as receiver, Peer(receiver.port) as peer:
        assert peer.associate(calling=calling, called=called) == REJECTED
        assert tuple(peer.answer[1:]) == codes
        assert peer.closed()


@pytest.mark.catalogue("N14")
def test_a_configured_peer_is_let_in_from_its_own_network_alone(tmp_path: Path) -> None:
    permission = {**PERMISSION, "hosts": ["127.0.0.9/32"]}
    with Receiver(tmp_path, admit=_configured(permission)) as receiver:
        with Peer(receiver.port) as elsewhere:
            assert elsewhere.associate() == REJECTED
        with Peer(receiver.port, source="127.0.0.9") as at_home:
            assert at_home.associate() == ACCEPTED


@pytest.mark.catalogue("A4")
def test_more_associations_than_seats_are_rejected_for_now(tmp_path: Path) -> None:
    with Receiver(tmp_path, max_associations=2, max_associations_per_host=1) as receiver:
        with (
            Peer(receiver.port) as first,
            Peer(receiver.port) as second,
            Peer(receiver.port, source="127.0.0.2") as third,
            Peer(receiver.port, source="127.0.0.3") as fourth,
        ):
            answers = [each.associate() for each in (first, second, third, fourth)]
            assert answers == [ACCEPTED, REJECTED, ACCEPTED, REJECTED]
            assert tuple(second.answer[1:]) == tuple(fourth.answer[1:]) == (2, 3, 2)
        with Peer(receiver.port) as later:
            eventually(lambda: receiver.metrics.registry.get_sample_value("radnode_associations_open") == 0)
            assert later.associate() == ACCEPTED


def test_a_peer_that_was_released_may_come_back_at_once(tmp_path: Path) -> None:
    with Receiver(tmp_path, max_associations=1, max_associations_per_host=1) as receiver:
        for _ in range(20):
            with Peer(receiver.port) as peer:
                assert peer.associate() == ACCEPTED
                peer.send(pdus.RELEASE_RQ)
                assert peer.read()[0] == pdus.RELEASE_RP[0]


@pytest.mark.catalogue("A10")
def test_a_peer_that_takes_only_tiny_pdus_is_rejected(receiver: Receiver) -> None:
    with Peer(receiver.port) as peer:
        request = association_request()
        peer.send(request.replace(struct.pack(">L", 16_384), struct.pack(">L", 128)))
        assert peer.read()[0] == REJECTED


def test_an_unavailable_database_is_answered_as_out_of_resources(tmp_path: Path) -> None:
    down = threading.Event()
    down.set()

    def record(receptions: Sequence[Reception]) -> Sequence[Recorded]:
        if down.is_set():
            raise DatabaseUnavailable("locked")
        return receiver._in_database(receptions)

    with Receiver(tmp_path, record=record) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        assert peer.store(data_set()) == 0xA700
        assert receiver.recorded == receiver.spooled() == []
        down.clear()
        assert peer.store(data_set()) == 0x0000
        assert len(receiver.kept()) == 1


def test_a_mistake_of_ours_is_answered_as_transient(tmp_path: Path) -> None:
    def record(receptions: Sequence[Reception]) -> Sequence[Recorded]:
        raise ZeroDivisionError(len(receptions))

    with Receiver(tmp_path, record=record) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        assert peer.store(data_set()) == 0x0110


@pytest.mark.catalogue("A17")
def test_an_idle_association_is_released(tmp_path: Path) -> None:
    with Receiver(tmp_path, association_idle_s=0.3) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        assert peer.store(data_set()) == 0x0000
        assert peer.read()[0] == 5
        peer.send(struct.pack(">BxLL", 6, 4, 0))
        assert peer.closed()
        eventually(lambda: receiver.ended("idle") == 1)


@pytest.mark.catalogue("A17")
def test_an_idle_peer_that_does_not_answer_is_aborted(tmp_path: Path) -> None:
    with (
        Receiver(tmp_path, association_idle_s=0.1, deadlines=IMPATIENT) as receiver,
        Peer(receiver.port) as peer,
    ):
        peer.associate()
        assert [peer.read()[0], peer.read()[0]] == [5, ABORTED]


def test_stopping_answers_what_is_being_stored_and_aborts(tmp_path: Path) -> None:
    with _held_at_its_record(tmp_path) as (receiver, arrived, go_on), Peer(receiver.port) as peer:
        peer.associate()
        peer.send(store_request(data_set()))
        assert arrived.wait(10)
        stopping = threading.Thread(target=receiver.stop)
        stopping.start()
        go_on.set()
        assert peer.status() == 0x0000
        assert peer.read()[0] == ABORTED
        peer.socket.close()
        stopping.join(10)
        assert len(receiver.recorded) == 1


def test_who_sends_while_the_node_stops_sends_on_and_nobody_else_comes_in(tmp_path: Path) -> None:
    with Receiver(tmp_path) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        assert peer.store(data_set()) == 0x0000
        stopping = threading.Thread(target=receiver.stop)
        stopping.start()
        eventually(lambda: _is_refused(receiver.port))
        for number in range(10):
            assert peer.store(data_set(instance=b"1.2.%d" % (100 + number)), f"1.2.{100 + number}") == 0x0000
        peer.send(struct.pack(">BxLL", 5, 4, 0))
        assert peer.read()[0] == 6
        stopping.join(10)
        assert len(receiver.recorded) == 11


def test_a_stop_waits_for_nobody_longer_than_he_has(tmp_path: Path) -> None:
    with Receiver(tmp_path, deadlines=Deadlines(drain=0.5)) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        stopping = threading.Thread(target=receiver.stop)
        stopping.start()
        with suppress(ConnectionError):
            while peer.store(data_set()) == 0x0000:
                pass
        stopping.join(10)
        assert not stopping.is_alive()


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_completion_sees_which_series_an_open_association_carries(receiver: Receiver, peer: Peer) -> None:
    assert receiver.changes == 1
    peer.store(data_set())
    assert receiver.associations.open_associations("1.2.5") == 1
    peer.send(struct.pack(">BxLL", 5, 4, 0))
    assert peer.read()[0] == 6
    eventually(lambda: receiver.associations.open_associations("1.2.5") == 0)
    assert receiver.changes == 2


@contextmanager
def _held_at_its_record(folder: Path) -> Iterator[tuple[Receiver, threading.Event, threading.Event]]:
    """A receiver that stops before the transaction: `arrived` when it is there, `go_on` to let it commit."""
    arrived, go_on = threading.Event(), threading.Event()

    def record(receptions: Sequence[Reception]) -> Sequence[Recorded]:
        arrived.set()
        assert go_on.wait(10)
        return receiver._in_database(receptions)

    with Receiver(folder, record=record) as receiver:
        yield receiver, arrived, go_on


def _configured(permission: dict[str, object]) -> partial[object]:
    peer = peers.Peer.model_validate(permission)

    def ask(calling: str, called: str, host: str, certificate: object) -> object:
        return admit(
            [peer], own_ae_title=AE_TITLE, accept_unknown=False, calling=calling, called=called, host=host
        )

    return partial(ask)


def _items(body: bytes, kind: int) -> list[int]:
    """Offsets of the variable items of a type in an A-ASSOCIATE-AC (PS3.8 9.3.3)."""
    found, position = [], 68
    while position < len(body):
        if body[position] == kind:
            found.append(position)
        position += 4 + struct.unpack_from(">H", body, position + 2)[0]
    return found
