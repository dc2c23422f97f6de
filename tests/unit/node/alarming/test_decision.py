"""From each fact the alarm that an administrator expects, and from none no alarm."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.rows import NOW
from support.sources import REPOSITORY

from radnode.config.alarms import AlarmSettings
from radnode.config.peers import Expectation, Peer
from radnode.node.alarming.decision import OTHERS, Facts, Tables, alarms
from radnode.node.alarming.kinds import KINDS, kind_of, public_words
from radnode.node.alarms import Alarm
from radnode.node.security.validity import Validity
from radnode.storage.ledger import Balance
from radnode.storage.symptoms import Some

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR = timedelta(hours=1)
BALANCED = Balance(acknowledged=5, states={"PROCESSED": 5}, receptions=5, difference=0)
OFF_BY_ONE = Balance(acknowledged=6, states={"PROCESSED": 5}, receptions=6, difference=1)
CT2 = Peer(name="CT2", ae_title="CT2", host="10.0.0.2", port=104, sends=True)
WELL = Facts(
    tables=Tables(balance=BALANCED), started_at=NOW - timedelta(days=9), free_bytes=10**12, reserve_bytes=10**9
)


def some(hours_ago: float, number: int = 1) -> Some:
    """So many, the first so long ago."""
    return Some(number=number, since=NOW - hours_ago * HOUR, study_instance_uid="1.2.5.1", reason="two of one")


def found(facts: Facts, peers: Mapping[str, Peer] | None = None) -> dict[str, str]:
    """Name -> text."""
    decided = alarms(facts, AlarmSettings(), {"CT2": CT2} if peers is None else peers, NOW)
    return {alarm.name: alarm.text for alarm in decided}


def tables(**changed: Any) -> Facts:
    """A node that is well but for this."""
    return replace(WELL, tables=replace(WELL.tables, **changed))


def ending(in_days: float | None, *more: Validity) -> Facts:
    """A certificate of the node that is good for so long, or not readable."""
    own = Validity(
        owner="node", what="certificate", path=Path("node.pem"), failure="" if in_days is not None else "no such file",
        ends_at=None if in_days is None else NOW + timedelta(days=in_days),
    )
    return replace(WELL, certificates=(own, *more))


@pytest.mark.catalogue("C12")
def test_a_certificate_is_an_alarm_30_days_before_its_end_and_a_worse_one_7_days_before() -> None:
    names = {days: [*found(ending(days))] for days in (31, 30, 29, 8, 7, 6, 0.1, -1, None)}
    soon, now = ["certificate-ends:node"], ["certificate:node"]
    assert names == {31: [], 30: [], 29: soon, 8: soon, 7: soon, 6: now, 0.1: now, -1: now, None: now}
    assert "ended on" in found(ending(-1))["certificate:node"]
    assert found(ending(None)) == {"certificate:node": "no such file"}
    assert kind_of("certificate:node").severity == "error"
    assert kind_of("certificate-ends:node").severity == "warning"
    authority = replace(ending(3).certificates[0], what="authority")
    assert found(ending(20, authority)).keys() == {"certificate:node"}, "the worst of them"


def test_a_node_that_is_well_has_no_alarm() -> None:
    assert found(WELL) == {}


RAISED = {
    "ledger": (tables(balance=OFF_BY_ONE), "6 images were acknowledged but their states sum up to 5"),
    "volume": (replace(WELL, volume="/data: the volume failed with errno 5"), "errno 5"),
    "disk": (replace(WELL, free_bytes=10**9 - 1), "A700"),
    "disk-low": (replace(WELL, free_bytes=2 * 10**9 - 1), "2.0 GB free, the reserve is 1.0 GB"),
    "refusals:CT2": (replace(WELL, refused={"CT2": 3}), "3 objects of CT2 were refused"),
    "unreadable:CT2": (tables(unreadable={"CT2": some(1)}), "1 images of CT2"),
    "headers": (tables(oldest_header=NOW - timedelta(minutes=2)), "wait since"),
    "held:CT2": (tables(held={"CT2": some(0.5, 2)}), "2 series of CT2 lack images"),
    "conflict:CT2": (tables(conflicts={"CT2": some(0)}), "1.2.5.1: two of one"),
    "jobs:ct-lung": (tables(failed_jobs={"ct-lung": some(2)}), "1 jobs of ct-lung failed"),
    "late:ct-lung": (tables(late_jobs={"ct-lung": some(1, 2)}), "2 results of ct-lung are late"),
    "jobs-waiting": (tables(oldest_job=NOW - HOUR), "waits for a worker"),
    "deliveries": (tables(dead_deliveries=2, partially_delivered=1), "2 not delivered, given up, 1 jobs are partially"),
    "patient:PACS": (
        tables(held_back={"PACS": Some(number=2, since=NOW, reason="held back: another Patient ID")}),
        "2 results: held back: another Patient ID",
    ),
    "strangers:CT2": (replace(WELL, strangers={"10.0.0.2": 3}), "CT2 could not show 3 times who it is"),
    f"strangers:{OTHERS}": (replace(WELL, strangers={"10.9.9.9": 2, "10.9.9.8": 1}), "3 times"),
    "certificate-ends:node": (ending(29), "the certificate of node ends on"),
    "certificate:node": (ending(6.9), "the certificate of node ends on"),
    "delivery-waits:PACS": (tables(waiting_deliveries={"PACS": some(1, 4)}), "4 results wait for PACS"),
}


@pytest.mark.parametrize("name", RAISED)
def test_each_fault_is_one_alarm_that_says_what_and_where(name: str) -> None:
    facts, words = RAISED[name]
    assert list(found(facts)) == [name]
    assert words in found(facts)[name]


@pytest.mark.parametrize(
    "facts",
    [
        replace(WELL, free_bytes=2 * 10**9),
        replace(WELL, strangers={"10.0.0.2": 2}),
        tables(oldest_header=NOW - timedelta(minutes=1)),
        tables(held={"CT2": some(0.4)}),
        tables(oldest_job=NOW - 0.9 * HOUR),
        tables(waiting_deliveries={"PACS": some(0.9)}),
    ],
)
def test_what_has_not_lasted_long_enough_is_no_alarm(facts: Facts) -> None:
    assert found(facts) == {}


def test_what_a_part_of_the_process_reports_is_an_alarm_as_it_stands() -> None:
    said = Alarm(name="destination:PACS", text="no connection", since=NOW - HOUR)
    assert alarms(replace(WELL, reported=(said,)), AlarmSettings(), {}, NOW) == [said]


def test_the_name_of_an_unknown_sender_is_not_repeated() -> None:
    facts = tables(unreadable={"MILLER^ANNA": some(1), "X": some(2, 3)}, conflicts={"MILLER^ANNA": some(1)})
    assert found(facts).keys() == {f"unreadable:{OTHERS}", f"conflict:{OTHERS}"}
    assert found(facts)[f"unreadable:{OTHERS}"].startswith("4 images of unknown senders")
    assert "MILLER" not in str(found(facts))


def _reported() -> set[str]:
    """Kinds whose text parts of the node write, wherever they are."""
    found = {"database"}
    for path in (REPOSITORY / "node").rglob("*.py"):
        text = path.read_text()
        found |= set(re.findall(r'_?(?:alarms|reported)\.set\(\s*f?"([a-z-]+)[:"]', text))
        found |= set(re.findall(r'^(?:FORM_ALARMS|ALARM) = "([a-z-]+):?"', text, re.MULTILINE))
        if "return f\"destination:{destination}\"" in text:
            found.add("destination")
    return found


def test_every_kind_is_decided_here_or_reported_by_a_part_of_the_node() -> None:
    """And every name that the code reports has a kind: else nobody would know what to do."""
    decided = {name.partition(":")[0] for name in RAISED} | {"silence"}
    assert decided | _reported() == set(KINDS)


@pytest.mark.goal("names")
def test_what_others_write_is_not_told_unless_it_is_known_to_hold_no_words_of_peers_and_no_uid() -> None:
    ours = {"restart", "clock", "log"}
    assert {name for name in _reported() if not KINDS[name].quotes} == ours


@pytest.mark.goal("names")
def test_what_may_hold_words_of_others_is_told_in_our_own_words() -> None:
    """An Error Comment, an exception or a file name may hold a patient's name (I10)."""
    assert public_words("destination:PACS", "status 0xC000 MILLER^ANNA") == kind_of("destination").says
    assert public_words("disk", "1 GB free") == "1 GB free"


