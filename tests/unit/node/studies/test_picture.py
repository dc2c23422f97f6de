"""A study's time is drawn to scale where something happens, and pauses are cut."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from radnode.node.studies.picture import PAUSE, WIDTH, Lane, Span, draw

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def span(since_s: float, until_s: float | None, lane: Lane = "running") -> Span:
    until = None if until_s is None else NOW + timedelta(seconds=until_s)
    return Span(lane=lane, since=NOW + timedelta(seconds=since_s), until=until, name="x")


def test_bars_are_as_long_as_what_they_show_took() -> None:
    picture = draw([span(0, 10, "received"), span(10, 40)], NOW)
    assert picture is not None
    (received,), (running,) = picture.bars["received"], picture.bars["running"]
    assert (received.x, received.seconds) == (0.0, 10.0)
    assert abs(running.width / received.width - 3) < 0.01
    assert running.x + running.width <= WIDTH


def test_a_long_pause_is_cut_and_says_how_long_it_was() -> None:
    picture = draw([span(0, 100), span(86_400, 86_500)], NOW)
    assert picture is not None
    first, second = picture.bars["running"]
    assert picture.pauses == [(first.width, 86_300.0)]
    assert abs(second.width - first.width) < 0.2
    assert abs(second.x - first.width - PAUSE) < 0.2


def test_what_still_lasts_reaches_until_now_and_what_took_no_time_can_be_seen() -> None:
    picture = draw([span(0, None), span(0, 0, "waiting")], NOW + timedelta(seconds=20))
    assert picture is not None
    assert picture.bars["running"][0].seconds == 20
    assert picture.bars["waiting"][0].width > 0
    assert picture.until == NOW + timedelta(seconds=20)


def test_nothing_is_drawn_of_nothing_and_one_moment_alone_is() -> None:
    assert draw([], NOW) is None
    assert draw([span(0, 0)], NOW) is not None


def test_a_clock_that_was_set_back_makes_no_bar_that_runs_backwards() -> None:
    picture = draw([span(10, 5)], NOW)
    assert picture is not None
    assert picture.bars["running"][0].seconds == 0
