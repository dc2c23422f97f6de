"""A pipeline that reads several series is asked when the study is whole, once for each choice, and says why not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from support import mr_study, phantoms
from support.mr_study import BRATS, FLAIR_SERIES, T1_SERIES, T1C_SERIES, T2_SERIES, Sweep
from support.rows import LEASE, NOW, digest_of, receive, result, states

from radnode.config.loading import parse
from radnode.node.alarms import Alarms
from radnode.node.answers import Answers
from radnode.node.closing import SeriesCloser
from radnode.node.intake.associations import Associations
from radnode.node.observability import Metrics
from radnode.node.study_closing import StudyCloser
from radnode.pipelines.inputs import Content, Input
from radnode.storage import catalog, jobs
from radnode.storage.database import Database
from radnode.storage.quarantine import Quarantine
from radnode.storage.receptions import Reception
from radnode.storage.tables import InstanceRow, JobInputRow, JobRow, SeriesRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIGURATION = parse(
    "peers: {PACS: {ae_title: PACS, host: 127.0.0.1, port: 104, receives: true}}\n"
    "routes: [{name: head, when: {series_description: {matches: 't1_se_tra'}}, run: [brats], send: [PACS]}]\n",
    "test",
)
SETTINGS = CONFIGURATION.settings
INPUTS = tuple(Input(name=each.value.lower(), modality="MR", content=each)
               for each in (Content.T1C, Content.T1, Content.T2, Content.FLAIR))
MANIFEST = phantoms.manifest(name="brats", modality="MR", inputs=INPUTS)


class Bench:
    """Series of one study arrive; both closers look when the clock moves."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        self.monotonic_s = 0.0
        self.answers = Answers(self.database, None, list, list, Quarantine(folder / "quarantine"))
        self.start()

    def start(self) -> None:
        """A process of the node that knows nothing but the tables."""
        parts: Any = {
            "database": self.database, "configuration": lambda: CONFIGURATION,
            "manifests": lambda: {"brats": MANIFEST}, "now": lambda: NOW, "monotonic_s": lambda: self.monotonic_s,
            "alarms": Alarms(lambda: NOW), "on_jobs": lambda: None, "look_again_in": lambda _seconds: None,
        }
        self._series = SeriesCloser(
            **parts, associations=Associations(on_change=lambda: None), metrics=Metrics())
        self._studies = StudyCloser(**parts)

    def arrive(self, *sweeps: Sweep, **changed: Any) -> None:
        """All images of these series, with their headers read; changed: of every header."""
        for sweep in sweeps:
            found = mr_study.headers(sweep)
            recorded = receive(self.database, *(
                Reception(
                    sop_instance_uid=each.SOPInstanceUID, sop_class_uid=each.SOPClassUID,
                    series_instance_uid=sweep.uid, study_instance_uid=mr_study.STUDY, patient_id="P1",
                    transfer_syntax_uid="1.2.840.10008.1.2.1", digest=digest_of(each.SOPInstanceUID), size_bytes=1000,
                    source="PACS", association="a1", received_at=NOW,
                ) for each in found))
            with self.database.begin() as session:
                catalog.store_headers(session, [
                    (row.instance_id, {**mr_study.as_stored(each), "PixelDataPresent": True, **changed})
                    for row, each in zip(recorded, found, strict=True)])

    def pass_(self, seconds: float) -> None:
        """Time passes, a second at a time."""
        for _ in range(int(seconds)):
            self._series.step()
            self._studies.step()
            self.monotonic_s += 1
        self._series.step()
        self._studies.step()

    def jobs(self) -> list[JobRow]:
        with self.database.read() as session:
            return list(session.scalars(select(JobRow).order_by(JobRow.id)))

    def inputs(self, job: JobRow) -> set[str]:
        """The series a job reads."""
        with self.database.read() as session:
            return set(session.scalars(
                select(SeriesRow.series_instance_uid)
                .join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
                .join(JobInputRow, JobInputRow.instance_id == InstanceRow.id)
                .where(JobInputRow.job_id == job.id)))

    def why(self) -> str:
        """What an administrator is told."""
        return self.answers.explain(mr_study.STUDY) or ""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.database.close()


QUIET = SETTINGS.quiet_time_s + 2
PATIENCE = SETTINGS.quiet_time_s + SETTINGS.hold_after_s + 2


def test_one_job_over_the_chosen_series_when_the_study_is_whole(bench: Bench) -> None:
    bench.arrive(*BRATS)
    bench.pass_(2 * QUIET)
    (job,) = bench.jobs()
    assert bench.inputs(job) == {each.uid for each in (T1C_SERIES, T1_SERIES, T2_SERIES, FLAIR_SERIES)}
    with bench.database.read() as session:
        assert session.get_one(SeriesRow, job.series_id).series_instance_uid == T1C_SERIES.uid
    assert states(bench.database) == {"IN_JOB": 22 + 28 + 28 + 34, "NOT_ROUTED": 22}
    why = bench.why()
    assert "pipeline brats (route head): every input was found" in why
    assert "AAHead_Scout" in why
    assert "not taken: it is a localiser" in why


