"""Who watches work items is told, and this node is told by the managers that it follows.

The clock stands still, so that nothing is asked because its time has come: what happens, happens because of an event.
"""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import HTTPException
from pydicom.uid import UID
from pynetdicom.sop_class import UnifiedProcedureStepPull
from sqlalchemy import select
from support.network import free_port
from support.ordering import UpsClient, order
from support.outbound import VirtualClock
from support.phantoms import manifest
from support.receiver import Receiver
from support.rows import close_all, must_lease, produce, receive, reception, result
from support.ups_dimse import DimseManager, Watcher
from support.waiting import eventually, stays
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from radnode.config.loading import parse
from radnode.node.alarms import Alarms
from radnode.node.answers import Answers
from radnode.node.dicomweb_out.image_processes import ImageProcesses
from radnode.node.intake.admission import Admitted
from radnode.node.intake.normalized import CommitmentDesk
from radnode.node.observability import Metrics
from radnode.node.scheduler import Clock, stop_all
from radnode.node.web.access import Identity
from radnode.node.web.api import create_app
from radnode.node.web.server import HttpServer
from radnode.node.workitems import door
from radnode.node.workitems.composing import WorkItems
from radnode.node.workitems.desk import Desk
from radnode.storage import catalog, jobs, subscriptions, workitems
from radnode.storage.database import Database
from radnode.storage.quarantine import Quarantine
from radnode.storage.subscriptions import FILTERED, GLOBAL
from radnode.storage.tables import JobRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from websockets.sync.client import ClientConnection

CONFIGURATION = """\
workitems:
  codes: {"CHEST^99HOSP": chest-ct}
  managers: [%s]
peers:
  RIS: {ae_title: RIS, host: 127.0.0.1, port: %d, receives: true}
  %s
routes:
  - {name: chest-ct, when: {modality: CT}, run: [ct-lung], send: [RIS], enabled: false}
"""
TRANSACTION = "1.2.3.4.5"


class Ordered:
    """All that a node has of work items, with its doors open, on real tables.

    manager: a peer that it follows. performs: False for one that is only the worklist of others.
    """

    def __init__(
        self, folder: Path, *, ris: int = 104, manager: str = "", port: int = 0, performs: bool = True
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.clock = VirtualClock()
        self.database = Database(f"sqlite:///{folder / 'items.db'}")
        self.database.upgrade()
        peers = f"MANAGER: {{receives: true, {manager}}}" if manager else ""
        self.configuration = parse(CONFIGURATION % ("MANAGER" if manager else "", ris, peers), "a.yaml")
        self.alarms = Alarms(self.clock.now)
        self.images = ImageProcesses()
        self.work = WorkItems(
            self.database, lambda: self.configuration, lambda: {"ct-lung": manifest(name="ct-lung", version="1.0")},
            self.clock.now, alarms=self.alarms, on_jobs=lambda: None, opener=self.images,
        )
        self.receiver = Receiver(
            folder / "receiver", admit=lambda calling, *_: Admitted(source=calling),
            desk=CommitmentDesk(reported=lambda *_: 0, requested=lambda *_: 0, ordered=self.work.door),
        )
        app = create_app(Answers(self.database, None, list, list, Quarantine(folder / "quarantine")), Metrics())
        self.identity = Identity(name="ris", roles=("service",), how="token")
        app.state.permits = self.permits
        app.state.identity = app.state.still = lambda _: self.identity
        self.app = self.work.mount(app)
        self.server = HttpServer(self.app, host="127.0.0.1", port=port)
        self.client = UpsClient(self.server.port)
        self._activities = self.work.activities if performs else self.work.activities[1:]
        self._ticks = Clock()

    def permits(self, _request: object, permission: Any) -> None:
        if permission not in self.identity.permissions:
            raise HTTPException(403, "no")

    def __enter__(self) -> Ordered:
        self.receiver.__enter__()
        self.server.start()
        for activity in self._activities:
            activity.start()
            self._ticks.every(0.2, activity)
        self._ticks.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ticks.stop()
        stop_all(self._activities)
        self.work.stop()
        self.client.close()
        self.server.stop()
        self.receiver.__exit__()
        self.images.close()
        self.database.close()

    def images_of(self, numbers: Sequence[int]) -> None:
        recorded = receive(self.database, *(reception(n, at=self.clock.time) for n in numbers))
        with self.database.begin() as session:
            catalog.store_headers(session, [(each.instance_id, {"Modality": "CT"}) for each in recorded])
        close_all(self.database, self.clock.time)

    def ordered(self, *numbers: int, **more: Any) -> str:
        answer = self.client.create(order("1.2.5.1", {"1.2.4.1": [f"1.2.3.{n}" for n in numbers]}, **more))
        assert answer.status_code == 201, answer.text
        return str(answer.headers["location"].rpartition("/")[2])

    def state(self, uid: str) -> str:
        found = self.client.raw("GET", f"/workitems/{uid}")
        return str(found.json()[0]["00741000"]["Value"][0]) if found.status_code == 200 else ""

    def subscribe(self, title: str, uid: str = GLOBAL, query: str = "") -> str:
        """Over HTTP; where to listen."""
        answer = self.client.raw("POST", f"/workitems/{uid}/subscribers/{title}{query}")
        assert answer.status_code == 201, answer.text
        return str(answer.headers["content-location"])


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Ordered]:
    with Ordered(tmp_path / "node") as made:
        yield made


