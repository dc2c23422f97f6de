"""SIGKILL at any moment: nothing acknowledged is lost, and every series has one answer.

The way of a study has three parts in which different things can be lost, so the kills are spread over them:
while images arrive, while jobs run, while results are sent; half of them at any moment, half at named places
(support.crash_points). RADNODE_TEST_KILLS sets how many there are; for each two, a hundred images that no route wants
arrive beside the others. RADNODE_TEST_RESULTS names a folder for what was counted.
"""

from __future__ import annotations

import hashlib
import os
import random
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import CTImageStorage
from support import figures
from support.chest import write_chest
from support.flood import Flood
from support.lives import LoadedNode
from support.mortal import kept_in
from support.node import archive, modality
from support.pacs import Attempt, Cut, Fault, Silence
from support.waiting import eventually

from radnode.storage.tables import DeliveryRow, JobRow

if TYPE_CHECKING:
    from pathlib import Path

    from support.chest import Series
    from support.mortal import MortalNode
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

KILLS = int(os.environ.get("RADNODE_TEST_KILLS", "20"))
SERIES = max(8, KILLS // 5)
SLICES = 32
FLOOD_OF_A_LIFE = 100
# Long enough that no series closes while the node is down and the sender reconnects.
QUIET_TIME_S = 6
WHILE_IMAGES_ARRIVE = {
    "K1": ("after", "node.intake.spooling:Spooled.write"),
    "K2": ("before", "storage.files:SystemOps.fsync"),
    "K3": ("before", "storage.files:SystemOps.link"),
    "K4": ("after", "storage.files:FileStore.keep"),
    "K4 in the transaction": ("after", "storage.receptions:record"),
    "K5": ("after", "node.intake.committer:Committer.commit"),
}


@dataclass(frozen=True, slots=True)
class Image:
    """One image to send: the bytes a receiver must keep, without file meta."""

    sop_instance_uid: str
    dataset: pydicom.Dataset
    digest: str


class Sender(threading.Thread):
    """A modality that does not give up: sends what was not acknowledged, reconnects after every cut.

    It sends only as many images as it is allowed to, so that the kills are spread over the whole transfer.
    """

    def __init__(self, images: list[Image], port: int) -> None:
        super().__init__(name="sender", daemon=True)
        self.acknowledged: list[Image] = []
        self._images = images
        self._port = port
        self._allowed = threading.Semaphore(0)
        self._done = threading.Event()

    def allow(self, number: int) -> None:
        """Let it send so many more."""
        self._allowed.release(number)

    def stop(self) -> None:
        """End it."""
        self._done.set()
        self._allowed.release()
        self.join(30)

    def run(self) -> None:
        """Until everything is acknowledged."""
        while not self._done.is_set() and len(self.acknowledged) < len(self._images):
            self._one_association()
            self._done.wait(0.05)

    def _one_association(self) -> None:
        # pynetdicom leaves the socket of a refused connection to the garbage collector, so look first.
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=2).close()
        except OSError:
            return
        ae = AE(ae_title="TESTSCU")
        ae.connection_timeout, ae.acse_timeout, ae.dimse_timeout = 2, 5, 10
        ae.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
        association = ae.associate("127.0.0.1", self._port, ae_title="RADNODE")
        while association.is_established and len(self.acknowledged) < len(self._images):
            self._allowed.acquire()
            if self._done.is_set():
                break
            image = self._images[len(self.acknowledged)]
            try:
                answer = association.send_c_store(image.dataset)
            except RuntimeError:  # the association ended between the check and the request
                answer = pydicom.Dataset()
            if answer.get("Status") != 0x0000:
                self._allowed.release()
                break
            self.acknowledged.append(image)
        if association.is_established:
            association.release()


