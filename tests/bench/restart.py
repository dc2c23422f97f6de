"""How long a node with a hundred thousand images takes to be there again, and its interrupted jobs to go on.

    RADNODE_TEST_RESULTS=docs/measured python tests/bench/restart.py

The images are rows as they stand after their jobs, and files of 1,000 bytes under their content addresses. The node is
ended by SIGKILL while a job runs, with others waiting, three times; from the start of the new process until an
association is accepted, and until each interrupted job is at work again or done, is the median of three.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
sys.path.insert(0, str(TESTS / "bench"))

from ledger_balance import fill  # noqa: E402
from sqlalchemy import text  # noqa: E402
from support.chest import write_chest  # noqa: E402
from support.figures import write_down  # noqa: E402
from support.mortal import MortalNode, send  # noqa: E402
from support.network import enter_private_network  # noqa: E402
from support.node import archive, modality  # noqa: E402
from support.pacs import StandInPacs  # noqa: E402
from support.steady import associated, closed  # noqa: E402
from support.waiting import eventually  # noqa: E402

FILE_BYTES = 1000
RESTARTS = 3
STUDIES = 3
SLICES, SIZE = 120, 256


def stored(node: MortalNode, instances: int) -> None:
    """Rows and files of so many images that were processed long ago."""
    (node.data / "instances").mkdir(parents=True)
    with node.database() as database:
        database.upgrade()
        fill(database, instances, datetime.now(UTC))
        contents = {number: number.to_bytes(8, "big") * (FILE_BYTES // 8) for number in range(1, instances + 1)}
        digests = {number: hashlib.sha256(content).hexdigest() for number, content in contents.items()}
        with database.begin() as session:
            session.execute(
                text(f"UPDATE instances SET digest = :digest, size_bytes = {FILE_BYTES} WHERE id = :id"),  # noqa: S608
                [{"id": number, "digest": digest} for number, digest in digests.items()],
            )
    for number, digest in digests.items():
        folder = node.data / "instances" / digest[:2]
        folder.mkdir(exist_ok=True)
        (folder / f"{digest}.dcm").write_bytes(contents[number])


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Seconds from the start of the new process to an association, and to the last interrupted job at work."""

    accepting_s: float
    resumed_s: float
    interrupted: int
    resumed: int


def restart(node: MortalNode) -> Restart:
    """Kill it while jobs run, start it, and see what becomes of both."""
    eventually(lambda: _jobs(node, "state = 'RUNNING'"), within=300, every=0.02, why=node.log)
    node.kill()
    interrupted = _jobs(node, "state = 'RUNNING'")
    began = time.monotonic()
    node.launch()
    eventually(lambda: _accepts(node), within=300, every=0.005, why=node.log)
    accepting_s = time.monotonic() - began
    eventually(lambda: interrupted <= _at_work(node), within=300, every=0.02, why=node.log)
    resumed_s = time.monotonic() - began
    eventually(lambda: not _jobs(node, "state IN ('WAITING', 'RUNNING')"), within=600, why=node.log)
    done = interrupted & _jobs(node, "state = 'PRODUCED'")
    return Restart(accepting_s=accepting_s, resumed_s=resumed_s, interrupted=len(interrupted), resumed=len(done))


def _accepts(node: MortalNode) -> bool:
    try:
        closed(associated(node.port))
    except OSError:
        return False
    return True


def _at_work(node: MortalNode) -> set[int]:
    """Jobs that a worker has for the second time, or that ended then."""
    return _jobs(node, "attempts > 1 AND state IN ('RUNNING', 'PRODUCED')")


def _jobs(node: MortalNode, condition: str) -> set[int]:
    with node.database() as database, database.read() as session:
        return set(session.scalars(text(f"SELECT id FROM jobs WHERE {condition}")))  # noqa: S608


def measure(folder: Path, instances: int) -> dict[str, Any]:
    """The figures."""
    with StandInPacs() as pacs:
        node = MortalNode(folder / "node", peers=[archive(pacs.port), modality()])
        stored(node, instances)
        seen = []
        with node:
            for turn in range(RESTARTS):
                for number in range(STUDIES):
                    series = write_chest(folder / f"{turn}-{number}", name=f"{turn} {number}", slices=SLICES, size=SIZE)
                    send(node, series.files)
                seen.append(restart(node))
            files = sum(1 for _ in (node.data / "instances").glob("??/*.dcm"))
            assert files >= instances, "some expired"
            assert node.ledger()["holds"]
    return {
        "instances": instances, "files": files, "file_bytes": FILE_BYTES, "restarts": len(seen),
        "accepting_s": round(median(each.accepting_s for each in seen), 2),
        "resumed_s": round(median(each.resumed_s for each in seen), 2),
        "slowest_accepting_s": round(max(each.accepting_s for each in seen), 2),
        "slowest_resumed_s": round(max(each.resumed_s for each in seen), 2),
        "interrupted": sum(each.interrupted for each in seen), "resumed": sum(each.resumed for each in seen),
    }  # fmt: skip


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=100_000)
    instances = parser.parse_args().instances
    enter_private_network()
    with tempfile.TemporaryDirectory(prefix="radnode-restart-", dir="/var/tmp") as folder:
        figures = measure(Path(folder), instances)
    write_down("restart", **figures)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
