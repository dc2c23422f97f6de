"""What follows from what a destination says of a result that it was asked to commit to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnode.node.delivery.commitment import TIME_OUT, Said, Verdict, decide, in_words, said_by

MINUTE = timedelta(minutes=1)
DAY = TIME_OUT


@pytest.mark.catalogue("R8")
@pytest.mark.parametrize(
    ("failure", "said"),
    [(None, Said.COMMITTED), (0x0110, Said.BUSY), (0x0112, Said.MISSING), (0x0119, Said.CONFLICT),
     (0x0122, Said.REFUSED), (0x0131, Said.BUSY), (0x0213, Said.BUSY), (0xC999, Said.REFUSED)],
)
def test_every_failure_reason_says_something(failure: int | None, said: Said) -> None:
    assert said_by(failure) is said
    assert failure is None or f"0x{failure:04X}" in in_words(failure)


@pytest.mark.catalogue("R8")
@pytest.mark.parametrize(
    ("said", "asked_for", "answers_find", "verdict"),
    [
        (Said.COMMITTED, 2 * DAY, False, Verdict.PROVEN),
        (Said.MISSING, MINUTE, True, Verdict.SEND_AGAIN),
        (Said.MISSING, 2 * DAY, False, Verdict.SEND_AGAIN),
        (Said.CONFLICT, MINUTE, True, Verdict.DEAD),
        (Said.REFUSED, MINUTE, True, Verdict.LOOK),
        (Said.REFUSED, MINUTE, False, Verdict.DEAD),
        (Said.BUSY, MINUTE, True, Verdict.ASK_AGAIN),
        (Said.BUSY, DAY, True, Verdict.LOOK),
        (Said.BUSY, DAY, False, Verdict.DEAD),
        (Said.NOT_OFFERED, MINUTE, True, Verdict.LOOK),
        (Said.NOT_OFFERED, MINUTE, False, Verdict.ASK_AGAIN),
        (Said.NOT_OFFERED, DAY, False, Verdict.DEAD),
        (Said.SILENT, DAY, True, Verdict.LOOK),
        (Said.SILENT, DAY, False, Verdict.DEAD),
    ],
)
def test_what_is_said_has_this_consequence(
    said: Said, asked_for: timedelta, answers_find: bool, verdict: Verdict
) -> None:
    assert decide(said, asked_for=asked_for, answers_find=answers_find) is verdict


@given(
    said=st.sampled_from(Said), asked_for=st.timedeltas(min_value=timedelta(), max_value=3 * DAY), find=st.booleans()
)
def test_only_a_commitment_proves_and_nothing_is_asked_about_for_ever(
    said: Said, asked_for: timedelta, find: bool
) -> None:
    verdict = decide(said, asked_for=asked_for, answers_find=find)
    assert (verdict is Verdict.PROVEN) == (said is Said.COMMITTED)
    assert verdict is not Verdict.LOOK or find
    assert verdict is not Verdict.ASK_AGAIN or asked_for < TIME_OUT