class Kills:
    """Ends the node's lives and begins new ones. No job is killed twice: then it would rightly fail."""

    def __init__(self, node: MortalNode, seed: int) -> None:
        self.node = node
        self.random = random.Random(seed)
        self.number: Counter[str] = Counter()
        self._jobs_hit: set[int] = set()

    def now(self, kind: str) -> None:
        """SIGKILL and a new life."""
        self.node.kill()
        self._next_life(kind)

    def at(self, kind: str, when: str, function: str, within: float = 30) -> bool:
        """A life that ends at a place, and a new one; False if the place is not come to in time."""
        self.node.arm(when, function)
        if died := self.node.died(within):
            self._next_life(kind)
        return died

    def running(self) -> set[int]:
        """The jobs in work."""
        return {job["job"] for job in self.node.jobs() if job["state"] == "RUNNING"}

    def _waiting(self) -> bool:
        """Whether a job is still to run, or none has come yet."""
        jobs = self.node.jobs()
        return not jobs or any(job["state"] == "WAITING" for job in jobs)

    def spares_a_job(self) -> bool:
        """Whether a kill now would meet a job for the second time."""
        return bool(self.running() & self._jobs_hit)

    def in_a_fresh_job(self) -> bool:
        """One kill up to a second into a job that was not hit before, or at its end; False if none comes to run."""
        with suppress(AssertionError):
            eventually(lambda: self.running() - self._jobs_hit or not self._waiting(), within=30, every=0.05)
        if self.random.random() < 1 / 2:
            time.sleep(self.random.uniform(0, 1))
            fresh = self.running() - self._jobs_hit
            if fresh:
                self._jobs_hit |= fresh
                self.now("job")
            return bool(fresh)
        fresh = self.running() - self._jobs_hit
        self._jobs_hit |= fresh
        return bool(fresh) and self.at("K11", "before", "storage.jobs:produced")

    def _next_life(self, kind: str) -> None:
        self.number[kind] += 1
        self.node.start()
        self._jobs_hit |= self.running()


