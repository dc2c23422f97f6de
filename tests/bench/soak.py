"""A node under a constant rate of images for hours, with a kill now and then or without: does it leak, does it slow
down, and is every result confirmed in time?

    RADNODE_TEST_SOAK_MINUTES=480 RADNODE_TEST_RESULTS=docs/measured python tests/bench/soak.py [--kill-every 60]

Twenty images a second arrive as chest CTs of 100 slices, one association each; every CT is read by ct-lung and gets a
SEG and a report, which a stand-in PACS takes and answers C-FIND about. Every five seconds memory, descriptors and
threads of the node are noted. Growth of memory is the slope of straight lines through the lives between kills, the
first fifth of each left out; descriptors and threads are compared, at rest, before the load and after it; answers of
the first quarter with those of the last. Nothing acknowledged may be lost and no result doubled, or nothing is written.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

import numpy as np  # noqa: E402
import pydicom  # noqa: E402
from sqlalchemy import select  # noqa: E402
from support.chest import write_chest  # noqa: E402
from support.figures import write_down  # noqa: E402
from support.mortal import MortalNode, body_of  # noqa: E402
from support.network import enter_private_network  # noqa: E402
from support.node import archive, modality  # noqa: E402
from support.pacs import StandInPacs  # noqa: E402
from support.steady import Steady, percentile  # noqa: E402
from support.waiting import eventually  # noqa: E402

from radnode.storage.tables import DeliveryRow  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

IMAGES_PER_SECOND = 20
SLICES = 100
SAMPLE_EVERY_S = 5
IN_TIME_S = 300
ARCHIVED = 10_000
"""Instances that the PACS can be asked about: of more than the last five minutes."""
REST_S = 20
DRAINED_S = 3600
"""At most, until what is still waiting at the end has been read: a run of hours must not be lost to a busy machine."""
PARTS = 24
"""Of a run, of which the figures say how memory, descriptors and threads went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The node's process at a moment. life: how many kills came before."""

    life: int
    at_s: float
    memory_mib: float
    descriptors: int
    threads: int


class Soak(threading.Thread):
    """The sender, and what was seen of the node meanwhile."""

    def __init__(self, node: MortalNode, pacs: StandInPacs, folder: Path) -> None:
        super().__init__(name="modality", daemon=True)
        self._pacs = pacs
        self.steady = Steady(node.port, IMAGES_PER_SECOND)
        self.studies = 0
        self.samples: list[Sample] = []
        self.kills = 0
        self._node = node
        self._folder = folder
        self._ended = threading.Event()

    def run(self) -> None:
        """Study after study."""
        while not self._ended.is_set():
            self.one_study()

    def one_study(self) -> None:
        """A chest CT that was never seen before; the PACS has it, too, as results are about images that it holds."""
        number = self.studies + 1
        series = write_chest(self._folder / "ct", name=f"soak {number}", slices=SLICES)
        contents = [(str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID), path.read_bytes())
                    for path in series.files]  # fmt: skip
        self._pacs.keep(series.files)
        self._pacs.keep_last(ARCHIVED)
        shutil.rmtree(self._folder / "ct")
        self.steady.send((uid, body_of(content)) for uid, content in contents)
        self.studies = number

    def end(self) -> None:
        """After the study that is on its way."""
        self._ended.set()
        self.join(120)
        assert not self.is_alive(), "the sender does not end"

    def look(self) -> Sample:
        """Note what the node's process takes."""
        process = Path(f"/proc/{self._node.pid}")
        status = (process / "status").read_text()
        sample = Sample(
            life=self.kills, at_s=time.monotonic(), memory_mib=int(status.split("VmRSS:")[1].split()[0]) / 1024,
            descriptors=len(list((process / "fd").iterdir())), threads=len(list((process / "task").iterdir())),
        )  # fmt: skip
        self.samples.append(sample)
        return sample

    def kill(self) -> None:
        """SIGKILL, and a new life."""
        self._node.kill()
        self.kills += 1
        self._node.start(within=300)


