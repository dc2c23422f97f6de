"""Who may stay is decided before anything is spent on them."""

from __future__ import annotations

import pytest

from radnode.node.intake.guards import OncePerMinute, Seats


@pytest.mark.catalogue("A4")
def test_seats_are_limited_in_all_and_for_each_host() -> None:
    seats = Seats(3, 2)
    assert [seats.take("a"), seats.take("a"), seats.take("a"), seats.take("b"), seats.take("c")] == [
        True, True, False, True, False,
    ]  # fmt: skip


def test_a_seat_that_is_left_is_taken_again() -> None:
    seats = Seats(1, 1)
    assert seats.take("a")
    seats.leave("a")
    assert seats.take("b")


@pytest.mark.catalogue("N10")
def test_a_host_is_worth_one_line_a_minute() -> None:
    quiet = OncePerMinute()
    assert [quiet.worth_saying("a"), quiet.worth_saying("a"), quiet.worth_saying("b"), quiet.worth_saying("a")] == [
        True, False, True, False,
    ]  # fmt: skip


def test_a_million_hosts_are_not_remembered() -> None:
    quiet = OncePerMinute()
    for number in range(5000):
        quiet.worth_saying(str(number))
    assert len(quiet._said_at) <= 1024
