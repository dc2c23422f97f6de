"""Which steps of the first start are done, what each writes, and what became of the test study."""

from __future__ import annotations

from typing import Any

import pytest

from radnode.config.editing import edited
from radnode.config.loading import parse
from radnode.node import first_start, sample_study
from radnode.node.first_start import Step

EMPTY = "# ours\nnode:\n  ae_title: RADNODE  # as the PACS knows it\n"
PACS = {"ae_title": "PACS", "host": "10.1.2.3", "port": 104, "sends": True, "receives": True}


def test_what_the_configuration_has_is_done_and_the_guide_goes_on_after_it() -> None:
    configuration = parse(EMPTY, "empty.yaml")
    assert first_start.done(configuration, ()) == set()
    assert first_start.next_step(()) is Step.NAME
    text = edited(EMPTY, first_start.with_peer("PACS1", PACS))
    text = edited(text, first_start.with_route("chest", {"modality": "CT"}, "ct-lung", "PACS1"))
    finished = first_start.done(parse(text, "full.yaml"), {"name"})
    assert finished == {Step.NAME, Step.SOURCE, Step.DESTINATION, Step.ROUTE}
    assert first_start.next_step(finished) is Step.TEST
    assert first_start.done(parse(text, "full.yaml"), {"name", "test"}) == set(Step)


def test_each_step_leaves_comments_and_what_it_does_not_change_alone() -> None:
    text = edited(EMPTY, first_start.named("NODE2"))
    assert text.split() == EMPTY.replace("RADNODE", "NODE2").split()
    text = edited(text, first_start.with_peer("PACS1", PACS))
    assert text.startswith("# ours\nnode:\n  ae_title: NODE2 ")
    assert "# as the PACS knows it\n" in text
    again = edited(text, first_start.with_peer("PACS1", {"receives": False}))
    peer = parse(again, "again.yaml").peers["PACS1"]
    assert (peer.host, peer.sends, peer.receives) == ("10.1.2.3", True, False)


@pytest.mark.parametrize(("more", "may"), [
    ("", True), ("hosts: [127.0.0.0/8]", True), ("hosts: [10.1.2.0/24]", False),
    ("client_certificate: pacs1.hospital.example", False),
])
def test_a_test_study_comes_in_the_name_of_those_only_who_may_call_from_this_machine(more: str, may: bool) -> None:
    tls = "node: {tls: {certificate: a.pem, key: a.key, ca: ca.pem}}" if "certificate" in more else ""
    peer = f"    ae_title: PACS\n    host: 10.1.2.3\n    port: 104\n    sends: true\n    {more}\n"
    text = f"{tls}\npeers:\n  PACS1:\n{peer}"
    assert sample_study.senders(parse(text, "peers.yaml")) == (["PACS1"] if may else [])


def study(series: str = "CLOSED", jobs: tuple[str, ...] = ("PRODUCED",), sent: tuple[str, ...] = ("SENT",)) -> Any:
    return {"series": [{"state": series}], "jobs": [{"state": each} for each in jobs],
            "deliveries": [{"state": each} for each in sent]}


@pytest.mark.parametrize(("seen", "outcome"), [
    (None, "under way"), ({"series": [], "jobs": [], "deliveries": []}, "under way"), (study("OPEN"), "under way"),
    (study(jobs=(), sent=()), "nothing ran"), (study(jobs=("RUNNING",), sent=()), "under way"),
    (study(jobs=("FAILED",), sent=()), "failed"), (study(sent=("SENT", "DEAD")), "failed"),
    (study(sent=("SENT", "WAITING")), "under way"), (study(), "arrived"), (study(sent=("CONFIRMED",)), "arrived"),
    (study("HELD", (), ()), "nothing ran"), (study(jobs=("NOT_PROCESSED",)), "not read"),
])
def test_the_result_has_arrived_only_when_every_delivery_has(seen: Any, outcome: str) -> None:
    assert first_start.outcome(seen) == outcome
