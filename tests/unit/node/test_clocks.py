"""A wall clock that is moved is noticed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.rows import NOW

from radnode.node.clocks import ClockWatch, Jump


class Clocks:
    """Two clocks; `wait` moves both, `step` one."""

    def __init__(self) -> None:
        self.now = NOW
        self.monotonic_s = 50.0
        self.watch = ClockWatch(lambda: self.now, lambda: self.monotonic_s, timedelta(minutes=5))

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += timedelta(seconds=seconds)
        self.monotonic_s += seconds

    def step(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.now += timedelta(seconds=seconds)


@pytest.mark.catalogue("N17")
@pytest.mark.parametrize("seconds", [3600, -3600, 6])
def test_a_jump_is_seen_with_its_size_and_the_clock_not_trusted_for_the_longest_lease(seconds: float) -> None:
    clocks = Clocks()
    clocks.wait(10)
    assert clocks.watch.look() == NOW + timedelta(seconds=10)
    clocks.step(seconds)
    clocks.wait(10)
    assert clocks.watch.look() is None
    assert clocks.watch.last_jump() == Jump(seconds=seconds, at=NOW + timedelta(seconds=20))
    clocks.wait(300)
    assert clocks.watch.look() == NOW + timedelta(seconds=320 + seconds)


def test_time_that_goes_by_and_what_a_time_service_corrects_is_no_jump() -> None:
    clocks = Clocks()
    for _ in range(100):
        clocks.wait(100)
        clocks.step(0.05)
        assert clocks.watch.look() is not None
    assert clocks.watch.last_jump() is None


def test_a_jump_is_forgotten_after_an_hour_however_the_wall_clock_counts() -> None:
    clocks = Clocks()
    clocks.step(7200)
    clocks.watch.look()
    clocks.wait(3600)
    assert clocks.watch.last_jump() is not None
    clocks.wait(1)
    assert clocks.watch.last_jump() is None
