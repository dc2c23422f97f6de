"""Work items over UPS-RS (PS3.18 11) at our own server: there is no other here to try it with."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete
from support.ordering import JSON, UpsClient, order
from support.outbound import VirtualClock
from support.phantoms import manifest
from support.rows import close_all, fail, lease_delivery, must_lease, produce, receive, reception, result
from support.ups_dimse import DimseManager

from radnode.config.loading import parse
from radnode.node.alarms import Alarms
from radnode.node.answers import Answers
from radnode.node.observability import Metrics
from radnode.node.web.api import create_app
from radnode.node.web.server import HttpServer
from radnode.node.web.workitems import router
from radnode.node.workitems.desk import Desk
from radnode.node.workitems.following import Follower
from radnode.node.workitems.performing import Performer
from radnode.node.workitems.subscribing import SubscriptionDesk
from radnode.storage import catalog, outbox, workitems
from radnode.storage.database import Database
from radnode.storage.quarantine import Quarantine
from radnode.storage.workitem_tables import WorkItemRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydicom.dataset import Dataset

CONFIGURATION = """\
workitems:
  codes: {"CHEST^99HOSP": chest-ct}
peers:
  PACS: {ae_title: ARCHIVE, host: 127.0.0.1, port: 104, receives: true}
routes:
  - {name: chest-ct, when: {modality: CT}, run: [ct-lung], send: [PACS], enabled: false}
"""
TRANSACTION = "1.2.3.4.5"


class Bench:
    """A desk behind HTTP and a performer, on real tables, under a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock()
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        self.configuration = parse(CONFIGURATION, "a.yaml")
        self.fetched: list[str] = []
        self.desk = Desk(database=self.database, configuration=lambda: self.configuration, now=self.clock.now,
                         on_change=lambda: None)
        self.restart()
        answers = Answers(self.database, None, list, list, Quarantine(folder / "quarantine"))
        self.app = create_app(answers, Metrics())
        self.app.state.permits = lambda *_: None  # who may ask is another test's matter
        subscriptions = SubscriptionDesk(database=self.database, now=self.clock.now, on_notice=lambda: None)
        self.app.include_router(router(self.desk, subscriptions))
        self.server = HttpServer(self.app, host="127.0.0.1", port=0)
        self.server.start()
        self.client = UpsClient(self.server.port)

    def restart(self) -> None:
        self.performer = Performer(
            database=self.database, configuration=lambda: self.configuration,
            manifests=lambda: {"ct-lung": manifest(name="ct-lung", version="1.0")}, now=self.clock.now,
            on_jobs=lambda: None, fetch=lambda study, _: self.fetched.append(study),
        )

    def close(self) -> None:
        self.client.close()
        self.server.stop()
        self.database.close()

    def images(self, numbers: Sequence[int], *, series: int = 1, closed: bool = True) -> None:
        recorded = receive(self.database, *(reception(n, series=series, at=self.clock.time) for n in numbers))
        with self.database.begin() as session:
            catalog.store_headers(session, [(each.instance_id, {"Modality": "CT"}) for each in recorded])
        if closed:
            close_all(self.database, self.clock.time)

    def ordered(self, *numbers: int, series: int = 1, **more: Any) -> str:
        answer = self.client.create(order("1.2.5.1", {f"1.2.4.{series}": [f"1.2.3.{n}" for n in numbers]}, **more))
        assert answer.status_code == 201, answer.text
        return answer.headers["location"].rpartition("/")[2]

    def steps(self, times: int = 2) -> None:
        for _ in range(times):
            self.performer.step()

    def arrive(self) -> None:
        """The PACS takes what waits for it."""
        while (delivery := lease_delivery(self.database, now=self.clock.time)) is not None:
            with self.database.begin() as session:
                outbox.sent(session, delivery, 0, self.clock.time)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """For requests that need no images."""
    made = Bench(tmp_path_factory.mktemp("items"))
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def progress(item: Dataset) -> str:
    return str(item.ProcedureStepProgressInformationSequence[0].ProcedureStepProgressDescription)


def why(item: Dataset) -> str:
    return str(item.ProcedureStepProgressInformationSequence[0].ReasonForCancellation)


