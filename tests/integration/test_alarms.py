"""Alarms found in a real database are told to a real mail server and a real web server."""

from __future__ import annotations

import errno
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from support.alarm_sinks import HookServer, MailServer, certificate
from support.network import free_port
from support.rows import NOW, fail, job_over, must_lease, produce, receive, reception, result

from radnode.config.loading import Configuration, parse
from radnode.node.alarming.silencing import NotSilenced, silence
from radnode.node.alarming.teller import SINKS, Teller
from radnode.node.alarming.watch import AlarmWatch
from radnode.node.alarms import Alarms
from radnode.node.answers import Answers
from radnode.node.observability import Metrics
from radnode.storage import catalog, outbox, silences
from radnode.storage.database import Database
from radnode.storage.errors import DatabaseUnavailable, StorageBroken
from radnode.storage.files import FileStore, SystemOps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from radnode.storage.receptions import Reception

MINUTE = timedelta(minutes=1)
PEERS = """\
peers:
  PACS: {ae_title: PACS, host: 10.0.0.1, port: 104, sends: true, expect: {every: 2 h}}
"""


class Node:
    """Watch and tellers over one database, with a clock of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.database.upgrade()
        self.configuration = parse(PEERS, "a.yaml")
        self.start()

    def start(self) -> None:
        """A process that knows nothing but the tables."""
        self.store = FileStore(self.folder / "data", reserve_bytes=1)
        self.reported = Alarms(lambda: self.now)
        self.metrics = Metrics()
        self._monotonic_from = self.now
        self._watch = AlarmWatch(
            database=self.database, store=self.store, configuration=lambda: self.configuration,
            reported=self.reported, refused=dict, now=lambda: self.now, metrics=self.metrics,
            on_change=lambda: None,
        )
        self._tellers = [
            Teller(sink, database=self.database, configuration=lambda: self.configuration, reported=self.reported,
                   now=lambda: self.now, monotonic_s=self._monotonic_s, metrics=self.metrics)
            for sink in SINKS
        ]  # fmt: skip

    def configure(self, alarms: str) -> Configuration:
        """Name the sinks."""
        self.configuration = parse(f"{PEERS}alarms: {alarms}\n", str(self.folder / "a.yaml"))
        return self.configuration

    def goes_on(self, minutes: float = 0) -> None:
        """Time goes by, then one round of everything."""
        self.now += minutes * MINUTE
        self._watch.step()
        for teller in self._tellers:
            while teller.step():
                pass

    def answers(self, reported: Alarms | None = None) -> Answers:
        """What a command beside the node says, or the node itself."""
        return Answers(self.database, reported, list, list, self.store.quarantine)

    def raised(self) -> list[str]:
        """Names of the alarms that hold."""
        return [each["name"] for each in self.answers(self.reported).alarms()]

    def receives(self, *images: Reception) -> None:
        """Images, and their headers are read."""
        receive(self.database, *images)
        self._read_headers()

    def failing_job(self) -> None:
        """A job that fails for good."""
        job_over(self.database, 1, now=self.now)
        fail(self.database, must_lease(self.database, self.now), now=self.now)
        self._read_headers()

    def _read_headers(self) -> None:
        with self.database.begin() as session:
            catalog.store_headers(session, [(each.instance_id, {}) for each in catalog.unindexed(session, 100)])

    def _monotonic_s(self) -> float:
        return (self.now - self._monotonic_from).total_seconds()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def hook() -> Iterator[HookServer]:
    with HookServer() as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def mail_to(server: MailServer, more: str = "tls: none") -> str:
    """The section of a mail server."""
    return (f"{{mail: {{host: 127.0.0.1, port: {server.port}, from: node@h.example, "
            f"to: [admin@h.example, second@h.example], {more}}}}}")


def test_an_alarm_is_told_once_again_after_a_day_and_once_when_it_is_over(node: Node, hook: HookServer) -> None:
    node.configure(f"{{webhook: {{url: '{hook.url}'}}}}")
    node.failing_job()
    with capture_logs() as events:
        node.goes_on()
    assert [event["alarm"] for event in events if event["event"] == "alarm.raised"] == ["jobs:ct-lung"]
    assert hook.told() == [("raised", "jobs:ct-lung")]
    assert node.metrics.registry.get_sample_value("radnode_alarms", {"kind": "jobs"}) == 1
    assert node.metrics.registry.get_sample_value("radnode_alarms", {"kind": "disk"}) == 0
    (alarm,) = hook.documents[0]["alarms"]
    assert (alarm["severity"], alarm["subject"], alarm["text"]) == (
        "error", "ct-lung", "1 jobs of ct-lung failed for good"
    )
    assert "radnode jobs" in alarm["remedy"]

    for _ in range(10):
        node.goes_on(10)
    assert len(hook.told()) == 1
    node.goes_on(24 * 60 - 101)
    with capture_logs() as events:
        node.goes_on(2)
    assert [event["alarm"] for event in events if event["event"] == "alarm.cleared"] == ["jobs:ct-lung"]
    assert hook.told()[1:] == [("raised", "silence:PACS")], "the source was silent all day; the job's day is over"
    node.goes_on(6)
    assert hook.told()[2:] == [("cleared", "jobs:ct-lung")]
    node.goes_on(24 * 60)
    assert hook.told()[3:] == [("still", "silence:PACS")]


def test_a_silenced_alarm_is_shown_and_not_told_until_its_silence_ends_by_itself(node: Node, hook: HookServer) -> None:
    node.configure(f"{{webhook: {{url: '{hook.url}'}}}}")
    node.reported.set("restart", "changed settings take effect after a restart: http_port")
    node.goes_on()
    assert hook.told() == [("raised", "restart")]
    until_tomorrow = timedelta(days=1)
    silence(node.database, "restart", lasts=until_tomorrow, reason="tonight", who="ann", now=node.now)
    node.reported.set("log", "log lines are lost")
    node.goes_on(23 * 60)
    assert [name for _, name in hook.told()[1:]] == ["log", "silence:PACS"], "the others are told"
    assert "restart" in node.raised()
    node.goes_on(2 * 60)
    assert ("still", "restart") in hook.told()


@pytest.mark.parametrize(("name", "lasts", "reason"), [
    ("restart", timedelta(days=8), "tonight"), ("restart", timedelta(), "tonight"), ("restart", MINUTE, " "),
    ("restart", MINUTE, "x" * 301), ("disk", MINUTE, "tonight"),
])
def test_no_alarm_is_silenced_for_ever_without_a_reason_or_before_it_is_one(
    node: Node, name: str, lasts: timedelta, reason: str
) -> None:
    node.reported.set("restart", "changed settings take effect after a restart: http_port")
    node.goes_on()
    with pytest.raises(NotSilenced):
        silence(node.database, name, lasts=lasts, reason=reason, who="ann", now=node.now)
    with node.database.read() as session:
        assert silences.silenced(session, node.now) == {}


def test_no_studies_for_two_hours_is_told_and_the_next_one_ends_it(node: Node, mail: MailServer) -> None:
    node.configure(mail_to(mail))
    node.receives(reception(1, at=node.now))
    for _ in range(11):
        node.goes_on(10)
    assert mail.messages == []
    node.goes_on(10)
    assert mail.subjects() == ["RADNODE: NEW silence:PACS"]
    assert mail.messages[0]["To"] == "admin@h.example, second@h.example"
    assert "no images from PACS for 2 h of its expected hours; the last came 2026-03-01 12:00 UTC" in mail.text()
    assert "what to do: look whether the source is on" in mail.text()

    node.receives(reception(2, at=node.now))
    node.goes_on()
    node.goes_on(5)
    assert mail.subjects()[1:] == ["RADNODE: OVER silence:PACS"]


def test_a_restart_tells_nothing_twice_and_forgets_nothing(node: Node, hook: HookServer, mail: MailServer) -> None:
    both = mail_to(mail)[:-1] + f", webhook: {{url: '{hook.url}'}}}}"
    node.configure(both)
    node.failing_job()
    node.goes_on()
    for _ in range(3):
        node.start()
        node.goes_on(1)
    assert node.raised() == ["jobs:ct-lung"]
    assert hook.told() == [("raised", "jobs:ct-lung")]
    assert mail.subjects() == ["RADNODE: NEW jobs:ct-lung"]


def test_an_alarm_that_flickers_is_told_once(node: Node, hook: HookServer) -> None:
    node.configure(f"{{webhook: {{url: '{hook.url}'}}}}")
    for _ in range(5):
        node.reported.set("sink:mail", "busy")
        node.goes_on(2)
        node.reported.clear("sink:mail")
        node.goes_on(2)
    assert hook.told() == [("raised", "sink:mail")]
    node.goes_on(6)
    assert hook.told()[1:] == [("cleared", "sink:mail")]


@pytest.mark.goal("alarms")
@pytest.mark.catalogue("X9")
def test_X9_a_sink_that_is_down_is_an_alarm_is_tried_ever_more_seldom_and_holds_up_nobody(
    node: Node, hook: HookServer, mail: MailServer
) -> None:
    both = mail_to(mail)[:-1] + f", webhook: {{url: '{hook.url}'}}}}"
    node.configure(both)
    mail.busy = True
    node.failing_job()
    node.goes_on()
    node.goes_on(0.02)
    assert hook.told() == [("raised", "jobs:ct-lung"), ("raised", "sink:mail")]
    assert "451" in str(node.answers().alarms())
    for _ in range(60):
        node.goes_on(1)
    assert 5 < mail.attempts < 15, "more often at first, every quarter of an hour at last"

    mail.busy = False
    node.goes_on(15)
    assert mail.subjects() == ["RADNODE: NEW jobs:ct-lung"], "what was owed is told, of itself it says nothing"
    node.goes_on()
    assert node.raised() == ["jobs:ct-lung"]


def test_a_server_that_is_not_there_is_an_alarm(node: Node) -> None:
    node.configure(f"{{webhook: {{url: 'http://127.0.0.1:{free_port()}/'}}}}")
    node.failing_job()
    node.goes_on()
    node.goes_on()
    assert node.raised() == ["jobs:ct-lung", "sink:webhook"]


def test_a_redirect_is_not_followed(node: Node, hook: HookServer) -> None:
    with HookServer() as elsewhere:
        node.configure(f"{{webhook: {{url: '{hook.url}'}}}}")
        hook.status, hook.location = 302, elsewhere.url
        node.failing_job()
        node.goes_on()
        assert hook.paths == ["/alarms"]
        assert elsewhere.paths == []
    node.goes_on()
    assert "sink:webhook" in node.raised()


def test_the_token_goes_with_the_request_and_nowhere_else(node: Node, hook: HookServer) -> None:
    (node.folder / "token").write_text("s3cret\n")
    node.configure(f"{{webhook: {{url: '{hook.url}', token_file: {node.folder / 'token'}}}}}")
    node.failing_job()
    with capture_logs() as events:
        hook.status = 500
        node.goes_on()
        hook.status = 204
        node.goes_on(1)
    assert [headers["Authorization"] for headers in hook.headers] == ["Bearer s3cret"] * 2
    assert "s3cret" not in str(events) + str(hook.documents) + str(node.raised())
    assert hook.headers[0]["Idempotency-Key"] == hook.documents[0]["key"], "a repetition can be told from news"


def test_a_mail_server_with_encryption_and_password_gets_both(node: Node, tmp_path: Path) -> None:
    context, proof = certificate(tmp_path)
    (tmp_path / "password").write_text("pw")
    more = f"user: radnode, password_file: {tmp_path / 'password'}"
    with MailServer(tls=context, password="pw") as server:  # noqa: S106
        node.configure(mail_to(server, more))
        node.failing_job()
        node.goes_on()
        assert server.messages == [], "a certificate that nobody vouches for"
        assert server.logins == [], "and the password was not shown to it"
        node.configure(mail_to(server, f"{more}, ca_file: {proof}"))
        node.goes_on(1)
        assert server.subjects() == ["RADNODE: NEW jobs:ct-lung"]
        assert server.logins == [("radnode", "pw")]


def test_a_mailbox_that_is_gone_does_not_repeat_the_mail_to_the_others(node: Node, mail: MailServer) -> None:
    mail.refuses = {"second@h.example"}
    node.configure(mail_to(mail))
    node.failing_job()
    for _ in range(3):
        node.goes_on(1)
    assert len(mail.messages) == 1
    assert "sink:mail" in node.raised()


@pytest.mark.goal("alarms")
def test_an_outage_of_the_database_is_told_while_it_lasts_and_when_it_is_over(
    node: Node, hook: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.configure(f"{{webhook: {{url: '{hook.url}'}}}}")
    node.failing_job()
    node.goes_on()

    def gone(*_: Any, **__: Any) -> Any:
        raise DatabaseUnavailable("the database does not answer: MILLER^ANNA")

    with monkeypatch.context() as broken:
        broken.setattr(Database, "begin", gone)
        broken.setattr(Database, "read", gone)
        for _ in range(3):
            node.goes_on(1)
        assert node.raised() == ["database"]
        assert node.metrics.registry.get_sample_value("radnode_alarms", {"kind": "database"}) == 1
    assert hook.told()[1:] == [("raised", "database")]
    node.goes_on(1)
    node.goes_on(5)
    assert hook.told()[2:] == [("cleared", "database")]
    assert "MILLER" not in str(hook.documents)


def test_a_database_that_takes_no_rows_does_not_make_the_sink_be_told_again_and_again(
    node: Node, hook: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.configure(f"{{webhook: {{url: '{hook.url}'}}}}")
    node.failing_job()
    node._watch.step()

    def full(*_: Any, **__: Any) -> Any:
        raise DatabaseUnavailable("the database is full")

    with monkeypatch.context() as broken:
        broken.setattr(Database, "begin", full)
        for _ in range(5):
            node.goes_on(0.5)
    assert hook.told().count(("raised", "jobs:ct-lung")) == 1
    node.goes_on(1)
    node.start()
    node.goes_on(1)
    assert hook.told().count(("raised", "jobs:ct-lung")) == 1, "it was written down as soon as that was possible"


@pytest.mark.goal("alarms")
@pytest.mark.catalogue("S9")
def test_S9_two_patients_in_one_study_are_an_alarm_that_names_nobody(node: Node, hook: HookServer) -> None:
    node.configure(f"{{webhook: {{url: '{hook.url}'}}}}")
    node.receives(reception(1), reception(2, patient_id="MILLER"))
    with node.database.begin() as session:
        (series,) = catalog.open_series(session)
        assert catalog.conflict_series(session, series, reason=series.study_conflict, grounds=[], now=node.now)
    node.goes_on()
    assert node.raised() == ["conflict:PACS"]
    assert hook.told() == [("raised", "conflict:PACS")]
    assert "MILLER" not in str(hook.documents) + str(node.answers().alarms())


@pytest.mark.goal("alarms")
@pytest.mark.catalogue("X1")
def test_X1_a_disk_below_its_reserve_is_an_alarm_until_there_is_room_again(node: Node, hook: HookServer) -> None:
    node.configure(f"{{webhook: {{url: '{hook.url}'}}}}")
    node.store.reserve_bytes = 10**18
    node._watch._reserve_bytes = 10**18
    node.goes_on()
    assert node.raised() == ["disk"]
    assert hook.told() == [("raised", "disk")]
    node.store.reserve_bytes = node._watch._reserve_bytes = 1
    node.goes_on(1)
    assert node.raised() == []
    node.goes_on(5)
    assert hook.told()[1:] == [("cleared", "disk")]


def _lose_an_instance(node: Node) -> None:
    node.receives(reception(1), reception(2))
    with node.database.begin() as session:
        session.execute(text("DELETE FROM listed_instances WHERE instance_id = 1"))
        session.execute(text("DELETE FROM headers WHERE instance_id = 1"))
        session.execute(text("DELETE FROM ledger_events WHERE instance_id = 1 AND kind <> 'acknowledged'"))
        session.execute(text("UPDATE ledger_events SET instance_id = 2"))
        session.execute(text("DELETE FROM instances WHERE id = 1"))


def _break_the_volume(node: Node) -> None:
    class Broken(SystemOps):
        def fsync(self, path: Path) -> None:
            raise OSError(errno.EIO, "input/output error")

    node.store._ops = Broken()
    spooled = node.store.new_spool_path()
    spooled.write_bytes(b"an image")
    with pytest.raises(StorageBroken):
        node.store.keep(spooled, "ab" * 32)
    spooled.unlink()


def _refuse_a_result(node: Node) -> None:
    job_over(node.database, 1)
    produce(node.database, must_lease(node.database), result("1.9.1"))
    with node.database.begin() as session:
        outbox.dead(session, outbox.lease_due(session, "PACS", NOW, MINUTE), "status 0x0122", NOW)
    node._read_headers()


def _receive_what_cannot_be_read(node: Node) -> None:
    (received,) = receive(node.database, reception(1))
    with node.database.begin() as session:
        catalog.reject_header(session, received.instance_id, "it has no SOP Instance UID", NOW)


def _leave_a_job(node: Node) -> None:
    job_over(node.database, 1, now=NOW - timedelta(hours=1))
    node._read_headers()


@pytest.mark.goal("alarms")
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ledger", _lose_an_instance),
        ("volume", _break_the_volume),
        ("deliveries", _refuse_a_result),
        ("unreadable:PACS", _receive_what_cannot_be_read),
        ("headers", lambda node: receive(node.database, reception(1, at=NOW - 2 * MINUTE))),
        ("jobs-waiting", _leave_a_job),
        ("jobs:ct-lung", lambda node: node.failing_job()),
        ("clock", lambda node: node.reported.set("clock", "the clock was moved forward by 3600 s")),
        ("pipeline:ct-lung", lambda node: node.reported.set("pipeline:ct-lung", "its model is another")),
        ("activity:cataloguing", lambda node: node.reported.set("activity:cataloguing", "no process can be started")),
    ],
)
def test_one_round_after_a_fault_it_is_an_alarm_an_event_and_a_metric_and_was_told(
    node: Node, hook: HookServer, name: str, fault: Callable[[Node], Any]
) -> None:
    """A round is every ten seconds, so that a minute is enough."""
    node.configure(f"{{webhook: {{url: '{hook.url}'}}}}")
    node.goes_on()
    assert node.raised() == []
    fault(node)
    with capture_logs() as events:
        node.goes_on()
    assert node.raised() == [name]
    assert [event["alarm"] for event in events if event["event"] == "alarm.raised"] == [name]
    assert node.metrics.registry.get_sample_value("radnode_alarms", {"kind": name.partition(":")[0]}) == 1
    assert hook.told() == [("raised", name)]


def test_a_command_beside_a_node_without_its_database_does_not_say_that_all_is_well(node: Node) -> None:
    node.database.close()
    (node.folder / "radnode.db").unlink()
    with pytest.raises(DatabaseUnavailable):
        node.answers().alarms()
