"""`radnode health` asks the node that runs on a configuration, and says by its exit code what it heard."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
from support.certificates import Authority
from support.network import free_port
from typer.testing import CliRunner

from radnode.node.cli import app
from radnode.node.web.own_address import own_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.certificates import Pair


@contextlib.contextmanager
def _answering(status: int, shown: Pair | None = None) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if shown is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(shown.certificate, shown.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _health(folder: Path, port: int, tls: Pair | None = None) -> tuple[int, str]:
    config = folder / "radnode.yaml"
    written = f"node:\n  http_port: {port}\n"
    if tls is not None:
        written += f"  http_tls: true\n  tls: {{certificate: {tls.certificate}, key: {tls.key}}}\n"
    config.write_text(written, encoding="utf-8")
    done = CliRunner().invoke(app, ["health", "--config", str(config)])
    return done.exit_code, done.output


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_exit_code_says_whether_the_node_is_well(status: int, code: int, tmp_path: Path) -> None:
    with _answering(status) as port:
        assert _health(tmp_path, port)[0] == code


def test_a_node_that_is_not_there_is_not_well(tmp_path: Path) -> None:
    code, said = _health(tmp_path, free_port())
    assert code == 1
    assert "no node answers" in said


def test_in_tls_only_the_own_certificate_counts_by_whatever_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    own, other = authority.pair("radnode.hospital.example"), authority.pair("radnode.hospital.example")
    with _answering(200, own) as port:
        assert _health(tmp_path, port, own) == (0, "the node is well\n")
        assert _health(tmp_path, port, other)[0] == 1


@pytest.mark.parametrize(("host", "called"), [
    ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.1.2.3", "10.1.2.3"), ("node", "node"),  # noqa: S104
])
def test_an_address_that_means_every_interface_is_called_on_this_machine(host: str, called: str) -> None:
    assert own_address(host) == called