def test_an_order_is_claimed_run_on_its_images_and_completed_once_its_results_have_arrived(bench: Bench) -> None:
    bench.images([1, 2])
    uid = bench.ordered(1, 2)
    assert bench.client.get(uid).ProcedureStepState == "SCHEDULED"
    bench.steps()
    assert bench.client.get(uid).ProcedureStepState == "IN PROGRESS"
    job = must_lease(bench.database, bench.clock.time)
    assert (job.pipeline, job.destinations) == ("ct-lung", ("PACS",))
    assert sorted(each.sop_instance_uid for each in job.inputs) == ["1.2.3.1", "1.2.3.2"]
    produce(bench.database, job, result("1.2.9.1"), result("1.2.9.2", 1), now=bench.clock.time)
    bench.steps()
    assert bench.client.get(uid).ProcedureStepState == "IN PROGRESS", "the results have not left yet"
    bench.arrive()
    bench.restart()
    bench.steps()

    item = bench.client.get(uid)
    assert item.ProcedureStepState == "COMPLETED"
    performed = item.UnifiedProcedureStepPerformedProcedureSequence[0]
    (output,) = performed.OutputInformationSequence
    assert [each.ReferencedSOPInstanceUID for each in output.ReferencedSOPSequence] == ["1.2.9.1", "1.2.9.2"]
    assert (output.StudyInstanceUID, output.DICOMRetrievalSequence[0].RetrieveAETitle) == ("1.2.5.1", "ARCHIVE")
    assert performed.PerformedStationNameCodeSequence[0].CodeMeaning == "RADNODE"
    assert "TransactionUID" not in item

    again = bench.ordered(1, 2)
    bench.steps(3)
    assert bench.client.get(again).ProcedureStepState == "COMPLETED", "the same job answers the same order"


def test_an_order_runs_on_exactly_what_it_names_or_waits_for_it(bench: Bench) -> None:
    bench.images([1, 2, 3])
    some, more = bench.ordered(1, 2), bench.ordered(3, 4)
    bench.steps()
    job = must_lease(bench.database, bench.clock.time)
    assert sorted(each.sop_instance_uid for each in job.inputs) == ["1.2.3.1", "1.2.3.2"]
    assert bench.client.get(some).ProcedureStepState == "IN PROGRESS"
    assert progress(bench.client.get(more)) == "waits: 1 images of series 1.2.4.1 are not here"
    assert bench.fetched == ["1.2.5.1"]
    bench.images([4], closed=False)
    bench.steps()
    assert "is not closed yet" in progress(bench.client.get(more))
    close_all(bench.database, bench.clock.time)
    bench.steps()
    job = must_lease(bench.database, bench.clock.time)
    assert sorted(each.sop_instance_uid for each in job.inputs) == ["1.2.3.3", "1.2.3.4"]


def test_an_order_for_another_patient_than_that_of_its_images_is_canceled(bench: Bench) -> None:
    bench.images([1])
    right, wrong = bench.ordered(1, PatientID="P1 "), bench.ordered(1, PatientID="P2")
    bench.steps()
    assert bench.client.get(right).ProcedureStepState == "IN PROGRESS"
    item = bench.client.get(wrong)
    assert item.ProcedureStepState == "CANCELED"
    assert why(item) == "its images are of another patient than it names"


def test_an_order_that_cannot_be_performed_is_canceled_with_the_reason(bench: Bench) -> None:
    bench.images([1])
    late = bench.ordered(9)
    broken = bench.ordered(1)
    bench.steps()
    fail(bench.database, must_lease(bench.database, bench.clock.time), "out of memory", bench.clock.time)
    bench.steps()
    item = bench.client.get(broken)
    assert (item.ProcedureStepState, why(item)) == ("CANCELED", "ct-lung: failed: out of memory")
    bench.clock.forward(timedelta(hours=25))
    bench.steps()
    assert why(bench.client.get(late)).startswith("given up after 1 day")
    bench.configuration = parse(CONFIGURATION.replace("modality: CT", "modality: MR"), "a.yaml")
    other = bench.ordered(1)
    bench.steps()
    assert why(bench.client.get(other)) == "no series of the input meets the conditions of route chest-ct"


