"""A series is closed with its jobs or not at all, once, and by no clock that can be set."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from support.rows import NOW, digest_of, receive, reception, states

from radnode.config.loading import parse
from radnode.node import closing
from radnode.node.alarms import Alarms
from radnode.node.closing import SeriesCloser
from radnode.node.intake.associations import Associations
from radnode.node.observability import Metrics
from radnode.node.series_geometry import Geometry, geometry_of
from radnode.pipelines import registry
from radnode.storage import catalog, jobs
from radnode.storage.database import Database
from radnode.storage.ledger import InstanceState
from radnode.storage.tables import JobRow, SeriesRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.config.routes import Route

CONFIGURATION = parse(
    "peers: {PACS: {ae_title: PACS, host: 127.0.0.1, port: 104, receives: true}}\n"
    "routes: [{name: chest, when: {modality: CT}, run: [ct-lung], send: [PACS]}]\n",
    "test",
)
QUIET_S = CONFIGURATION.settings.quiet_time_s + CONFIGURATION.settings.hold_after_s + 1


class Killed(BaseException):
    """SIGKILL at this statement."""


class Bench:
    """Series of one image each, one at first. `life` is a process of the node that judges them."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        self.wall, self.monotonic_s = NOW, 0.0
        self.alarms = Alarms(lambda: self.wall)
        self.arrive(1)

    def arrive(self, number: int) -> None:
        """An image in a series of its own, whose header is read at once."""
        image = reception(number, series=number)
        (recorded,) = receive(self.database, image)
        with self.database.begin() as session:
            header = {"Modality": "CT", "SOPInstanceUID": image.sop_instance_uid}
            catalog.store_headers(session, [(recorded.instance_id, header)])

    def life(self) -> SeriesCloser:
        """A process that knows nothing but the tables."""
        return SeriesCloser(
            database=self.database, configuration=lambda: CONFIGURATION,
            manifests=lambda: registry.installed().manifests, associations=Associations(on_change=lambda: None),
            now=lambda: self.wall, monotonic_s=lambda: self.monotonic_s, metrics=Metrics(),
            alarms=self.alarms, on_jobs=lambda: None, look_again_in=lambda _seconds: None,
        )  # fmt: skip

    def found(self) -> tuple[list[str], int]:
        """States of the series, number of jobs."""
        with self.database.read() as session:
            judged = list(session.scalars(select(SeriesRow.state).order_by(SeriesRow.id)))
            return judged, len(session.scalars(select(JobRow.id)).all())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.database.close()


def test_K6_a_node_that_dies_between_closing_and_the_job_closes_once_with_the_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.life()
    first.step()
    bench.monotonic_s += QUIET_S
    with monkeypatch.context() as dying:
        dying.setattr(jobs, "insert_job", _die)
        with pytest.raises(Killed):
            first.step()
    assert bench.found() == (["OPEN"], 0)

    for life in (bench.life(), bench.life()):
        life.step()
        bench.monotonic_s += QUIET_S
        life.step()
    assert bench.found() == (["CLOSED"], 1)
    assert states(bench.database) == {"IN_JOB": 1}


def test_K18_a_series_that_is_judged_twice_is_closed_once(bench: Bench) -> None:
    lives = [bench.life(), bench.life()]
    with bench.database.read() as session:
        (seen,) = catalog.open_series(session)
    for life in lives:
        life.step()
    bench.monotonic_s += QUIET_S
    for life in lives:
        life._look_at(seen)  # both saw it open
    assert bench.found() == (["CLOSED"], 1)


@pytest.mark.parametrize("hours", [1, -1])
def test_N17_a_series_is_closed_by_no_jump_of_the_wall_clock(bench: Bench, hours: int) -> None:
    life = bench.life()
    life.step()
    bench.wall += timedelta(hours=hours)
    life.step()
    assert bench.found() == (["OPEN"], 0)
    bench.monotonic_s += QUIET_S
    life.step()
    assert bench.found() == (["CLOSED"], 1)


def test_a_series_that_cannot_be_judged_is_an_alarm_until_it_can_and_holds_up_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.arrive(2)
    life = bench.life()
    life.step()
    bench.monotonic_s += QUIET_S
    with monkeypatch.context() as odd:
        odd.setattr(closing, "geometry_of", _only_of_one)
        life.step()
    assert bench.found() == (["OPEN", "CLOSED"], 1)
    assert [alarm.text for alarm in bench.alarms.raised()] == ["series 1.2.4.1 cannot be judged"]
    life.step()
    assert bench.found() == (["CLOSED", "CLOSED"], 2)
    assert bench.alarms.raised() == []


def _only_of_one(headers: list[dict[str, str]]) -> Geometry:
    if headers[0]["SOPInstanceUID"] == "1.2.3.1":
        raise ZeroDivisionError
    return geometry_of(headers)


def _die(*_: object) -> None:
    raise Killed


@pytest.mark.goal("provenance")
def test_one_byte_of_one_image_is_another_digest_of_the_inputs_and_another_job() -> None:
    headers = [
        catalog.InstanceHeader(
            instance_id=number, sop_instance_uid=f"1.2.3.{number}", digest=digest_of(f"image {number}"),
            state=InstanceState.RECEIVED, reason="", attributes={},
        )
        for number in range(3)
    ]  # fmt: skip

    def identity(*chosen: catalog.InstanceHeader) -> tuple[str, str]:
        job = closing.new_job(
            CONFIGURATION, registry.installed().manifests["ct-lung"], CONFIGURATION.routes, chosen,
            study=(1, "1.2.5"), series_uids=["1.2.4"], series_id=1, revision=1,
        )  # fmt: skip
        return job.input_digest, job.key

    whole = identity(*headers)
    changed = identity(replace(headers[0], digest=digest_of("image O")), *headers[1:])
    assert identity(*reversed(headers)) == whole
    assert all(one != other for one, other in zip(changed, whole, strict=True))


def test_routes_in_shadow_ask_for_another_job_and_count_only_where_no_route_that_sends_asks() -> None:
    header = catalog.InstanceHeader(
        instance_id=1, sop_instance_uid="1.2.3.1", digest=digest_of("one"), state=InstanceState.RECEIVED, reason="",
        attributes={},
    )
    sends, = CONFIGURATION.routes
    shadow = replace(sends, name="challenger", send=("RESEARCH",), shadow=True, priority="urgent")

    def asked(*routes: Route) -> jobs.NewJob:
        return closing.new_job(
            CONFIGURATION, registry.installed().manifests["ct-lung"], routes, [header], study=(1, "1.2.5.1"),
            series_uids=["1.2.4.1"], series_id=1, revision=1,
        )

    assert (asked(shadow).shadow, asked(shadow).destinations) == (True, ["RESEARCH"])
    assert asked(sends, shadow) == asked(sends)
    assert asked(shadow).key != asked(sends).key
