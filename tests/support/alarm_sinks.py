"""Where alarms are told to in tests: a mail server (aiosmtpd) and a web server that keep what they get."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from support.network import free_port
from support.processes import required

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message
    from pathlib import Path


class MailServer:
    """Takes mail for everybody but those in `refuses`, or answers 451 to all while `busy`."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, password: str | None = None) -> None:
        self.messages: list[Message] = []
        self.attempts = 0
        self.busy = False
        self.refuses: set[str] = set()
        self.logins: list[tuple[str, str]] = []
        self.port = free_port()
        options: dict[str, Any] = {}
        if tls is not None:
            options |= {"tls_context": tls, "require_starttls": True}
        if password is not None:
            options |= {"authenticator": self._login, "auth_required": True}
        self._password = password
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=60, **options)

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        """RFC 5321 4.1.1.3."""
        if address in self.refuses:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """RFC 5321 4.1.1.4."""
        self.attempts += 1
        if self.busy:
            return "451 come again"
        self.messages.append(message_from_bytes(envelope.content))
        return "250 OK"

    def subjects(self) -> list[str]:
        """Of what was taken, in order."""
        return [str(message["Subject"]) for message in self.messages]

    def text(self) -> str:
        """Everything that was taken."""
        return "\n".join(message.get_payload(decode=True).decode() for message in self.messages)

    def _login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, said: Any) -> AuthResult:
        self.logins.append((said.login.decode(), said.password.decode()))
        return AuthResult(success=said.password.decode() == self._password)


class HookServer:
    """Takes every POST with `status`; a `location` makes it a redirect."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.status = 204
        self.location = ""
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.take(self)

            def do_GET(self) -> None:
                hook.paths.append(f"GET {self.path}")
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def take(self, request: BaseHTTPRequestHandler) -> None:
        """Keep one request and answer it."""
        body = request.rfile.read(int(request.headers["Content-Length"]))
        self.paths.append(request.path)
        self.headers.append(dict(request.headers))
        if self.status < 300:
            self.documents.append(json.loads(body))
        request.send_response(self.status)
        if self.location:
            request.send_header("Location", self.location)
        request.end_headers()

    @property
    def url(self) -> str:
        """Where it takes alarms."""
        return f"http://127.0.0.1:{self._server.server_port}/alarms"

    def __enter__(self) -> HookServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def told(self) -> list[tuple[str, str]]:
        """(event, name) in order."""
        return [(alarm["event"], alarm["name"]) for document in self.documents for alarm in document["alarms"]]




def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context for 127.0.0.1 and localhost, and the file that proves it."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [required("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert
