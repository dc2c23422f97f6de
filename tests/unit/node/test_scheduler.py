from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from itertools import pairwise

from radnode.node.alarms import Alarms
from radnode.node.scheduler import Activity, moment, stop_all
from radnode.storage.errors import TransactionEnded

LONG_S = 30


def alarms() -> Alarms:
    return Alarms(lambda: datetime.now(UTC))


def test_an_activity_runs_again_at_the_time_its_step_names_without_any_pulse() -> None:
    runs, thrice = [], threading.Event()

    def step() -> bool:
        runs.append(None)
        if len(runs) < 3:
            activity.pulse_in(0.01)
        else:
            thrice.set()
        return False

    activity = Activity("counting", step, alarms())
    activity.start()
    assert thrice.wait(LONG_S)
    activity.stop()


def test_a_pulse_does_not_wait_for_the_named_time() -> None:
    runs, twice = [], threading.Event()

    def step() -> bool:
        runs.append(None)
        activity.pulse_in(1e6)
        if len(runs) == 2:
            twice.set()
        return False

    activity = Activity("waiting", step, alarms())
    activity.start()
    activity.pulse()
    assert twice.wait(LONG_S)
    activity.stop()


def test_an_activity_whose_step_names_no_time_waits_for_a_pulse() -> None:
    ran, runs = threading.Event(), []

    def step() -> bool:
        runs.append(None)
        ran.set()
        return False

    activity = Activity("idle", step, alarms())
    activity.start()
    assert ran.wait(LONG_S)
    threading.Event().wait(0.2)
    assert len(runs) == 1
    activity.stop()


def test_a_step_that_the_database_ends_for_another_runs_again_without_an_alarm() -> None:
    shown, runs, twice = alarms(), [], threading.Event()

    def step() -> bool:
        runs.append(shown.raised())
        if len(runs) == 1:
            raise TransactionEnded("deadlock detected")
        twice.set()
        return False

    activity = Activity("closing", step, shown)
    activity.start()
    assert twice.wait(LONG_S)
    activity.stop()
    assert runs == [[], []]


def test_many_activities_that_wait_for_a_silent_peer_are_stopped_in_one_common_time() -> None:
    answered, number = threading.Event(), 20
    begun = [threading.Event() for _ in range(number)]

    def asking(one: threading.Event) -> Activity:
        def step() -> bool:
            one.set()
            return answered.wait(LONG_S)

        return Activity("asking", step, alarms())

    activities = [asking(one) for one in begun]
    for activity in activities:
        activity.start()
    assert all(one.wait(LONG_S) for one in begun)
    began = time.monotonic()
    stop_all(activities, within_s=1)
    assert time.monotonic() - began < number / 2, "not a time for each"
    answered.set()


def test_activities_of_one_interval_are_pulsed_apart_from_each_other_however_many_there_are() -> None:
    for number in range(2, 200):
        moments = sorted(moment(each) for each in range(number))
        apart = [after - before for before, after in pairwise([*moments, moments[0] + 1])]
        assert min(apart) > 0.38 / number
