"""What the tests of the tables receive, lease and produce; one function for each thing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from radnode.storage import catalog, jobs, ledger, outbox, receptions
from radnode.storage.jobs import NewJob
from radnode.storage.receptions import Reception
from radnode.storage.results import NewResultObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.storage.database import Database
    from radnode.storage.jobs import LeasedJob
    from radnode.storage.outbox import Delivery
    from radnode.storage.receptions import Recorded

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
MINUTE = timedelta(minutes=1)
PIPELINES = ("ct-lung", "mg-cad")
FORMS = ("SEG", "TID1500")


def digest_of(content: str) -> str:
    """A SHA-256, as of a file."""
    return sha256(content.encode()).hexdigest()


def reception(
    number: int = 1,
    *,
    series: int = 1,
    study: int = 1,
    patient_id: str = "P1",
    content: str = "",
    association: str = "a1",
    at: datetime = NOW,
) -> Reception:
    """Image `number` of a series. content: what is in it beside its number; other content is other bytes."""
    return Reception(
        sop_instance_uid=f"1.2.3.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid=f"1.2.4.{series}",
        study_instance_uid=f"1.2.5.{study}",
        patient_id=patient_id,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        digest=digest_of(f"{number} {series} {study} {patient_id} {content}"),
        size_bytes=1000,
        source="PACS",
        association=association,
        received_at=at,
    )


def receive(database: Database, *received: Reception) -> list[Recorded]:
    """All in one transaction."""
    with database.transact() as connection:
        return receptions.record(connection, received)


def close_all(database: Database, now: datetime = NOW) -> list[catalog.SeriesSnapshot]:
    """Close what is open; the series as they were."""
    with database.begin() as session:
        found = catalog.open_series(session)
        for series in found:
            assert catalog.close_series(session, series, grounds=[], now=now)
    return found


def new_job(key: str, instance_ids: Sequence[int], *, series: catalog.SeriesSnapshot, **changed: object) -> NewJob:
    """A job over images of a series."""
    values: dict[str, object] = {
        "key": key, "study_id": series.study_id, "series_id": series.series_id, "revision": series.revision,
        "pipeline": "ct-lung", "pipeline_version": "1.0", "route_names": ["chest"], "destinations": ["PACS"],
        "priority": 10, "configuration_digest": "c", "input_digest": digest_of(repr(instance_ids)),
        "instance_ids": list(instance_ids), **changed,
    }  # fmt: skip
    return NewJob(**values)  # type: ignore[arg-type]


def insert_job(database: Database, job: NewJob, now: datetime = NOW) -> int | None:
    """Its id, None when the key is known."""
    with database.begin() as session:
        return jobs.insert_job(session, job, now)


def job_over(database: Database, *numbers: int, key: str = "job", now: datetime = NOW, **changed: object) -> int:
    """Receive these images, close their series and insert a job over them; its id."""
    recorded = receive(database, *(reception(number, at=now) for number in numbers))
    series = close_all(database, now)[0]
    job_id = insert_job(database, new_job(key, [each.instance_id for each in recorded], series=series, **changed), now)
    assert job_id is not None
    return job_id


def lease(database: Database, now: datetime = NOW, worker: str = "w1") -> LeasedJob | None:
    """The next job."""
    with database.begin() as session:
        return jobs.lease_next(session, worker, now, LEASE, PIPELINES)


def must_lease(database: Database, now: datetime = NOW, worker: str = "w1") -> LeasedJob:
    """The next job, which must be there."""
    job = lease(database, now, worker)
    assert job is not None
    return job


def result(uid: str, order: int = 0, references: Sequence[str] = ()) -> NewResultObject:
    """A SEG, or what comes after it."""
    return NewResultObject(
        name=FORMS[order],
        form=FORMS[order],
        order=order,
        sop_class_uid=f"1.2.840.10008.5.1.4.1.1.{order}",
        sop_instance_uid=uid,
        series_instance_uid="1.2.9",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        digest=digest_of(uid),
        size_bytes=10,
        references=list(references),
    )


def produce(database: Database, job: LeasedJob, *objects: NewResultObject, now: datetime = NOW) -> None:
    """End a job with these results for every destination."""
    with database.begin() as session:
        jobs.produced(
            session, job.job_id, job.token, objects=objects,
            destinations=dict.fromkeys(job.destinations, FORMS), report={"state": "FINDINGS"}, now=now,
        )  # fmt: skip


def refuse(database: Database, job: LeasedJob, reason: str = "no lung", now: datetime = NOW) -> None:
    """End a job with a refusal."""
    with database.begin() as session:
        jobs.not_processed(session, job.job_id, job.token, reason, {}, now)


def fail(database: Database, job: LeasedJob, reason: str = "out of memory", now: datetime = NOW) -> None:
    """End a job that broke."""
    with database.begin() as session:
        jobs.failed(session, job.job_id, job.token, reason, {}, now)


def lease_delivery(database: Database, destination: str = "PACS", now: datetime = NOW) -> Delivery | None:
    """The next object for a destination."""
    with database.begin() as session:
        return outbox.lease_due(session, destination, now, LEASE)


def must_lease_delivery(database: Database, destination: str = "PACS", now: datetime = NOW) -> Delivery:
    """The next object for a destination, which must be there."""
    delivery = lease_delivery(database, destination, now)
    assert delivery is not None
    return delivery


def states(database: Database) -> dict[str, int]:
    """Instances by state; the ledger balances."""
    with database.read() as session:
        balance = ledger.balance(session)
    assert balance.holds, balance
    return balance.states


def named(name: str, job: int = 1) -> NewResultObject:
    """The object of this name of a job (radnode.pipelines.forms); what goes with a segmentation comes after it."""
    form, _, beside = name.partition("+")
    uid = f"1.9.{job}.{int(digest_of(name)[:8], 16)}"
    return NewResultObject(
        name=name, form=form, order=bool(beside), sop_class_uid=f"1.2.{len(form)}", sop_instance_uid=uid,
        series_instance_uid="1.9", transfer_syntax_uid="1.2.840.10008.1.2.1", digest=digest_of(uid), size_bytes=10,
        references=[],
    )
