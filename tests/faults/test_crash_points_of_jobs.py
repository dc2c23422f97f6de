"""The node dies between the end of a series and the PACS's answer: one closing, one job, one object of each kind."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from support.crash_points import TWICE
from support.job_site import SLICES, Site
from support.mortal import send
from support.pacs import Silence
from support.waiting import eventually

from radnode.storage import jobs
from radnode.storage.tables import EventRow, JobInputRow, ResultObjectRow, SeriesRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from support.chest import Series
    from support.pacs import Attempt, Fault, StandInPacs

pytestmark = pytest.mark.slow

@pytest.fixture
def new_site(tmp_path: Path, pacs: StandInPacs) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(settings: Mapping[str, Any] | None = None, **environment: str) -> Site:
        sites.append(Site(tmp_path, pacs, settings, **environment))
        sites[-1].node.start()
        return sites[-1]

    yield make
    for each in sites:
        each.node.__exit__()


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    return new_site()


def test_K6_K7_K8_a_series_is_closed_once_with_its_job_and_the_job_runs_once(site: Site) -> None:
    site.node.arm("before", "storage.jobs:insert_job")
    series = site.arrives("K6")
    site.node.dies()
    assert site.node.count(SeriesRow, SeriesRow.state == "OPEN") == 1
    assert site.node.count(EventRow, EventRow.kind == "series closed") == 0
    site.node.start()
    site.assert_answered_once(series)

    places = (
        ("K7", "before", "node.service:Node._pulse_workers"),
        ("K8-lease", "returned", "storage.jobs:lease_next"),
        ("K8-order", "before", "node.execution.local:LocalExecutor.execute"),
    )
    tokens = []
    for name, *place in places:
        site.node.arm(*place)
        series = site.arrives(name)
        site.node.dies()
        job = site.job(series)
        assert job is not None
        assert job.ended_at is None
        tokens.append(job.token)
        site.node.start()
        assert site.assert_answered_once(series).token == job.token + 1
    assert tokens[1:] == [0, 1], "a lease that was not stored was not given"


def test_K11_K12_K13_a_result_that_is_made_or_sent_again_is_the_same_object(site: Site) -> None:
    site.node.arm("before", "storage.jobs:produced")
    series = site.arrives("K11")
    site.node.dies()
    made = {str(pydicom.dcmread(path).SOPInstanceUID) for path in _results(site) if _is_dicom(path)}
    assert len(made) == 2
    site.node.start()
    job = site.assert_answered_once(series)
    assert job.token == 2
    assert _uids(site, series) == made

    in_hand = threading.Event()

    def keep_it_waiting(_attempt: Attempt) -> Fault:
        in_hand.set()
        return Silence(1)

    site.pacs.plan = keep_it_waiting
    series = site.arrives("K12")
    assert in_hand.wait(60), site.node.log()
    site.node.kill()
    site.pacs.plan = lambda _attempt: None
    site.node.start()
    _assert_sent_again(site, series)

    site.node.arm("before", "storage.outbox:sent")
    series = site.arrives("K13")
    site.node.dies()
    assert len(site.pacs.stored(StudyInstanceUID=series.study_instance_uid)) == 1
    site.node.start()
    _assert_sent_again(site, series)


def test_K9_K10_a_worker_that_dies_or_comes_back_late_changes_nothing(new_site: Callable[..., Site]) -> None:
    site = new_site({"workers": [{"memory_limit": "2 GB"}]})
    hold = site.folder / "hold"
    hold.touch()
    series = site.arrives("K9")
    job = site.must_job(series, "RUNNING")
    late = send(site.node, series.files[SLICES:])
    site.must_job(series, "WAITING", revision=2)
    for worker in site.node.workers():
        os.kill(worker, signal.SIGKILL)
    eventually(lambda: (again := site.job(series)) and again.crashes == 1, why=site.node.log)
    hold.unlink()
    site.must_job(series, "PRODUCED", revision=2)
    again = site.must_job(series, "SUPERSEDED")
    assert (again.token, again.input_digest) == (2, job.input_digest)
    assert site.node.count(JobInputRow, JobInputRow.job_id == job.id) == SLICES, "the late image is not among them"
    site.sent |= late

    for number in range(2):
        (site.folder / f"death{number}").touch()
    failed = site.must_job(site.arrives("K9-twice"), "FAILED")
    assert failed.crashes == failed.token == 2
    assert site.node.count(ResultObjectRow, ResultObjectRow.job_id == failed.id) == 0
    assert site.node.states()["FAILED"] == SLICES

    hold.touch()
    series = site.arrives("K10")
    job = site.must_job(series, "RUNNING")
    (frozen,) = site.node.workers()
    os.kill(frozen, signal.SIGSTOP)
    with site.node.database() as database, database.begin() as session:
        assert jobs.reap(session, datetime.now(UTC) + timedelta(minutes=1)) == [job.id]
    hold.unlink()
    os.kill(frozen, signal.SIGCONT)
    assert site.assert_answered_once(series).token == 2
    assert "job.lease_lost" in site.node.log(500)


def test_K18_a_clock_that_fires_twice_and_late_does_everything_once(new_site: Callable[..., Site]) -> None:
    site = new_site(**{TWICE: "1"})
    series = site.arrives("K18")
    site.node.pause()
    time.sleep(3)  # by then its clock owes three ticks
    site.node.resume()
    assert site.assert_answered_once(series).token == 1
    assert len(site.pacs.attempts) == 2


def _results(site: Site) -> list[Path]:
    return [path for path in (site.node.data / "results").rglob("*") if path.is_file()]


def _is_dicom(path: Path) -> bool:
    return path.read_bytes()[128:132] == b"DICM"


def _uids(site: Site, series: Series) -> set[str]:
    return {str(each.SOPInstanceUID) for each in site.pacs.stored(StudyInstanceUID=series.study_instance_uid)}


def _assert_sent_again(site: Site, series: Series) -> None:
    """One of the two objects came twice, under its UID and with its bytes."""
    assert site.assert_answered_once(series).token == 1
    uids = _uids(site, series)
    assert sorted(len(site.pacs.attempts_for(uid)) for uid in uids) == [1, 2]
    assert all(len({each.digest for each in site.pacs.attempts_for(uid)}) == 1 for uid in uids)
