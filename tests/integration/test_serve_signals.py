"""A node is told to end by a signal, whatever its main thread does at that moment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from support.processes import Program
from support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

WAITING = """
import signal, threading, time
from queue import SimpleQueue
from radnode.node.cli import _first_of
why_end = SimpleQueue()
signal.signal(signal.SIGTERM, lambda *_: why_end.put("told"))
threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # the other thread takes it: this one is not woken
print("waits", flush=True)
print(_first_of(why_end), flush=True)
"""


def test_a_signal_that_does_not_wake_the_waiting_thread_is_noticed(tmp_path: Path) -> None:
    program = Program([sys.executable, "-c", WAITING], tmp_path / "log")
    eventually(lambda: "waits" in program.tail(), within=60, why=program.tail)
    assert program.stop() == 0
    assert program.tail().endswith("told")
