"""An order that comes after its images were routed has the routes that ask for one asked again, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, update
from support.rows import NOW, receive, reception, states

from radnode.config.loading import parse
from radnode.node import late_orders
from radnode.node.alarms import Alarms
from radnode.node.closing import SeriesCloser
from radnode.node.intake.associations import Associations
from radnode.node.late_orders import LateOrders
from radnode.node.messaging import contexts
from radnode.node.observability import Metrics
from radnode.pipelines import registry
from radnode.storage import catalog, orders
from radnode.storage.database import Database
from radnode.storage.ledger import InstanceState
from radnode.storage.orders import Order
from radnode.storage.tables import EventRow, InstanceRow, JobRow, RoutingRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.config.loading import Configuration

PEERS = "peers: {PACS: {ae_title: PACS, host: 127.0.0.1, port: 104, receives: true}}\n"
URGENT = "{name: urgent, when: {modality: CT, order_priority: stat}, run: [ct-lung], send: [PACS], priority: urgent}"
ALL = "{name: all, when: {modality: CT}, run: [ct-lung], send: [PACS]}"


def configured(*routes: str) -> Configuration:
    return parse(f"{PEERS}routes: [{', '.join(routes)}]\n", "test")


class Bench:
    """A study of one image under the Accession Number A-1, which is closed without an order."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        self.configuration = configured(URGENT)
        self.jobs = 0
        self.late = LateOrders(database=self.database, configuration=lambda: self.configuration,
                               manifests=lambda: registry.installed().manifests, now=lambda: NOW, on_jobs=self._count)
        image = reception(1, study=1, series=1, patient_id="P-1")
        (recorded,) = receive(self.database, image)
        with self.database.begin() as session:
            header = {"Modality": "CT", "AccessionNumber": "A-1", "SOPInstanceUID": image.sop_instance_uid}
            catalog.store_headers(session, [(recorded.instance_id, header)])

    def _count(self) -> None:
        self.jobs += 1

    def close(self) -> None:
        monotonic = [0.0]
        closer = SeriesCloser(
            database=self.database, configuration=lambda: self.configuration,
            manifests=lambda: registry.installed().manifests, associations=Associations(on_change=lambda: None),
            now=lambda: NOW, monotonic_s=lambda: monotonic[0], metrics=Metrics(), alarms=Alarms(lambda: NOW),
            on_jobs=lambda: None, look_again_in=lambda _: None,
        )
        closer.step()
        monotonic[0] += 10_000
        closer.step()
        self.late.step()

    def order(self, **said: Any) -> None:
        """It comes, and what it says about the study is decided."""
        told = Order(**{"accession_number": "A-1", "number": "1", "patients": (("P-1", "", ""),), "priority": "stat",
                        "said_at": "20260301", **said})
        with self.database.begin() as session:
            orders.store_order(session, "RIS", told, NOW)
            contexts.attach_all(session, ["A-1"], NOW)

    def routes(self) -> list[list[str]]:
        """Of each job."""
        with self.database.read() as session:
            return list(session.scalars(select(JobRow.route_names).order_by(JobRow.id)))

    def told(self) -> list[str]:
        """What the timeline says of routes that were asked again."""
        with self.database.read() as session:
            return [each.detail["reason"] for each in session.scalars(
                select(EventRow).where(EventRow.kind == "routes asked again").order_by(EventRow.id))]

    def matched(self) -> list[str]:
        """The routes that stand as matched."""
        with self.database.read() as session:
            return [each["route"] for each in session.scalar(select(RoutingRow.explanations)) if each["matched"]]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.database.close()


def test_a_late_order_runs_the_route_that_waited_for_it_once_and_the_timeline_says_why(bench: Bench) -> None:
    bench.close()
    assert (bench.routes(), states(bench.database)) == ([], {"NOT_ROUTED": 1})

    bench.order()
    bench.late.step()
    bench.late.step()
    assert (bench.routes(), bench.jobs, states(bench.database)) == ([["urgent"]], 1, {"IN_JOB": 1})
    assert bench.told() == ["its order came after the series was complete; it matches urgent now"]
    assert bench.matched() == ["urgent"]


def test_an_order_that_is_there_in_time_is_no_late_one(bench: Bench) -> None:
    bench.order()
    bench.close()
    assert (bench.routes(), bench.jobs, bench.told()) == ([["urgent"]], 0, [])


def test_an_order_that_is_corrected_until_it_matches_counts_and_one_that_is_withdrawn_takes_nothing_back(
    bench: Bench,
) -> None:
    bench.close()
    bench.order(priority="routine")
    bench.late.step()
    assert bench.routes() == []
    bench.order(said_at="20260302")
    bench.late.step()
    bench.order(said_at="20260303", cancelled=True)
    bench.late.step()
    assert (bench.routes(), len(bench.told())) == ([["urgent"]], 1)


def test_an_order_of_another_patient_asks_no_route(bench: Bench) -> None:
    bench.close()
    bench.order(patients=(("P-2", "", ""),))
    bench.late.step()
    assert bench.routes() == []


def test_a_route_that_asks_for_no_order_is_not_asked_again(bench: Bench) -> None:
    bench.close()
    bench.configuration = configured(URGENT.replace("stat", "routine"), ALL)
    bench.order()
    bench.late.step()
    assert (bench.routes(), bench.told()) == ([], [])


def test_what_another_route_had_read_does_not_run_again_and_that_is_said(bench: Bench) -> None:
    bench.configuration = configured(ALL, URGENT)
    bench.close()
    bench.order()
    bench.late.step()
    assert (bench.routes(), bench.matched()) == ([["all"]], ["all", "urgent"])
    assert "ct-lung had read these images for another route: it does not run again" in bench.told()[0]


def test_what_is_left_of_a_series_that_expired_is_not_read(bench: Bench) -> None:
    bench.close()
    with bench.database.begin() as session:
        session.execute(update(InstanceRow).values(state=InstanceState.EXPIRED))
    bench.order()
    bench.late.step()
    assert bench.routes() == []


def test_only_what_did_not_match_before_is_news() -> None:
    assert late_orders.newly_matched([], []) == []
    assert late_orders.why(["a", "b"], []) == "its order came after the series was complete; it matches a, b now"
