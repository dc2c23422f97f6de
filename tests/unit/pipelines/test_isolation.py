"""What a worker gave up it does not get back, nor does any thread or process of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

_TRY = """
import errno, socket, subprocess, sys, tempfile, threading
from radnode.pipelines import isolation

def family(number):
    try:
        socket.socket(number, socket.SOCK_STREAM if number != socket.AF_NETLINK else socket.SOCK_RAW).close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "open"

begin, said = threading.Event(), []
thread = threading.Thread(target=lambda: (begin.wait(), said.append(family(socket.AF_INET))))
thread.start()
assert isolation.close_network() == ""
begin.set()
thread.join()
said += [family(each) for each in (socket.AF_INET, socket.AF_INET6, socket.AF_PACKET, socket.AF_UNIX)]
child = "import socket; socket.socket()"
said.append(subprocess.run([sys.executable, "-c", child], stderr=subprocess.DEVNULL).returncode)
isolation.limit_files(1000)
with tempfile.TemporaryFile(buffering=0) as file:
    file.write(b"x" * 1000)
    try:
        file.write(b"x")
    except OSError as error:
        said.append(errno.errorcode[error.errno])
print(*said)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_neither_old_threads_nor_new_processes_reach_the_network_and_no_file_grows_past_its_limit() -> None:
    done = subprocess.run([sys.executable, "-c", _TRY], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["EACCES", "EACCES", "EACCES", "EACCES", "open", "1", "EFBIG"], done.stderr
