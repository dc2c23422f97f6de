"""HL7 v2 comes in by MLLP: what is acknowledged is in the database, and no order stands for another patient's study."""

from __future__ import annotations

import ssl
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree
from sqlalchemy import func, select
from support import audit_schema
from support.certificates import Authority
from support.databases import SqliteDatabases
from support.messages import Line, header, order
from support.rows import NOW, receive, reception

from radnode.config.messaging import Listen, Sender
from radnode.config.settings import ListeningTls
from radnode.node.alarms import Alarms
from radnode.node.answers import Answers
from radnode.node.audit.messages import Auditor, Participant
from radnode.node.intake.tally import RefusalTally
from radnode.node.messaging import composition, contexts
from radnode.node.messaging.receiving import MessageReceiver
from radnode.node.messaging.taking import Desk
from radnode.node.security.tls import ServerContexts
from radnode.storage import catalog
from radnode.storage.access_tables import AuditRow
from radnode.storage.database import Database
from radnode.storage.errors import DatabaseUnavailable
from radnode.storage.order_tables import MessageRow, OrderRow, PatientChangeRow
from radnode.storage.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import hl7

AUDITOR = Auditor(site="RADNODE@node", node=Participant(user_id="radnode-1@node", is_requestor=False))
HERE = {"RIS": Sender(hosts=("127.0.0.1/32",))}
STUDY = "1.2.5.1"


class Bench:
    """A receiver of messages on real tables."""

    def __init__(self, folder: Path, url: str, tls: ListeningTls | None = None) -> None:
        self.database = Database(url)
        self.now = NOW
        self.alarms = Alarms(lambda: self.now)
        self.senders = dict(HERE)
        self.strangers = RefusalTally(lambda: 0.0)
        self.desk = Desk(database=self.database, now=lambda: self.now, auditor=AUDITOR)
        self.receiver = MessageReceiver(
            Listen(port=0, max_message=100_000), senders=lambda: self.senders, desk=self.desk, now=lambda: self.now,
            strangers=self.strangers,
            tls=tls and ServerContexts(tls, asks=ssl.CERT_OPTIONAL, on_unusable=lambda _: None).current,
        )
        self.receiver.listener.start()
        self.answers = Answers(self.database, None, list, list, Quarantine(folder / "quarantine"))

    @property
    def port(self) -> int:
        return self.receiver.listener.port

    def ask(self, *messages: bytes) -> list[tuple[str, str]]:
        """(MSA-1, ERR-3) of the answer to each."""
        with Line(self.port) as line:
            return [said(line.ask(message)) for message in messages]

    def study(self, *, patient: str = "P-1", number: int = 1, **header: Any) -> None:
        """Images of a study under the Accession Number A-1 come."""
        (recorded,) = receive(self.database, reception(number, study=number, series=number, patient_id=patient))
        attributes = {"Modality": "CT", "AccessionNumber": "A-1", "PatientBirthDate": "19600102", **header}
        with self.database.begin() as session:
            catalog.store_headers(session, [(recorded.instance_id, attributes)])

    def conditions(self) -> dict[str, str]:
        """What a route may ask about the study."""
        with self.database.begin() as session:
            return contexts.conditions(session, 1, self.now)

    def order(self) -> Any:
        """What the API says of the order of the study."""
        return (self.answers.study(STUDY) or {})["order"]

    def count(self, table: Any) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0


def said(answer: hl7.Message) -> tuple[str, str]:
    """MSA-1 and the code in ERR-3."""
    errors = [str(each[3]).split("^")[0] for each in answer if str(each[0]) == "ERR"]
    return str(answer.segment("MSA")[1]), errors[0] if errors else ""


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> SqliteDatabases:
    return SqliteDatabases(tmp_path_factory.mktemp("databases"))


@pytest.fixture
def bench(tmp_path: Path, databases: SqliteDatabases) -> Iterator[Bench]:
    with databases.migrated() as url:
        made = Bench(tmp_path, url)
        yield made
        made.receiver.listener.stop()
        made.database.close()


def test_an_order_is_in_the_database_before_it_is_acknowledged(bench: Bench) -> None:
    bench.study()

    with Line(bench.port) as line:
        answer = line.ask(order("C-7"))
        assert said(answer) == ("AA", "")
        assert str(answer.segment("MSA")[2]) == "C-7"
        assert str(answer.segment("MSH")[5]) == "RIS"
        assert bench.count(OrderRow) == 1

    assert bench.order() == {"sender": "RIS", "conflict": "", "priority": "stat", "reason": "Cough",
                             "procedure": "CT chest", "patient_class": "E", "numbers": ["O-1"]}
    text = bench.answers.explain(STUDY) or ""
    assert text.startswith("order of RIS: priority stat, procedure CT chest, reason Cough, patient class E")