def heard(channel: ClientConnection, number: int) -> list[tuple[str, int, str]]:
    """(uid, event type, state) of the next events."""
    said = [json.loads(channel.recv(timeout=20)) for _ in range(number)]
    return [(each["00001000"]["Value"][0], each["00001002"]["Value"][0],
             each.get("00741000", {}).get("Value", [""])[0]) for each in said]


def test_who_subscribed_over_dimse_is_told_of_every_change_in_order_also_of_what_came_while_it_was_away(
    tmp_path: Path
) -> None:
    ris = Watcher()
    with Ordered(tmp_path / "node", ris=ris.port) as node:
        port = node.receiver.port
        with ris.listening():
            old = node.ordered(1, InputReadinessState="UNAVAILABLE")
            assert ris.ask(port, door.SUBSCRIBE, GLOBAL, ReceivingAE="RIS", DeletionLock="TRUE") == 0xB301
            eventually(lambda: [(uid, kind) for uid, kind, _ in ris.told] == [(old, 1)], why="the initial state")
        ris.told.clear()
        uid = node.ordered(2, InputReadinessState="UNAVAILABLE")
        assert node.client.change(uid, "IN PROGRESS", TRANSACTION).status_code == 200
        assert node.client.cancel(uid).status_code == 202
        stays(lambda: ris.told == [], during=0.5)
        with ris.listening():
            eventually(lambda: node.clock.forward(timedelta(seconds=5)) and len(ris.told) == 3,
                       why=lambda: str(ris.told))
            assert [(each, kind) for each, kind, _ in ris.told] == [(uid, 1), (uid, 1), (uid, 2)]
            assert [str(said.get("ProcedureStepState", "")) for _, _, said in ris.told] == [
                "SCHEDULED", "IN PROGRESS", ""]
            assert ris.told[2][2].RequestingAE == "UPS-RS"
            assert ris.ask(port, door.UNSUBSCRIBE, GLOBAL, ReceivingAE="RIS") == 0
            node.ordered(3)
            stays(lambda: len(ris.told) == 3, during=0.5)
    with node.database.read() as session:
        assert subscriptions.addressed(session) == []


