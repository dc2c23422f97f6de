"""A web server with TLS and an authority of its own, and a proxy before it, both on loopback."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a path is answered with. length: that is announced, if not the true one."""

    body: bytes = b""
    status: int = 200
    location: str = ""
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: what it answers, its address, the file of its authority, what was asked."""

    url: str
    authority: Path
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def https_server(folder: Path) -> Iterator[Server]:
    """A server at https://localhost, with a certificate that `authority` signed."""
    authority, chain = certificates(folder)
    answers: dict[str, Answer] = {}
    asked: list[str] = []

    class Handler(_Quiet):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = answers.get(self.path, Answer(status=404))
            self.send_response(answer.status)
            if answer.location:
                self.send_header("Location", answer.location)
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            self.end_headers()
            self.wfile.write(answer.body)

    with _serving(Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield Server(f"https://localhost:{server.server_address[1]}", authority, answers, asked)


@contextmanager
def connect_proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that knows CONNECT alone: its URL, and to whom it connected."""
    reached: list[str] = []

    class Handler(_Quiet):
        def do_CONNECT(self) -> None:
            host, _, port = self.path.partition(":")
            reached.append(self.path)
            with socket.create_connection((host, int(port)), timeout=10) as far:
                self.send_response(200)
                self.end_headers()
                ends = {self.connection: far, far: self.connection}
                while ready := select.select(list(ends), [], [], 10)[0]:
                    for near in ready:
                        if not (content := near.recv(65536)):
                            return
                        ends[near].sendall(content)

    with _serving(Handler) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}", reached


def certificates(folder: Path) -> tuple[Path, Path]:
    """An authority's certificate, and key and certificate of localhost in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509", "-days", "2"]
    subprocess.run(["openssl", "req", *key, "-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.pem"],
                   cwd=folder, check=True, capture_output=True)
    subprocess.run(["openssl", "req", *key, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-addext", "basicConstraints=critical,CA:FALSE",
                    "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem"],
                   cwd=folder, check=True, capture_output=True)
    chain = folder / "chain.pem"
    chain.write_bytes((folder / "server.key").read_bytes() + (folder / "server.pem").read_bytes())
    return folder / "ca.pem", chain


class _Quiet(BaseHTTPRequestHandler):
    timeout: ClassVar[float] = 10

    def log_message(self, format: str, *args: object) -> None:
        """Not to the tests' output."""


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
