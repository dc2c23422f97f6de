"""One look for all who watch: taken while somebody listens, handed to each listener when there is a newer one.

    nobody listens ──first listener──▶ look ──▶ ring every bell ──▶ wait 2 s, or 4 times as long as the look took ─┐
          ▲                             ▲                                                                          │
          └──────── no bell left ───────┴──────────────────────────────────────────────────────────────────────────┘

Listeners live on the HTTP server's event loop and hold no thread; looks and renderings have two threads of their
own, so that no number of open pages takes one from the API.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from radnode.node.overview.gathering import Overview

log = structlog.get_logger(__name__)

EVERY_S = 2.0
REST = 4.0
"""A look is followed by a rest of so many times its length: the overview takes a fifth of a core at the most."""
MOST_LISTENERS = 100
NEWS_WITHIN_S = 15.0

Value = TypeVar("Value")


class Failed:
    """A look that failed; the one before it is still what was last known."""


class Hub:
    """Made on any thread, listened to on the event loop, closed from any thread."""

    def __init__(self, look: Callable[[], Overview], *, every_s: float = EVERY_S, most: int = MOST_LISTENERS) -> None:
        self._look = look
        self._every_s = every_s
        self._most = most
        self._lock = threading.Lock()
        self._latest: Overview | Failed | None = None
        self._looked_s = 0.0
        self._bells: set[asyncio.Event] = set()
        self._pump: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: asyncio.Event | None = None
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(2, "overview")

    @property
    def is_full(self) -> bool:
        """Whether nobody else may listen."""
        return len(self._bells) >= self._most or self._closed.is_set()

    def now(self) -> Overview:
        """What is so now, for a page that is opened: as last looked at if that is recent. Raises as the look does."""
        with self._lock:
            latest = self._latest
            if isinstance(latest, Failed) or latest is None or time.monotonic() - self._looked_s > self._every_s:
                latest = self._look()
                self._latest, self._looked_s = latest, time.monotonic()
            return latest

    async def watch(self) -> AsyncGenerator[Overview | Failed | None]:
        """Each newer look; None where nothing came for a while. It ends with the node, and at once if it is full."""
        if self.is_full:
            return
        bell, seen = asyncio.Event(), None
        self._bells.add(bell)
        self._begin()
        try:
            while not self._closed.is_set():
                latest = self._latest
                if latest is not None and latest is not seen:
                    seen = latest
                    yield latest
                    continue
                bell.clear()
                try:
                    await asyncio.wait_for(bell.wait(), NEWS_WITHIN_S)
                except TimeoutError:
                    yield None
        finally:
            self._bells.discard(bell)

    async def in_thread(self, work: Callable[[], Value]) -> Value:
        """Something that takes a while, such as rendering, beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """End every listener now, and take no more."""
        self._closed.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        if self._pump is None or self._pump.done():
            self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
            if time.monotonic() - self._looked_s > self._every_s:
                self._latest = None
            self._pump = asyncio.create_task(self._run(self._ending))

    async def _run(self, ending: asyncio.Event) -> None:
        while self._bells and not self._closed.is_set():
            began_s = time.monotonic()
            try:
                await self.in_thread(self.now)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the watching of all who look
                if self._closed.is_set():
                    return
                log.warning("overview.failed", reason=str(error), kind=type(error).__name__)
                self._latest = Failed()
            for bell in self._bells:
                bell.set()
            pause_s = max(self._every_s, REST * (time.monotonic() - began_s))
            try:
                await asyncio.wait_for(ending.wait(), pause_s)
            except TimeoutError:
                continue

    def _wake(self) -> None:
        if self._ending is not None:
            self._ending.set()
        for bell in self._bells:
            bell.set()
