"""A modality with thousands of tiny images that does not give up: what was not answered is sent again."""

from __future__ import annotations

import itertools
import threading
from hashlib import sha256

from support.receiver import Peer, data_set, store_request
from support.steady import associated, closed

IMAGES_OF_A_SERIES = 50


class Flood:
    """Several associations at once; each sends its own images, as many as are allowed. No route wants them.

    Of several ports each new association takes the next, as behind a balancer. turned_away: attempts that were refused,
    cut off or not answered with Success.
    """

    def __init__(self, *ports: int, associations: int = 2, first: int = 0) -> None:
        """first: another one for images that are not those of another flood."""
        self.acknowledged: dict[str, str] = {}
        self.allowed = 0
        self.turned_away = 0
        self._ports = ports
        self._allowed = threading.Semaphore(0)
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True)
                         for n in range(first, first + associations)]

    def start(self) -> None:
        """Begin to send what is allowed."""
        for thread in self._threads:
            thread.start()

    def allow(self, number: int) -> None:
        """Let it send so many more."""
        self.allowed += number
        self._allowed.release(number)

    def stop(self) -> None:
        """End it."""
        self._done.set()
        self._allowed.release(len(self._threads))
        for thread in self._threads:
            thread.join(30)

    def _run(self, which: int) -> None:
        """One image after the other, each until it is answered with Success."""
        number = 0
        ports = itertools.cycle(self._ports[which % len(self._ports) :] + self._ports[: which % len(self._ports)])
        peer: Peer | None = None
        while self._allowed.acquire() and not self._done.is_set():
            uid, data = _image(which, number)
            while not self._done.is_set():
                try:
                    peer = peer or associated(next(ports))
                    peer.send(store_request(data, uid))
                    answered = peer.status() == 0
                except OSError:  # refused, cut, or out of time: the node is down
                    answered = False
                if answered:
                    self.acknowledged[uid] = sha256(data).hexdigest()
                    break
                self.turned_away += not self._done.is_set()
                closed(peer)
                peer = None
                self._done.wait(0.05)
            number += 1
        closed(peer)


def _image(which: int, number: int) -> tuple[str, bytes]:
    series = f"2.25.{which + 1}.{number // IMAGES_OF_A_SERIES + 1}"
    uid = f"{series}.{number + 1}"
    study, series, instance = (_even(each) for each in (f"{series}.0", series, uid))
    return uid, data_set(instance=instance, series=series, study=study, pixels=200)


def _even(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