def test_a_result_that_its_destination_refuses_completes_no_order(bench: Bench) -> None:
    bench.images([1])
    uid = bench.ordered(1)
    bench.steps()
    produce(bench.database, must_lease(bench.database, bench.clock.time), result("1.2.9.1"), now=bench.clock.time)
    delivery = lease_delivery(bench.database, now=bench.clock.time)
    assert delivery is not None
    with bench.database.begin() as session:
        outbox.dead(session, delivery, "no", bench.clock.time)
    bench.steps()
    assert why(bench.client.get(uid)) == "ct-lung: results were not taken by PACS"


def test_whoever_claims_an_item_has_it_and_its_transaction_uid_is_shown_to_nobody(shared: Bench) -> None:
    client, uid = shared.client, shared.ordered(1, InputReadinessState="UNAVAILABLE")
    assert client.change(uid, "COMPLETED", TRANSACTION).status_code == 409
    assert client.change(uid, "IN PROGRESS").status_code == 409
    assert client.change(uid, "IN PROGRESS", TRANSACTION).status_code == 200
    refused = client.change(uid, "IN PROGRESS", "1.2.9")
    assert "The correct Transaction UID was not provided." in refused.headers["warning"]
    assert "1.2.3.4.5" not in client.raw("GET", f"/workitems/{uid}").text
    label = {"00741204": {"vr": "LO", "Value": ["other"]}}
    assert client.update(uid, label).status_code == 409
    assert client.update(uid, label, f"?{TRANSACTION}").status_code == 200
    assert client.get(uid).ProcedureStepLabel == "other"
    assert "final state" in client.change(uid, "COMPLETED", TRANSACTION).headers["warning"]
    shared.steps()
    assert client.get(uid).ProcedureStepState == "IN PROGRESS", "it is not ours"


def test_a_request_to_cancel_ends_what_has_not_begun(shared: Bench) -> None:
    client, uid = shared.client, shared.ordered(7)
    assert client.cancel(uid).status_code == 202
    assert client.get(uid).ProcedureStepState == "CANCELED"
    assert client.cancel(uid).status_code == 409
    warned = client.change(uid, "CANCELED", TRANSACTION)
    assert (warned.status_code, "already" in warned.headers["warning"]) == (200, True)
    waiting = shared.ordered(8)
    shared.steps()
    assert client.cancel(waiting).status_code == 202
    shared.steps()
    assert why(client.get(waiting)) == "its cancellation was asked for before a job began"


def test_items_are_found_by_state_code_input_and_time(shared: Bench) -> None:
    client = shared.client
    uid = shared.ordered(99, series=5, ScheduledProcedureStepStartDateTime="20300101120000")
    assert client.search(**{"InputInformationSequence.SeriesInstanceUID": "1.2.4.5"}) == [uid]
    assert client.search(**{"00404021.0020000E": "1.2.4.5", "ProcedureStepState": "SCHEDULED"}) == [uid]
    assert client.search(ScheduledProcedureStepStartDateTime="20291231-20300102") == [uid]
    assert client.search(ScheduledProcedureStepStartDateTime="-20250101") == []
    assert uid in client.search(**{"ScheduledWorkitemCodeSequence.CodeValue": "CHE*"})
    assert client.search(limit="1", offset="0") != client.search(limit="1", offset="1")
    assert client.raw("GET", "/workitems?NoSuchKeyword=1").status_code == 400
    assert client.raw("GET", "/workitems?limit=x").status_code == 400


@pytest.mark.parametrize(("changed", "said"), [
    ({"code": "OTHER"}, "no route performs this"),
    ({"ProcedureStepState": "IN PROGRESS"}, "of a new work item is SCHEDULED"),
    ({"TransactionUID": "1.2.3"}, "of a new work item is empty"),
    ({"ScheduledProcedureStepPriority": "STAT"}, "is one of HIGH, MEDIUM, LOW"),
    ({"InputReadinessState": ""}, "is one of INCOMPLETE"),
    ({"ProcedureStepLabel": ""}, "ProcedureStepLabel is missing"),
    ({"InputInformationSequence": []}, "the images of one study"),
    ({"ScheduledWorkitemCodeSequence": []}, "has one item"),
])
def test_an_order_that_is_unclear_is_refused_with_what_is_wrong(
    shared: Bench, changed: dict[str, Any], said: str
) -> None:
    answer = shared.client.create(order("1.2.5.1", **changed))
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


