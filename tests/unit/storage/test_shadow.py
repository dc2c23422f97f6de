"""What runs in shadow is kept and goes to nobody, whoever asks, and takes nothing from what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from support.rows import (
    NOW,
    close_all,
    fail,
    insert_job,
    job_over,
    lease_delivery,
    must_lease,
    new_job,
    produce,
    receive,
    reception,
    refuse,
    result,
    states,
)

from radnode.storage import catalog, jobs, listing, outbox, results, workitems
from radnode.storage.configuration_tables import RouteMatchRow
from radnode.storage.tables import DeliveryRow, JobRow, ResultObjectRow

if TYPE_CHECKING:
    from radnode.storage.database import Database


def deliveries(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(DeliveryRow)) or 0


@pytest.mark.parametrize("end", ["produced", "not processed", "failed"])
def test_results_of_a_job_in_shadow_are_kept_and_never_queued(database: Database, end: str) -> None:
    job_over(database, 1, shadow=True)
    job, wanted = must_lease(database), {"PACS": ("SEG",)}
    ends = {"produced": jobs.produced, "not processed": jobs.not_processed, "failed": jobs.failed}
    said = () if end == "produced" else ("because",)
    with database.begin() as session:
        ends[end](session, job.job_id, job.token, *said, objects=[result("1.2.7.1")], destinations=wanted, report={},
                  now=NOW)
    with database.read() as session:
        assert session.scalars(select(ResultObjectRow.sop_instance_uid)).all() == ["1.2.7.1"]
    assert deliveries(database) == 0
    assert lease_delivery(database) is None


def test_nor_by_resending_nor_by_writing_them_again_in_another_form(database: Database) -> None:
    job_id = job_over(database, 1, shadow=True)
    produce(database, must_lease(database), result("1.2.7.1"))
    with database.begin() as session:
        assert outbox.resend(session, outbox.dead_deliveries(session, job_id=job_id), NOW) == []
        results.record(session, job_id, [result("1.2.7.1"), result("1.2.7.2", order=1)],
                       {"PACS": ("SEG", "TID1500")}, NOW)
    assert deliveries(database) == 0


def test_a_viewer_finds_no_result_of_a_job_in_shadow_and_no_worklist_tells_of_it(database: Database) -> None:
    recorded = receive(database, reception(1))
    with database.begin() as session:
        catalog.store_headers(session, [(recorded[0].instance_id, {"Modality": "CT"})])
    series, = close_all(database)
    insert_job(database, new_job("shadow", [recorded[0].instance_id], series=series, shadow=True))
    produce(database, must_lease(database), result("1.2.7.1"))
    with database.read() as session:
        assert listing.unlisted_results(session, 0, 10) == []
        assert workitems.newest_jobs(session) == []


def test_a_later_answer_in_shadow_does_not_take_back_what_is_on_its_way(database: Database) -> None:
    job_over(database, 1, key="sent")
    produce(database, must_lease(database), result("1.2.7.1"))
    recorded = receive(database, reception(1), reception(2))
    series, = close_all(database)
    insert_job(database, new_job("shadow", [each.instance_id for each in recorded], series=series, shadow=True))
    produce(database, must_lease(database), result("1.2.7.2"))
    with database.read() as session:
        assert dict(session.execute(select(JobRow.key, JobRow.state)).all()) == {
            "sent": "PRODUCED", "shadow": "PRODUCED"}
    assert lease_delivery(database) is not None


@pytest.mark.parametrize("end", [fail, refuse])
def test_a_failure_in_shadow_is_not_the_state_of_images_that_were_read(database: Database, end: object) -> None:
    recorded = receive(database, reception(1))
    series, = close_all(database)
    ids = [recorded[0].instance_id]
    insert_job(database, new_job("sent", ids, series=series))
    insert_job(database, new_job("shadow", ids, series=series, pipeline="mg-cad", shadow=True))
    produce(database, must_lease(database), result("1.2.7.1"))
    end(database, must_lease(database))  # type: ignore[operator]
    assert states(database) == {"PROCESSED": 1}


def test_what_ran_in_shadow_only_has_the_state_of_that(database: Database) -> None:
    job_over(database, 1, shadow=True)
    fail(database, must_lease(database))
    assert states(database) == {"FAILED": 1}


def test_a_route_that_matched_is_remembered_with_when_it_did_last(database: Database) -> None:
    receive(database, reception(1))
    series, = close_all(database)
    explained = [{"route": "chest", "matched": True}, {"route": "head", "matched": False}]
    with database.begin() as session:
        catalog.store_routing(session, series, explanations=explained, configuration_digest="c", now=NOW)
    with database.read() as session:
        rows = session.execute(select(RouteMatchRow.route, RouteMatchRow.series_id, RouteMatchRow.at)).all()
    assert rows == [("chest", series.series_id, NOW)]
