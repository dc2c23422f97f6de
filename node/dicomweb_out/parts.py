"""multipart/related (RFC 2387) written while it is read: no more of a file is in memory than a piece."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi.concurrency import run_in_threadpool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from pathlib import Path

PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: its header fields, its bytes as they are asked for, and how many they are where that is known."""

    content_type: str
    location: str
    pieces: Iterable[bytes]
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """The lines around the parts. The boundary is none that a sender could have put into its bytes."""

    boundary: str = field(default_factory=lambda: secrets.token_hex(24))

    def content_type(self, kind: str) -> str:
        """The Content-Type of the whole."""
        return f'multipart/related; type="{kind}"; boundary={self.boundary}'

    def written(self, parts: Iterable[Part]) -> Iterator[bytes]:
        """The whole, in pieces of some size: each costs a switch of threads, and images are small."""
        gathered: list[bytes] = []
        size = 0
        for part in parts:
            for piece in itertools.chain([self._head(part)], part.pieces, [b"\r\n"]):
                gathered.append(piece)
                size += len(piece)
                if size >= PIECE_BYTES:
                    yield b"".join(gathered)
                    gathered, size = [], 0
        yield b"".join([*gathered, f"--{self.boundary}--\r\n".encode("ascii")])

    def length(self, parts: Sequence[Part]) -> int | None:
        """Bytes of the whole; None where a part does not know its own."""
        total = len(self.boundary) + 6
        for part in parts:
            if part.size_bytes is None:
                return None
            total += len(self._head(part)) + part.size_bytes + 2
        return total

    def _head(self, part: Part) -> bytes:
        return (
            f"--{self.boundary}\r\nContent-Type: {part.content_type}\r\nContent-Location: {part.location}\r\n\r\n"
        ).encode("latin-1")


def pieces_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file."""
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


async def read_ahead(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces; each is read while the one before it is sent."""
    reading = asyncio.ensure_future(run_in_threadpool(next, pieces, None))
    try:
        while (piece := await reading) is not None:
            reading = asyncio.ensure_future(run_in_threadpool(next, pieces, None))
            yield piece
    finally:
        reading.cancel()
