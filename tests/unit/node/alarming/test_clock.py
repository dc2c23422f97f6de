"""A wall clock that is moved is noticed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.rows import NOW

from radnode.node.alarming.clock import Step, WallClock


class Clocks:
    """Two clocks; `wait` moves both, `step` one."""

    def __init__(self) -> None:
        self.now = NOW
        self.monotonic_s = 50.0
        self.wall = WallClock(lambda: self.now, lambda: self.monotonic_s)

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += timedelta(seconds=seconds)
        self.monotonic_s += seconds

    def step(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.now += timedelta(seconds=seconds)


@pytest.mark.catalogue("N17")
@pytest.mark.parametrize("seconds", [3600, -3600, 6])
def test_a_step_is_seen_with_its_size(seconds: float) -> None:
    clocks = Clocks()
    clocks.wait(10)
    clocks.step(seconds)
    clocks.wait(10)
    (step,) = clocks.wall.steps()
    assert step == Step(seconds=seconds, at=NOW + timedelta(seconds=20))


def test_time_that_goes_by_and_what_a_time_service_corrects_is_no_step() -> None:
    clocks = Clocks()
    for _ in range(100):
        clocks.wait(100)
        clocks.step(0.05)
        assert clocks.wall.steps() == []


def test_a_step_is_forgotten_after_an_hour_however_the_wall_clock_counts() -> None:
    clocks = Clocks()
    clocks.step(7200)
    assert clocks.wall.steps()
    clocks.wait(200)
    assert (len(clocks.wall.steps(within_s=100)), len(clocks.wall.steps())) == (0, 1)
    clocks.wait(3500)
    assert clocks.wall.steps() == []
