"""A simulated day: what is in it, and that the node's own rules decide about it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from radnode.config.peers import Peer
from radnode.node.association import PeerUnreachable
from radnode.node.cli import app
from radnode.node.simulating.day import Exam, exams
from radnode.node.simulating.figures import figures
from radnode.node.simulating.load import JobTime, Kind, Load, Outage, ParametersRefused, read_load
from radnode.node.simulating.measured import job_times
from radnode.node.simulating.ramp import ramp
from radnode.node.simulating.sending import peer_named
from radnode.node.simulating.virtual import VirtualNode
from radnode.storage.database import Database
from radnode.storage.tables import JobRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Load(
    kinds={"CT": Kind(share=1, series=1, images=40, image_mb=0.5, run={"ct-lung": 1}),
           "US": Kind(share=1, series=1, images=4, image_mb=1)},
    gb_a_day=1.2, runs_a_week=None, outages=(), late=0, sent_again=0, with_priors=0, counted=1, workers=1,
    around_s=0.4, send_s=1.0, sender_images_s=40, job_seconds={"ct-lung": JobTime(samples=(10.0,))},
)
ONE = Exam(number=0, kind="CT", begins_s=0.0, priority="routine", images=40, read=40, pipelines=("ct-lung",),
           evidence="count")


def test_the_same_seed_is_the_same_day_and_another_one_another() -> None:
    assert exams(Load(), days=1, seed=1) == exams(Load(), days=1, seed=1)
    assert exams(Load(), days=1, seed=1) != exams(Load(), days=1, seed=2)


def test_a_day_has_the_volume_and_the_runs_that_were_asked_for() -> None:
    load = Load()
    day = exams(load, days=1, seed=1)
    volume = sum(exam.images * load.kinds[exam.kind].image_mb for exam in day) / 1000
    assert volume == pytest.approx(350, rel=0.1)
    assert 7 * sum(len(exam.pipelines) for exam in day) == pytest.approx(10_000, rel=0.1)
    assert [exam.begins_s for exam in day] == sorted(exam.begins_s for exam in day)


def test_a_lone_study_waits_for_nothing_but_its_images_its_job_and_its_sending() -> None:
    (read,) = VirtualNode(load=SMALL, seed=1).run([ONE])
    assert read.acknowledged_s == 1.0, "40 images at 40 a second"
    assert read.waited_s == 0.0
    assert read.turnaround_s == pytest.approx(0.4 + 10 + 1.0)


@pytest.mark.parametrize(("evidence", "silence"), [("count", 0.0), ("geometry", 0.5), ("quiet", 30.0)])
def test_a_series_is_whole_after_the_silence_that_the_node_itself_wants(evidence: str, silence: float) -> None:
    (read,) = VirtualNode(load=SMALL, seed=1).run([replace(ONE, evidence=evidence)])
    assert read.leased_s - read.acknowledged_s == pytest.approx(silence + 0.2)


def test_an_urgent_study_overtakes_those_that_wait_and_nothing_that_runs() -> None:
    waiting = [replace(ONE, number=number, begins_s=number) for number in range(4)]
    urgent = replace(ONE, number=9, begins_s=5.0, priority="urgent")
    reads = VirtualNode(load=SMALL, seed=1).run([*waiting, urgent])
    assert [read.exam for read in reads] == [0, 9, 1, 2, 3]


def test_who_has_waited_ten_minutes_is_not_overtaken_any_more() -> None:
    slow = SMALL.model_copy(update={"job_seconds": {"ct-lung": JobTime(samples=(400.0,))}})
    routine = [replace(ONE, number=number) for number in range(3)]
    urgent = replace(ONE, number=9, begins_s=700.0, priority="urgent")
    reads = VirtualNode(load=slow, seed=1).run([*routine, urgent])
    assert [read.exam for read in reads] == [0, 1, 2, 9]


def test_a_late_slice_that_a_count_would_have_awaited_makes_a_second_job_without_one() -> None:
    late = replace(ONE, late_s=60.0)
    assert len(VirtualNode(load=SMALL, seed=1).run([late])) == 1
    assert len(VirtualNode(load=SMALL, seed=1).run([replace(late, evidence="geometry")])) == 2


def test_priors_are_waited_for_and_meanwhile_the_worker_reads_others() -> None:
    with_priors = replace(ONE, priors_s=100.0)
    other = replace(ONE, number=1, begins_s=2.0)
    first, second = VirtualNode(load=SMALL, seed=1).run([with_priors, other])
    assert (first.exam, second.exam) == (1, 0)
    assert second.leased_s == pytest.approx(1.0 + 0.2 + 100.0)
    assert second.waited_s == 0.0, "for a worker"


def test_what_is_sent_again_is_read_once() -> None:
    assert len(VirtualNode(load=SMALL, seed=1).run([replace(ONE, sent_again_s=120.0)])) == 1


def test_while_the_archive_is_away_nothing_comes_and_nothing_leaves() -> None:
    away = SMALL.model_copy(update={"outages": (Outage(at_hour=0.0, minutes=10),)})
    (read,) = VirtualNode(load=away, seed=1).run([ONE])
    assert read.acknowledged_s == 601.0
    away = SMALL.model_copy(update={"outages": (Outage(at_hour=5 / 3600, minutes=10),)})
    (read,) = VirtualNode(load=away, seed=1).run([ONE])
    assert read.acknowledged_s == 1.0
    assert 605.0 < read.delivered_s < 605.0 + 15 * 60


def test_figures_count_what_was_not_in_time_and_what_it_cost() -> None:
    day = [replace(ONE, number=number) for number in range(10)]
    load = SMALL.model_copy(update={"limit_min": {"urgent": 1.0, "routine": 1.0, "low": 1.0}, "cost_an_hour": 5.0})
    found = figures(load, day, VirtualNode(load=load, seed=1).run(day), 1)
    routine = found.of[1]
    assert (routine.jobs, routine.late) == (10, 5), "ten seconds each, one after the other"
    assert routine.waited.median == pytest.approx(40, abs=5)
    assert found.longest_queue == 9
    assert found.busy == pytest.approx(100 / 86_400)
    assert found.cost == pytest.approx(24 * 5.0 / 10)


def test_more_load_is_tried_until_urgent_studies_are_late() -> None:
    load = SMALL.model_copy(update={
        "urgent": 0.3, "job_seconds": {"ct-lung": JobTime(samples=(300.0,))}, "gb_a_day": 2.0,
        "limit_min": {"urgent": 12.0, "routine": 60.0, "low": 480.0},
    })
    steps, holds = ramp(load, seed=1, told=lambda _: None)
    assert holds is not None
    assert [step.factor for step in steps] == sorted(step.factor for step in steps)
    assert {step.factor: step.found.p95_of("urgent") <= 720 for step in steps}[holds]
    assert any(step.found.p95_of("urgent") > 720 for step in steps)


def test_a_job_that_begins_while_images_come_in_takes_what_such_a_job_took() -> None:
    time = JobTime(samples=(10.0,) * 5, samples_receiving=(20.0,) * 5)
    load = SMALL.model_copy(update={"job_seconds": {"ct-lung": time}})
    reads = VirtualNode(load=load, seed=1).run([ONE, replace(ONE, number=1)])
    assert [read.ended_s - read.leased_s for read in reads] == [20.0, 10.0], "the second one begins when all are there"


def test_too_few_times_of_a_kind_are_not_told_apart() -> None:
    time = JobTime(samples=(10.0,) * 9, samples_receiving=(20.0,))
    assert time.measured(receiving=True) == (*(10.0,) * 9, 20.0)
    assert time.measured(receiving=False) == (10.0,) * 9


def test_the_times_of_jobs_are_those_of_a_nodes_database_apart_by_whether_images_came_in(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'radnode.db'}")
    database.upgrade()
    now = datetime(2026, 1, 5, tzinfo=UTC)
    with database.begin() as session:
        session.execute(insert(StudyRow).values(
            id=1, study_instance_uid="1.2", patient_id="", first_received_at=now, last_received_at=now))
        session.execute(insert(SeriesRow).values(
            id=1, study_id=1, series_instance_uid="1.3", source="", state="CLOSED", revision=1, received=1, grounds=[],
            first_received_at=now, last_received_at=now))
        for number, (state, attempts, seconds, later) in enumerate(
            [("PRODUCED", 1, 12, 0), ("PRODUCED", 2, 99, 0), ("FAILED", 1, 3, 4), ("WAITING", 1, 50, 0),
             ("PRODUCED", 1, 7, 6)], start=1
        ):
            began = now + timedelta(seconds=later)
            session.execute(insert(JobRow).values(
                id=number, key=str(number), study_id=1, series_id=1, revision=1, pipeline="ct-lung",
                pipeline_version="1", route_names=[], destinations=[], priority=10, turn_at=now,
                configuration_digest="", input_digest="", state=state, attempts=attempts, report={}, created_at=now,
                started_at=began, ended_at=began + timedelta(seconds=seconds)))
    with database.read() as session:
        assert job_times(session) == {"ct-lung": JobTime(samples=(7.0,), samples_receiving=(3.0, 12.0))}
    database.close()


def test_nothing_is_sent_to_an_address_that_the_configuration_does_not_name() -> None:
    own = Peer(name="RADNODE", ae_title="RADNODE", host="127.0.0.1", port=11112)
    pacs = Peer(name="PACS1", ae_title="PACS1", host="127.0.0.1", port=104)
    assert peer_named("PACS1", {"PACS1": pacs}, own) is pacs
    assert peer_named("RADNODE", {"PACS1": pacs}, own) is own
    with pytest.raises(PeerUnreachable, match="PACS1, RADNODE"):
        peer_named("10.0.0.1", {"PACS1": pacs}, own)


@pytest.mark.parametrize("text", ["gb_a_day: many", "unknown: 1", "urgent: 0.9\nlow: 0.9", "kinds: [", "hours: [1, 2]"])
def test_parameters_with_a_mistake_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "load.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParametersRefused, match=r"load\.yaml"):
        read_load(path)


def test_every_parameter_says_where_it_comes_from() -> None:
    origins = ("Source", "Measured", "Assumption", "Given", "configuration", "in print", "default")
    assert [name for name, _, origin in Load().explained() if not any(word in origin for word in origins)] == []


def test_the_command_writes_a_page_without_scripts_and_the_figures(tmp_path: Path) -> None:
    path = tmp_path / "load.yaml"
    written = json.loads(SMALL.model_dump_json())
    path.write_text(json.dumps(written), encoding="utf-8")  # JSON is YAML
    done = CliRunner().invoke(app, ["simulate", str(path), "--output", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert "<script" not in page
    assert not re.search(r"https?://(?!www\.w3\.org)", page), "nothing is fetched"
    found = json.loads((tmp_path / "out" / "figures.json").read_text(encoding="utf-8"))
    assert found["figures"]["jobs"] > 20
    assert sum(each["late"] for each in found["figures"]["of"]) == 0
