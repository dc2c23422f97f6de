"""A process that held its memory together has one heap, and gives large buffers back."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the heaps are glibc's")

PROGRAM = """
import ctypes, json, re, sys, tempfile, threading
from radnode.pipelines.memory import hold_together

if sys.argv[1] == "held":
    hold_together()

library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
meeting = threading.Barrier(8)

def thread():
    kept = [bytes(1000) for _ in range(100)]
    meeting.wait()

threads = [threading.Thread(target=thread) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()

bytes(1_000_000)  # given back: from now on glibc would keep another of this size
buffer = bytes(1_000_000)
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(library.fopen(file.name.encode(), b"w"))
    library.malloc_info(0, stream)
    library.fclose(stream)
    said = file.read().decode()
alone = re.search(r'<total type="mmap" count="([0-9]+)" size="([0-9]+)"', said)
print(json.dumps({"heaps": said.count("<heap nr="), "outside": int(alone[2])}))
"""


def heaps(way: str) -> dict[str, int]:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, int] = json.loads(ended.stdout)
    return found


def test_eight_threads_share_one_heap_and_a_large_buffer_is_in_none() -> None:
    held, usual = heaps("held"), heaps("usual")

    assert held["heaps"] == 1 < usual["heaps"]
    assert held["outside"] >= 1_000_000 + usual["outside"]
