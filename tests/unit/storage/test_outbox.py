from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from support.rows import (
    LEASE,
    MINUTE,
    NOW,
    close_all,
    digest_of,
    insert_job,
    job_over,
    lease_delivery,
    must_lease,
    must_lease_delivery,
    new_job,
    produce,
    receive,
    reception,
    result,
)

from radnode.storage import confirmations, outbox
from radnode.storage.outbox import DeliveryLost, DeliveryState
from radnode.storage.tables import DeliveryRow, ResultObjectRow

if TYPE_CHECKING:
    from datetime import datetime

    from radnode.storage.database import Database
    from radnode.storage.outbox import Delivery


@pytest.fixture
def queued(database: Database) -> Database:
    """A SEG, and a report that refers to it, for PACS."""
    job_over(database, 1)
    produce(database, must_lease(database), result("1.1"), result("1.2", 1, ["1.1", "1.2.3.1"]))
    return database


def _sent(database: Database, delivery: Delivery, now: datetime = NOW) -> None:
    with database.begin() as session:
        outbox.sent(session, delivery, 0x0000, now)


def _dead(database: Database, delivery: Delivery) -> None:
    with database.begin() as session:
        outbox.dead(session, delivery, "status 0x0122", NOW)


def _rows(database: Database) -> dict[str, tuple[str, str]]:
    """SOP Instance UID -> state and reason."""
    with database.read() as session:
        rows = session.execute(
            select(ResultObjectRow.sop_instance_uid, DeliveryRow.state, DeliveryRow.reason).join(
                DeliveryRow, DeliveryRow.result_object_id == ResultObjectRow.id
            )
        )
        return {uid: (state, reason) for uid, state, reason in rows}


def _states(database: Database) -> dict[str, str]:
    return {uid: state for uid, (state, _) in _rows(database).items()}


@pytest.mark.catalogue("R9")
def test_what_is_referred_to_is_sent_first_and_the_rest_waits_for_it(queued: Database) -> None:
    segmentation = must_lease_delivery(queued)
    assert (segmentation.form, segmentation.digest, segmentation.attempts) == ("SEG", digest_of("1.1"), 1)
    assert lease_delivery(queued) is None
    _sent(queued, segmentation)
    assert must_lease_delivery(queued).form == "TID1500"


@pytest.mark.catalogue("R9")
def test_a_report_is_not_sent_when_what_it_refers_to_is_refused_for_good(queued: Database) -> None:
    _dead(queued, must_lease_delivery(queued))
    assert lease_delivery(queued) is None
    state, reason = _rows(queued)["1.2"]
    assert (state, reason) == ("DEAD", "it refers to the SEG object that PACS does not have")


def test_a_report_that_refers_to_nothing_refused_is_sent(database: Database) -> None:
    job_over(database, 1)
    produce(database, must_lease(database), result("1.1"), result("1.2", 1, ["1.2.3.1"]))
    _dead(database, must_lease_delivery(database))
    assert must_lease_delivery(database).sop_instance_uid == "1.2"


def test_one_destination_waits_for_no_other(database: Database) -> None:
    job_over(database, 1, destinations=["PACS", "VIEWER"])
    produce(database, must_lease(database), result("1.1"), result("1.2", 1, ["1.1"]))
    _dead(database, must_lease_delivery(database, "PACS"))
    _sent(database, must_lease_delivery(database, "VIEWER"))
    assert must_lease_delivery(database, "VIEWER").sop_instance_uid == "1.2"


def test_nothing_is_sent_before_it_is_due(queued: Database) -> None:
    delivery = must_lease_delivery(queued)
    with queued.begin() as session:
        outbox.retry(session, delivery, "no answer", NOW + MINUTE)
    assert lease_delivery(queued) is None
    with queued.read() as session:
        assert outbox.destinations_due(session, NOW) == []  # the report is due, but waits for the segmentation
        assert outbox.destinations_waiting(session) == ["PACS"]
        assert outbox.encodings_waiting(session, "PACS") == {
            ("1.2.840.10008.5.1.4.1.1.0", "1.2.840.10008.1.2.1"), ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.1.2.1"),
        }  # fmt: skip
    again = must_lease_delivery(queued, now=NOW + MINUTE)
    assert (again.sop_instance_uid, again.digest, again.attempts) == ("1.1", delivery.digest, 2)


def test_a_sender_whose_lease_ended_changes_nothing(queued: Database) -> None:
    stale = must_lease_delivery(queued)
    with queued.begin() as session:
        assert outbox.reap(session, NOW + LEASE) == 0
        assert outbox.reap(session, NOW + LEASE + timedelta(seconds=1)) == 1
    current = must_lease_delivery(queued, now=NOW + MINUTE)
    assert (current.delivery_id, current.token) == (stale.delivery_id, stale.token + 1)
    for late in (_sent, _dead):
        with pytest.raises(DeliveryLost):
            late(queued, stale)
    _sent(queued, current)


def test_what_was_being_sent_when_the_node_died_is_sent_again(queued: Database) -> None:
    must_lease_delivery(queued)
    with queued.begin() as session:
        assert outbox.give_back(session, NOW) == 1
    assert must_lease_delivery(queued).sop_instance_uid == "1.1"


