"""The next job's images, read by a process of their own while the device works on the present one.

A decoder that dies of a file kills that process, not the job that runs. It is a hint and no more: the worker takes what
was read only for exactly the order that then comes, and reads by itself whenever there is nothing to take, so that
every refusal and every crash happens in the job it belongs to.

    stdin    {"ticket": number, "read": WorkOrder}, or {"ticket": number, "done": true} when it is not needed any more
    stdout   {"ticket": number, "memory": descriptor, "images": ...}, or the ticket alone if it cannot be read

The worker opens the memory through /proc (:mod:`radnode.pipelines.passing`).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from radnode.pipelines import child, passing
from radnode.pipelines.contract import PipelineError, WorkOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from radnode.pipelines.contract import StudyImages


@dataclass(frozen=True, slots=True)
class _Ready:
    descriptor: int
    images: Any


class Prefetcher:
    """The images of at most one order, read ahead. limit: bytes of address space for its process; 0 for none.

    Its process is started when first needed and after it died.
    """

    def __init__(self, models: Path | None, limit: int = 0) -> None:
        self._arguments = [str(models or ""), str(limit)]
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: WorkOrder | None = None
        self._ticket = 0
        self._ready: _Ready | None = None
        self._taking = False
        self._change = threading.Condition()

    def begin(self, order: WorkOrder) -> None:
        """Read what this order will need, unless that is being done; what was read for another one is let go.

        Waits while somebody waits for the other one.
        """
        with self._change:
            self._change.wait_for(lambda: not self._taking)
            if self._asked is not None and _same(self._asked, order):
                return
            self._let_go()
            process = self._running()
            self._asked = order
            self._ticket += 1
            line = json.dumps({"ticket": self._ticket, "read": asdict(order)})
        self._send(process, line)

    def has(self, order: WorkOrder) -> bool:
        """Whether the images of this order were read ahead, or are being read."""
        with self._change:
            return self._asked is not None and _same(self._asked, order)

    def take(self, order: WorkOrder) -> StudyImages | None:
        """The images of this order if they were read ahead, waiting while they are; None if they have to be read."""
        with self._change:
            if self._asked is None or not _same(self._asked, order):
                return None
            self._taking = True
            self._change.wait_for(lambda: self._ready is not None or self._asked is None)
            ready, self._ready, self._asked = self._ready, None, None
            process, ticket = self._process, self._ticket
            self._taking = False
            self._change.notify_all()
        if ready is None:
            return None
        try:
            images: StudyImages = passing.load(ready.descriptor, ready.images)
        finally:
            os.close(ready.descriptor)
            if process is not None:
                self._send(process, json.dumps({"ticket": ticket, "done": True}))
        return images

    def stop(self) -> None:
        """End the process, and let go what it has read."""
        with self._change:
            process, self._process = self._process, None
            self._let_go()
        if process is not None:
            process.kill()
            _collected(process)

    def _let_go(self) -> None:
        if self._ready is not None:
            os.close(self._ready.descriptor)
        self._ready = self._asked = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            if self._process is not None:
                _collected(self._process)
            self._process = subprocess.Popen(  # noqa: S603 - our own module and a folder from the settings
                child.command("radnode.pipelines.reader", *self._arguments),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
            threading.Thread(target=self._collect, args=(self._process,), daemon=True).start()
        return self._process

    def _send(self, process: subprocess.Popen[bytes], line: str) -> None:
        with contextlib.suppress(OSError):  # it died: `_collect` sees that, too
            process.stdin.write(line.encode() + b"\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]

    def _collect(self, process: subprocess.Popen[bytes]) -> None:
        """Everything that the process says, until it ends."""
        with process.stdout:  # type: ignore[union-attr]
            for line in process.stdout:  # type: ignore[union-attr]
                with self._change:
                    self._said(process.pid, json.loads(line))
                    self._change.notify_all()
        with self._change:
            if process is self._process and self._ready is None:
                self._asked = None
            self._change.notify_all()

    def _said(self, pid: int, said: Mapping[str, Any]) -> None:
        if self._asked is None or said["ticket"] != self._ticket:
            return
        if "memory" not in said:
            self._asked = None
            return
        try:
            self._ready = _Ready(os.open(f"/proc/{pid}/fd/{said['memory']}", os.O_RDWR), said["images"])
        except OSError:  # it died meanwhile
            self._asked = None


def _collected(process: subprocess.Popen[bytes]) -> None:
    process.wait()
    with contextlib.suppress(OSError):  # what was to be flushed has nobody to read it
        process.stdin.close()  # type: ignore[union-attr]


def _same(one: WorkOrder, other: WorkOrder) -> bool:
    """Whether the inputs of one are those of the other."""
    return all(
        getattr(one, name) == getattr(other, name) for name in ("job_key", "instances", "pipeline", "model_digest")
    )


def serve(lines: Iterable[str], read: Callable[[WorkOrder], StudyImages], emit: Callable[[str], None]) -> None:
    """Read what is asked for, one order after the other."""
    held: dict[int, int] = {}
    for line in lines:
        asked = json.loads(line)
        ticket = int(asked["ticket"])
        for each in [number for number in held if number == ticket or "read" in asked]:
            os.close(held.pop(each))
        if "read" not in asked:
            continue
        order = WorkOrder.from_json(json.dumps(asked["read"]))
        said: dict[str, Any] = {"ticket": ticket}
        try:
            held[ticket], images = passing.store(read(order))
            said |= {"memory": held[ticket], "images": images}
        except PipelineError:  # said by the job itself, when it runs
            pass
        except Exception as error:  # noqa: BLE001 - of whatever a decoder raises
            print(f"job {order.job_key}, read ahead: {type(error).__name__}", file=sys.stderr)  # noqa: T201
        emit(json.dumps(said))
