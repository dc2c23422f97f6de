"""What the fuzzers of a whole connection share: a store in memory, and a log that nothing unforeseen may enter."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from radnode.storage.files import FileStore

if TYPE_CHECKING:
    from collections.abc import Sequence


def store_in_memory() -> FileStore:
    """A store whose folder is gone when this process ends."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="radnode-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return FileStore(folder, 0)


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
