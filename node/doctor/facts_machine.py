"""What is seen of the machine. Writes one probe file beside the data and deletes it; changes nothing else."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from radnode.node.doctor.checks_machine import Holder, Pipelines

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOT_SYNCHRONISED = 0x0040  # STA_UNSYNC, linux/timex.h
_LISTEN = "0A"  # TCP_LISTEN, include/net/tcp_states.h
_LOADING_TAKES_AT_MOST_S = 300.0
_COMPILING_TAKES_AT_MOST_S = 3600.0


def nearest_existing(folder: Path) -> Path:
    """The folder, or what of its path is there already: it is made at the first start."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.is_dir())


def free_bytes(folder: Path) -> int:
    """On the volume of the folder."""
    return shutil.disk_usage(folder).free


def file_system(folder: Path) -> str:
    """The kind of the file system that holds the folder, as the kernel names it; empty when it does not tell."""
    best, kind = "", ""
    try:
        mounts = Path("/proc/thread-self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in mounts.splitlines():
        _, point, name, *_ = line.split(" ")
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)  # proc(5): blanks are written \040
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, name
    return kind


def probe(folder: Path) -> tuple[str, float]:
    """Write, flush, link and delete a file: why that failed (empty if not), and its time minus this clock in s."""
    path = folder / f".radnode-doctor-{secrets.token_hex(8)}"
    linked = path.with_suffix(".linked")
    try:
        before = time.time()
        with path.open("xb") as file:
            file.write(b"radnode")
            file.flush()
            os.fsync(file.fileno())
        os.link(path, linked)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        stamped = path.stat().st_mtime
    except OSError as error:
        return error.strerror or str(error), 0.0
    finally:
        for each in (path, linked):
            if each.exists():
                each.unlink()
    after = time.time()
    return "", stamped - before if stamped < before else max(0.0, stamped - after)


def node_on(data: Path) -> int | None:
    """The process that works on this data folder. Read from the kernel's list: trying the lock could refuse a start."""
    try:
        inode = (data / "lock").stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    for _, kind, _, _, process, file, *_ in (line.split() for line in locks.splitlines() if " FLOCK " in line):
        if kind == "FLOCK" and file.endswith(f":{inode}"):
            return int(process)
    return None


def holder(process: int | None, port: int) -> Holder:
    """Who listens on a port that is taken: the process, or somebody else."""
    if process is None:
        return "another program"
    try:
        files = [str(each.readlink()) for each in Path(f"/proc/{process}/fd").iterdir()]
        sockets = [
            line.split()
            for family in ("tcp", "tcp6")
            for line in Path(f"/proc/{process}/net/{family}").read_text(encoding="ascii").splitlines()[1:]
        ]
    except OSError:
        return "somebody"  # the process of another account, or one that has just ended
    listening = {each[9] for each in sockets if each[3] == _LISTEN and int(each[1].rpartition(":")[2], 16) == port}
    return "this node" if any(f"socket:[{inode}]" in files for inode in listening) else "another program"


def listening(host: str, port: int) -> tuple[bool, str]:
    """Whether somebody listens here, and else why nobody may listen (empty if one may)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probing:
        probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probing.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True, ""
            return False, error.strerror or str(error)
    return False, ""


def synchronised() -> bool | None:
    """What adjtimex(2) says of this machine's clock; None when it says nothing."""
    timex = ctypes.create_string_buffer(512)  # struct timex: modes = 0 only reads
    if ctypes.CDLL(None).adjtimex(timex) < 0:
        return None
    status = int.from_bytes(timex.raw[40:44], sys.byteorder)
    return not status & _NOT_SYNCHRONISED


def pipelines(models: Path, *, compiles: bool = False) -> Pipelines | None:
    """What a process with a worker's libraries finds: pipelines that do not load, and CUDA devices.

    compiles: the networks that are to be compiled are.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, a module of ours
            [sys.executable, "-m", "radnode.pipelines.checkup", str(models.absolute()),
             *(["compile"] if compiles else [])],
            capture_output=True, text=True, check=True,
            timeout=_COMPILING_TAKES_AT_MOST_S if compiles else _LOADING_TAKES_AT_MOST_S,
        )
        answer = json.loads(done.stdout.splitlines()[-1])
        return Pipelines(refused=answer["refused"], pinned=tuple(answer["pinned"]), cuda=tuple(answer["cuda"]),
                         networks=answer["networks"])
    except (OSError, subprocess.SubprocessError, ValueError, LookupError):
        return None


def quarantined(data: Path) -> int:
    """Objects in the quarantine."""
    return sum(1 for _ in (data / "quarantine").glob("*.dcm"))


def modes(paths: Sequence[Path]) -> dict[Path, int]:
    """The mode of those that are there."""
    return {path: path.stat().st_mode for path in paths if path.exists()}
