"""PDUs are the same however TCP cuts them."""

from __future__ import annotations

import random
import socket
import struct
import threading

import pytest

from radnode.node.intake.connection import Connection, ConnectionLost, Deadlines
from radnode.node.intake.pdu_stream import PduStream
from radnode.node.intake.pdus import MAX_P_DATA, PduType

IMPATIENT = Deadlines(request=0.2, pdu=0.2, linger=0.2)


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxL", kind, len(body)) + body


def reading(deadlines: Deadlines | None = None) -> tuple[socket.socket, Connection, PduStream]:
    server = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(server.getsockname())
    ours, _ = server.accept()
    server.close()
    connection = Connection(ours, "127.0.0.1", deadlines or Deadlines())
    connection.established = True
    return theirs, connection, PduStream(connection)


@pytest.mark.parametrize("seed", range(6))
def test_a_row_of_pdus_is_read_the_same_however_it_is_cut(seed: int) -> None:
    drawn = random.Random(seed)
    bodies = [drawn.randbytes(drawn.choice((0, 1, 5, 300, 4090, 4096, 5000, MAX_P_DATA, MAX_P_DATA + 6)))
              for _ in range(30)]  # fmt: skip
    theirs, connection, stream = reading()
    said = b"".join(pdu(PduType.P_DATA, body) for body in bodies)

    def speak() -> None:
        at = 0
        while at < len(said):
            until = at + drawn.choice((1, 6, 7, 12, 1000, 70_000, 400_000))
            theirs.sendall(said[at:until])
            at = until

    speaking = threading.Thread(target=speak)
    speaking.start()
    with theirs:
        for body in bodies:
            kind, read = stream.read(5)
            assert (kind, bytes(read)) == (PduType.P_DATA, body)
        speaking.join()
    connection.close()


@pytest.mark.parametrize("sent", [1, 5, 6, 100])
def test_a_pdu_that_does_not_go_on_is_given_up_at_its_deadline_and_no_byte_of_it_is_passed_on(sent: int) -> None:
    theirs, connection, stream = reading(IMPATIENT)
    with theirs:
        theirs.sendall(pdu(PduType.P_DATA, b"whole") + pdu(PduType.P_DATA, bytes(500))[:sent])
        assert bytes(stream.read(1)[1]) == b"whole"
        with pytest.raises(ConnectionLost, match="took longer"):
            stream.read(1)
    connection.close()


def test_what_was_read_ahead_is_not_served_any_more_when_the_node_stops() -> None:
    theirs, connection, stream = reading()
    with theirs:
        theirs.sendall(pdu(PduType.P_DATA, b"one") + pdu(PduType.P_DATA, b"two"))
        assert bytes(stream.read(1)[1]) == b"one"
        connection.stop()
        with pytest.raises(ConnectionLost, match="stopping"):
            stream.read(1)
    connection.close()