def test_a_subscription_that_cannot_be_is_refused_by_its_status(node: Ordered) -> None:
    ris, port = Watcher(), node.receiver.port
    assert ris.ask(port, door.SUBSCRIBE, GLOBAL, ReceivingAE="NOBODY", DeletionLock="FALSE") == door.NO_SUCH_AE
    assert ris.ask(port, door.SUBSCRIBE, "1.2.9.9", ReceivingAE="RIS", DeletionLock="FALSE") == door.NO_SUCH_UPS
    assert ris.ask(port, door.SUBSCRIBE, FILTERED, ReceivingAE="RIS", DeletionLock="FALSE") == door.INVALID_VALUE
    uid = node.ordered(1)
    assert ris.ask(port, door.SUSPEND, uid, ReceivingAE="RIS") == door.NOT_FOR_THIS_INSTANCE
    raw = node.client.raw
    assert raw("POST", "/workitems/1.2.9.9/subscribers/RIS").status_code == 404
    assert raw("POST", f"/workitems/{GLOBAL}/subscribers/LONGER-THAN-SIXTEEN").status_code == 400
    assert raw("POST", f"/workitems/{FILTERED}/subscribers/RIS?NoSuchKeyword=1").status_code == 400
    assert raw("POST", f"/workitems/{GLOBAL}/subscribers/RIS?deletionlock=perhaps").status_code == 400
    assert raw("DELETE", f"/workitems/{GLOBAL}/subscribers/RIS").status_code == 404
    assert raw("POST", f"/workitems/{uid}/subscribers/RIS/suspend").status_code == 409
    with node.database.read() as session:
        assert subscriptions.everybody(session) == []


def test_who_listens_on_a_websocket_is_told_of_the_items_it_subscribed_to_and_of_no_others(node: Ordered) -> None:
    one = node.ordered(1, InputReadinessState="UNAVAILABLE")
    where = node.subscribe("ALL")
    assert node.subscribe("ONE", one, "?deletionlock=true").endswith("/dicom-web/subscribers/ONE")
    node.subscribe("SOME", FILTERED, "?PatientID=P7")
    with connect(where) as everything, connect(where.replace("/ALL", "/ONE")) as single, connect(
        where.replace("/ALL", "/SOME")
    ) as some:
        assert heard(everything, 1) == heard(single, 1) == [(one, 1, "SCHEDULED")]
        other = node.ordered(2, PatientID="P7", InputReadinessState="UNAVAILABLE")
        assert heard(everything, 1) == heard(some, 1) == [(other, 1, "SCHEDULED")]
        assert node.client.raw("POST", f"/workitems/{GLOBAL}/subscribers/ALL/suspend").status_code == 200
        node.clock.forward(timedelta(seconds=1))
        new = node.ordered(3, InputReadinessState="UNAVAILABLE")
        assert node.client.cancel(one).status_code == 202
        assert heard(everything, 1) == heard(single, 1) == [(one, 1, "CANCELED")], f"{new} came after the suspension"
        assert node.client.raw("DELETE", f"/workitems/{one}/subscribers/ONE").status_code == 200
        assert node.client.cancel(other).status_code == 202
        assert heard(everything, 1) == heard(some, 1) == [(other, 1, "CANCELED")]
        with pytest.raises(TimeoutError):
            single.recv(timeout=0.5)
    node.work.stop()
    with pytest.raises((ConnectionClosed, InvalidStatus)), connect(where) as late:
        late.recv(timeout=5)


def test_progress_is_told_while_an_order_is_performed(node: Ordered) -> None:
    with connect(node.subscribe("ALL")) as channel:
        node.images_of([1])
        uid = node.ordered(1)
        kinds = [kind for _, kind, _ in heard(channel, 3)]
        assert kinds == [1, 1, 3], "entered, claimed, its job begun"
        produce(node.database, must_lease(node.database, node.clock.time), result("1.2.9.1"), now=node.clock.time)
        _, kind, _ = heard(channel, 1)[0]
        assert (kind, node.state(uid)) == (3, "IN PROGRESS")


