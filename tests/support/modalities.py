"""A modality that sends series after series through a balancer, and does not give up."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING

import pydicom

from support.mortal import body_of
from support.steady import RELEASE_RQ, associated, closed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from support.chest import Series
    from support.receiver import Peer


class Modality(threading.Thread):
    """Each series over an association of its own, as many series as are allowed.

    Each association goes to the next of the ports; after a cut what was not acknowledged is sent again over another.
    """

    def __init__(self, all_series: Sequence[Series], ports: Sequence[int]) -> None:
        super().__init__(name="modality", daemon=True)
        self.acknowledged: dict[str, str] = {}
        self.ended = False
        self._all_series = all_series
        self._ports: Iterator[int] = itertools.cycle(ports)
        self._allowed = threading.Semaphore(0)
        self._done = threading.Event()

    def allow(self, series: int = 1) -> None:
        """Let it send so many more."""
        self._allowed.release(series)

    def stop(self) -> None:
        """End it."""
        self._done.set()
        self._allowed.release()
        self.join(30)

    def run(self) -> None:
        """Until all is acknowledged."""
        for series in self._all_series:
            self._allowed.acquire()
            if self._done.is_set():
                return
            # First and last first: the series has a gap until its last image is there.
            self._send([series.files[0], series.files[-1], *series.files[1:-1]])
        self.ended = True

    def _send(self, files: Sequence[Path]) -> None:
        peer: Peer | None = None
        for file in files:
            content = file.read_bytes()
            uid = str(pydicom.dcmread(BytesIO(content), stop_before_pixels=True).SOPInstanceUID)
            data = body_of(content)
            while not self._done.is_set():
                try:
                    peer = peer or associated(next(self._ports))
                    answered = peer.store(data, uid) == 0
                except OSError:  # refused, cut, or out of time: that receiver is down
                    answered = False
                if answered:
                    self.acknowledged[uid] = sha256(data).hexdigest()
                    break
                closed(peer)
                peer = None
                self._done.wait(0.05)
        if peer is not None:
            with suppress(OSError):
                peer.send(RELEASE_RQ)
                peer.closed()
        closed(peer)
