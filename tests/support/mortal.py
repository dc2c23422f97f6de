"""A node that dies where a test says, and what must be true of its folder and tables between two lives."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from collections.abc import Iterator, Mapping

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
        program = self._program
        assert program is not None
        eventually(lambda: program.ended is not None, within=within, every=0.01, why=lambda: f"it dies\n{self.log()}")
        assert program.ended == -signal.SIGKILL, f"it ended with {program.ended}\n{self.log()}"
        assert not self._orders.exists(), "something else killed it"
        self.kill()

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
            content = (self.data / "instances" / digest[:2] / digest[2:4] / f"{digest}.dcm").read_bytes()
            assert sha256(content).hexdigest() == digest
            assert body_of(content) == sent[uid]
        assert balance.holds, balance
        assert balance.acknowledged == len(sent)
        assert (differences.missing, differences.unlisted) == ((), ())
        assert self.spooled() == []


def body_of(content: bytes) -> bytes:
    """The data set of a file, without preamble (128), "DICM", and the meta group after its length (PS3.10 7.1)."""
    return content[144 + int.from_bytes(content[140:144], "little") :]


def answer_to(node: NodeProcess, data: bytes, instance: str) -> int | None:
    """C-STORE of one data set over an association of its own; the status, None when the node died over it."""
    with Peer(node.port) as peer:
        peer.send(association_request(calling="TESTSCU", called=node.ae_title))
        assert peer.read()[0] == 2, "A-ASSOCIATE-AC"
        peer.send(store_request(data, instance))
        kind, _ = first = peer.read()
        return None if kind == 0 else _status(*first)


def _status(kind: int, body: bytes) -> int:
    assert kind == 4, f"PDU of type {kind} instead of an answer"
    at = body.index(b"\0\0\0\x09\2\0\0\0")  # (0000,0900) Status, 2 bytes
    return int.from_bytes(body[at + 8 : at + 10], "little")