def test_nobody_listens_without_the_permission_to_see_studies_and_no_page_in_the_name_of_a_browser(
    node: Ordered
) -> None:
    where = node.subscribe("ALL")
    for identity in (Identity(name="a", roles=("auditor",), how="token"), Identity(name="b", roles=(), how="token"),
                     Identity(name="c", roles=("admin",), how="password", csrf="secret")):
        node.identity = identity
        with pytest.raises(InvalidStatus) as refused:
            connect(where)
        assert refused.value.response.status_code == 403
    node.identity = Identity(name="ris", roles=("service",), how="token")
    for path in ("/dicom-web/subscribers/", "/dicom-web/subscribers/A%5CB", "/elsewhere", "/dicom-web/workitems"):
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{node.server.port}{path}")


def by_web(port: int) -> str:
    return f"dicomweb: {{url: 'http://127.0.0.1:{port}/dicom-web'}}"


def by_dimse(port: int) -> str:
    return f"ae_title: MANAGER, host: 127.0.0.1, port: {port}"


def test_an_order_at_a_manager_of_ups_rs_is_pulled_at_its_event_and_the_manager_comes_and_goes(tmp_path: Path) -> None:
    port = free_port()
    with Ordered(tmp_path / "node", manager=by_web(port)) as node:
        with Ordered(tmp_path / "manager", port=port, performs=False) as manager:
            eventually(lambda: _subscribers(manager) == ["RADNODE"])
            _settled(node)
            first = manager.ordered(1)
            eventually(lambda: manager.state(first) == "IN PROGRESS" == node.state(first),
                       why="no time passed: only the event says so")
        with Ordered(tmp_path / "another", port=port, performs=False) as manager:
            eventually(lambda: _subscribers(manager) == ["RADNODE"], why="it is subscribed to again")
            _settled(node)
            second = manager.ordered(2)
            eventually(lambda: manager.state(second) == "IN PROGRESS")


def test_an_order_at_a_manager_of_dimse_is_pulled_at_its_event_and_stopped_at_its_event(
    tmp_path: Path
) -> None:
    with Ordered(tmp_path / "manager", performs=False) as other:
        worklist = DimseManager(_desk(other))
        with worklist.listening(), Ordered(tmp_path / "node", manager=by_dimse(worklist.port)) as node:
            eventually(lambda: FILTERED in worklist.subscribed)
            said = worklist.subscribed[FILTERED]
            assert (said.ReceivingAE, said.ScheduledWorkitemCodeSequence[0].CodeValue) == ("RADNODE", "CHEST")
            node.images_of([1])
            _settled(node)
            uid = other.ordered(1, InputReadinessState="INCOMPLETE")
            ready = {"00404041": {"vr": "CS", "Value": ["READY"]}}
            stays(lambda: node.state(uid) == "", during=0.5)
            assert other.client.update(uid, ready).status_code == 200
            assert worklist.tell(node.receiver.port, uid, 1, ProcedureStepState="SCHEDULED",
                                 InputReadinessState="READY") == 0
            eventually(lambda: node.state(uid) == "IN PROGRESS" and _running(node))
            assert worklist.tell(node.receiver.port, uid, 2, RequestingAE="RIS", ReasonForCancellation="went home") == 0
            eventually(lambda: node.state(uid) == "CANCELED")
            assert not _running(node)
            eventually(lambda: node.clock.forward(timedelta(seconds=11)) and _reason(other, uid) == "went home")
            assert worklist.tell(node.receiver.port, uid, 9, ProcedureStepState="SCHEDULED") == 0x0113


def test_a_manager_that_takes_no_subscription_is_asked_as_before(tmp_path: Path) -> None:
    with Ordered(tmp_path / "manager", performs=False) as other:
        worklist = DimseManager(_desk(other), takes=[UnifiedProcedureStepPull])
        uid = other.ordered(1)
        with worklist.listening(), Ordered(tmp_path / "node", manager=by_dimse(worklist.port)) as node:
            eventually(lambda: node.state(uid) == "IN PROGRESS")
            assert worklist.subscribed == {}
            assert node.alarms.raised() == []
            later = other.ordered(2)
            stays(lambda: node.state(later) == "", during=0.5)
            eventually(lambda: node.clock.forward(timedelta(seconds=11)) and node.state(later) == "IN PROGRESS")


