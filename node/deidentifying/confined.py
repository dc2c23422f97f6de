"""Drives the process that takes objects apart: one order, one answer, with a deadline."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from radnode.node.deidentifying.holding import Held
from radnode.pipelines import child

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_WAIT_S = 120.0
"""For one object; an ordinary one takes a twentieth of a second."""


LOST = "lost"


class Confined:
    """One process, started when first needed, replaced when it dies or hangs. For any thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._number = 0

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """What `radnode.node.deidentifying.process` answers. Raises :class:`Held`, also when the process is lost."""
        with self._lock:
            said = self._ask(order)
            if LOST in said:  # once more: it may have died of the object before
                said = self._ask(order)
        if LOST in said:
            raise Held(said[LOST])
        if "held" in said:
            raise Held(said["held"])
        return said

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        process = self._running()
        self._number += 1
        timer = threading.Timer(LONGEST_WAIT_S, process.kill)
        timer.start()
        try:
            if process.stdin is None or process.stdout is None:
                raise BrokenPipeError
            process.stdin.write(json.dumps({**order, "id": self._number}) + "\n")
            process.stdin.flush()
            said: dict[str, Any] = json.loads(process.stdout.readline())
        except (OSError, ValueError):
            self._end()
            return {LOST: f"the process that cleans it died or took more than {LONGEST_WAIT_S:.0f} s"}
        finally:
            timer.cancel()
        if said.pop("id") != self._number:  # another patient's object under this one's name
            self._end()
            return {LOST: "the process that cleans it answered for another object"}
        return said

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                child.command("radnode.node.deidentifying.process"), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True, encoding="utf-8",
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
