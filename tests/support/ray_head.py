"""A Ray cluster of one machine, in the test's own network: a head without a dashboard, gone afterwards."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from support.network import free_port
from support.processes import Program, alive, missing
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

STORE_BYTES = 80_000_000  # the least that Ray takes


class Head:
    """`ray start --head`; it may be killed and begun again on the same port.

    environment: of its workers; shown: of who may ask it.
    """

    def __init__(self, environment: Mapping[str, str], cpus: int = 2) -> None:
        if importlib.util.find_spec("ray") is None:
            missing("Ray is not installed: pip install -e '.[ray]'")
        # Not below pytest's folder: the path of a socket has 107 bytes at most.
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))
        token = self._folder / "token"
        token.write_text(secrets.token_hex(32), encoding="ascii")
        self.shown = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        self._environment = {**environment, **self.shown}
        self._cpus = cpus
        self.port = free_port()
        self._program: Program | None = None

    @property
    def address(self) -> str:
        """For `node.ray.address`."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Begin, or begin again; returns when it takes workers."""
        log = self._folder / f"head-{len(list(self._folder.glob('head-*')))}.log"
        self._program = program = Program(
            [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={self.port}",
             f"--num-cpus={self._cpus}", f"--object-store-memory={STORE_BYTES}", "--include-dashboard=false",
             "--disable-usage-stats", f"--temp-dir={self._folder / 'session'}"],
            log, self._environment,
        )  # fmt: skip
        eventually(lambda: "Ray runtime started" in program.tail(), within=90, why=program.tail)

    def kill(self) -> None:
        """SIGKILL to everything that belongs to it, and nothing else: as when its machine loses power."""
        if self._program is None:
            return
        self._program.send_signal(signal.SIGSTOP)  # it would tell the others
        ended = self.processes()
        for pid in ended:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._program.kill()
        self._program = None
        eventually(lambda: not any(alive(pid) for pid in ended), within=30, why=lambda: f"all ended: {ended}")

    def processes(self, named: str = "") -> list[int]:
        """What it has started, and those have; of these names."""
        assert self._program is not None
        parents: dict[int, list[int]] = {}
        commands: dict[int, bytes] = {}
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and alive(int(entry.name)):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    parents.setdefault(parent, []).append(int(entry.name))
                    commands[int(entry.name)] = (entry / "cmdline").read_bytes()
        found, todo = [], [self._program.pid]
        while todo:
            for pid in parents.get(todo.pop(), ()):
                todo.append(pid)
                found += [pid] * (named.encode() in commands.get(pid, b""))
        return found
