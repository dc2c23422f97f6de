"""A DICOMweb service that fails as it is told, and a token service: for faults. What works is tried with a real one."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

JSON = "application/dicom+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer. cut: so many bytes of it are sent, then the connection ends."""

    status: int = 200
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON
    cut: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def digest(self) -> str:
        """Of its body."""
        return sha256(self.body).hexdigest()


def stored(sop_instance_uid: str, warning: int | None = None) -> dict[str, Any]:
    """The document of an answer that names this object as stored."""
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [sop_instance_uid]}}
    if warning is not None:
        item["00081196"] = {"vr": "US", "Value": [warning]}
    return {"00081199": {"vr": "SQ", "Value": [item]}}


def failed(reason: int) -> dict[str, Any]:
    """The document of an answer that names one failure."""
    return {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [reason]}}]}}


class WebDouble:
    """`answer` says what a request is answered with; `asked` is what came."""

    def __init__(self, answer: Callable[[Asked], Said]) -> None:
        self.asked: list[Asked] = []
        self.answer = answer
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def log_message(self, format: str, *args: object) -> None:
                """Not to the tests' output."""

            def do_GET(self) -> None:
                self._reply()

            def do_POST(self) -> None:
                self._reply()

            def do_PUT(self) -> None:
                self._reply()

            def _reply(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(method=self.command, path=parts.path, query=query, headers=headers, body=body)
                double.asked.append(asked)
                said = double.answer(asked)
                content = b"" if said.document is None else json.dumps(said.document).encode()
                self.send_response(said.status)
                for name, value in {"Content-Type": said.content_type, **said.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                if said.cut is None:
                    self.end_headers()
                    self.wfile.write(content)
                    return
                if said.cut:
                    self.end_headers()
                    self.wfile.write(content[: said.cut])
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
