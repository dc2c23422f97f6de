"""A destination that takes no label map gets what it takes, once, and everybody else gets nothing twice."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update
from support.rows import (
    MINUTE,
    NOW,
    digest_of,
    job_over,
    lease_delivery,
    must_lease,
    must_lease_delivery,
    named,
)

from radnode.storage import jobs, outbox, retention, rewrites
from radnode.storage.outbox import DeliveryLost
from radnode.storage.rewrites import NotReplaceable
from radnode.storage.tables import DeliveryRow, ResultObjectRow, RewriteRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.storage.database import Database
    from radnode.storage.outbox import Delivery

LABEL_MAP = ("LABELMAP", "TID1500+LABELMAP")
BINARY = ("SEG", "TID1500+SEG")
PICTURES = ("SC", "TID1500")


@pytest.fixture
def produced(database: Database) -> Database:
    """PACS and OTHER wait for a label map and its report."""
    job_over(database, 1, destinations=["PACS", "OTHER"])
    _produce(database)
    return database


def _produce(database: Database, findings: str | None = "findings") -> None:
    job = must_lease(database)
    with database.begin() as session:
        jobs.produced(
            session, job.job_id, job.token, objects=[named(name) for name in LABEL_MAP],
            destinations=dict.fromkeys(job.destinations, LABEL_MAP), report={}, now=NOW,
            findings_digest=digest_of(findings) if findings else None,
        )


def _replace(database: Database, names: Sequence[str] = BINARY, instead: str = "SEG") -> rewrites.Rewrite:
    """PACS refuses what comes next."""
    _replace_this(database, must_lease_delivery(database), names, instead)
    with database.begin() as session:
        rewrite = rewrites.next_rewrite(session)
    assert rewrite is not None
    return rewrite


def _replace_this(
    database: Database, delivery: Delivery, names: Sequence[str] = BINARY, instead: str = "SEG"
) -> None:
    with database.begin() as session:
        rewrites.replace(session, delivery, names, instead=instead, status=0x0122, reason="status 0x0122", now=NOW)


def _written(database: Database, rewrite: rewrites.Rewrite, names: Sequence[str] = BINARY) -> None:
    with database.begin() as session:
        rewrites.rewritten(session, rewrite, [named(name) for name in names], NOW)


def _not_written(database: Database, rewrite: rewrites.Rewrite, *, again: bool = False) -> None:
    with database.begin() as session:
        rewrites.not_rewritten(session, rewrite, "an image cannot be read", NOW, again=again)


def _send_next(database: Database) -> None:
    delivery = must_lease_delivery(database)
    with database.begin() as session:
        outbox.sent(session, delivery, 0, NOW)


def _states(database: Database, destination: str = "PACS") -> dict[str, str]:
    with database.read() as session:
        rows = session.execute(
            select(ResultObjectRow.name, DeliveryRow.state)
            .join(DeliveryRow, DeliveryRow.result_object_id == ResultObjectRow.id)
            .where(DeliveryRow.destination == destination)
        )
        return {row.name: row.state for row in rows}


def _reason(database: Database, name: str) -> str:
    with database.read() as session:
        return str(session.scalar(
            select(DeliveryRow.reason)
            .join(ResultObjectRow, DeliveryRow.result_object_id == ResultObjectRow.id)
            .where(ResultObjectRow.name == name, DeliveryRow.destination == "PACS")
        ))


def _supersede(database: Database, job: jobs.LeasedJob) -> None:
    """The job of the next revision, with a late image, has its answer."""
    with database.begin() as session:
        jobs.not_processed(session, job.job_id, job.token, "no lung", {}, NOW)


def test_what_was_refused_and_what_refers_to_it_is_replaced_for_that_destination_alone(produced: Database) -> None:
    assert _replace(produced).names == BINARY
    assert _states(produced) == {"LABELMAP": "REPLACED", "TID1500+LABELMAP": "REPLACED"}
    assert _states(produced, "OTHER") == {"LABELMAP": "WAITING", "TID1500+LABELMAP": "WAITING"}
    assert _reason(produced, "LABELMAP") == _reason(produced, "TID1500+LABELMAP") == "replaced by SEG: status 0x0122"


def test_what_was_replaced_is_neither_sent_nor_resent_nor_dead(produced: Database) -> None:
    _replace(produced)
    assert lease_delivery(produced) is None
    with produced.begin() as session:
        assert outbox.resend(session, [1, 2, 3, 4], NOW) == []
        assert outbox.dead_deliveries(session) == []


def test_what_is_written_instead_is_sent_to_that_destination_alone(produced: Database) -> None:
    _written(produced, _replace(produced))
    assert _states(produced)["SEG"] == _states(produced)["TID1500+SEG"] == "WAITING"
    assert set(_states(produced, "OTHER")) == set(LABEL_MAP)
    with produced.begin() as session:
        assert rewrites.next_rewrite(session) is None


def test_a_chain_of_refusals_ends_in_what_the_destination_takes(produced: Database) -> None:
    _written(produced, _replace(produced))
    _written(produced, _replace(produced, PICTURES, "SC"), PICTURES)
    assert _states(produced) == {
        "LABELMAP": "REPLACED", "TID1500+LABELMAP": "REPLACED", "SEG": "REPLACED", "TID1500+SEG": "REPLACED",
        "SC": "WAITING", "TID1500": "WAITING",
    }
    with produced.read() as session:
        # The reports were never offered, so it is not known to refuse them.
        assert rewrites.refused_of_job(session, 1, "PACS") == {"LABELMAP", "SEG"}
        assert rewrites.refused_of_job(session, 1, "OTHER") == set()


def test_writing_again_after_a_crash_sends_nothing_twice_and_keeps_the_bytes(produced: Database) -> None:
    """The node may die after the transaction and before anybody knows of it."""
    rewrite = _replace(produced)
    _written(produced, rewrite)
    with produced.begin() as session:
        before = list(session.execute(select(ResultObjectRow.sop_instance_uid, ResultObjectRow.digest)))
        session.execute(update(RewriteRow).values(state="WAITING"))
        session.execute(update(DeliveryRow).where(DeliveryRow.state == "WAITING").values(state="SENT"))
    other_bytes = [replace(named(name), digest=digest_of(f"{name} written later")) for name in BINARY]
    with produced.begin() as session:
        rewrites.rewritten(session, rewrite, other_bytes, NOW)
    with produced.read() as session:
        assert list(session.execute(select(ResultObjectRow.sop_instance_uid, ResultObjectRow.digest))) == before
    assert set(_states(produced).values()) == {"REPLACED", "SENT"}


def test_a_rewrite_is_found_again_until_it_is_recorded(produced: Database) -> None:
    rewrite = _replace(produced)
    with produced.begin() as session:
        assert rewrites.next_rewrite(session) == rewrite


def test_what_cannot_be_written_again_is_dead_with_the_reason(produced: Database) -> None:
    _not_written(produced, _replace(produced))
    assert set(_states(produced).values()) == {"DEAD"}
    assert "an image cannot be read" in _reason(produced, "LABELMAP")


def test_where_the_other_form_has_nothing_to_show_the_refused_one_is_dead(produced: Database) -> None:
    """Else the destination would get nothing, and nobody would know."""
    _written(produced, _replace(produced), names=["TID1500+SEG"])
    assert _states(produced) == {"LABELMAP": "DEAD", "TID1500+LABELMAP": "REPLACED", "TID1500+SEG": "WAITING"}
    assert "SEG has nothing to show" in _reason(produced, "LABELMAP")


def test_what_was_replaced_with_success_stays_so_when_a_later_rewrite_fails(produced: Database) -> None:
    _written(produced, _replace(produced))
    _send_next(produced)
    _not_written(produced, _replace(produced, ("SEG", "COMPREHENSIVE+SEG"), "COMPREHENSIVE"))
    assert _states(produced) == {
        "LABELMAP": "REPLACED", "TID1500+LABELMAP": "REPLACED", "SEG": "SENT", "TID1500+SEG": "DEAD",
    }


def test_a_lost_worker_gets_a_second_chance_and_no_third(produced: Database) -> None:
    rewrite = _replace(produced)
    for expected in ("WAITING", "FAILED"):
        _not_written(produced, rewrite, again=True)
        with produced.read() as session:
            assert session.scalar(select(RewriteRow.state)) == expected


def test_a_node_that_dies_while_it_writes_uses_up_no_chance(produced: Database) -> None:
    rewrite = _replace(produced)
    for _ in range(5):
        with produced.begin() as session:
            assert rewrites.next_rewrite(session) == rewrite
    _not_written(produced, rewrite, again=True)
    with produced.read() as session:
        assert session.scalar(select(RewriteRow.state)) == "WAITING"


def test_without_kept_findings_nothing_is_replaced(database: Database) -> None:
    job_over(database, 1)
    _produce(database, findings=None)
    with pytest.raises(NotReplaceable, match="findings are not kept"):
        _replace_this(database, must_lease_delivery(database))
    assert _states(database) == {"LABELMAP": "SENDING", "TID1500+LABELMAP": "WAITING"}


def test_a_stale_sender_replaces_nothing(produced: Database) -> None:
    stale = must_lease_delivery(produced)
    with produced.begin() as session:
        outbox.give_back(session, NOW)
    must_lease_delivery(produced)
    with pytest.raises(DeliveryLost):
        _replace_this(produced, stale)
    with produced.begin() as session:
        assert rewrites.next_rewrite(session) is None


def test_a_later_revision_stops_the_rewriting_of_an_earlier_one(produced: Database) -> None:
    rewrite = _replace(produced)
    job_over(produced, 1, 2, key="revision 2")
    _supersede(produced, must_lease(produced))
    _written(produced, rewrite)
    assert _states(produced) == {"LABELMAP": "REPLACED", "TID1500+LABELMAP": "REPLACED"}
    with produced.begin() as session:
        assert rewrites.next_rewrite(session) is None


def test_a_rewriting_that_fails_after_a_later_revision_raises_no_alarm(produced: Database) -> None:
    rewrite = _replace(produced)
    job_over(produced, 1, 2, key="revision 2")
    _supersede(produced, must_lease(produced))
    _not_written(produced, rewrite)
    with produced.read() as session:
        assert outbox.dead_deliveries(session) == []


def test_a_refusal_after_a_later_revision_is_not_replaced(produced: Database) -> None:
    delivery = must_lease_delivery(produced)
    job_over(produced, 1, 2, key="revision 2")
    _supersede(produced, must_lease(produced))
    with pytest.raises(NotReplaceable, match="SUPERSEDED"):
        _replace_this(produced, delivery)


def test_a_later_revision_that_comes_just_then_leaves_nothing_of_the_earlier_one_to_send(produced: Database) -> None:
    rewrite = _replace(produced)
    job_over(produced, 1, 2, key="revision 2")
    later = threading.Thread(target=_supersede, args=(produced, must_lease(produced)))
    with produced.begin() as session:
        rewrites.rewritten(session, rewrite, [named(name) for name in BINARY], NOW)
        later.start()
        later.join(1)  # it may not get in between
    later.join()
    assert "WAITING" not in _states(produced).values()


def test_images_are_kept_as_long_as_they_are_to_be_read_again(produced: Database) -> None:
    class NoFiles:
        def remove(self, _digest: str) -> None: ...

        def note(self, _entries: object) -> None: ...

        def flush_notes(self) -> None: ...

    rewrite = _replace(produced)
    with produced.begin() as session:
        session.execute(update(DeliveryRow).where(DeliveryRow.state == "WAITING").values(state="SENT"))
    later = NOW + 1000 * MINUTE
    assert retention.expire(produced, NoFiles(), later, later, 10) == 0  # type: ignore[arg-type]
    _not_written(produced, rewrite)
    assert retention.expire(produced, NoFiles(), later, later, 10) == 1  # type: ignore[arg-type]