def soak(folder: Path, minutes: float, kill_every: float) -> dict[str, Any]:
    """The figures of one run."""
    with StandInPacs() as pacs, MortalNode(
        folder / "node", peers=[archive(pacs.port, answers_find=True), modality()]
    ) as node:
        run = Soak(node, pacs, folder)
        run.one_study()  # so that the model is warm and every process there
        _drained(node, run)
        before = run.look()
        run.samples.clear()
        began = time.monotonic()
        next_kill = began + 60 * kill_every
        run.start()
        while time.monotonic() < began + 60 * minutes:
            time.sleep(SAMPLE_EVERY_S)
            assert run.is_alive(), "the sender failed"
            run.look()
            if kill_every and time.monotonic() >= next_kill:
                run.kill()
                next_kill += 60 * kill_every
        run.end()
        seconds = time.monotonic() - began
        _drained(node, run)
        after = run.look()
        run.samples.pop()
        assert node.ledger()["acknowledged"] == len(run.steady.answers) == run.studies * SLICES
        assert pacs.conflicts == []
        return {
            "minutes": round(seconds / 60, 1), "kills": run.kills, "studies": run.studies,
            "images": len(run.steady.answers), "images_per_second": round((run.studies - 1) * SLICES / seconds, 1),
            **_deliveries(node),
            "memory_mib": round(after.memory_mib, 1), "memory_mib_per_hour": round(slope(run.samples) * 3600, 2),
            "descriptors_grown": after.descriptors - before.descriptors,
            "threads_grown": after.threads - before.threads,
            **_drift(run.steady.answers),
            "memory_mib_course": course([each.memory_mib for each in run.samples]),
            "descriptors_course": course([each.descriptors for each in run.samples]),
            "threads_course": course([each.threads for each in run.samples]),
        }  # fmt: skip


def _drained(node: MortalNode, run: Soak) -> None:
    """Everything sent is processed, every delivery has come to its end, and nothing moves any more."""
    node.wait_for_states(PROCESSED=run.studies * SLICES, within=DRAINED_S)
    eventually(lambda: not {"WAITING", "SENDING", "SENT"} & set(_states(node)), within=IN_TIME_S + 60, every=1,
               why=lambda: f"{_states(node)}\n{node.log()}")  # fmt: skip
    time.sleep(REST_S)


def _states(node: MortalNode) -> Counter[str]:
    with node.database() as database, database.read() as session:
        return Counter(session.scalars(select(DeliveryRow.state)))


def _deliveries(node: MortalNode) -> dict[str, Any]:
    """How long each result took from being made to being confirmed."""
    with node.database() as database, database.read() as session:
        rows = session.execute(select(DeliveryRow.state, DeliveryRow.created_at, DeliveryRow.confirmed_at)).all()
    took = [(confirmed - created).total_seconds() for _, created, confirmed in rows if confirmed is not None]
    return {
        "results": len(rows), "confirmed_in_time": sum(each <= IN_TIME_S for each in took),
        "slowest_confirmation_s": round(max(took, default=0), 1),
        "unconfirmed": sum(state not in ("CONFIRMED", "DEAD") for state, *_ in rows),
    }  # fmt: skip


def course(values: Sequence[float]) -> list[float]:
    """The median of each of PARTS equal parts of the run, in their order: as long after eight hours as after one."""
    return [round(float(np.median(part)), 1) for part in np.array_split(np.array(values), PARTS) if part.size]


def slope(samples: list[Sample]) -> float:
    """MiB a second, of one straight line through every life, each with its own height."""
    lives: defaultdict[int, list[Sample]] = defaultdict(list)
    for each in samples:
        lives[each.life].append(each)
    above = below = 0.0
    for life in lives.values():
        late = life[len(life) // 5 :]
        at = np.array([each.at_s for each in late])
        memory = np.array([each.memory_mib for each in late])
        above += float(((at - at.mean()) * (memory - memory.mean())).sum())
        below += float(((at - at.mean()) ** 2).sum())
    return above / below if below else 0.0


def _drift(answers: list[tuple[float, float]]) -> dict[str, float]:
    """99th percentiles of the answers, ms; of the last quarter against the first."""
    quarter = len(answers) // 4
    first, last = (percentile((each for _, each in part), 0.99) for part in (answers[:quarter], answers[-quarter:]))
    return {"p99_ms": round(percentile((each for _, each in answers), 0.99) * 1e3, 2),
            "p99_first_ms": round(first * 1e3, 2), "p99_last_ms": round(last * 1e3, 2),
            "p99_drift_percent": round((last / first - 1) * 100, 1)}  # fmt: skip


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kill-every", type=float, default=0, metavar="MINUTES", help="0: no kills")
    kill_every = parser.parse_args().kill_every
    enter_private_network()
    with tempfile.TemporaryDirectory(prefix="radnode-soak-", dir="/var/tmp") as folder:
        figures = soak(Path(folder), float(os.environ.get("RADNODE_TEST_SOAK_MINUTES", "2")), kill_every)
    write_down("soak-kills" if kill_every else "soak", **figures)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