# --- silence


def expecting(**changed: Any) -> dict[str, Peer]:
    """CT2, of which something is expected every two hours."""
    return {"CT2": CT2.model_copy(update={"expect": Expectation.model_validate({"every": "2 h", **changed})})}


def heard(hours_ago: float | None, *, started_hours_ago: float = 100, standing: bool = False) -> Facts:
    """When CT2 was heard last, how long the node runs, and whether its silence is an alarm already."""
    return replace(
        tables(
            heard={} if hours_ago is None else {"CT2": NOW - hours_ago * HOUR},
            standing=frozenset({"silence:CT2"} if standing else ()),
        ),
        started_at=NOW - started_hours_ago * HOUR,
    )


def test_a_source_that_sent_nothing_for_two_hours_is_silent() -> None:
    assert found(heard(1.99), expecting()) == {}
    assert found(heard(2), expecting()) == {
        "silence:CT2": "no images from CT2 for 2 h of its expected hours; the last came 2026-03-01 10:00 UTC"
    }


def test_a_source_of_which_nothing_is_expected_is_never_silent() -> None:
    assert found(heard(1000)) == {}


def test_a_source_that_never_sent_anything_is_silent_two_hours_after_the_start() -> None:
    assert found(heard(None, started_hours_ago=1.9), expecting()) == {}
    assert "none ever came" in found(heard(None, started_hours_ago=2), expecting())["silence:CT2"]


def test_while_the_node_was_down_nobody_was_silent() -> None:
    assert found(heard(50, started_hours_ago=1), expecting()) == {}


def test_a_restart_does_not_end_a_silence() -> None:
    assert "silence:CT2" in found(heard(50, started_hours_ago=0, standing=True), expecting())
    assert "silence:CT2" in found(heard(None, started_hours_ago=0, standing=True), expecting())


def test_one_image_ends_it() -> None:
    assert found(heard(0, standing=True), expecting()) == {}


def test_a_silence_stays_an_alarm_after_the_expected_hours() -> None:
    """NOW is noon: work ended at 11, the last image came at 8."""
    hours = expecting(between="07:00-11:00")
    assert "silence:CT2" in found(heard(4), hours)
    assert found(heard(2), hours) == {}, "one expected hour of two has passed since 10"
