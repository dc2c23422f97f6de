"""The WebSockets over which subscribers listen (PS3.18 8.10.4): opened by them, written to by whoever tells."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from radnode.node.web.access import Permission
from radnode.node.workitems.attributes import Unclear
from radnode.node.workitems.subscribing import ae_title
from radnode.storage.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

log = structlog.get_logger(__name__)

PATH = "/dicom-web/subscribers/"
MOST, MOST_OF_ONE = 200, 5
SENT_WITHIN_S = 5.0
LOOK_AGAIN_S = 30.0
"""After so long, and whenever something is said, it is asked whether who listens still may."""
_POLICY_VIOLATION, _GOING_AWAY, _TRY_AGAIN_LATER = 1008, 1001, 1013


class OpenChannels:
    """For any thread. on_open: called with an AE title that listens from now on."""

    def __init__(self, on_open: Callable[[str], None]) -> None:
        self._on_open = on_open
        self._lock = threading.Lock()
        self._open: dict[str, dict[WebSocket, asyncio.AbstractEventLoop]] = {}
        self._closing = False

    def send(self, subscriber: str, text: str) -> bool:
        """Whether somebody who listens for this AE has it. Who does not read in time listens no more."""
        with self._lock:
            channels = list(self._open.get(subscriber, {}).items())
        sent = [self._sent(channel, loop, text) for channel, loop in channels]
        return any(sent)

    def close(self) -> None:
        """Say good-bye; nobody is let in after."""
        with self._lock:
            self._closing = True
            channels = [each for some in self._open.values() for each in some.items()]
        for channel, loop in channels:
            asyncio.run_coroutine_threadsafe(channel.close(_GOING_AWAY), loop)

    async def serve(self, channel: WebSocket, subscriber: str, may_still: Callable[[], bool]) -> None:
        """Until the other side leaves, or may not listen any more. What it says is not listened to."""
        if not self._enter(channel, subscriber):
            await channel.close(_TRY_AGAIN_LATER)
            return
        try:
            await channel.accept()
            log.info("workitem.channel_opened")
            await run_in_threadpool(self._on_open, subscriber)
            await _until_it_ends(channel, may_still)
        except (WebSocketDisconnect, KeyError):  # KeyError: bytes instead of text
            pass
        finally:
            self._leave(channel, subscriber)
            if channel.application_state is WebSocketState.CONNECTED and (
                channel.client_state is WebSocketState.CONNECTED
            ):
                await channel.close(_POLICY_VIOLATION)
            log.info("workitem.channel_closed")

    def _enter(self, channel: WebSocket, subscriber: str) -> bool:
        with self._lock:
            of_one = self._open.get(subscriber, {})
            if self._closing or sum(map(len, self._open.values())) >= MOST or len(of_one) >= MOST_OF_ONE:
                return False
            self._open[subscriber] = {**of_one, channel: asyncio.get_running_loop()}
            return True

    def _leave(self, channel: WebSocket, subscriber: str) -> None:
        with self._lock:
            self._open[subscriber].pop(channel, None)
            self._open = {each: some for each, some in self._open.items() if some}

    def _sent(self, channel: WebSocket, loop: asyncio.AbstractEventLoop, text: str) -> bool:
        writing = asyncio.run_coroutine_threadsafe(_write(channel, text), loop)
        try:
            return writing.result(SENT_WITHIN_S)
        except TookTooLong:
            writing.cancel()
            asyncio.run_coroutine_threadsafe(channel.close(_POLICY_VIOLATION), loop)
            return False


class ChannelDoor:
    """ASGI middleware: whoever may read work items may listen; a browser's session may not, as pages of others could
    open a WebSocket in its name.
    """

    def __init__(self, app: ASGIApp, channels: OpenChannels) -> None:
        self._app = app
        self._channels = channels

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """All that is no WebSocket goes on."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        channel = WebSocket(scope, receive, send)
        path = str(scope["path"])
        request = Request({**scope, "type": "http", "method": "GET", "route": _ASKED})
        try:
            await run_in_threadpool(_check, request)
            subscriber = ae_title(path.removeprefix(PATH) if path.startswith(PATH) else "")
        except (HTTPException, Unclear, DatabaseUnavailable) as refused:
            log.info("workitem.channel_refused", reason=type(refused).__name__)
            await channel.close(_POLICY_VIOLATION)
            return
        await self._channels.serve(channel, subscriber, lambda: _may_still(request))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the audit trail calls it."""

    path: str


_ASKED = _Asked(f"{PATH}{{ae_title}}")


def _check(request: Request) -> None:
    """Raises HTTPException, DatabaseUnavailable."""
    state = request.app.state
    state.permits(request, Permission.STUDIES)
    if state.identity(request).csrf is not None:
        raise HTTPException(403, "a subscriber shows a token")


def _may_still(request: Request) -> bool:
    """Its token may have ended, or its role."""
    try:
        identity = request.app.state.still(request)
    except DatabaseUnavailable:
        return True  # nothing can be told of meanwhile
    return identity is not None and Permission.STUDIES in identity.permissions


async def _until_it_ends(channel: WebSocket, may_still: Callable[[], bool]) -> None:
    """Raises what ends it."""
    receiving = asyncio.ensure_future(channel.receive_text())
    try:
        while True:
            done, _ = await asyncio.wait({receiving}, timeout=LOOK_AGAIN_S)
            if done:
                receiving.result()
                receiving = asyncio.ensure_future(channel.receive_text())
            if not await run_in_threadpool(may_still):
                return
    finally:
        receiving.cancel()


async def _write(channel: WebSocket, text: str) -> bool:
    try:
        await channel.send_text(text)
    except (WebSocketDisconnect, RuntimeError, OSError):  # it has just left
        return False
    return True
