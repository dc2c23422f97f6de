"""What a worker gives up before it runs a model: the network, and files without end. Linux, any account, no daemon.

Network: a seccomp filter (seccomp(2)) on all threads and every process that they start: `socket` gives no sockets but
AF_UNIX and AF_NETLINK, `io_uring_setup`, which could make others, is refused; both fail with EACCES. So images do not
leave the machine. It does not stop Unix sockets, whatever listens on them, nor reading files that the account may read.
Files: none grows larger than `LARGEST_FILE` (RLIMIT_FSIZE); the write fails with EFBIG. It does not stop many files.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import socket
import struct
import sys

LARGEST_FILE = 16 * 1024**3

# <linux/audit.h>, and the numbers of socket, io_uring_setup and seccomp on that architecture (syscalls(2)).
_MACHINES = {"x86_64": (0xC000003E, 41, 425, 317), "aarch64": (0xC00000B7, 198, 425, 277)}
_X32 = 0x40000000
_NO_NEW_PRIVILEGES, _SET_FILTER, _ALL_THREADS = 38, 1, 1
# <linux/bpf_common.h>, <linux/seccomp.h>, and where struct seccomp_data has the call, the architecture, the argument.
_LOAD, _EQUALS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
_CALL, _ARCHITECTURE, _FAMILY = 0, 4, 16


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def isolate() -> None:
    """Give up both, for good. Where the system cannot take the network away that is said on stderr."""
    limit_files(LARGEST_FILE)
    if why_not := close_network():
        print(f"models of this worker could reach the network: {why_not}", file=sys.stderr)  # noqa: T201 - to the log


def limit_files(largest: int) -> None:
    """No file of this process becomes larger, in bytes; a lower limit that is there already stays."""
    _, highest = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = largest if highest == resource.RLIM_INFINITY else min(largest, highest)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def close_network() -> str:
    """No new sockets from now on; why that cannot be, or nothing."""
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return f"no filter is known for {sys.platform} on {platform.machine()}"
    architecture, new_socket, ring, seccomp = machine
    refuse, allow = 9, 10
    steps = (
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUALS, 0, refuse - 2, architecture),
        (_LOAD, 0, 0, _CALL),
        (_AT_LEAST, refuse - 4, 0, _X32),
        (_EQUALS, refuse - 5, 0, ring),
        (_EQUALS, 0, allow - 6, new_socket),
        (_LOAD, 0, 0, _FAMILY),
        (_EQUALS, allow - 8, 0, socket.AF_UNIX),
        (_EQUALS, allow - 9, 0, socket.AF_NETLINK),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    )
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return os.strerror(ctypes.get_errno())
    # With _ALL_THREADS a positive answer is the thread that could not take it.
    done = system.syscall(seccomp, _SET_FILTER, _ALL_THREADS, ctypes.byref(program))
    if done > 0:
        return f"thread {done} has a filter of its own"
    return os.strerror(ctypes.get_errno()) if done else ""
