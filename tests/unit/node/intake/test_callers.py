from __future__ import annotations

from radnode.node.intake.callers import MOST_REMEMBERED, REMEMBERED_S, TurnedAway


class Clock:
    """Stands until it is set."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_who_calls_again_is_one_entry_with_a_number_and_the_latest_is_first() -> None:
    clock = Clock()
    book = TurnedAway(clock)
    book.note("CT3", "RADNODE", "10.1.2.3", "no peer")
    book.note("CT4", "RADNODE", "10.1.2.4", "no peer")
    clock.now_s += 60
    book.note("CT3", "RADNODE", "10.1.2.3", "no peer")
    assert [(each.calling, each.number, each.ago_s) for each in book.lately()] == [("CT3", 2, 0), ("CT4", 1, 60)]


def test_after_a_day_nobody_remembers_and_counting_begins_anew() -> None:
    clock = Clock()
    book = TurnedAway(clock)
    book.note("CT3", "RADNODE", "10.1.2.3", "no peer")
    clock.now_s += REMEMBERED_S + 1
    assert book.lately() == []
    book.note("CT3", "RADNODE", "10.1.2.3", "no peer")
    assert [each.number for each in book.lately()] == [1]


def test_a_scanner_of_names_fills_no_memory_and_a_title_is_printable() -> None:
    book = TurnedAway(Clock())
    for number in range(MOST_REMEMBERED + 50):
        book.note(f"X{number}\n\u202e", "RADNODE", "10.1.2.3", "no peer")
    found = book.lately()
    assert len(found) == MOST_REMEMBERED
    assert found[0].calling == f"X{MOST_REMEMBERED + 49}??"