def test_an_event_of_somebody_who_is_no_manager_is_refused_and_starts_nothing(tmp_path: Path) -> None:
    with Ordered(tmp_path / "node") as node:
        stranger = DimseManager(_desk(node))
        uid = node.ordered(1, InputReadinessState="UNAVAILABLE")
        assert stranger.tell(node.receiver.port, uid, 2, RequestingAE="RIS") == 0x0124
        assert node.state(uid) == "SCHEDULED"


def test_an_order_that_runs_is_stopped_by_its_cancellation_and_runs_anew_when_ordered_again(node: Ordered) -> None:
    node.images_of([1])
    uid, twin = node.ordered(1), node.ordered(1)
    job = eventually(lambda: _lease(node))
    eventually(lambda: all(node.state(each) == "IN PROGRESS" and _jobs(node, each) for each in (uid, twin)))
    assert node.client.cancel(uid).status_code == 202
    eventually(lambda: node.state(uid) == "CANCELED")
    assert _running(node), "the other order wants it, too"
    body = {"00741238": {"vr": "LT", "Value": ["wrong protocol"]}}
    assert node.client.raw("POST", f"/workitems/{twin}/cancelrequest", content=json.dumps(body),
                           headers={"Content-Type": "application/dicom+json"}).status_code == 202
    eventually(lambda: node.state(twin) == "CANCELED")
    assert _reason(node, twin) == "wrong protocol"
    assert not _running(node)
    with pytest.raises(jobs.LeaseLost):
        produce(node.database, job, result("1.2.9.1"), now=node.clock.time)
    again = node.ordered(1)
    fresh = eventually(lambda: _lease(node))
    assert fresh.job_id != job.job_id
    produce(node.database, fresh, result("1.2.9.2"), now=node.clock.time)
    assert node.client.cancel(again).status_code == 202
    stays(lambda: node.state(again) == "IN PROGRESS", during=0.5, why="its results are there: it is too late")


def _desk(node: Ordered) -> Desk:
    return Desk(database=node.database, configuration=lambda: node.configuration, now=node.clock.now,
                on_change=lambda: None)


def _subscribers(node: Ordered) -> list[str]:
    with node.database.read() as session:
        return [each.subscriber for each in subscriptions.everybody(session)]


def _settled(node: Ordered) -> None:
    """Its first question to the manager has been answered; from now on its clock gives no reason for another."""
    following = node.work.activities[1]
    eventually(lambda: node.work._follower._next.get("MANAGER") is not None and not following._pulse.is_set())


def _jobs(node: Ordered, uid: str) -> list[int]:
    with node.database.read() as session:
        item = workitems.find(session, uid)
        return list(item.jobs) if item else []


def _lease(node: Ordered) -> Any:
    with contextlib.suppress(AssertionError, StopIteration):
        return must_lease(node.database, node.clock.time)
    return None


def _running(node: Ordered) -> bool:
    with node.database.read() as session:
        return bool(session.scalars(select(JobRow.id).where(JobRow.state.in_(("WAITING", "RUNNING")))).all())


def _reason(node: Ordered, uid: str) -> str:
    step = (node.client.get(uid).get("ProcedureStepProgressInformationSequence") or [None])[0]
    return str(step.get("ReasonForCancellation", "")) if step is not None else ""


def test_uids_of_the_standard_are_those_of_pynetdicom() -> None:
    assert UID(GLOBAL).name == "UPS Global Subscription SOP Instance"
    assert UID(FILTERED).name == "UPS Filtered Global Subscription SOP Instance"
