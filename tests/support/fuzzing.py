"""What fuzzers share: a peer that has spoken, a store in memory, a log that nothing unforeseen may enter, a limit."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from radnode.node.intake.connection import Connection, ConnectionLost, Deadlines
from radnode.storage.files import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Spoken(Connection):
    """A peer that has said everything and closed its side; what it is told stays in `told`.

    No socket: what the kernel does with these bytes is no question of a fuzzer, and takes longer than their reading.
    """

    def __init__(self, said: bytes) -> None:
        self.host = "127.0.0.1"
        self.deadlines = Deadlines(request=5, pdu=5, linger=1)
        self.stopping = False
        self.established = False
        self.certificate = None
        self.told = bytearray()
        self._said = memoryview(said)

    def receive(self, view: memoryview, deadline: float, flags: int = 0) -> int:
        """As much as there is room for. Raises ConnectionLost at the end."""
        received = min(len(view), len(self._said))
        if not received:
            raise ConnectionLost("closed by the peer")
        view[:received], self._said = self._said[:received], self._said[received:]
        return received

    def send(self, content: bytes) -> None:
        """Into `told`."""
        self.told += content

    def close(self, last_word: bytes = b"") -> None:
        """The last word, too."""
        self.told += last_word

    def linger(self, deadline: float) -> None:
        """The peer has closed already."""


def store_in_memory() -> FileStore:
    """A store whose folder :func:`forget_store` removes: libFuzzer ends a process without its exit handlers."""
    return FileStore(Path(tempfile.mkdtemp(prefix=_store_of(os.getpid()), dir=_memory())), 0)


def forget_store(pid: int) -> None:
    """Remove what a process that has ended kept in memory."""
    for folder in _memory().glob(f"{_store_of(pid)}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _store_of(pid: int) -> str:
    return f"radnode-fuzz-{pid}-"


def _memory() -> Path:
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else Path(tempfile.gettempdir())


def unforeseen_in_the_log(words: Sequence[str]) -> list[dict[str, Any]]:
    """Grows by every line that is logged from now on with an exception nobody names, or that begins with no `words`."""
    found: list[dict[str, Any]] = []

    def judged(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        if event.pop("exc_info", None) or not str(event["event"]).startswith(tuple(words)):
            found.append(dict(event))
        return event

    structlog.configure(processors=[judged, structlog.processors.JSONRenderer()],
                        logger_factory=structlog.ReturnLoggerFactory())  # fmt: skip
    return found


class TookTooLong(BaseException):
    """No Exception: whoever takes those for an answer to bad input must not take this."""


def within(seconds: float, one_input: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The same, and :class:`TookTooLong` for an input that computes for longer than `seconds`.

    Counted is what this process computes (ITIMER_VIRTUAL): beside others on one core an input may take any time by the
    clock. What does not compute, or not in Python, is left to the fuzzer's own clock.
    """
    def give_up(_signal: int, _frame: object) -> None:
        raise TookTooLong(f"more than {seconds} s of computing")

    signal.signal(signal.SIGVTALRM, give_up)

    def limited(data: bytes) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            one_input(data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    return limited
