"""The whole node as a process: `radnode serve` on free ports with a configuration of its own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
from ruamel.yaml import YAML

from radnode.node.security import roster
from radnode.storage.database import Database
from support import canaries, ground
from support.network import free_port
from support.processes import Program, alive
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from support.ground import Standing

RADNODE = Path(sys.executable).with_name("radnode")

# Waits short enough for tests; the order of the steps is the product's. A machine that stalls for less than the quiet
# time in the middle of sending closes no series early; eight regular slices and more do not wait for it.
QUICK = {"quiet_time_s": 3, "hold_after_s": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEntry:
    """One entry of `peers:`."""

    name: str
    port: int
    ae_title: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def written(self) -> dict[str, Any]:
        """As the configuration file says it."""
        return {"ae_title": self.ae_title or self.name, "host": "127.0.0.1", "port": self.port, **self.more}


def modality(ae_title: str = "TESTSCU") -> PeerEntry:
    """A scanner: it sends and is never sent anything."""
    return PeerEntry(name="CT1", ae_title=ae_title, port=104, more={"sends": True, "receives": False})


def archive(port: int, *, ae_title: str = "PACS", **more: Any) -> PeerEntry:
    """A PACS that sends images and receives results."""
    return PeerEntry(
        name="PACS", ae_title=ae_title, port=port, more={"sends": True, "receives": True, **more}
    )


CHEST_CT = {"name": "chest-ct", "when": {"modality": "CT"}, "run": ["ct-lung"], "send": ["PACS"]}


class MachineToken(httpx.Auth):
    """Shows a token, made when it is first asked for and made anew when the node knows it no more."""

    def __init__(self, make: Callable[[], str]) -> None:
        self._make = make
        self._token: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Ask, and ask once more with a token if nobody is known."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        answer = yield request
        if answer.status_code == 401:
            self._token = self._make()
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request


class NodeProcess:
    """A node with its folder, ports and configuration file; it may be killed and started again.

    On a cluster it is two receivers (:mod:`support.ground`): what is sent goes to the first, whoever leads is asked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        peers: Sequence[PeerEntry] = (),
        routes: Sequence[Mapping[str, Any]] = (CHEST_CT,),
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        more: Mapping[str, Any] | None = None,
        standing: Standing | None = None,
    ) -> None:
        self.folder = folder
        self.ae_title = "RADNODE"
        self.port = port or free_port()
        self.http_port = free_port()
        self.config = folder / "radnode.yaml"
        self.data = folder / "data"
        self.standing = standing or ground.under(self.data, settings or {}, environment or {}, routes)
        self.environment = {
            "TCP_NODELAY": "1", "PYTHONFAULTHANDLER": "1", **(environment or {}), **self.standing.environment,
        }  # fmt: skip
        self.program: Sequence[str | Path] = (RADNODE,)
        self._program: Program | None = None
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.http_port}", timeout=10, trust_env=False, auth=MachineToken(self.token)
        )
        folder.mkdir(parents=True, exist_ok=True)
        self.second: Self | None = None
        if self.standing.second is not None:
            self.second = type(self)(folder / "second", standing=self.standing.second)
        self.configure(peers=peers, routes=routes, settings=settings, more=more)

    def __enter__(self) -> NodeProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            said = self.metrics() if self.running else ""
        finally:
            self.stop()
            self._client.close()
            if self.second is not None:
                self.second.__exit__()
        named = canaries.named_in(said + (self.folder / "node.log").read_text(errors="replace"))
        assert not named, f"the log or the metrics name a patient: {named}"

    def configure(
        self,
        *,
        peers: Sequence[PeerEntry],
        routes: Sequence[Mapping[str, Any]],
        settings: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the configuration file, as an administrator's editor would; a running node may reload it."""
        node = {
            "ae_title": self.ae_title,
            "host": "127.0.0.1",
            "dicom_port": self.port,
            "http_port": self.http_port,
            "data": str(self.data),
            "disk_reserve": "10 MB",
            **QUICK,
            **(settings or {}),
            **self.standing.settings,
        }
        self._database_url = str(node.get("database_url") or f"sqlite:///{node['data']}/radnode.db")
        text = StringIO()
        document = {
            "node": node,
            "peers": {peer.name: peer.written() for peer in peers},
            "routes": list(routes),
            **(more or {}),
        }
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.dump(json.loads(json.dumps(document)), text)
        self.write_config(text.getvalue())
        if self.second is not None:
            self.second.configure(peers=peers, routes=routes, settings=settings, more=more)

    def write_config(self, text: str) -> None:
        """Replace the file in one step: a reload never sees half of it."""
        fresh = self.config.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.config)

    def start(self, within: float = 120) -> None:
        """Start, or start again on the same data, what is not running; returns when it is healthy."""
        for each in self._all:
            if each._program is None:
                each.launch()
                eventually(each._healthy, within=within, every=0.05, why=lambda: f"the node is healthy\n{self.log()}")

    @property
    def _all(self) -> list[Self]:
        return [self] if self.second is None else [self, self.second]

    def launch(self) -> None:
        """Begin to start, and do not wait: for a node that will not come up."""
        self._program = Program(
            [*self.program, "serve", "--config", self.config], self.folder / "node.log", self.environment
        )

    def stop(self) -> None:
        """SIGTERM; AssertionError when the node does not end by itself within a minute."""
        if self.second is not None:
            self.second.stop()
        if self._program is None:
            return
        program, self._program = self._program, None
        status = program.stop(within=60)
        assert status not in (-signal.SIGABRT, -signal.SIGKILL), f"no end on SIGTERM\n{program.where()}"

    @property
    def database_url(self) -> str:
        """Where its tables are."""
        return {**os.environ, **self.environment}.get("RADNODE_DATABASE_URL") or self._database_url

    def token(self, role: str = "admin") -> str:
        """A new API token, as `radnode tokens add` makes one, without a process for it."""
        database = Database(self.database_url)
        try:
            with database.begin() as session:
                return roster.add_token(session, f"test-{secrets.token_hex(8)}", role, datetime.now(UTC))
        finally:
            database.close()

    def shown(self, role: str = "radiologist") -> dict[str, str]:
        """The header with which somebody else's client comes in."""
        return {"Authorization": f"Bearer {self.token(role)}"}

    def kill(self) -> None:
        """SIGKILL to the node alone, as the kernel would: its workers must notice by themselves."""
        assert self._program is not None
        for each in self._all:
            each._end()

    def _end(self) -> None:
        if self._program is not None:
            self._program.kill()
            self._program = None

    def pause(self) -> None:
        """SIGSTOP: the node is frozen, its connections stay open."""
        assert self._program is not None
        self._program.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._program is not None
        self._program.send_signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """Process id of the running node."""
        assert self._program is not None
        return self._program.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._program is not None and self._program.ended is None and alive(self._program.pid)

    def log(self, lines: int = 60) -> str:
        """The last lines of what it printed, over all its lives."""
        said = (self.folder / "node.log").read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(said if self.second is None else [*said, "the second:", self.second.log(lines)])

    def get(self, path: str) -> Any:
        """HTTP GET, decoded JSON."""
        response = self._client.get(path)
        if response.status_code == 503 and self.second is not None:
            response = self.second._client.get(path)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text[:500]}"
        return response.json()

    def metrics(self) -> str:
        """The page a Prometheus server reads."""
        return self._client.get("/metrics").text

    def status(self) -> dict[str, Any]:
        """GET /api/status."""
        return dict(self.get("/api/status"))

    def ledger(self) -> dict[str, Any]:
        """GET /api/ledger: acknowledged, states, difference, receptions, holds."""
        return dict(self.get("/api/ledger"))

    def jobs(self) -> list[dict[str, Any]]:
        """GET /api/jobs: each with job, state, series_instance_uid, revision, reason."""
        found = self.get("/api/jobs")
        return list(found["jobs"] if isinstance(found, dict) else found)

    def jobs_of(self, series_instance_uid: str) -> list[dict[str, Any]]:
        """The jobs over one series, first revision first."""
        found = [job for job in self.jobs() if job["series_instance_uid"] == series_instance_uid]
        return sorted(found, key=lambda job: job["revision"])

    def wait_for_job(
        self, series_instance_uid: str, state: str, *, number: int = 1, within: float = 120
    ) -> Any:
        """The `number`-th job over a series, once it is in this state."""

        def look() -> Any:
            found = self.jobs_of(series_instance_uid)
            return found[number - 1] if len(found) >= number and found[number - 1]["state"] == state else None

        return eventually(
            look,
            within=within,
            why=lambda: f"job {state}, they are {self.jobs_of(series_instance_uid)}\n{self.log()}",
        )

    def alarms(self) -> str:
        """What is wrong right now, as one text."""
        return json.dumps(self.status()["alarms"], ensure_ascii=False)

    def timeline(self, study_instance_uid: str) -> dict[str, Any]:
        """GET /api/studies/{uid}: events, series, jobs, deliveries."""
        return dict(self.get(f"/api/studies/{study_instance_uid}"))

    def states(self) -> dict[str, int]:
        """How many instances are in each ledger state, empty states left out; the balance must hold."""
        ledger = self.ledger()
        assert ledger["holds"], ledger
        return {str(state): number for state, number in ledger["states"].items() if number}

    def wait_for_states(self, *, within: float = 60, **wanted: int) -> dict[str, int]:
        """Once the ledger says exactly this, as in `wait_for_states(PROCESSED=40)`."""
        seen: dict[str, int] = {}

        def look() -> bool:
            seen.clear()
            seen.update(self.states())
            return seen == wanted

        eventually(look, within=within, why=lambda: f"ledger {wanted}, it is {seen}\n{self.log()}")
        return seen

    def command(
        self, *arguments: str | Path, within: float = 120, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `radnode ARGUMENTS` with this node's environment, as an administrator would beside the node."""
        done = subprocess.run(
            [RADNODE, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            env={**os.environ, **self.environment, "COLUMNS": "200", "NO_COLOR": "1"},
        )
        assert not check or done.returncode == 0, (
            f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def _healthy(self) -> bool:
        assert self._program is not None
        assert self._program.ended is None, f"the node ended with {self._program.ended}\n{self.log()}"
        try:
            return self._client.get("/health").status_code == 200
        except httpx.TransportError:
            return False
