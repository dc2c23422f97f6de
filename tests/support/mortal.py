"""A node that dies where a test says, and what must be true of its folder and tables between two lives."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pydicom
from sqlalchemy import func, select

from radnode.storage import ledger
from radnode.storage.database import Database
from radnode.storage.reconciling import compare
from radnode.storage.tables import InstanceRow
from support.crash_points import FUNCTIONS, ORDERS
from support.node import NodeProcess
from support.receiver import Peer, association_request, store_request
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ASSOCIATE_AC = 2  # PS3.8 9.3.3
RELEASE_RQ = b"\5\0\0\0\0\4\0\0\0\0"  # PS3.8 9.3.6
TESTS = Path(__file__).resolve().parent.parent
RUNNER = "radnode.pipelines.runner"
ON_CLUSTER = {"node.execution.local:LocalExecutor.execute": "node.execution.ray:RayExecutor.execute"}
"""Places that are elsewhere when jobs run on Ray."""


class MortalNode(NodeProcess):
    """`arm` names the place of its death (support.crash_points), `dies` waits for it.

    On a cluster that is the death of whichever receiver comes to the place.
    """

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None, **options: Any) -> None:
        self._orders = folder / "crash"
        paths = [str(TESTS), *filter(None, [(environment or {}).get("PYTHONPATH")])]
        super().__init__(
            folder,
            environment={ORDERS: str(self._orders), **(environment or {}), "PYTHONPATH": ":".join(paths)},
            **options,
        )
        self.program = (sys.executable, "-m", "support.crash_points")

    def arm(self, when: str, function: str, number: int = 1) -> None:
        """Die before a function, after it, or after it has `returned` something; at the `number`-th time from now."""
        if self.standing.machines:
            function = ON_CLUSTER.get(function, function)
        place = f"radnode.{function}" if f"radnode.{function}" in FUNCTIONS else function
        assert place in FUNCTIONS, place
        fresh = self._orders.with_suffix(".new")
        fresh.write_text(f"{when} {place} {number}", encoding="ascii")
        fresh.replace(self._orders)

    def dies(self, within: float = 30) -> None:
        """Wait for its death at the place."""
        assert self.died(within), f"it lives\n{self.log()}"

    def died(self, within: float) -> bool:
        """Whether it died at the place in time; else it is not to die any more."""
        with suppress(AssertionError):
            eventually(self._ended, within=within, every=0.01)
        ended = self._ended()
        if not ended:
            self._orders.unlink(missing_ok=True)
            return False
        (dead,) = ended
        assert dead._program is not None
        assert dead._program.ended == -signal.SIGKILL, f"it ended with {dead._program.ended}\n{self.log()}"
        assert not self._orders.exists(), "something else killed it"
        dead._end()
        return True

    def _ended(self) -> list[Self]:
        return [each for each in self._all if each._program is not None and each._program.ended is not None]

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Its tables, whether it lives or not."""
        opened = Database(self.database_url)
        try:
            yield opened
        finally:
            opened.close()

    def spooled(self) -> list[Path]:
        """What lies half received."""
        return [path for path in (self.data / "spool").rglob("*") if path.is_file()]

    def count(self, *what: Any) -> int:
        """How many rows of a table, with conditions."""
        table, *conditions = what
        with self.database() as database, database.read() as session:
            return session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0

    def assert_kept_once(self, sent: Mapping[str, bytes]) -> None:
        """Of everything sent (UID -> data set as encoded) one row and one file with those bytes, and nothing else."""
        with self.database() as database:
            with database.read() as session:
                rows = session.execute(select(InstanceRow.sop_instance_uid, InstanceRow.digest)).all()
                balance = ledger.balance(session)
            differences = compare(database, self.data)
        assert sorted(uid for uid, _ in rows) == sorted(sent)
        for uid, digest in rows:
            content = (self.data / "instances" / digest[:2] / f"{digest}.dcm").read_bytes()
            assert sha256(content).hexdigest() == digest
            assert body_of(content) == sent[uid]
        assert balance.holds, balance
        assert balance.acknowledged == len(sent)
        assert differences.missing == ()
        # Beside another receiver the name that a death left without a row stays, for whoever sends those bytes again.
        assert len(differences.unlisted) <= (self.second is not None)
        assert self.spooled() == []

    def workers(self) -> list[int]:
        """Process ids of what runs its jobs."""
        if self.standing.machines:
            return [pid for each in self.standing.machines for pid in each.processes(RUNNER)]
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and RUNNER.encode() in (entry / "cmdline").read_bytes():
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    found += [int(entry.name)] * (parent == self.pid)
        return found


def send(node: NodeProcess, files: Iterable[Path]) -> dict[str, bytes]:
    """C-STORE whole files over one association; UID -> data set as encoded."""
    sent = {}
    with Peer(node.port) as peer:
        peer.send(association_request(calling="TESTSCU", called=node.ae_title))
        assert peer.read()[0] == ASSOCIATE_AC
        for file in files:
            content = file.read_bytes()
            uid = str(pydicom.dcmread(BytesIO(content), stop_before_pixels=True).SOPInstanceUID)
            sent[uid] = body_of(content)
            assert peer.store(sent[uid], uid) == 0
        peer.send(RELEASE_RQ)
        assert peer.closed()
    return sent


def kept_in(data: Path) -> dict[str, str]:
    """UID -> digest of the data set, of every file of a data folder; each is named by its content."""
    kept = {}
    for file in (data / "instances").rglob("*.dcm"):
        content = file.read_bytes()
        assert sha256(content).hexdigest() == file.stem
        header = pydicom.dcmread(BytesIO(content), specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
        kept[str(header.SOPInstanceUID)] = sha256(body_of(content)).hexdigest()
    return kept


def body_of(content: bytes) -> bytes:
    """The data set of a file, without preamble (128), "DICM", and the meta group after its length (PS3.10 7.1)."""
    return content[144 + int.from_bytes(content[140:144], "little") :]


def answer_to(node: NodeProcess, data: bytes, instance: str) -> int | None:
    """C-STORE of one data set over an association of its own; the status, None when the node died over it."""
    with Peer(node.port) as peer:
        peer.send(association_request(calling="TESTSCU", called=node.ae_title))
        assert peer.read()[0] == ASSOCIATE_AC
        peer.send(store_request(data, instance))
        try:
            return peer.status()
        except ConnectionError:
            return None
