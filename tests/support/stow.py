"""The DICOMweb receiver alone, beside the DICOM one on the same store; and bodies as clients write them, or do not."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Self

import httpx
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from radnode.config.peers import Peer
from radnode.node.dicomweb.recognition import recognise
from radnode.node.dicomweb.server import WebOptions, WebReceiver
from radnode.node.intake import p10
from support.receiver import IMPATIENT, Receiver, data_set

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from radnode.node.security.tls import ServerContexts

BOUNDARY = "boundary-of-a-test"
TOKEN = "a token of a test"  # noqa: S105
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
STUDIES = "/dicom-web/studies"


class StowReceiver(Receiver):
    """`web_port` takes what the source WEB1 stores under TOKEN."""

    def __init__(
        self, folder: Path, *, peers: Iterable[Peer] | None = None, web_tls: ServerContexts | None = None,
        web: dict[str, Any] | None = None, **options: Any,
    ) -> None:
        super().__init__(folder, **options)
        known = list(peers) if peers is not None else [source(folder)]
        options = {"host": "127.0.0.1", "port": 0, "max_requests": 8, "max_requests_per_host": 8,
                   "deadlines": IMPATIENT, **(web or {})}  # fmt: skip
        self.web = WebReceiver(
            WebOptions(**options), storage=self.storage, metrics=self.metrics, strangers=self.strangers, tls=web_tls,
            recognise=lambda host, certificate, authorization: recognise(
                known, host=host, certificate=certificate, authorization=authorization
            ),
        )

    def __enter__(self) -> Self:
        super().__enter__()
        self.web.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.web.stop()
        super().__exit__(*exception)

    def post(self, body: Any, content_type: str = RELATED, *, to: str = STUDIES, **fields: str) -> httpx.Response:
        """One POST with the token."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type, **fields}
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.post(f"http://127.0.0.1:{self.web.port}{to}", content=body, headers=headers)

    def raw(self, said: bytes) -> bytes:
        """What is answered to exactly these bytes, after which the client says no more."""
        with socket.create_connection(("127.0.0.1", self.web.port), timeout=20) as client:
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            answered = bytearray()
            while piece := client.recv(65_536):
                answered += piece
        return bytes(answered)


def source(folder: Path, name: str = "WEB1", token: str = TOKEN, **more: Any) -> Peer:
    """A configured source with its token in a file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.token"
    file.write_text(f"{token}\n")
    return Peer(**{"name": name, "ae_title": name, "host": "127.0.0.1", "port": 104, "sends": True,
                   "token_file": file, **more})  # fmt: skip


def file(number: int = 1, *, study: bytes = b"1.2.5\0", pixels: int = 100, **changes: Any) -> bytes:
    """A DICOM file (PS3.10) of an image of its own."""
    uid = f"1.2.3.{number}"
    said = {"sop_class_uid": CTImageStorage.encode(), "sop_instance_uid": uid.encode(),
            "transfer_syntax_uid": ExplicitVRLittleEndian.encode(), **changes}  # fmt: skip
    return p10.header(**said) + data_set(instance=uid.encode() + b"\0" * (len(uid) % 2), study=study, pixels=pixels)


def multipart(*files: bytes, boundary: str = BOUNDARY, fields: str = "Content-Type: application/dicom\r\n") -> bytes:
    """A body in order."""
    parts = [f"--{boundary}\r\n{fields}\r\n".encode() + each + b"\r\n" for each in files]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def failures(answer: httpx.Response) -> list[int]:
    """The failure reasons of an answer, in order: of named instances, then of others."""
    said = answer.json()
    items = said.get("00081198", {}).get("Value", []) + said.get("0008119A", {}).get("Value", [])
    return [item["00081197"]["Value"][0] for item in items]


def stored(answer: httpx.Response) -> list[str]:
    """The SOP Instance UIDs that an answer says are stored."""
    return [item["00081155"]["Value"][0] for item in answer.json().get("00081199", {}).get("Value", [])]
