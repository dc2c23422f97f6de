"""A Ray cluster in the test's own network: a head without a dashboard, and what stands for machines with workers."""

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
    from collections.abc import Mapping, Sequence

STORE_BYTES = 80_000_000  # the least that Ray takes


class _Started:
    """What `ray start --block` has started, on a machine or what stands for one; it may be killed and begun again."""

    def __init__(self, folder: Path, environment: Mapping[str, str], name: str, arguments: Sequence[str]) -> None:
        self._folder = folder
        self._environment = environment
        self._name = name
        self._arguments = arguments
        self._program: Program | None = None

    def start(self) -> None:
        """Begin, or begin again; returns when it takes workers."""
        self.launch()
        try:
            eventually(lambda: "Ray runtime started" in self.said(), within=180, why=self.said)
        except AssertionError:
            self.kill()
            raise

    def launch(self) -> None:
        """Begin, and do not wait."""
        life = len(list(self._folder.glob(f"{self._name}-*.log")))
        # As on a machine that was just switched on: the folder of another, or of its last life, would confuse it.
        own = tempfile.mkdtemp(prefix="", dir=self._folder)
        self._program = Program(
            [Path(sys.executable).with_name("ray"), "start", "--block", f"--object-store-memory={STORE_BYTES}",
             f"--temp-dir={own}", "--disable-usage-stats", *self._arguments],
            self._folder / f"{self._name}-{life}.log", self._environment,
        )  # fmt: skip

    def said(self) -> str:
        """The end of its log."""
        return self._program.tail() if self._program else "not started"

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself; nobody but its service manager begins it again then."""
        return self._program is not None and self._program.ended is not None

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
        return descendants(self._program.pid, named) if self._program else []


class Head(_Started):
    """`ray start --head`; begun again it is on the same port.

    environment: of its workers; shown: of who may ask it.
    """

    def __init__(self, environment: Mapping[str, str], cpus: int = 2) -> None:
        if importlib.util.find_spec("ray") is None:
            missing("Ray is not installed: pip install -e '.[ray]'")
        # Not below pytest's folder: the path of a socket has 107 bytes at most.
        folder = Path(tempfile.mkdtemp(prefix="ray-"))
        token = folder / "token"
        token.write_text(secrets.token_hex(32), encoding="ascii")
        self.shown = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        self.port = free_port()
        super().__init__(
            folder,
            # Ray would have its workers come after all else on their machine (15); ours say themselves how far (10).
            {"RAY_worker_niceness": "0", "RAY_raylet_start_wait_time_s": "170", **environment, **self.shown}, "head",
            ["--head", f"--port={self.port}", f"--num-cpus={cpus}", "--include-dashboard=false"],
        )  # fmt: skip

    @property
    def address(self) -> str:
        """For `node.ray.address`."""
        return f"127.0.0.1:{self.port}"

    def machine(self, number: int) -> Machine:
        """One more that has a worker, not started yet."""
        return Machine(self._folder, self._environment, f"machine-{number}", [
            f"--address={self.address}", "--num-cpus=1",
            # Each takes the ports of its workers to be its own, and all are on one machine here.
            f"--min-worker-port={(port := 20_000 + 200 * number)}", f"--max-worker-port={port + 199}",
        ])  # fmt: skip

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


class Machine(_Started):
    """`ray start --address`: a raylet with workers, as on a machine of its own."""


def descendants(pid: int, named: str = "") -> list[int]:
    """Processes that one has started, and those have; of these names."""
    parents: dict[int, list[int]] = {}
    commands: dict[int, bytes] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and alive(int(entry.name)):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
                commands[int(entry.name)] = (entry / "cmdline").read_bytes()
    found, todo = [], [pid]
    while todo:
        for child in parents.get(todo.pop(), ()):
            todo.append(child)
            found += [child] * (named.encode() in commands.get(child, b""))
    return found