# pynetdicom 3.0.4 leaves the socket of a refused connection to the garbage collector, which warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_acknowledged_is_lost_and_every_series_has_one_answer(pacs: StandInPacs, tmp_path: Path) -> None:
    seed = int(os.environ.get("RADNODE_TEST_SEED", 20260102 + figures.runs("kills")))
    began = time.monotonic()
    all_series = [
        write_chest(tmp_path / f"ct-{n}", name=str(n), patient_id=f"KILL-{n:03d}", slices=SLICES)
        for n in range(SERIES)
    ]
    images = _interleaved(all_series)
    with LoadedNode(
        tmp_path / "node",
        peers=[archive(pacs.port), modality()],
        settings={"quiet_time_s": QUIET_TIME_S, "hold_after_s": 600},
    ) as node:
        kills = Kills(node, seed)
        sender, flood = Sender(images, node.port), Flood(node.port)
        sender.start()
        flood.start()
        try:
            lives = KILLS // 2
            _kill_while_images_arrive(kills, sender, flood, lives=lives, share=len(images) // (lives + 1))
            sender.allow(len(images))
            eventually(lambda: len(sender.acknowledged) == len(images), within=60 + len(images) / 10, why=node.log)
            _kill_while_jobs_run_and_results_are_sent(kills, pacs)
            _kill_while_images_arrive(kills, sender, flood, lives=KILLS - kills.number.total(), share=0)
            eventually(lambda: len(flood.acknowledged) == flood.allowed, within=300, why=node.log)
        finally:
            sender.stop()
            flood.stop()
        pacs.plan = lambda _attempt: None
        acknowledged = {image.sop_instance_uid: image.digest for image in sender.acknowledged} | flood.acknowledged
        kept = kept_in(node.data)
        lost = [uid for uid, digest in acknowledged.items() if kept.get(uid) != digest]
        figures.add_up("kills", kills=kills.number, acknowledged=len(acknowledged), lost=len(lost), series=SERIES,
                       seconds=round(time.monotonic() - began))
        assert lost == []
        assert kills.number.total() >= KILLS, kills.number

        node.wait_for_states(
            PROCESSED=len(images), NOT_ROUTED=len(flood.acknowledged), within=180 + len(acknowledged) / 20
        )
        eventually(
            lambda: len(pacs.stored(Modality="SEG")) == len(pacs.stored(Modality="SR")) == SERIES,
            within=120,
            why=lambda: f"results: {node.status()}\n{node.log()}",
        )
        assert len(sender.acknowledged) == len(images)
        assert node.ledger()["acknowledged"] == len(acknowledged)
        assert node.spooled() == []
        _assert_one_answer_each(pacs, all_series)


def _kill_while_images_arrive(kills: Kills, sender: Sender, flood: Flood, *, lives: int, share: int) -> None:
    """Each somewhere between two acknowledgements, and both senders go on. share: images of `sender` in a life."""
    for _ in range(lives):
        images, tiny = len(sender.acknowledged), len(flood.acknowledged)
        if share:
            sender.allow(share)
        flood.allow(FLOOD_OF_A_LIFE)
        images += kills.random.randint(1, share - 1) if share else 0
        tiny += kills.random.randint(1, FLOOD_OF_A_LIFE - 10)
        eventually(
            lambda images=images, tiny=tiny: len(sender.acknowledged) >= images and len(flood.acknowledged) >= tiny,
            within=60, every=0.001, why=kills.node.log,
        )  # fmt: skip
        flood.allow(10)
        if kills.random.random() < 1 / 2:
            time.sleep(kills.random.uniform(0, 0.01))
            kills.now("receive")
        else:
            kind, place = kills.random.choice(sorted(WHILE_IMAGES_ARRIVE.items()))
            assert kills.at(kind, *place), kind


def _kill_while_jobs_run_and_results_are_sent(kills: Kills, pacs: StandInPacs) -> None:
    """One kill in each job; else the node dies while the PACS has a result in hand or lost it; until all is sent."""
    arrived = threading.Event()

    def plan(_attempt: Attempt) -> Fault | None:
        arrived.set()
        return kills.random.choice([Silence(0.3), Cut(), Cut(keep=True), None])

    while kills.number.total() < KILLS and not _all_is_sent(kills.node):
        if not kills.in_a_fresh_job():
            arrived.clear()
            pacs.plan = plan
            met = arrived.wait(15)
            if kills.spares_a_job():
                _let_it_end(kills)
            time.sleep(kills.random.uniform(0, 0.05))
            pacs.plan = lambda _attempt: None
            kills.now("send" if met else "idle")


def _all_is_sent(node: MortalNode) -> bool:
    waits = DeliveryRow.state.in_(("WAITING", "SENDING"))
    return node.count(JobRow, JobRow.state == "PRODUCED") == SERIES and node.count(DeliveryRow, waits) == 0


def _let_it_end(kills: Kills) -> None:
    eventually(lambda: not kills.spares_a_job(), within=90, every=0.05, why="the job that was hit ends")


def _interleaved(all_series: list[Series]) -> list[Image]:
    """First and last slices first, then all series side by side: none is gap-free before the end."""
    order = [0, SLICES - 1, *range(1, SLICES - 1)]
    return [_image(series.files[place]) for place in order for series in all_series]


def _image(file: Path) -> Image:
    dataset = pydicom.dcmread(file)
    encoded = encode(dataset, is_implicit_vr=False, is_little_endian=True)
    assert encoded is not None
    return Image(dataset.SOPInstanceUID, dataset, hashlib.sha256(encoded).hexdigest())


def _assert_one_answer_each(pacs: StandInPacs, all_series: list[Series]) -> None:
    assert pacs.conflicts == []
    answers = Counter((str(result.PatientID), result.Modality) for result in pacs.stored())
    expected = {(series.patient_id, kind): 1 for series in all_series for kind in ("SEG", "SR")}
    assert answers == expected
    uids = {attempt.sop_instance_uid for attempt in pacs.attempts}
    assert len(uids) == 2 * len(all_series), "no result was ever tried under another UID"