def test_a_message_that_comes_twice_is_acknowledged_twice_and_counts_once(bench: Bench) -> None:
    again = order("C-1", reason="Cough")
    assert bench.ask(order("C-1"), again.replace(b"20260302100000", b"20260302100500"), again) == [("AA", "")] * 3

    assert (bench.count(MessageRow), bench.count(OrderRow)) == (1, 1)


def test_another_message_under_the_same_control_id_is_refused(bench: Bench) -> None:
    assert bench.ask(order("C-1"), order("C-1", reason="Fever")) == [("AA", ""), ("AE", "205")]


def test_the_same_message_on_many_lines_at_once_counts_once(bench: Bench) -> None:
    answers: list[tuple[str, str]] = []
    threads = [threading.Thread(target=lambda: answers.extend(bench.ask(order("C-1")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [("AA", "")] * 8
    assert bench.count(MessageRow) == 1


def test_nothing_is_acknowledged_that_the_database_did_not_take(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(bench.database, "begin", gone)
        assert bench.ask(order()) == [("AR", "207")]

    assert bench.ask(order()) == [("AA", "")]


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (order(accession=""), ("AA", "")),  # OBR-3 stands for it
        (order(accession="").replace(b"F-1", b""), ("AE", "101")),
        (order(patient="^^^HOSPITAL"), ("AE", "101")),
        (order().replace(b"PID|", b"NTE|"), ("AE", "100")),
        (order().replace(b"\rORC|", b"\rZZZ|"), ("AE", "100")),
        (order(""), ("AE", "101")),
        (order().replace(b"ORM^O01", b"ORU^R01"), ("AR", "200")),
        (order().replace(b"ORM^O01", b"ORM^O02"), ("AR", "201")),
        (order(charset="", reason="Hüsteln"), ("AE", "102")),
        (b"no HL7 at all", ("AE", "100")),
    ],
)
def test_what_is_wrong_is_said_with_a_code_and_nothing_is_kept_of_it(
    bench: Bench, message: bytes, answer: tuple[str, str]
) -> None:
    assert bench.ask(message) == [answer]
    assert bench.count(OrderRow) == (answer[0] == "AA")


@pytest.mark.parametrize(
    ("accept", "application", "good", "bad"),
    [
        ("AL", "NE", ["CA"], ["CE"]),
        ("AL", "AL", ["CA", "AA"], ["CE", "AE"]),
        ("NE", "AL", ["AA"], ["AE"]),
        ("ER", "ER", [], ["CE", "AE"]),
        ("SU", "NE", ["CA"], []),
        ("NE", "NE", [], []),
    ],
)
def test_in_enhanced_mode_that_is_answered_which_was_asked_for(
    bench: Bench, accept: str, application: str, good: list[str], bad: list[str]
) -> None:
    with Line(bench.port) as line:
        line.send(order("C-1", accept=accept, application=application))
        line.send(order("C-2", accept=accept, application=application, patient=""))
        line.send(order("C-3"))
        answers = [line.answer() for _ in range(len(good) + len(bad) + 1)]

    assert [(str(each.segment("MSA")[1]), str(each.segment("MSA")[2])) for each in answers] == [
        *((code, "C-1") for code in good), *((code, "C-2") for code in bad), ("AA", "C-3"),
    ]


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ({"patient": "P-2"}, {}),
        ({"IssuerOfPatientID": "OTHER"}, {}),
        ({"IssuerOfPatientIDQualifiersSequence": [{"UniversalEntityID": "1.2.9"}]}, {}),
        ({"PatientBirthDate": "19600103"}, {}),
        ({"patient": ""}, {}),
        ({}, {"patient": "P-9^^^HOSPITAL~P-8^^^OTHER"}),
    ],
)
def test_an_order_of_another_patient_is_a_conflict_and_nothing_is_taken_from_it(
    bench: Bench, images: dict[str, Any], told: dict[str, Any]
) -> None:
    bench.study(**images)
    assert bench.ask(order(**told)) == [("AA", "")]

    assert bench.conditions() == {}
    assert bench.order()["conflict"]
    assert "priority" not in bench.order()
    kinds = [each["kind"] for each in (bench.answers.study(STUDY) or {})["events"]]
    assert kinds == ["order in conflict"]
    assert "not taken" in (bench.answers.explain(STUDY) or "")


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ({"IssuerOfPatientID": "hospital"}, {}),
        ({"IssuerOfPatientID": "OTHER NAME", "IssuerOfPatientIDQualifiersSequence": [{"UniversalEntityID": "1.2.3"}]},
         {}),
        ({}, {"patient": "X-5^^^INSURANCE~P-1"}),
        ({"PatientBirthDate": None}, {}),
    ],
)
def test_an_order_stands_for_a_study_when_number_and_patient_agree_whichever_comes_first(
    bench: Bench, images: dict[str, Any], told: dict[str, Any]
) -> None:
    bench.ask(order(**told))
    bench.study(**images)

    assert bench.conditions() == {"order_priority": "stat", "order_reason": "Cough",
                                  "order_procedure": "CT chest", "order_patient_class": "E"}


