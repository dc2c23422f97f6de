"""What an administrator reads off the overview follows from the facts, and what is not known is not made up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.rows import NOW

from radnode.node.delivery.outages import Outage
from radnode.node.overview import judging
from radnode.storage.present import Outgoing

GB = 10**9
AWAY = Outage(destination="PACS", since=NOW, failures=4, reason="refused", next_attempt_at=NOW + timedelta(minutes=1))


def alarm(kind: str, subject: str, severity: str = "error") -> dict[str, Any]:
    """As :meth:`Answers.alarms` gives it."""
    name = f"{kind}:{subject}"
    return {"name": name, "kind": kind, "subject": subject, "severity": severity, "text": f"{kind} is wrong",
            "since": NOW.isoformat()}


def test_a_destination_without_trouble_is_green_also_while_results_are_on_their_way() -> None:
    (found,) = judging.destinations(["PACS"], [], {"PACS": Outgoing(waiting=3, oldest=NOW)}, [alarm("silence", "PACS")])
    assert (found.light, found.reasons, found.waiting) == ("green", (), 3), "that it sends nothing is about the source"


def test_a_destination_is_red_with_why_and_since_when_it_does_not_answer_or_results_were_given_up() -> None:
    away, dead = judging.destinations(["PACS", "VIEWER"], [AWAY], {"VIEWER": Outgoing(dead=2)},
                                      [alarm("destination", "PACS")])
    assert (away.light, [each.why for each in away.reasons]) == ("red", ["away"]), "the alarm would say it twice"
    assert (away.reasons[0].since, away.reasons[0].text, away.next_attempt_at) == (NOW, "refused", AWAY.next_attempt_at)
    assert (dead.light, dead.reasons[0].number) == ("red", 2)


@pytest.mark.parametrize(("kind", "subject", "severity", "light"), [
    ("delivery-waits", "PACS", "warning", "amber"), ("form", "PACS:SEG", "warning", "amber"),
    ("patient", "PACS", "error", "red"), ("certificate-ends", "PACS", "warning", "amber"),
    ("destination", "PACS2", "error", "green"),
])
def test_an_alarm_about_a_destination_colours_it_by_its_severity(
    kind: str, subject: str, severity: str, light: str
) -> None:
    (found,) = judging.destinations(["PACS"], [], {}, [alarm(kind, subject, severity)])
    assert found.light == light


def test_results_for_a_destination_that_is_configured_no_more_are_still_shown() -> None:
    found = judging.destinations(["PACS"], [], {"OLD": Outgoing(dead=1), "PACS": Outgoing()}, [])
    assert [each.name for each in found] == ["PACS", "OLD"]


def test_a_source_tells_when_its_last_image_came_and_what_is_wrong_with_it() -> None:
    silent, fresh = judging.sources(["CT1", "CT2"], {"CT1": NOW}, [alarm("silence", "CT1"), alarm("jobs", "CT2")])
    assert (silent.light, silent.last, silent.reasons[0].text) == ("red", NOW, "silence is wrong")
    assert (fresh.light, fresh.last) == ("green", None)


def test_the_disk_says_how_long_it_lasts_only_where_the_rate_is_known() -> None:
    unknown = judging.space(free=100 * GB, total=200 * GB, reserve=10 * GB, a_day=None, kept_days=14)
    assert (unknown.lasts_days, unknown.enough) == (None, False)
    short = judging.space(free=100 * GB, total=200 * GB, reserve=10 * GB, a_day=30 * GB, kept_days=14)
    assert (short.lasts_days, short.enough) == (3.0, False)
    long = judging.space(free=100 * GB, total=200 * GB, reserve=10 * GB, a_day=5 * GB, kept_days=14)
    assert (long.lasts_days, long.enough) == (18.0, True)
    full = judging.space(free=5 * GB, total=200 * GB, reserve=10 * GB, a_day=GB, kept_days=14)
    assert (full.lasts_days, full.enough) == (0.0, False)


def test_quantiles_are_values_that_occurred_and_none_of_nothing() -> None:
    assert judging.quantile([], 0.5) is None
    assert judging.quantile([7.0], 0.95) == 7.0
    assert judging.quantile([float(each) for each in range(1, 101)], 0.95) == 95.0
    assert judging.quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
