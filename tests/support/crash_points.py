"""`radnode` that dies at a chosen place, as by SIGKILL there: the node's own code with a few functions wrapped.

    RADNODE_TEST_CRASH=file python -m support.crash_points serve --config radnode.yaml

The file names the place, and may be written while the node runs (support.mortal). What it says is forgotten by the
death, so the next life goes on. With RADNODE_TEST_TWICE set, every step of every activity is done twice.

With --lives it is nobody itself, and forks such a process for each line of JSON on its input (support.lives).
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import random
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = "RADNODE_TEST_CRASH"
TWICE = "RADNODE_TEST_TWICE"

FUNCTIONS = (
    "alembic.ddl.impl:DefaultImpl._exec",
    "radnode.node.closing:SeriesCloser._act",
    "radnode.node.execution.local:LocalExecutor.execute",
    "radnode.node.execution.ray:RayExecutor.execute",
    "radnode.node.intake.committer:Committer.commit",
    "radnode.node.intake.spooling:Spooled.write",
    "radnode.node.service:Node._pulse_workers",
    "radnode.storage.catalog:close_series",
    "radnode.storage.files:FileStore.keep",
    "radnode.storage.files:FileStore.remove",
    "radnode.storage.files:SystemOps.fsync",
    "radnode.storage.files:SystemOps.link",
    "radnode.storage.jobs:insert_job",
    "radnode.storage.jobs:lease_next",
    "radnode.storage.jobs:produced",
    "radnode.storage.outbox:sent",
    "radnode.storage.receptions:record",
)
"""module:name of what may be the place."""


class _Orders:
    """What the file says: `before|after|returned FUNCTION NUMBER`; `returned` counts only calls with a value."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._said = ""
        self._hits = 0

    def reached(self, when: str, function: str) -> None:
        """Die if this is the place."""
        with self._lock:
            said = ""
            with suppress(FileNotFoundError):
                said = self._path.read_text(encoding="ascii")
            if said != self._said:
                self._said, self._hits = said, 0
            if said.split()[:2] != [when, function]:
                return
            self._hits += 1
            if self._hits == int(said.split()[2]):
                self._path.unlink()
                os.kill(os.getpid(), signal.SIGKILL)


def _wrap(function: str, orders: _Orders) -> None:
    module, _, name = function.partition(":")
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for each in path:
        owner = getattr(owner, each)
    original: Callable[..., Any] = getattr(owner, last)

    @functools.wraps(original)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        orders.reached("before", function)
        value = original(*arguments, **named)
        orders.reached("after", function)
        if value is not None:
            orders.reached("returned", function)
        return value

    setattr(owner, last, wrapped)


def _double_every_step() -> None:
    """As after a clock that fires twice."""
    from radnode.node.scheduler import Activity  # noqa: PLC0415 - the launcher decides what is loaded

    once = Activity._attempt

    def twice(activity: Activity) -> bool:
        return bool(once(activity)) | bool(once(activity))

    Activity._attempt = twice  # type: ignore[method-assign]


def _next_life() -> list[str]:
    """Fork for each order; returns the arguments in each of those, and ends with the input in this process."""
    for line in sys.stdin:
        told, tells = os.pipe()
        if os.fork() == 0:
            if life := os.fork():
                os.write(tells, b"%d\n" % life)
                os._exit(0)  # so that the test, which adopts orphans, is the parent of the life
            order = json.loads(line)
            log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for of_the_life, name in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(of_the_life, name)
            random.seed()
            os.close(told)
            os.close(tells)
            return [str(each) for each in order["arguments"]]
        os.wait()
        os.write(1, os.read(told, 20))
        os.close(told)
        os.close(tells)
    raise SystemExit


def main() -> None:
    """Wrap, then be `radnode`."""
    from radnode.node.cli import app  # noqa: PLC0415 - as above

    orders = _Orders(Path(os.environ[ORDERS]))
    for function in FUNCTIONS:
        _wrap(function, orders)
    if TWICE in os.environ:
        _double_every_step()
    if sys.argv[1:] == ["--lives"]:
        sys.argv[1:] = _next_life()
    app(prog_name="radnode")


if __name__ == "__main__":
    main()