def test_what_arrived_is_looked_for_and_confirmed_once(queued: Database) -> None:
    _sent(queued, must_lease_delivery(queued))
    with queued.begin() as session:
        assert confirmations.unconfirmed(session, NOW, "VIEWER", 10) == []
        (delivery,) = confirmations.unconfirmed(session, NOW, "PACS", 10)
        confirmations.postpone_confirmation(session, delivery, NOW + MINUTE)
        assert confirmations.unconfirmed(session, NOW, "PACS", 10) == []
        (delivery,) = confirmations.unconfirmed(session, NOW + MINUTE, "PACS", 10)
        outbox.confirmed(session, delivery, NOW, "C-FIND")
        outbox.confirmed(session, delivery, NOW, "C-FIND")
    assert _states(queued)["1.1"] == "CONFIRMED"


def test_the_dead_are_listed_and_sent_again_from_the_beginning(queued: Database) -> None:
    delivery = must_lease_delivery(queued)
    _dead(queued, delivery)
    later = NOW + timedelta(days=4)
    with queued.begin() as session:
        dead = outbox.dead_deliveries(session)
        assert len(dead) == 2
        assert outbox.resend(session, dead, later) == dead
    again = must_lease_delivery(queued, now=later)
    assert (again.sop_instance_uid, again.digest) == (delivery.sop_instance_uid, delivery.digest)
    assert (again.attempts, again.created_at) == (1, later)


def test_what_was_confirmed_or_is_on_its_way_is_not_sent_again(queued: Database) -> None:
    delivery = must_lease_delivery(queued)
    with queued.begin() as session:
        assert outbox.resend(session, [delivery.delivery_id], NOW) == []
        outbox.sent(session, delivery, 0, NOW)
        outbox.confirmed(session, delivery, NOW, "C-FIND")
        assert outbox.resend(session, [delivery.delivery_id], NOW) == []


def _supersede(database: Database) -> None:
    recorded = receive(database, reception(1), reception(2))
    (series,) = close_all(database)
    insert_job(database, new_job("later", [each.instance_id for each in recorded], series=series))
    produce(database, must_lease(database), result("2.1"))


@pytest.mark.catalogue("R13")
@pytest.mark.parametrize("how", ["retry", "reap", "give_back"])
def test_what_is_superseded_on_its_way_is_not_sent_again(queued: Database, how: str) -> None:
    delivery = must_lease_delivery(queued)
    _supersede(queued)
    with queued.begin() as session:
        if how == "retry":
            outbox.retry(session, delivery, "cut", NOW)
        elif how == "reap":
            outbox.reap(session, NOW + MINUTE)
        else:
            outbox.give_back(session, NOW)
    assert _states(queued) == {"1.1": "WITHDRAWN", "1.2": "WITHDRAWN", "2.1": "WAITING"}


def test_what_is_superseded_cannot_be_sent_again_by_hand(queued: Database) -> None:
    delivery = must_lease_delivery(queued)
    _dead(queued, delivery)
    _supersede(queued)
    with queued.begin() as session:
        assert outbox.resend(session, [delivery.delivery_id], NOW) == []


def test_senders_that_ask_at_once_never_get_the_same_object(database: Database) -> None:
    for number in range(8):
        recorded = receive(database, reception(number, series=number))
        (series,) = close_all(database)
        insert_job(database, new_job(str(number), [recorded[0].instance_id], series=series))
        produce(database, must_lease(database), result(f"9.{number}"))
    with ThreadPoolExecutor(4) as pool:
        taken = [each.delivery_id for each in pool.map(lambda _: must_lease_delivery(database), range(8))]
    assert len(set(taken)) == 8


@pytest.mark.catalogue("R9")
def test_a_report_is_sent_again_by_hand_only_with_what_it_refers_to(queued: Database) -> None:
    segmentation = must_lease_delivery(queued)
    _dead(queued, segmentation)
    with queued.begin() as session:
        (report,) = set(outbox.dead_deliveries(session)) - {segmentation.delivery_id}
        assert outbox.resend(session, [report], NOW) == []
    assert _states(queued) == {"1.1": "DEAD", "1.2": "DEAD"}
    with queued.begin() as session:
        assert outbox.resend(session, [report, segmentation.delivery_id], NOW) == [segmentation.delivery_id, report]
    assert must_lease_delivery(queued).form == "SEG"


def test_a_report_is_sent_again_by_hand_when_what_it_refers_to_arrived(queued: Database) -> None:
    _sent(queued, must_lease_delivery(queued))
    report = must_lease_delivery(queued)
    _dead(queued, report)
    with queued.begin() as session:
        assert outbox.resend(session, [report.delivery_id], NOW) == [report.delivery_id]
    assert must_lease_delivery(queued).form == "TID1500"


@pytest.mark.catalogue("R9")
def test_a_report_that_was_on_its_way_when_its_segmentation_was_given_up_is_not_sent_again(database: Database) -> None:
    job_over(database, 1)
    produce(database, must_lease(database), result("1.1"), result("1.2", 1, references=["1.1"]))
    segmentation = must_lease_delivery(database)
    with database.begin() as session:
        outbox.sent(session, segmentation, 0, NOW)
    report = must_lease_delivery(database)
    with database.begin() as session:
        outbox.dead(session, segmentation, "not listed", NOW, was=DeliveryState.SENT)
        outbox.retry(session, report, "status 0xA700", NOW)

    assert lease_delivery(database) is None
    with database.read() as session:
        assert set(session.scalars(select(DeliveryRow.state))) == {"DEAD"}
