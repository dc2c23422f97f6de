"""Of several receivers one serves the page: what the others could show would be a part of it, and look like all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

OF_EACH = ("/health", "/metrics")


class WhileLeading:
    """ASGI middleware. elsewhere: None while this process leads, else who does, empty if nobody is known to."""

    def __init__(self, app: ASGIApp, elsewhere: Callable[[], str | None]) -> None:
        self._app = app
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """For each request."""
        leader = self._elsewhere() if scope["path"] not in OF_EACH else None
        if leader is None:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013})
            return
        served = f"receiver {leader} leads and serves it" if leader else "the others will have it in half a minute"
        said = f"This process receives images and has no page: {served}.\n"
        await PlainTextResponse(said, 503, {"Retry-After": "30"})(scope, receive, send)
