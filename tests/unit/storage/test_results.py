"""A destination that takes no label map gets what it takes, once, and everybody else gets nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from support.rows import (
    LEASE,
    MINUTE,
    NOW,
    digest_of,
    job_over,
    lease_delivery,
    must_lease,
    must_lease_delivery,
)

from radnode.storage import jobs, outbox, results, retention
from radnode.storage.results import NewResultObject
from radnode.storage.tables import DeliveryRow, InstanceRow, ResultObjectRow, RewriteRow

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.storage.database import Database

LABEL_MAP = ("LABELMAP", "TID1500+LABELMAP")
BINARY = ("SEG", "TID1500+SEG")


def _object(name: str) -> NewResultObject:
    form = name.split("+", maxsplit=1)[0]
    return NewResultObject(
        name=name, form=form, order=7 if form == "TID1500" else 0, sop_class_uid=f"1.2.{len(form)}",
        sop_instance_uid=f"1.9.{digest_of(name)[:8]}".replace("a", "1"), series_instance_uid="1.9",
        transfer_syntax_uid="1.2.840.10008.1.2.1", digest=digest_of(name), size_bytes=10, references=[],
    )


@pytest.fixture
def refused(database: Database) -> Database:
    """PACS refused the label map; OTHER, too, waits for it."""
    job_over(database, 1, destinations=["PACS", "OTHER"])
    job = must_lease(database)
    with database.begin() as session:
        jobs.produced(
            session, job.job_id, job.token, objects=[_object(name) for name in LABEL_MAP],
            destinations={"PACS": LABEL_MAP, "OTHER": LABEL_MAP}, report={}, now=NOW,
            findings_digest=digest_of("findings"),
        )
    return database


def _replace(database: Database) -> None:
    delivery = must_lease_delivery(database)
    with database.begin() as session:
        assert results.replace(session, delivery.job_id, "PACS", BINARY, "no context", NOW)
        outbox.replaced(session, delivery, 0, "no context")


def _states(database: Database, destination: str = "PACS") -> dict[str, str]:
    with database.read() as session:
        rows = session.execute(
            select(ResultObjectRow.name, DeliveryRow.state)
            .join(DeliveryRow, DeliveryRow.result_object_id == ResultObjectRow.id)
            .where(DeliveryRow.destination == destination)
        )
        return {row.name: row.state for row in rows}


def _rewrite(database: Database) -> results.Rewrite:
    with database.begin() as session:
        rewrite = results.next_rewrite(session)
    assert rewrite is not None
    return rewrite


def test_what_was_refused_and_what_refers_to_it_is_replaced_for_that_destination_alone(refused: Database) -> None:
    _replace(refused)
    assert _states(refused) == {"LABELMAP": "REPLACED", "TID1500+LABELMAP": "REPLACED"}
    assert _states(refused, "OTHER") == {"LABELMAP": "WAITING", "TID1500+LABELMAP": "WAITING"}
    assert lease_delivery(refused) is None
    assert _rewrite(refused).names == BINARY


def test_what_is_written_instead_is_sent_to_that_destination_alone(refused: Database) -> None:
    _replace(refused)
    rewrite = _rewrite(refused)
    with refused.begin() as session:
        results.rewritten(session, rewrite, [_object(name) for name in BINARY], NOW)
    assert _states(refused)["SEG"] == _states(refused)["TID1500+SEG"] == "WAITING"
    assert set(_states(refused, "OTHER")) == set(LABEL_MAP)
    with refused.begin() as session:
        assert results.next_rewrite(session) is None


def test_writing_again_after_a_crash_sends_nothing_twice(refused: Database) -> None:
    _replace(refused)
    for _ in range(2):
        rewrite = results.Rewrite(rewrite_id=1, job_id=1, destination="PACS", names=BINARY)
        with refused.begin() as session:
            results.rewritten(session, rewrite, [_object(name) for name in BINARY], NOW)
    with refused.read() as session:
        assert len(list(session.scalars(select(ResultObjectRow.id)))) == 4
        assert len(list(session.scalars(select(DeliveryRow.id)))) == 6


def test_what_cannot_be_written_again_is_dead_with_the_reason(refused: Database) -> None:
    _replace(refused)
    rewrite = _rewrite(refused)
    with refused.begin() as session:
        results.not_rewritten(session, rewrite, "an image cannot be read", NOW, again=False)
    assert set(_states(refused).values()) == {"DEAD"}
    with refused.read() as session:
        assert "an image cannot be read" in str(session.scalar(select(DeliveryRow.reason).where(DeliveryRow.id == 1)))


def test_a_lost_worker_gets_a_second_chance_and_no_third(refused: Database) -> None:
    _replace(refused)
    for expected in ("WAITING", "FAILED"):
        rewrite = _rewrite(refused)
        with refused.begin() as session:
            results.not_rewritten(session, rewrite, "signal 9", NOW, again=True)
        with refused.read() as session:
            assert session.scalar(select(RewriteRow.state)) == expected


def test_without_kept_findings_nothing_is_replaced(database: Database) -> None:
    job_over(database, 1)
    job = must_lease(database)
    with database.begin() as session:
        jobs.produced(session, job.job_id, job.token, objects=[_object("LABELMAP")],
                      destinations={"PACS": LABEL_MAP}, report={}, now=NOW)
    with database.begin() as session:
        assert not results.replace(session, job.job_id, "PACS", BINARY, "no context", NOW)
    assert _states(database) == {"LABELMAP": "WAITING"}


def test_images_are_kept_as_long_as_they_are_to_be_read_again(refused: Database, tmp_path: Path) -> None:
    class NoFiles:
        def remove(self, _digest: str) -> None: ...

    with refused.begin() as session:
        session.execute(DeliveryRow.__table__.update().values(state="SENT"))
        session.execute(RewriteRow.__table__.insert().values(
            job_id=1, destination="PACS", names=list(BINARY), state="WAITING", reason="", attempts=0, created_at=NOW))
    later = NOW + 1000 * MINUTE
    assert retention.expire(refused, NoFiles(), later, later, 10) == 0  # type: ignore[arg-type]
    with refused.begin() as session:
        session.execute(RewriteRow.__table__.update().values(state="DONE"))
    assert retention.expire(refused, NoFiles(), later, later, 10) == 1  # type: ignore[arg-type]
    with refused.read() as session:
        assert session.scalar(select(InstanceRow.state)) == "EXPIRED"


def test_a_refused_form_is_remembered_until_the_peer_changes_or_somebody_asks(database: Database) -> None:
    with database.begin() as session:
        results.remember_refusal(session, "PACS", "LABELMAP", "digest 1", "no context", NOW)
        results.remember_refusal(session, "PACS", "LABELMAP", "digest 1", "no context, again", NOW + LEASE)
    with database.read() as session:
        assert results.refusals(session, "PACS", "digest 1") == {"LABELMAP"}
        assert results.refusals(session, "PACS", "digest 2") == set()
        assert results.refusals(session, "OTHER", "digest 1") == set()
        (remembered,) = results.all_refusals(session)
        assert remembered.reason == "no context, again"
    with database.begin() as session:
        assert results.forget_refusals(session, "PACS") == 1
        assert results.forget_refusals(session, "PACS") == 0
        assert results.all_refusals(session) == []


def test_a_refusal_is_answered_with_the_objects_that_say_so(database: Database) -> None:
    job_over(database, 1)
    job = must_lease(database)
    with database.begin() as session:
        jobs.not_processed(session, job.job_id, job.token, "no lung", {}, NOW, objects=[_object("NOT-PROCESSED")],
                           destinations={"PACS": ["NOT-PROCESSED"]})
    assert _states(database) == {"NOT-PROCESSED": "WAITING"}
