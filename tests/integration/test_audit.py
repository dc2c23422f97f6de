"""What happened is in the audit trail, as the standard has it, and comes to a real syslog server in the end."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, text
from support import audit_schema, rows
from support.certificates import Authority
from support.rsyslog import Rsyslog
from support.waiting import eventually
from support.web import Site, site

from radnode.config.access import AuditSettings, Syslog
from radnode.config.loading import parse
from radnode.node.alarms import Alarms
from radnode.node.audit.following import AT_ONCE, Follower
from radnode.node.audit.forwarding import Forwarder
from radnode.node.audit.messages import MINOR, Participant, StudyObject
from radnode.node.audit.trail import auditor
from radnode.storage import audit, outbox
from radnode.storage.database import Database
from radnode.storage.tables import LedgerEvent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.storage.audit import KeptMessage

CONFIGURATION = parse("node: {ae_title: RADNODE}\npeers: {PACS: {ae_title: PACS1, host: 10.1.1.1, port: 104}}", "audit")
AUDITOR = auditor(CONFIGURATION.settings)
WHO = Participant(user_id="ann", is_requestor=True, address="10.1.2.3")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """SQLite with the tables."""
    opened = Database(f"sqlite:///{tmp_path / 'audit.db'}")
    opened.upgrade()
    yield opened
    opened.close()


def _write(database: Database, *names: str) -> None:
    with database.begin() as session:
        audit.append(session, [
            AUDITOR.authentication(NOW, Participant(user_id=name, is_requestor=True), "Login", "wrong password")
            for name in names
        ])


def _all(database: Database) -> list[KeptMessage]:
    with database.read() as session:
        return audit.newest(session, 10_000)[::-1]


def _follower(
    database: Database, now: datetime, open_now: set[str], strangers: dict[str, int] | None = None
) -> Follower:
    return Follower(database=database, auditor=AUDITOR, configuration=lambda: CONFIGURATION,
                    is_open=open_now.__contains__, strangers=lambda: strangers or {}, now=lambda: now,
                    on_written=lambda: None)


def test_images_that_came_are_told_of_once_for_each_association_and_patient(database: Database) -> None:
    open_now = {"a2"}
    follower = _follower(database, rows.NOW + timedelta(seconds=30), open_now)
    follower.step()
    rows.receive(database, rows.reception(1), rows.reception(2), rows.reception(3, study=2, patient_id="P<2>&\0"),
                 rows.reception(4, association="a2"))
    while follower.step():
        pass
    told = [each for each in _all(database) if each.event == "DICOM Instances Transferred"]
    assert [each.study_instance_uid for each in told] == ["1.2.5.1", "1.2.5.2"]
    assert 'NumberOfInstances="2"' in told[0].message
    assert 'ParticipantObjectID="P1"' in told[0].message
    assert "AETITLE=PACS1" in told[0].message
    assert "P2" not in told[0].message, "one patient a message"
    open_now.clear()
    follower.step()
    assert sum(each.event == "DICOM Instances Transferred" for each in _all(database)) == 3
    _follower(database, rows.NOW + timedelta(minutes=9), set()).step()
    assert sum(each.event == "DICOM Instances Transferred" for each in _all(database)) == 3, "a restart doubles nothing"
    assert [fault for each in _all(database) for fault in audit_schema.faults(each.message)] == []


def test_who_cannot_show_who_he_is_and_a_changed_configuration_are_told_of(database: Database) -> None:
    strangers = {"10.6.6.6": 2}
    follower = _follower(database, NOW, set(), strangers)
    for _ in range(3):
        follower.step()
    strangers["10.6.6.6"] = 5
    follower.step()
    told = [each.message for each in _all(database)]
    assert ["Software Configuration" in each for each in told] == [True, False, False]
    assert ["10.6.6.6" in each for each in told] == [False, True, True]
    assert "5 times" in told[-1]
    assert [fault for each in told for fault in audit_schema.faults(each)] == []


def test_more_images_than_are_looked_at_at_once_are_all_counted(database: Database) -> None:
    follower = _follower(database, rows.NOW + timedelta(seconds=30), set())
    follower.step()
    number = AT_ONCE + 500
    for begin in range(0, number, 500):
        rows.receive(database, *(rows.reception(begin + each) for each in range(500)))
    while follower.step():
        pass
    counted = [int(each) for message in _all(database)
               for each in re.findall(r'NumberOfInstances="(\d+)"', message.message)]
    assert sum(counted) == number


def test_results_that_went_or_were_refused_and_images_that_were_deleted_are_told_of(database: Database) -> None:
    follower = _follower(database, rows.NOW + timedelta(hours=1), set())
    follower.step()
    rows.job_over(database, 1, 2)
    rows.produce(database, rows.must_lease(database), rows.result("1.9.1"), rows.result("1.9.2", 1))
    for answer in ("sent", "dead"):
        delivery = rows.must_lease_delivery(database)
        with database.begin() as session:
            if answer == "sent":
                outbox.sent(session, delivery, 0, rows.NOW)
            else:
                outbox.dead(session, delivery, "SOP class not supported", rows.NOW)
    with database.begin() as session:
        session.execute(insert(LedgerEvent).values(instance_id=1, at=rows.NOW, kind="EXPIRED"))
    while follower.step():
        pass
    said = [(each.event, each.outcome) for each in _all(database)]
    assert said.count(("Begin Transferring DICOM Instances", 0)) == 2
    assert ("DICOM Instances Transferred", 4) in said, "the refused one"
    assert said.count(("DICOM Study Deleted", 0)) == 1
    assert [fault for each in _all(database) for fault in audit_schema.faults(each.message)] == []


def test_results_in_words_are_told_of_as_what_they_are(database: Database) -> None:
    configuration = parse(
        "node: {ae_title: RADNODE}\npeers: {}\nmessaging: {hl7: {PACS: {host: 10.1.3.5}}}\n", "audit")
    follower = Follower(database=database, auditor=AUDITOR, configuration=lambda: configuration,
                        is_open=lambda _: False, strangers=dict, now=lambda: rows.NOW + timedelta(hours=1),
                        on_written=lambda: None)
    follower.step()
    rows.job_over(database, 1)
    rows.produce(database, rows.must_lease(database), rows.result("1.9.1"))
    delivery = rows.must_lease_delivery(database)
    with database.begin() as session:
        outbox.sent(session, delivery, 0, rows.NOW)
    while follower.step():
        pass
    (message,) = [each for each in _all(database) if each.event == "Export"]
    assert message.outcome == 0
    assert audit_schema.faults(message.message) == []
    for said in ("ORU^R01 of HL7 v2", "10.1.3.5", 'csd-code="110154"', "1.2.5.1"):
        assert said in message.message
    assert "Begin Transferring DICOM Instances" not in [each.event for each in _all(database)]


def test_what_people_do_over_http_is_told_of(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        rows.receive(own.database, rows.reception(1, patient_id="P1"))
        client = own.logged_in("ann", "radiologist")
        for _ in range(3):
            client.get("/api/studies/1.2.5.1")
        client.get("/api/audit")
        client.get("/api/users")
        client.post("/logout", data={"csrf": client.get("/api/me").json()["csrf"]})
        own.client().post("/login", data={"name": "ann", "password": "wrong"})
        own.client("radnode_wrong").get("/api/status")
        boss = own.client(own.token("admin", "boss"))
        boss.post("/api/users", json={"name": "bob", "role": "operator"})
        told = own.client(own.token("auditor")).get("/api/audit", params={"limit": 1000}).json()
        _check_story(own, told)


def _check_story(own: Site, told: list[dict[str, object]]) -> None:
    said = [(each["event"], each["outcome"], each["who"]) for each in told[::-1]]
    assert said == [
        ("User Authentication", 0, "ann"),
        ("DICOM Instances Accessed", 0, "ann"),
        ("Security Alert", MINOR, "ann"), ("Security Alert", MINOR, "ann"),
        ("User Authentication", 0, "ann"),
        ("User Authentication", MINOR, "ann"),
        ("Security Alert", MINOR, "unknown"),
        ("Security Alert", 0, "boss"),
        ("Audit Log Used", 0, "auditor-machine"),
    ]
    assert [fault for each in told for fault in audit_schema.faults(str(each["message"]))] == []
    with own.database.read() as session:
        assert audit.broken_at(session) is None


def test_a_message_that_is_changed_or_taken_out_is_found(database: Database) -> None:
    _write(database, *"abcdef")
    for damage in ("UPDATE audit_messages SET message = replace(message, '\"c\"', '\"x\"') WHERE id = 3",
                   "DELETE FROM audit_messages WHERE id = 3", "DELETE FROM audit_messages WHERE id >= 3"):
        with database.begin() as session:
            assert audit.broken_at(session) is None
            session.execute(text(damage))
            assert audit.broken_at(session) in (3, 4), damage
            session.rollback()
    with database.begin() as session:
        audit.forget(session, NOW - timedelta(days=1), most=4)
        assert audit.broken_at(session) is None, "what is forgotten after its time is not missing"
        session.execute(text("DELETE FROM audit_messages WHERE id = 3"))
        assert audit.broken_at(session) is not None


@pytest.mark.peer
@pytest.mark.parametrize("transport", ["tls", "udp"])
def test_a_real_syslog_server_has_every_message_as_it_was_written(
    database: Database, tmp_path: Path, transport: str
) -> None:
    authority = Authority(tmp_path / "ca")
    server = Rsyslog(tmp_path / "rsyslog", authority, authority.pair("localhost"), asks=transport == "tls")
    own = authority.pair("radnode")
    to = Syslog(host="localhost" if transport == "tls" else "127.0.0.1", port=server.port, transport=transport,
                **({"ca_file": authority.file, "certificate": own.certificate, "key": own.key}
                   if transport == "tls" else {}))
    forwarder = Forwarder(database=database, settings=lambda: AuditSettings(syslog=to),
                          alarms=Alarms(lambda: NOW), now=lambda: NOW)
    _write(database, "Ann Ä <&> \u4e2d", *(f"person {number}" for number in range(20)))
    server.start()
    try:
        _until_sent(forwarder, database)
        eventually(lambda: len(server.received()) >= 21, within=20, why=lambda: str(server.received()))
        assert [each[3] for each in server.received()] == [each.message for each in _all(database)]
        assert {each[:3] for each in server.received()} == {(84, "radnode", "DICOM+RFC3881")}
    finally:
        forwarder.close()
        server.stop()


@pytest.mark.peer
def test_nothing_is_lost_while_the_syslog_server_is_away_or_dies_and_an_alarm_says_so(
    database: Database, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    server = Rsyslog(tmp_path / "rsyslog", authority, authority.pair("localhost"))
    to = Syslog(host="localhost", port=server.port, ca_file=authority.file)
    alarms = Alarms(lambda: NOW)
    clock = [NOW]
    forwarder = Forwarder(database=database, settings=lambda: AuditSettings(syslog=to), alarms=alarms,
                          now=lambda: clock[0])
    _write(database, *(f"before {number}" for number in range(300)))
    forwarder.step()
    assert alarms.raised() == [], "it may be restarted without anybody being told"
    clock[0] += timedelta(minutes=20)
    forwarder.step()
    assert [each.name for each in alarms.raised()] == ["audit"]
    server.start()
    while forwarder.step():
        pass
    assert alarms.raised() == []
    server.kill()
    _write(database, *(f"during {number}" for number in range(50)))
    forwarder.step()
    server.start()
    _write(database, "after")
    _until_sent(forwarder, database)
    wanted = {each.message for each in _all(database)}
    eventually(lambda: {each[3] for each in server.received()} >= wanted, within=20)
    forwarder.close()
    server.stop()


def test_a_syslog_server_that_cannot_show_who_it_is_gets_nothing(database: Database, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other", "Other CA")
    server = Rsyslog(tmp_path / "rsyslog", authority, authority.pair("somebody-else"))
    alarms = Alarms(lambda: NOW)
    _write(database, "ann")
    server.start()
    try:
        for ca_file in (authority.file, other.file):
            to = Syslog(host="localhost", port=server.port, ca_file=ca_file)
            Forwarder(database=database, settings=lambda to=to: AuditSettings(syslog=to), alarms=alarms,  # type: ignore[misc]
                      now=lambda: NOW + timedelta(hours=1)).step()
            assert "certificate verify failed" in alarms.raised()[0].text
    finally:
        server.stop()
    assert server.received() == []


def test_the_trail_is_bounded_by_time_and_by_number(database: Database) -> None:
    _write(database, *(f"person {number}" for number in range(30)))
    forwarder = Forwarder(database=database, settings=AuditSettings, alarms=Alarms(lambda: NOW), most_kept=10,
                          now=lambda: NOW)
    forwarder.step()
    assert len(_all(database)) == 10
    Forwarder(database=database, settings=AuditSettings, alarms=Alarms(lambda: NOW),
              now=lambda: NOW + timedelta(days=367)).step()
    assert _all(database) == []


def test_nothing_that_is_received_can_break_out_of_a_message() -> None:
    hostile = "\"><script>&]]>\0\x1b[2J\ud800\u202e\n<27>1"
    study = audit_study(hostile)
    stranger = Participant(user_id=hostile, is_requestor=True, name=hostile, address=hostile)
    messages = [
        AUDITOR.accessed(NOW, stranger, study, "R"),
        AUDITOR.queried(NOW, WHO, hostile, hostile.replace("\ud800", "")),
        AUDITOR.alert(NOW, WHO, "Use of Restricted Function", hostile, MINOR),
    ]
    assert [fault for each in messages for fault in audit_schema.faults(each.message)] == []
    assert all("\n" not in each.message for each in messages)


def audit_study(hostile: str) -> StudyObject:
    """A study in which everything is hostile."""
    return StudyObject(study_instance_uid=hostile, patient_id=hostile, accession_number=hostile,
                                    instances={hostile: 1})


def _until_sent(forwarder: Forwarder, database: Database) -> None:
    def settled() -> bool:
        forwarder.step()
        with database.read() as session:
            return audit.waits(session)[0] == 0

    eventually(settled, within=30, every=0.2)
