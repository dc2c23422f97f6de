"""The CT exams of a simulated day to a real node, faster than they would come: bounded in time, images and addresses.

Small synthetic stacks, each an exam of its own, of nobody. What may be sent to is what the configuration names.
"""

from __future__ import annotations

import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from radnode.node.association import PeerUnreachable
from radnode.node.sending import forward
from radnode.pipelines.ct_lung.phantom import SeriesHeader, chest_phantom, write_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from radnode.config.peers import Peer
    from radnode.node.simulating.day import Exam
    from radnode.pipelines.ct_lung.phantom import Phantom

LONGEST_S = 3600.0
MOST_EXAMS = 2000
AT_ONCE = 8
SLICES = 12
SIZE = 64
DRAWN = 4
"""Different stacks; they come again in turn, as exams of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An exam that was sent. begun_s, acknowledged_s: since the beginning; refused: images not taken, and why."""

    exam: Exam
    series_instance_uid: str
    begun_s: float
    acknowledged_s: float
    refused: int
    reason: str = ""


def send(
    exams: Sequence[Exam], peer: Peer, calling_ae: str, *, speed: float, longest_s: float, name: str,
    descriptions: Callable[[Exam], str] = lambda exam: f"simulated {exam.priority}",
) -> Iterator[Sent]:
    """Send each exam at its time divided by `speed`, on an association of its own; yields them once acknowledged.

    longest_s: nothing is begun after so long, at most an hour. name: of this run; another one makes other UIDs.
    descriptions: Series Description, by which routes may tell priorities apart.
    """
    stop = threading.Event()
    for seed in range(DRAWN):
        _drawn(seed)  # before the clock runs
    began = time.monotonic()
    first = exams[0].begins_s if exams else 0.0
    with tempfile.TemporaryDirectory(prefix="radnode-simulate-") as folder, ThreadPoolExecutor(AT_ONCE) as pool:

        def one(exam: Exam) -> Sent | None:
            due = (exam.begins_s - first) / speed
            if due > min(longest_s, LONGEST_S):
                return None
            files = _written(Path(folder) / str(exam.number), exam, name, descriptions(exam))
            if stop.wait(max(0.0, began + due - time.monotonic())):
                return None
            begun = time.monotonic() - began
            taken, reason = 0, ""
            try:
                for _, status in forward(files, peer, calling_ae):
                    taken += status == 0
            except PeerUnreachable as error:
                reason = str(error)
            return Sent(exam=exam, series_instance_uid=_series_of(files[0]), begun_s=begun, reason=reason,
                        acknowledged_s=time.monotonic() - began, refused=len(files) - taken)

        try:
            for sent in pool.map(one, exams[:MOST_EXAMS]):
                if sent is not None:
                    yield sent
        finally:
            stop.set()


def _series_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)


def _written(folder: Path, exam: Exam, name: str, description: str) -> list[Path]:
    header = SeriesHeader(
        name=f"{name} {exam.number}", patient_id=f"SIMULATED-{name}-{exam.number}", series_description=description)
    return write_series(_drawn(exam.number % DRAWN), folder, header=header)


@lru_cache(maxsize=DRAWN)
def _drawn(seed: int) -> Phantom:
    return chest_phantom(slices=SLICES, size=SIZE, seed=seed)


def peer_named(name: str, peers: dict[str, Peer], own: Peer) -> Peer:
    """A peer of the configuration, or this node itself. Raises PeerUnreachable for any other address."""
    if name == own.name:
        return own
    if name not in peers or peers[name].dicomweb:
        known = ", ".join([*peers, own.name])
        raise PeerUnreachable(f"{name!r} is no peer that takes images by C-STORE; the configuration names {known}")
    return peers[name]
