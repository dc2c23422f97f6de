"""A few processes that open images, each with a deadline; one that dies or hangs takes one request with it."""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import structlog

from radnode.storage.ledger import portions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import IO

log = structlog.get_logger(__name__)

Answer = tuple[dict[str, Any], list[bytes]]
"""What is said of a file, and the bytes that go with it."""

PROCESSES = 2
LONGEST_WAIT_S = 60.0
"""For a process to answer; what it computes is limited by itself."""
AT_ONCE = 10
"""Headers asked of a process in one go: each way costs as much as reading one, and all are to be read by a deadline."""
LONGEST_QUEUE_S = 60.0


class ImageUnreadable(Exception):
    """The file cannot be read, or not in time; the message names no patient."""


class ImageRefused(Exception):
    """What is asked cannot be made of this image; the message says why."""


class ValueMissing(Exception):
    """The instance has no such value."""


class Overloaded(Exception):
    """All processes are busy for too long."""


class ImageProcesses:
    """At most :data:`PROCESSES`, started when first needed. For any thread."""

    def __init__(self) -> None:
        self._free: queue.LifoQueue[_Process] = queue.LifoQueue()
        self._all = [_Process() for _ in range(PROCESSES)]
        for each in self._all:
            self._free.put(each)
        self._awake = False

    def wake(self) -> None:
        """Start them, without waiting until they are ready: whoever searches will open something."""
        if self._awake:
            return
        self._awake = True
        idle = []
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(self._free.get_nowait())
        for each in idle:
            each.start()
            self._free.put(each)

    def ask(self, what: str, path: Path, **more: Any) -> Answer:
        """What :func:`radnode.node.dicomweb_out.image_process.answer` says of a file. Raises the errors above."""
        return self._asked([{"ask": what, "path": str(path), **more}])[0]

    def ask_all(self, what: str, paths: Sequence[Path]) -> list[Answer]:
        """The same of many files, on all processes at once, in order. Raises what the first one raises."""
        orders = [{"ask": what, "path": str(path)} for path in paths]
        with ThreadPoolExecutor(PROCESSES) as pool:
            return list(itertools.chain.from_iterable(pool.map(self._asked, portions(orders, AT_ONCE))))

    def _asked(self, orders: Sequence[dict[str, Any]]) -> list[Answer]:
        try:
            process = self._free.get(timeout=LONGEST_QUEUE_S)
        except queue.Empty:
            raise Overloaded("too many images are being opened; ask again") from None
        try:
            answers = process.ask(orders)
        finally:
            self._free.put(process)
        for said, _ in answers:
            for key, error in (("error", ImageUnreadable), ("refused", ImageRefused), ("missing", ValueMissing)):
                if key in said:
                    raise error(said[key])
        return answers

    def close(self) -> None:
        """End the processes."""
        for each in self._all:
            each.close()


class _Process:
    """One process. Of one thread at a time, but for :meth:`close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._late = False

    def ask(self, orders: Sequence[dict[str, Any]]) -> list[Answer]:
        process = self.start()
        numbered = [{**order, "id": next(self._numbers)} for order in orders]
        self._late = False
        watchdog = threading.Timer(LONGEST_WAIT_S, self._kill, [process])
        watchdog.start()
        try:
            return _exchange(process, numbered)
        except (OSError, ValueError, LookupError) as error:
            self.close()
            log.error("dicomweb.image_process_lost", late=self._late)
            why = f"the image was not read within {LONGEST_WAIT_S:.0f} s" if self._late else (
                "the process that reads images died on this one")
            raise ImageUnreadable(why) from error
        finally:
            watchdog.cancel()

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # closing writes what a dead process never took
                    pipe.close()

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        self._late = True
        process.kill()

    def start(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "radnode.node.dicomweb_out.image_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        return self._process


def _exchange(process: subprocess.Popen[bytes], orders: Sequence[dict[str, Any]]) -> list[Answer]:
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipes")
    process.stdin.write(b"".join(json.dumps(order).encode("ascii") + b"\n" for order in orders))
    process.stdin.flush()
    return [_answer(process.stdout, order["id"]) for order in orders]


def _answer(stdout: IO[bytes], number: int) -> Answer:
    said = json.loads(stdout.readline())
    if said["id"] != number:  # an image under another's name would show the wrong patient
        raise ValueError("an answer to another question")
    blobs = [stdout.read(size) for size in said["sizes"]]
    if [len(blob) for blob in blobs] != said["sizes"]:
        raise ValueError("an answer cut short")
    return said, blobs
