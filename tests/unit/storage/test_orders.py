"""What is kept of messages and orders, on either database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from support import rows
from support.rows import NOW, receive, reception

from radnode.storage import catalog, listing, orders, workitems
from radnode.storage.orders import NewMessage, Order, PatientChange, StudyContext
from radnode.storage.tables import ResultObjectRow

if TYPE_CHECKING:
    from radnode.storage.database import Database

MESSAGE = NewMessage(sender="RIS", application="A", facility="F", control_id="1", kind="ORM^O01", digest="a" * 64)
ORDER = Order(accession_number="A-1", number="O-1", patients=(("P1", "H", ""),), reason="Cough", said_at="20260302")


def test_a_control_id_is_taken_once_for_each_sender_and_application(database: Database) -> None:
    with database.begin() as session:
        assert orders.record_message(session, MESSAGE, NOW) is not None
        assert orders.record_message(session, MESSAGE, NOW) is None
        assert orders.record_message(session, replace(MESSAGE, application="B"), NOW) is not None
        assert orders.record_message(session, replace(MESSAGE, sender="HIS"), NOW) is not None
        assert orders.digest_of_message(session, MESSAGE) == "a" * 64


def test_an_order_says_what_was_said_last_whenever_it_arrives(database: Database) -> None:
    with database.begin() as session:
        assert orders.store_order(session, "RIS", ORDER, NOW)
        assert orders.store_order(session, "RIS", replace(ORDER, reason="Fever", said_at="20260303"), NOW)
        assert not orders.store_order(session, "RIS", replace(ORDER, reason="Late", said_at="20260301"), NOW)
    with database.read() as session:
        assert [(sender, each.reason, each.patients) for sender, each in orders.orders_of(session, "A-1")] == [
            ("RIS", "Fever", (("P1", "H", ""),))]


def test_a_context_is_news_once(database: Database) -> None:
    receive(database, reception())
    context = StudyContext(sender="RIS", context={"priority": "stat"}, conflict="")
    with database.begin() as session:
        assert orders.keep_context(session, 1, context, NOW)
        assert not orders.keep_context(session, 1, context, NOW)
        assert orders.context_of(session, 1) == context
        assert orders.keep_context(session, 1, replace(context, context={}, conflict="no"), NOW)
        assert orders.conflicts_since(session, NOW - timedelta(days=1)) == {"RIS": 1}
        assert orders.keep_context(session, 1, None, NOW)
        assert not orders.keep_context(session, 1, None, NOW)


def test_what_is_old_is_forgotten(database: Database) -> None:
    with database.begin() as session:
        number = orders.record_message(session, MESSAGE, NOW)
        assert number is not None
        orders.store_change(session, number, PatientChange(event="A08", patients=(("P1", "", ""),)), NOW)
        orders.store_order(session, "RIS", ORDER, NOW)
        assert orders.forget(session, NOW) == 0
        assert orders.forget(session, NOW + timedelta(days=1)) == 2


def test_a_message_is_no_object_of_a_study_nor_an_output_of_a_work_item(database: Database) -> None:
    rows.job_over(database, 1)
    with database.begin() as session:
        unread = catalog.unindexed(session, 9)
        catalog.store_headers(session, [(each.instance_id, {"Modality": "CT"}) for each in unread])
    message = replace(rows.result("1.9.2"), name="ORU", form="ORU", sop_class_uid="", transfer_syntax_uid="")
    rows.produce(database, rows.must_lease(database), rows.result("1.9.1"), message)

    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(ResultObjectRow)) == 2
        assert [each.digest for each in listing.unlisted_results(session, 0, 10)] == [rows.result("1.9.1").digest]
        (outcome,) = workitems.outcomes(session, [1])
    assert [uid for _, _, uid in outcome.objects] == ["1.9.1"]
