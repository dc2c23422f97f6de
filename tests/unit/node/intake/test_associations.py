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