def test_one_order_of_another_patient_makes_all_under_its_number_doubtful_until_it_is_cancelled(bench: Bench) -> None:
    bench.study()
    bench.ask(order("C-1"), order("C-2", number="O-2", patient="P-2"))
    assert bench.conditions() == {}

    bench.ask(order("C-3", number="O-2", patient="P-2", state="CA"))
    assert bench.conditions()["order_priority"] == "stat"

    bench.ask(order("C-4", state="CA"))
    assert bench.conditions() == {}
    assert bench.order() is None


def test_the_most_urgent_of_several_orders_counts(bench: Bench) -> None:
    bench.study()
    bench.ask(order("C-1", priority="R"), order("C-2", number="O-2", priority="S1", reason="Fall"))

    assert bench.conditions()["order_priority"] == "stat"
    assert bench.conditions()["order_reason"] == "Cough; Fall"


def test_an_older_message_that_comes_late_changes_nothing(bench: Bench) -> None:
    bench.study()
    bench.ask(order("C-2", reason="Fever", said_at="20260302110000"), order("C-1", said_at="20260302100000"))

    assert bench.conditions()["order_reason"] == "Fever"


def test_an_order_in_the_form_of_omi_is_read_as_well(bench: Bench) -> None:
    bench.study()
    lines = [header("OMI^O23"), "PID|1||P-1||Doe^Jane||19600102|F", "PV1|1|I", "ORC|NW|O-1",
             "TQ1|1||||||||A^ASAP^HL70485", "OBR|1|O-1||CTCH^CT chest^L", "IPC|A-1|RP-1|1.2.3"]
    assert bench.ask("\r".join(lines).encode()) == [("AA", "")]

    assert bench.conditions() == {"order_priority": "asap", "order_procedure": "CT chest", "order_patient_class": "I"}


def test_a_patients_update_and_merge_are_recorded(bench: Bench) -> None:
    pid = "PID|1||P-1^^^HOSPITAL||Doe^Jane||19600102|F"
    update = f"{header('ADT^A08', 'C-1')}\r{pid}\r".encode()
    merge = f"{header('ADT^A40', 'C-2')}\r{pid}\rMRG|P-2^^^HOSPITAL\r".encode()
    nothing = f"{header('ADT^A40', 'C-3')}\r{pid}\r".encode()
    assert bench.ask(update, merge, nothing) == [("AA", ""), ("AA", ""), ("AE", "101")]

    with bench.database.read() as session:
        rows = session.scalars(select(PatientChangeRow).order_by(PatientChangeRow.id)).all()
    assert [(row.event, row.patients, row.priors) for row in rows] == [
        ("A08", [["P-1", "HOSPITAL", ""]], []), ("A40", [["P-1", "HOSPITAL", ""]], [["P-2", "HOSPITAL", ""]]),
    ]


def test_after_a_merge_the_orders_of_the_surviving_patient_are_those_of_the_images_and_it_is_said(
    bench: Bench,
) -> None:
    bench.study(patient="P-8")
    assert bench.ask(order("C-1")) == [("AA", "")]
    assert "another patient's than the images" in bench.order()["conflict"]

    merge = f"{header('ADT^A40', 'C-2')}\rPID|1||P-1^^^HOSPITAL&1.2.3&ISO||Doe^Jane\rMRG|P-8^^^HOSPITAL\r".encode()
    assert bench.ask(merge) == [("AA", "")]
    assert bench.order()["conflict"] == ""
    assert bench.conditions()["order_priority"] == "stat"
    study = bench.answers.study(STUDY) or {}
    assert study["merged"]["into"] == ["P-1"]
    assert [each["kind"] for each in study["events"]][-2:] == ["patient merged", "order attached"]
    assert "now P-1; the images still name the former" in (bench.answers.explain(STUDY) or "")

    back = f"{header('ADT^A40', 'C-3')}\rPID|1||P-8^^^HOSPITAL||Doe^Jane\rMRG|P-1^^^HOSPITAL&1.2.3&ISO\r".encode()
    assert bench.ask(back) == [("AA", "")]
    assert (bench.answers.study(STUDY) or {})["merged"] is None