def test_what_is_no_work_item_is_refused_and_changes_nothing(shared: Bench) -> None:
    client = shared.client
    before = client.search()
    for body in (b"{", b"[]", b'{"00080018": 5}', b'{"0040A730": {"vr": "SQ", "Value": [[1]]}}', b"\xff", b"1",
                 b'{"00404021": {"vr": "SQ", "BulkDataURI": "http://a"}}', b"[" * 200_000):
        assert client.raw("POST", "/workitems", content=body, headers=JSON).status_code == 400, body[:60]
    assert client.raw("POST", "/workitems", content=b"<a/>", headers={"Content-Type": "text/xml"}).status_code == 415
    assert client.raw("POST", "/workitems", content=b" " * (2**20 + 1), headers=JSON).status_code == 413
    assert client.create(order("1.2.5.1"), "?workitem=..%2f..%2fetc").status_code == 400
    wrong = order("1.2.5.1")
    wrong["00404021"]["Value"][0]["0020000D"]["Value"] = ["CANARY-77 is no UID"]
    assert client.create(wrong).status_code == 400
    assert client.raw("GET", "/workitems/1.2.3.999").status_code == 404
    assert client.change("1.2.3.999", "IN PROGRESS", TRANSACTION).status_code == 404
    assert client.search() == before
    assert client.create(order("1.2.5.1"), "?1.2.77").status_code == 201
    assert client.create(order("1.2.5.1"), "?1.2.77").status_code == 409
    assert client.change("1.2.77", "DONE", TRANSACTION).status_code == 400


def test_every_job_of_the_node_is_shown_as_a_work_item_that_nobody_changes(bench: Bench) -> None:
    bench.images([1])
    uid = bench.ordered(1)
    bench.steps()
    job = must_lease(bench.database, bench.clock.time)
    assert bench.client.search() == [uid], "a job of an order is that order"
    with bench.database.begin() as session:
        session.execute(delete(WorkItemRow))
    (own,) = bench.client.search(ProcedureStepState="IN PROGRESS")
    assert bench.client.get(own).ProcedureStepLabel == "ct-lung"
    assert bench.client.change(own, "CANCELED", TRANSACTION).status_code == 404
    fail(bench.database, job, "out of memory", bench.clock.time)
    (own,) = bench.client.search(ProcedureStepState="CANCELED")
    assert why(bench.client.get(own)) == "out of memory"


class Pulling:
    """A node that follows the worklist of another, which is a node of ours, too. manager: how it is reached."""

    def __init__(self, bench: Bench, manager: str) -> None:
        self.bench = bench
        self.alarms = Alarms(bench.clock.now)
        bench.configuration = parse(
            CONFIGURATION.replace("workitems:\n", "workitems:\n  managers: [MANAGER]\n").replace(
                "peers:\n", f"peers:\n  MANAGER: {{receives: true, {manager}}}\n"
            ), "a.yaml",
        )
        self.follower = Follower(database=bench.database, configuration=lambda: bench.configuration,
                                 now=bench.clock.now, alarms=self.alarms, on_claimed=lambda: None)

    def later(self) -> None:
        """Ten seconds later it asks again, and performs what it has."""
        self.bench.clock.forward(timedelta(seconds=11))
        self.follower.step()
        self.bench.steps(1)


def by_web(port: int) -> str:
    return f"dicomweb: {{url: 'http://127.0.0.1:{port}/dicom-web'}}"


def by_dimse(port: int) -> str:
    return f"ae_title: MANAGER, host: 127.0.0.1, port: {port}"


