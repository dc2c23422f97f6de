"""Other people's HL7 v2: a receiver of python-hl7, orders as a RIS writes them, and a sender that speaks MLLP."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Self

import hl7
from hl7.mllp import start_hl7_server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from hl7.mllp import HL7StreamReader, HL7StreamWriter

MSH = (
    "MSH|^~\\&|RIS|HOSPITAL|RADNODE|RADIOLOGY|20260302100000||{kind}|{control}|P|2.5.1|||{accept}|{application}||{charset}"
)


class Ris:
    """Takes messages by MLLP as python-hl7 does. `answer` makes the acknowledgement; `messages` is what came."""

    def __init__(
        self, answer: Callable[[hl7.Message], hl7.Message | None] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._tls = tls
        self.messages: list[hl7.Message] = []
        self.answer = answer or (lambda message: message.create_ack())
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            start_hl7_server(self._serve, host="127.0.0.1", port=0, encoding="utf-8", ssl=self._tls)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    async def _serve(self, reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        try:
            while True:
                message = await reader.readmessage()
                self.messages.append(message)
                if (answer := self.answer(message)) is not None:
                    writer.writemessage(answer)
                    await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


class Line:
    """A connection of a sender; what it sends and gets are bytes."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, message: bytes) -> None:
        """One frame."""
        self.socket.sendall(b"\x0b" + message + b"\x1c\r")

    def answer(self) -> hl7.Message:
        """The next acknowledgement; EOFError where the node has closed."""
        said = bytearray()
        while not said.endswith(b"\x1c\r"):
            if not (one := self._file.read(1)):
                raise EOFError
            said += one
        return hl7.parse(said[1:-2].decode())

    def ask(self, message: bytes) -> hl7.Message:
        """Send and read the answer."""
        self.send(message)
        return self.answer()


def header(
    kind: str, control: str = "1", *, charset: str = "UNICODE UTF-8", accept: str = "", application: str = ""
) -> str:
    """MSH of a message from the RIS."""
    return MSH.format(kind=kind, control=control, charset=charset, accept=accept, application=application)


def order(
    control: str = "1", *, accession: str = "A-1", patient: str = "P-1^^^HOSPITAL&1.2.3&ISO", priority: str = "S",
    state: str = "NW", born: str = "19600102", reason: str = "Cough", said_at: str = "", charset: str = "UNICODE UTF-8",
    codec: str = "utf-8", accept: str = "", application: str = "", number: str = "O-1",
) -> bytes:
    """ORM^O01 as IHE RAD-2 and RAD-4 have it."""
    first = header("ORM^O01", control, charset=charset, accept=accept, application=application)
    if said_at:
        first = first.replace("20260302100000", said_at)
    lines = [
        first,
        f"PID|1||{patient}||Doe^Jane||{born}|F",
        "PV1|1|E",
        f"ORC|{state}|{number}|F-1",
        f"OBR|1|{number}|F-1|CTCH^CT chest^L||||||||||||||{accession}|||||||||^^^^^{priority}||||^{reason}",
    ]
    return ("\r".join(lines) + "\r").encode(codec)
