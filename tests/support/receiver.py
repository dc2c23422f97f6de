"""The receiver alone, in this process, on a real store and database; and a peer that speaks bytes."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from radnode.node.intake.admission import Admission, Admitted
from radnode.node.intake.associations import Associations
from radnode.node.intake.connection import Deadlines
from radnode.node.intake.dimse import DicomReceiver, ReceiverOptions
from radnode.node.intake.storing import Storage
from radnode.node.intake.tally import RefusalTally
from radnode.node.observability import Metrics
from radnode.storage.database import Database
from radnode.storage.files import FileStore
from radnode.storage.receptions import record as record_in
from support import ground

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from radnode.node.intake.normalized import CommitmentDesk
    from radnode.node.security.certificates import Certificate
    from radnode.node.security.tls import ServerContexts
    from radnode.storage.receptions import Reception, Recorded

AE_TITLE = "RADNODE"
VERIFICATION = "1.2.840.10008.1.1"
SLOWER = 20


def at_once_s(before: float) -> float:
    """What an echo may take beside hostile peers. before: seconds of the worst without them, in the same run.

    So many times slower, machines differ; or half of what a silent peer could make it wait, whichever is more. The
    figure itself is held against its goal where all figures are (goals.py).
    """
    return max(Deadlines().request / 2, SLOWER * before)


IMPATIENT = Deadlines(request=0.5, pdu=0.5, linger=0.5)


class Receiver:
    """A running receiver with everything it has taken. `recorded` are the receptions in the database."""

    def __init__(
        self,
        folder: Path,
        *,
        store: FileStore | None = None,
        admit: Callable[[str, str, str, Certificate | None], Admission] | None = None,
        record: Callable[[Sequence[Reception]], Sequence[Recorded]] | None = None,
        tls: ServerContexts | None = None,
        desk: CommitmentDesk | None = None,
        **options: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store = store or FileStore(folder / "data", 0)
        self.recorded: list[Reception] = []
        self.outcomes: list[Recorded] = []
        self.changes = 0
        self.associations = Associations(on_change=self._changed)
        self.metrics = Metrics()
        self._record = record or self._in_database
        self._database = Database(ground.database_url(folder))
        self.storage = Storage(
            store=self.store, record=self._recording, associations=self.associations,
            largest_object=options.pop("largest_object", 64 * 1024 * 1024), now=lambda: datetime.now(UTC),
            metrics=self.metrics, on_recorded=lambda: None,
        )  # fmt: skip
        self.strangers = RefusalTally(time.monotonic)
        self._receiver = DicomReceiver(
            ReceiverOptions(
                **{
                    "host": "127.0.0.1",
                    "port": 0,
                    "max_associations": 20,
                    "max_associations_per_host": 20,
                    "association_idle_s": 30.0,
                    **options,
                }
            ),
            admit=admit or (lambda calling, called, host, certificate: Admitted(source=calling)),
            storage=self.storage,
            metrics=self.metrics,
            strangers=self.strangers,
            tls=tls,
            desk=desk,
        )

    def __enter__(self) -> Receiver:
        self._database.upgrade()
        self._receiver.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.stop()
        self._database.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._receiver.port

    @property
    def tls_port(self) -> int:
        """Where it listens in TLS."""
        return self._receiver.tls_port

    def stop(self) -> None:
        """End it in order."""
        self._receiver.stop()

    def kept(self) -> list[Path]:
        """Every file that was made durable."""
        return sorted((self.store.root / "instances").rglob("*.dcm"))

    def spooled(self) -> list[Path]:
        """What lies in the spool; nothing, unless an object is arriving."""
        return sorted(path for path in (self.store.root / "spool").rglob("*") if path.is_file())

    def quarantined(self) -> list[Path]:
        """The bytes of refused objects."""
        return sorted(path for path in (self.store.root / "quarantine").glob("*.dcm"))

    def ended(self, how: str) -> int:
        """How many connections ended in this way, by the metric."""
        value = self.metrics.registry.get_sample_value("radnode_associations_total", {"ended": how})
        return int(value or 0)

    def _recording(self, receptions: Sequence[Reception]) -> Sequence[Recorded]:
        outcomes = self._record(receptions)
        self.recorded.extend(receptions)
        self.outcomes.extend(outcomes)
        return outcomes

    def _in_database(self, receptions: Sequence[Reception]) -> Sequence[Recorded]:
        with self._database.transact() as connection:
            return record_in(connection, receptions)

    def _changed(self) -> None:
        self.changes += 1


class Peer:
    """A peer that sends exactly the bytes it is told, and reads PDUs."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Write all."""
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """Type and body of the next PDU; (0, b"") at the end of the connection."""
        header = self._exactly(6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxL", header)
        return kind, self._exactly(length)

    def closed(self) -> bool:
        """Wait for the receiver to end the connection, reading what it says before."""
        with contextlib.suppress(ConnectionResetError):
            while self.read() != (0, b""):
                pass
        return True

    def associate(self, *, contexts: Sequence[str] = (CTImageStorage, VERIFICATION), **titles: str) -> int:
        """Ask for an association with odd context ids from 1; returns the type of the answer."""
        self.send(association_request(contexts=contexts, **titles))
        kind, self.answer = self.read()
        return kind

    def echo(self) -> int:
        """C-ECHO in the second context; the status."""
        self.send(p_data(pdv(3, 3, command(0x0030, VERIFICATION, None))))
        return self.status()

    def status(self) -> int:
        """Read one answer; its status. ConnectionError when the connection ended, or an A-ABORT came, instead."""
        kind, body = self.read()
        if kind == 0:
            raise ConnectionResetError("the connection ended without an answer")
        if kind == 7:  # A-ABORT
            raise ConnectionAbortedError("an A-ABORT instead of an answer")
        assert kind == 4, f"PDU of type {kind} instead of an answer: {body!r}"
        at = body.index(struct.pack("<HHL", 0, 0x0900, 2))
        status: int = struct.unpack_from("<H", body, at + 8)[0]
        return status

    def store(self, data: bytes, instance: str | bytes = "1.2.3", *, sop_class: str = CTImageStorage) -> int:
        """C-STORE of a data set in the first context, in one PDU if it fits; the status."""
        self.send(store_request(data, instance, sop_class=sop_class))
        return self.status()

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size and (piece := self.socket.recv(size - len(data))):
            data += piece
        return bytes(data)


def association_request(
    *,
    contexts: Sequence[str | tuple[str, Sequence[str]]] = (CTImageStorage, VERIFICATION),
    calling: str = "PEER",
    called: str = AE_TITLE,
) -> bytes:
    """An A-ASSOCIATE-RQ of another implementation; a context is an abstract syntax, with transfer syntaxes or not.

    Ids are 1, 3, 5 ...; without transfer syntaxes explicit VR little endian is proposed.
    """
    request = A_ASSOCIATE()
    request.application_context_name = UID("1.2.840.10008.3.1.1.1")
    request.calling_ae_title = calling
    request.called_ae_title = called
    proposed = [
        build_context(each, ExplicitVRLittleEndian) if isinstance(each, str) else build_context(*each)
        for each in contexts
    ]
    for number, context in enumerate(proposed):
        context.context_id = 2 * number + 1
    request.presentation_context_definition_list = proposed
    length = MaximumLengthNotification()
    length.maximum_length_received = 16_384
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID("1.2.3.4")
    request.user_information = [length, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    encoded: bytes = pdu.encode()
    return encoded


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    """A presentation data value; control 1: command, 2: last fragment, 3: both."""
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def p_data(*values: bytes) -> bytes:
    """A P-DATA-TF."""
    body = b"".join(values)
    return struct.pack(">BxL", 4, len(body)) + body


def command(field: int, sop_class: str, instance: str | bytes | None, *, has_data_set: bool = False) -> bytes:
    """A request's command set; the instance is written as it is given."""
    data_set_type = 0x0001 if has_data_set else 0x0101
    numbers = ((0x0100, field), (0x0110, 1), (0x0700, 0), (0x0800, data_set_type))
    elements = [(0x0002, _even(sop_class)), *((tag, struct.pack("<H", value)) for tag, value in numbers)]
    if instance is not None:
        elements.append((0x1000, _even(instance)))
    body = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in elements)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def store_request(data: bytes, instance: str | bytes = "1.2.3", *, sop_class: str = CTImageStorage) -> bytes:
    """A whole C-STORE request in the first context, in PDUs of 64 KiB."""
    pieces = [data[at : at + 65_000] for at in range(0, len(data), 65_000)] or [b""]
    pdus = [p_data(pdv(1, 3, command(0x0001, sop_class, instance, has_data_set=True)))]
    pdus += [p_data(pdv(1, 2 if piece is pieces[-1] else 0, piece)) for piece in pieces]
    return b"".join(pdus)


def data_set(
    *,
    instance: bytes = b"1.2.3\0",
    series: bytes = b"1.2.5\0",
    study: bytes = b"1.2.4\0",
    sop_class: bytes = CTImageStorage.encode() + b"\0",
    pixels: int = 1000,
) -> bytes:
    """Explicit VR little endian: the identifying attributes and `pixels` bytes of Pixel Data."""
    uid = partial(struct.pack, "<HH2sH")
    return b"".join(
        (
            uid(8, 0x16, b"UI", len(sop_class)), sop_class, uid(8, 0x18, b"UI", len(instance)), instance,
            uid(0x10, 0x20, b"LO", 4), b"P-1 ",
            uid(0x20, 0x0D, b"UI", len(study)), study, uid(0x20, 0x0E, b"UI", len(series)), series,
            struct.pack("<HH2sxxL", 0x7FE0, 0x10, b"OW", pixels), bytes(pixels),
        )
    )  # fmt: skip


def _even(value: str | bytes) -> bytes:
    encoded = value.encode() if isinstance(value, str) else value
    return encoded + b"\0" * (len(encoded) % 2)