def test_orders_on_another_worklist_are_claimed_performed_and_reported_there(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    manager = Bench(tmp_path_factory.mktemp("manager"))
    try:
        pulling = Pulling(bench, by_web(manager.server.port))
        bench.images([1, 2])
        uid, late = manager.ordered(1, 2), manager.ordered(9)
        pulling.later()
        pulling.later()
        item = manager.client.get(uid)
        assert (item.ProcedureStepState, progress(item)) == ("IN PROGRESS", "1 jobs of route chest-ct")
        assert "are not here" in progress(manager.client.get(late))
        assert manager.client.change(uid, "CANCELED", TRANSACTION).status_code == 409
        job = must_lease(bench.database, bench.clock.time)
        produce(bench.database, job, result("1.2.9.1"), now=bench.clock.time)
        bench.arrive()
        url = bench.configuration.peers["MANAGER"].dicomweb
        assert url is not None
        manager.server.stop()  # what is to be told waits for it
        pulling.later()
        pulling.later()
        assert bench.client.get(uid).ProcedureStepState == "COMPLETED"
        assert [alarm.name for alarm in pulling.alarms.raised()] == ["worklist:MANAGER"]
        manager.server = HttpServer(manager.app, host="127.0.0.1", port=int(url.url.split(":")[2].split("/")[0]))
        manager.server.start()
        pulling.later()
        item = manager.client.get(uid)
        assert item.ProcedureStepState == "COMPLETED"
        (output,) = item.UnifiedProcedureStepPerformedProcedureSequence[0].OutputInformationSequence
        assert output.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.9.1"
        bench.clock.forward(timedelta(hours=25))
        pulling.later()
        pulling.later()
        assert why(manager.client.get(late)).startswith("given up after 1 day")
        assert pulling.alarms.raised() == []
        assert bench.client.search(ProcedureStepState="IN PROGRESS") == []
    finally:
        manager.close()


def test_who_is_too_late_to_claim_performs_nothing_and_a_lost_answer_is_no_loss(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    manager = Bench(tmp_path_factory.mktemp("manager"))
    try:
        pulling = Pulling(bench, by_web(manager.server.port))
        taken, lost = manager.ordered(1), manager.ordered(2)
        with manager.database.begin() as session:
            content = {uid: workitems.find(session, uid) for uid in (taken, lost)}
        with bench.database.begin() as session:
            for uid, transaction in ((taken, "1.2.8.1"), (lost, "1.2.8.2")):
                item = content[uid]
                assert item is not None
                workitems.enter(session, uid, item.content, route="chest-ct", study_instance_uid="1.2.5.1",
                                now=bench.clock.time, manager="MANAGER", transaction_uid=transaction)
        assert manager.client.change(taken, "IN PROGRESS", "1.2.9").status_code == 200  # by another
        assert manager.client.change(lost, "IN PROGRESS", "1.2.8.2").status_code == 200  # by us, before a crash
        pulling.later()
        pulling.later()
        assert bench.client.get(taken).ProcedureStepState == "CANCELED"
        assert bench.client.get(lost).ProcedureStepState == "IN PROGRESS"
        assert manager.client.get(taken).ProcedureStepState == "IN PROGRESS"
        assert "waits" in progress(manager.client.get(lost))
    finally:
        manager.close()


def test_orders_on_a_worklist_of_dimse_are_claimed_performed_and_reported_there(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    manager = Bench(tmp_path_factory.mktemp("manager"))
    worklist = DimseManager(manager.desk)
    pulling = Pulling(bench, by_dimse(worklist.port))
    try:
        with worklist.listening():
            bench.images([1, 2])
            uid, late = manager.ordered(1, 2), manager.ordered(9)
            pulling.later()
            pulling.later()
            item = manager.client.get(uid)
            assert (item.ProcedureStepState, progress(item)) == ("IN PROGRESS", "1 jobs of route chest-ct")
            assert "are not here" in progress(manager.client.get(late))
            assert manager.client.change(uid, "CANCELED", TRANSACTION).status_code == 409
            assert worklist.asked["get"] == 2
            job = must_lease(bench.database, bench.clock.time)
            produce(bench.database, job, result("1.2.9.1"), now=bench.clock.time)
            bench.arrive()
        pulling.later()  # what is to be told waits for it
        pulling.later()
        assert bench.client.get(uid).ProcedureStepState == "COMPLETED"
        assert [alarm.name for alarm in pulling.alarms.raised()] == ["worklist:MANAGER"]
        with worklist.listening():
            pulling.later()
            assert pulling.alarms.raised() == []
            item = manager.client.get(uid)
            assert item.ProcedureStepState == "COMPLETED"
            (output,) = item.UnifiedProcedureStepPerformedProcedureSequence[0].OutputInformationSequence
            assert output.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.9.1"
            taken = manager.ordered(1)
            assert manager.client.change(taken, "IN PROGRESS", "1.2.9").status_code == 200  # by another
            pulling.later()
            assert bench.client.search(SOPInstanceUID=taken) == []
    finally:
        manager.close()
