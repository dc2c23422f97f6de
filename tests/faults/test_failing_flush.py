"""A real node whose disk fails a flush: the kernel answers EIO to fsync(2), put there by strace."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import dcmtk
from support.chest import write_chest
from support.node import modality
from support.processes import required
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess

pytestmark = [pytest.mark.peer, pytest.mark.slow]


def test_X4_after_one_failed_flush_no_success_until_the_volume_passes_the_test_of_a_restart(
    start_node: Callable[..., NodeProcess], tmp_path: Path
) -> None:
    node = start_node(peers=[modality()], routes=[])
    write_chest(tmp_path / "ct", slices=8)
    trace = tmp_path / "strace"
    strace = subprocess.Popen(
        [required("strace"), "-f", "-y", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=3", "-o", trace,
         "-p", str(node.pid)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert strace.stderr is not None
    try:
        eventually(lambda: "attached" in strace.stderr.readline(), within=30)
        dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title, check=False)
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(20)
        strace.stderr.close()
    flushes = re.findall(r"fsync\(\d+<([^>]*)>\)\s+= (0|-1)", trace.read_text())
    failed = [at for at, (_, result) in enumerate(flushes) if result == "-1"]
    assert failed == [2], flushes
    again = [path for path, _ in flushes[3:] if path.startswith(str(node.data)) and "radnode.db" not in path]
    assert again == [], "nothing is flushed again on a volume that failed"
    assert node.ledger()["acknowledged"] == 0

    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title, check=False)
    assert node.ledger()["acknowledged"] == 0, "the disk works again, but what it lost nobody knows"
    assert "0xA700" in node.log()
    eventually(lambda: "the volume failed with errno 5" in node.alarms(), within=30, why=node.alarms)
    node.stop()
    node.start()
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_states(NOT_ROUTED=8)
