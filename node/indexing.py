"""Drives the header process: feeds it, waits with a deadline for each file, replaces it when it dies or hangs."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from radnode.node import pipes
from radnode.pipelines import child

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import IO

LONGEST_WAIT_S = 30.0
"""For one header; an ordinary one takes a millisecond. It is for a process that hangs: processor time is counted by
the process itself, so that no image is quarantined because its node was busy."""
ATTEMPTS = 2
"""A second try alone, in a fresh process: the first may have died of its predecessor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The attributes of one file."""

    id: int
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderFailure:
    """Why a file's header cannot be had."""

    id: int
    reason: str


class _ProcessLost(Exception):
    """The process died or hung; the message says which."""


class HeaderReader:
    """One header process, started when first needed. For one thread, but for :meth:`close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read(self, batch: Sequence[tuple[int, Path]]) -> Iterator[Header | HeaderFailure]:
        """An answer for each (id, path), in order.

        Whoever stops taking answers ends the process: what it still has to say must reach nobody else's question.
        """
        finished = False
        try:
            yield from self._all(batch)
            finished = True
        finally:
            if not finished:
                self.close()

    def _all(self, batch: Sequence[tuple[int, Path]]) -> Iterator[Header | HeaderFailure]:
        waiting = list(batch)
        alone = 0
        while waiting:
            asked = waiting[:1] if alone else waiting
            answered = 0
            try:
                for answer in self._ask(asked):
                    yield answer
                    answered += 1
                alone = 0
            except _ProcessLost as lost:
                self.close()
                # Answers come in order, so the first one missing is the file that did it.
                alone = alone + 1 if answered == 0 else 1
                if alone >= ATTEMPTS:
                    yield HeaderFailure(id=waiting[answered][0], reason=str(lost))
                    answered += 1
                    alone = 0
            waiting = waiting[answered:]

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            pipes.close_input(process)

    def _ask(self, batch: Sequence[tuple[int, Path]]) -> Iterator[Header | HeaderFailure]:
        process = self._running()
        if process.stdin is None:
            raise _ProcessLost("the header process has no input")
        feeder = threading.Thread(target=_feed, args=(process.stdin, batch), daemon=True)
        feeder.start()
        for number, _ in batch:
            yield self._answer(number)
        feeder.join()

    def _answer(self, number: int) -> Header | HeaderFailure:
        try:
            line = self._lines.get(timeout=LONGEST_WAIT_S)
        except queue.Empty:
            raise _ProcessLost(f"the header was not read within {LONGEST_WAIT_S:.0f} s") from None
        if line is None:
            raise _ProcessLost("the header process died on this file")
        try:
            answer = json.loads(line)
        except ValueError:
            raise _ProcessLost("the header process died while it answered") from None
        if answer["id"] != number:  # a header under another instance's name would route the wrong patient
            raise _ProcessLost("the header process answered for another file")
        if "error" in answer:
            return HeaderFailure(id=number, reason=answer["error"])
        return Header(id=number, attributes=answer["attributes"])

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._lines = queue.SimpleQueue()
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            child.command("radnode.node.header_process"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        threading.Thread(target=pipes.pump, args=(self._process.stdout, self._lines), daemon=True).start()
        return self._process


def _feed(stdin: IO[str], batch: Sequence[tuple[int, Path]]) -> None:
    try:
        for number, path in batch:
            stdin.write(json.dumps({"id": number, "path": str(path)}) + "\n")
        stdin.flush()
    except (OSError, ValueError):
        return  # the process is gone; whoever waits for its answers learns it there
