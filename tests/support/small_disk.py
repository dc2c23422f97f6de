"""A disk of a few megabytes, seen by one thread and the threads that it starts, gone with them."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CLONE_NEWNS = 0x20000  # linux/sched.h
_MS_RDONLY, _MS_REMOUNT = 0x1, 0x20
_MS_REC_PRIVATE = 0x4000 | 0x40000  # linux/mount.h


def on_small_disk(folder: Path, size_bytes: int, body: Callable[[], None], *, files: int = 0) -> None:
    """Run `body` with a file system of its own at `folder`; skips where mounting is not allowed.

    files: how many files and folders it holds (its inodes), 0 for any number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            _mount(folder, f"size={size_bytes},nr_inodes={files}")
            body()
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            failures.append(error)

    thread = threading.Thread(target=run, name="small-disk")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def set_read_only(folder: Path, *, read_only: bool) -> None:
    """What the kernel does to a volume with errors; only inside :func:`on_small_disk`."""
    flags = _MS_REMOUNT | (_MS_RDONLY if read_only else 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(folder), None, ctypes.c_ulong(flags), None) != 0:
        raise OSError(ctypes.get_errno(), "remount")


def _mount(folder: Path, options: str) -> None:
    """A tmpfs in a mount namespace of this thread (unshare(2)); other threads keep seeing the folder below."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        pytest.skip(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    for source, target, kind, flags, data in (
        (b"none", b"/", None, _MS_REC_PRIVATE, None),
        (b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options.encode()),
    ):
        if libc.mount(source, target, kind, ctypes.c_ulong(flags), data) != 0:
            pytest.skip(f"no mount: {os.strerror(ctypes.get_errno())}")
