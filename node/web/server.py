"""The HTTP server in a thread of the node's process."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from fastapi import FastAPI

    from radnode.node.security.tls import ServerContexts

ENDS_WITHIN_S = 3
"""For who does not read what he asked for; whole seconds, as uvicorn wants them."""

LONGEST_MESSAGE = 1 << 16
"""Bytes that somebody may send over a WebSocket; what is said there is not listened to."""


class HttpServer:
    """Serves an application on its own thread. The socket is bound at construction, so a taken port fails at once."""

    def __init__(
        self, app: FastAPI, *, host: str, port: int, tls: ServerContexts | None = None, behind_proxy: bool = False
    ) -> None:
        """behind_proxy: something on this machine stands before it and says who comes (X-Forwarded-For)."""
        self.app = app
        self._socket = socket.create_server((host, port))
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", server_header=False, proxy_headers=behind_proxy,
            timeout_graceful_shutdown=ENDS_WITHIN_S, ws="websockets-sansio", ws_max_size=LONGEST_MESSAGE,
            ssl_context_factory=_renewing(tls) if tls is not None else None,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End open requests and the thread; what streams (`app.state.before_stop`) is ended first."""
        for end in getattr(self.app.state, "before_stop", ()):
            end()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(5.0)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _renewing(tls: ServerContexts) -> Callable[..., ssl.SSLContext]:
    """A context that hands each handshake to the newest one, so that a renewed certificate needs no restart."""

    def change(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = tls.current()

    def make(*_: object) -> ssl.SSLContext:
        context = tls.current()
        context.sni_callback = change
        return context

    return make
