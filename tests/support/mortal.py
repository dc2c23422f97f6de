"""A node that dies where a test says, and what must be true of its folder and tables between two lives."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


class MortalNode(NodeProcess):
    """`arm` names the place of its death (support.crash_points), `dies` waits for it."""

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None, **options: Any) -> None:
        self._orders = folder / "crash"
        paths = [str(TESTS), *filter(None, [(environment or {}).get("PYTHONPATH")])]
        super().__init__(
            folder,
            environment={**(environment or {}), ORDERS: str(self._orders), "PYTHONPATH": ":".join(paths)},
            **options,
        )
        self.program = (sys.executable, "-m", "support.crash_points")

    def arm(self, when: str, function: str, number: int = 1) -> None:
        """Die before a function, after it, or after it has `returned` something; at the `number`-th time from now."""
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
        program = self._program
        assert program is not None
        with suppress(AssertionError):
            eventually(lambda: program.ended is not None, within=within, every=0.01)
        if program.ended is None:
            self._orders.unlink(missing_ok=True)
            return False
        assert program.ended == -signal.SIGKILL, f"it ended with {program.ended}\n{self.log()}"
        assert not self._orders.exists(), "something else killed it"
        self.kill()
        return True

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Its tables, whether it lives or not."""
        opened = Database(f"sqlite:///{self.data / 'radnode.db'}")
        try:
            yield opened
        finally:
            opened.close()

    def spooled(self) -> list[Path]:
        """What lies half received."""
        return list((self.data / "spool").iterdir())

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
        assert (differences.missing, differences.unlisted) == ((), ())
        assert self.spooled() == []


    def workers(self) -> list[int]:
        """Process ids of what runs its jobs."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and b"radnode.pipelines.runner" in (entry / "cmdline").read_bytes():
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
