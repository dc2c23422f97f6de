"""When things happen: activities that wait for a pulse, and the clock that gives one at the latest every so often.

An event (an image stored, an association released, a job inserted) pulses the activity that follows it, so nothing
waits for a timer; the clock (APScheduler) pulses too, so nothing waits for ever. What is to be done is never
remembered here: every activity asks the tables.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from radnode.storage.errors import TransactionEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from radnode.node.alarms import Alarms

log = structlog.get_logger(__name__)

PAUSE_AFTER_ERROR_S = 1.0
GOLDEN_RATIO = (1 + 5**0.5) / 2


class Activity:
    """One thread that runs `step` whenever it is pulsed, and again at once while `step` returns True."""

    def __init__(self, name: str, step: Callable[[], bool], alarms: Alarms) -> None:
        self.name = name
        self._step = step
        self._alarms = alarms
        self._pulse = threading.Event()
        self._due_s: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin, with a first pulse: a restart picks up whatever was left."""
        self._pulse.set()
        self._thread.start()

    def pulse(self) -> None:
        """There may be something to do. A pulse during a step is not lost."""
        self._pulse.set()

    def pulse_in(self, seconds: float) -> None:
        """For `step` to say: run it again after so long, or at the next pulse if that comes before."""
        self._due_s = time.monotonic() + seconds

    def end(self) -> None:
        """Begin no further step; does not wait for the running one."""
        self._ended.set()
        self._pulse.set()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Let the running step end and join the thread."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            self._pulse.wait(None if self._due_s is None else max(self._due_s - time.monotonic(), 0))
            self._due_s = None
            if self._ended.is_set():
                return
            self._pulse.clear()
            again = self._attempt()
            if again:
                self._pulse.set()

    def _attempt(self) -> bool:
        try:
            again = self._step()
        except TransactionEnded as error:
            log.warning("activity.ended_for_another", activity=self.name, reason=str(error))
            return True
        except Exception as error:
            log.exception("activity.failed", activity=self.name)
            self._alarms.set(f"activity:{self.name}", f"{self.name} fails and is retried: {error}")
            self._ended.wait(PAUSE_AFTER_ERROR_S)
            return True
        self._alarms.clear(f"activity:{self.name}")
        return again


def stop_all(activities: Collection[Activity], within_s: float = 10.0) -> None:
    """Stop activities in one common time, however many of them wait for a peer that does not answer."""
    for activity in activities:
        activity.end()
    deadline = time.monotonic() + within_s
    for activity in activities:
        activity.stop(max(0.0, deadline - time.monotonic()))


def moment(number: int) -> float:
    """Where in an interval the activity of this number has its moment, in [0, 1): no two of them are close together,
    however many there are (multiples of the golden ratio; Knuth, The Art of Computer Programming, volume 3, 6.4).
    """
    return number * GOLDEN_RATIO % 1


class Clock:
    """Pulses activities at fixed intervals, each at a moment of its own.

    Pulsed together, they would all want the interpreter and the database at once, and an image that is being received
    would wait for every one of them.
    """

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})
        self._began = datetime.now(UTC)

    def every(self, seconds: float, activity: Activity) -> None:
        """Pulse `activity` at least this often."""
        first = self._began + timedelta(seconds=seconds) * moment(len(self._scheduler.get_jobs()))
        self._scheduler.add_job(activity.pulse, "interval", seconds=seconds, start_date=first, id=activity.name)

    def start(self) -> None:
        """Begin to tick."""
        self._scheduler.start()

    def stop(self) -> None:
        """Tick no more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
