"""Which objects a destination gets, and what it gets instead of what it refused."""

from __future__ import annotations

import pytest

from radnode.pipelines.forms import FORMS, Wanted, plan, send_order, without
from radnode.pipelines.results.gate import CHECKS
from radnode.pipelines.results.writers import WRITERS


def test_a_report_refers_to_the_segmentation_that_the_same_destination_gets() -> None:
    assert plan(["TID1500", "SEG"]) == ("SEG", "TID1500+SEG")
    assert plan(["TID1500", "LABELMAP", "SEG"]) == ("LABELMAP", "SEG", "TID1500+LABELMAP")
    assert plan(["TID1500"]) == ("TID1500",)


def test_what_is_referred_to_is_sent_before_what_refers_to_it() -> None:
    for form in FORMS.values():
        for referred in form.refers_to:
            assert send_order(referred) < send_order(f"{form.name}+{referred}")


def test_every_name_can_be_read_again() -> None:
    for name in plan(FORMS):
        assert Wanted.parse(name).name == name


@pytest.mark.parametrize("name", ["SR", "", "SEG+LABELMAP", "TID1500+SR", "+SEG"])
def test_a_name_that_nobody_writes_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no writer"):
        Wanted.parse(name)
    with pytest.raises(ValueError, match="no writer"):
        plan([name])


def test_a_refused_form_is_replaced_by_its_fallback_and_none_is_sent_twice() -> None:
    assert without(("LABELMAP", "TID1500"), {"LABELMAP"}) == ("SEG", "TID1500")
    assert without(("LABELMAP", "TID1500"), {"LABELMAP", "SEG"}) == ("SC", "TID1500")
    assert without(("LABELMAP", "SC"), {"LABELMAP", "SEG"}) == ("SC",)
    assert without(("PM",), {"PM"}) == ()


def test_every_form_has_a_writer_and_a_gate() -> None:
    assert set(WRITERS) == set(CHECKS) == set(FORMS)


def test_every_chain_of_fallbacks_ends() -> None:
    assert without(tuple(FORMS), set(FORMS)) == ()