def test_a_merge_of_an_identifier_of_another_authority_concerns_no_study(bench: Bench) -> None:
    bench.study(patient="P-8", IssuerOfPatientID="HOSPITAL")
    merge = f"{header('ADT^A40', 'C-2')}\rPID|1||P-1^^^CLINIC||Doe^Jane\rMRG|P-8^^^CLINIC\r".encode()
    assert bench.ask(merge) == [("AA", "")]
    study = bench.answers.study(STUDY) or {}
    assert (study["merged"], [each["kind"] for each in study["events"]]) == (None, [])


def test_every_message_that_was_taken_is_in_the_audit_trail_once_for_each_patient_it_tells_of(bench: Bench) -> None:
    merge = f"{header('ADT^A40', 'C-2')}\rPID|1||P-9^^^HOSPITAL||Doe^Jane\rMRG|P-8^^^HOSPITAL\r".encode()
    assert bench.ask(order("C-1"), order("C-1"), merge, order("C-1", reason="Fever")) == [
        ("AA", ""), ("AA", ""), ("AA", ""), ("AE", "205")]
    with bench.database.read() as session:
        messages = [each.message for each in session.scalars(select(AuditRow).order_by(AuditRow.id))]
    assert [fault for each in messages for fault in audit_schema.faults(each)] == []
    said = [etree.fromstring(each.encode()) for each in messages]
    told = [(each.xpath("string(//EventID/@originalText)"), each.xpath("string(//ActiveParticipant/@UserID)"),
             each.xpath("string(//ParticipantObjectIdentification/@ParticipantObjectID)")) for each in said]
    assert told == [("Order Record", "RIS", "P-1"), ("Patient Record", "RIS", "P-9"), ("Patient Record", "RIS", "P-8")]


def test_nobody_is_answered_who_is_not_configured(bench: Bench) -> None:
    bench.senders = {"RIS": Sender(hosts=("10.0.0.1/32",))}

    with Line(bench.port) as line, pytest.raises((EOFError, ConnectionError)):
        line.ask(order())
    assert bench.count(MessageRow) == 0
    assert bench.strangers.lately() == {"127.0.0.1": 1}


def test_in_tls_a_sender_comes_with_its_own_certificate_or_not_at_all(
    tmp_path: Path, databases: SqliteDatabases
) -> None:
    authority = Authority(tmp_path)
    own, ris, other = (authority.pair(name) for name in ("localhost", "ris.example", "other.example"))
    tls = ListeningTls(certificate=own.certificate, key=own.key, ca=authority.file)
    with databases.migrated() as url:
        bench = Bench(tmp_path, url, tls)
        bench.senders = {"RIS": Sender(client_certificate="ris.example")}
        with Line(bench.port, authority.client(ris)) as line:
            assert said(line.ask(order())) == ("AA", "")
        for stranger in (other, None):
            with pytest.raises((EOFError, OSError)), Line(bench.port, authority.client(stranger)) as line:
                line.ask(order("C-2"))
        assert bench.count(MessageRow) == 1
        bench.receiver.listener.stop()
        bench.database.close()


@pytest.mark.parametrize("content", [b"\x0b" + b"A" * 200_000, b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_too_large_or_no_mllp_ends_the_connection_and_no_other(bench: Bench, content: bytes) -> None:
    with Line(bench.port) as good, Line(bench.port) as line:
        assert said(good.ask(order("C-1"))) == ("AA", "")
        line.socket.sendall(content)
        with pytest.raises((EOFError, ConnectionError)):
            line.answer()
        assert said(good.ask(order("C-2"))) == ("AA", "")


def test_an_alarm_names_the_sender_whose_orders_contradict_images_and_ends_by_itself(bench: Bench) -> None:
    bench.study(patient="P-2")
    bench.ask(order())
    looking = composition.Messaging(
        database=bench.database, configuration=_nobody_listens, now=lambda: bench.now, alarms=bench.alarms,
        strangers=bench.strangers,
    )
    looking.step()
    assert [(each.name, "P-" in each.text) for each in bench.alarms.raised()] == [("order:RIS", False)]

    bench.now += timedelta(days=100)
    looking.step()
    assert bench.alarms.raised() == []
    assert (bench.count(MessageRow), bench.count(OrderRow)) == (0, 1), "an order of a study that is here is kept"


def _nobody_listens() -> Any:
    from radnode.config.loading import parse  # noqa: PLC0415

    return parse("", "radnode.yaml")
