"""Completion knows which associations may still bring images of a series."""

from __future__ import annotations

from radnode.node.intake.associations import Associations


def test_an_open_association_counts_for_the_series_it_has_carried() -> None:
    associations = Associations(on_change=lambda: None)
    associations.opened("a")
    associations.opened("b")
    associations.carried("a", "1.2.3")
    assert associations.open_associations("1.2.3") == 1
    assert associations.open_associations("1.2.4") == 0


def test_a_released_association_counts_no_more() -> None:
    associations = Associations(on_change=lambda: None)
    for identifier in ("a", "b"):
        associations.opened(identifier)
        associations.carried(identifier, "1.2.3")
    associations.closed("a")
    assert associations.open_associations("1.2.3") == 1
    associations.closed("b")
    assert associations.open_associations("1.2.3") == 0


def test_opening_and_closing_wake_whoever_decides() -> None:
    woken = []
    associations = Associations(on_change=lambda: woken.append(associations.open_associations("1.2.3")))
    associations.opened("a")
    associations.carried("a", "1.2.3")
    associations.closed("a")
    assert woken == [0, 0]


def test_an_object_that_ends_with_its_association_leaves_nothing_open() -> None:
    associations = Associations(on_change=lambda: None)
    associations.opened("a")
    associations.closed("a")
    associations.carried("a", "1.2.3")
    assert associations.open_associations("1.2.3") == 0


class _Others:
    """Other receivers: what they were told, and one association of theirs."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def carried(self, association: str, series_instance_uid: str) -> None:
        self.told.append((association, series_instance_uid))

    def closed(self, association: str) -> None:
        self.told.append((association,))

    def is_open(self, association: str) -> bool:
        return association == "theirs"

    def open_associations(self, series_instance_uid: str) -> int:
        return int(series_instance_uid == "1.2.3")


def test_what_is_open_at_other_receivers_counts_as_well() -> None:
    associations = Associations(on_change=lambda: None, elsewhere=_Others())
    associations.opened("a")
    associations.carried("a", "1.2.3")
    assert associations.open_associations("1.2.3") == 2
    assert associations.is_open("theirs")
    assert not associations.is_open("nobody's")


def test_other_receivers_are_told_once_of_each_series_and_of_the_end_if_they_were_told_of_one() -> None:
    others = _Others()
    associations = Associations(on_change=lambda: None, elsewhere=others)
    for identifier in ("a", "echo"):
        associations.opened(identifier)
    for series_instance_uid in ("1.2.3", "1.2.3", "1.2.4"):
        associations.carried("a", series_instance_uid)
    for identifier in ("a", "echo"):
        associations.closed(identifier)
    assert others.told == [("a", "1.2.3"), ("a", "1.2.4"), ("a",)]