def test_a_series_that_is_still_coming_is_waited_for(bench: Bench) -> None:
    bench.arrive(T1C_SERIES, T1_SERIES, T2_SERIES)
    bench.pass_(PATIENCE - 20)
    assert bench.jobs() == []
    assert "the study waits until all its series are complete" in bench.why()
    bench.arrive(FLAIR_SERIES)
    bench.pass_(2 * QUIET)
    assert [job.revision for job in bench.jobs()] == [1]
    assert FLAIR_SERIES.uid in bench.inputs(bench.jobs()[0])


def test_a_study_that_lacks_an_input_is_refused_with_its_name_and_a_late_series_is_a_new_revision(
    bench: Bench,
) -> None:
    bench.arrive(T1C_SERIES, T1_SERIES, T2_SERIES)
    bench.pass_(2 * PATIENCE)
    (refused,) = bench.jobs()
    assert "input flair (MR, FLAIR) is missing" in bench.why()
    assert f"{T2_SERIES.uid}: not taken: its name says T2" in bench.why()

    bench.arrive(FLAIR_SERIES)
    bench.pass_(2 * QUIET)
    first, second = bench.jobs()
    assert (first.id, second.revision, second.series_id) == (refused.id, 2, refused.series_id)
    assert "every input was found" in bench.why()


def test_a_late_series_that_changes_no_choice_makes_no_job(bench: Bench) -> None:
    bench.arrive(*BRATS)
    bench.pass_(2 * QUIET)
    before = [job.key for job in bench.jobs()]
    bench.arrive(replace(T2_SERIES, name="sub t2", time="110000"))
    bench.pass_(2 * QUIET)
    assert [job.key for job in bench.jobs()] == before
    assert "made of other images" in bench.why()
    assert states(bench.database) == {"IN_JOB": 22 + 28 + 28 + 34, "NOT_ROUTED": 22 + 28}


def test_own_results_are_no_input_and_ask_nothing(bench: Bench) -> None:
    bench.arrive(*(each for each in BRATS if each is not FLAIR_SERIES))
    bench.arrive(FLAIR_SERIES, Manufacturer="radnode")
    bench.pass_(2 * PATIENCE)
    (job,) = bench.jobs()
    assert FLAIR_SERIES.uid not in bench.inputs(job)
    assert "input flair (MR, FLAIR) is missing" in bench.why()


def test_a_held_series_is_no_input_and_says_so(bench: Bench) -> None:
    bench.arrive(T1C_SERIES, T1_SERIES, T2_SERIES)
    bench.arrive(FLAIR_SERIES, PixelDataPresent=False)
    bench.pass_(2 * PATIENCE)
    assert "it is held: 34 images have no pixels" in bench.why()
    (job,) = bench.jobs()
    assert FLAIR_SERIES.uid not in bench.inputs(job)


def test_a_node_that_was_restarted_asks_again_and_makes_the_job_once(bench: Bench) -> None:
    bench.arrive(*BRATS)
    bench.pass_(SETTINGS.quiet_time_s - 5)
    bench.start()
    bench.pass_(3 * QUIET)
    assert len(bench.jobs()) == 1
    bench.start()
    bench.pass_(3 * QUIET)
    assert len(bench.jobs()) == 1


def test_a_new_revision_supersedes_the_answer_before_although_it_reads_another_series(bench: Bench) -> None:
    bench.arrive(*BRATS)
    bench.pass_(2 * QUIET)
    finish(bench, "1.9.1")
    better = replace(T1C_SERIES, name="t1_se_tra_fein KM", step_mm=(3.0, 2.0, 2.0), shape=(44, 72, 60))
    bench.arrive(better)
    bench.pass_(2 * QUIET)
    first, second = bench.jobs()
    assert better.uid in bench.inputs(second)
    assert T1C_SERIES.uid not in bench.inputs(second)
    finish(bench, "1.9.2")
    assert [job.state for job in bench.jobs()] == ["SUPERSEDED", "PRODUCED"]
    assert (first.series_id, first.revision, second.revision) == (second.series_id, 1, 2)


def finish(bench: Bench, uid: str) -> None:
    with bench.database.begin() as session:
        job = jobs.lease_next(session, "w", NOW, LEASE, ["brats"])
        assert job is not None
        jobs.produced(session, job.job_id, job.token, objects=[result(uid)], destinations={"PACS": ("SEG",)},
                      report={"state": "FINDINGS"}, now=NOW)
