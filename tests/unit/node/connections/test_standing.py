from __future__ import annotations

from datetime import UTC, datetime

from radnode.config.loading import parse
from radnode.node.alarming.kinds import KINDS
from radnode.node.connections import listing, standing
from radnode.node.connections.standing import Seen
from radnode.node.delivery.outages import Outage
from radnode.node.intake.callers import Caller
from radnode.storage.connections import Traffic
from radnode.storage.results import Refusal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONFIGURATION = parse("""
node: {ae_title: RADNODE}
peers:
  PACS: {ae_title: PACS, host: 10.1.2.3, port: 104, sends: true, receives: true}
  CT1: {ae_title: CT1, host: 10.1.2.4, port: 104, sends: true, hosts: [10.1.2.4]}
archives:
  PACS: {retrieve: c-move}
  VNA: {dicomweb: {url: "https://vna.example/dicom-web"}}
pulls:
  - {name: today, from: VNA, schedule: "*/15 * * * *", window: 2 d}
folders:
  - {name: import, path: in}
messaging:
  listen: {port: 2575}
  senders: {RIS: {hosts: [10.1.2.5]}}
  hl7: {RIS-OUT: {host: 10.1.2.5}}
  fhir: {FHIR-OUT: {url: "https://fhir.example/r4"}}
  orders_from: {url: "https://fhir.example/r4"}
""", "test")
ABOUT = {name: kind.about for name, kind in KINDS.items()}


def caller(calling: str, host: str = "10.9.9.9", number: int = 1) -> Caller:
    return Caller(calling=calling, called="RADNODE", host=host, why="no peer", number=number, ago_s=1)


def alarm(kind: str, subject: str, severity: str = "error") -> dict[str, object]:
    return {"kind": kind, "subject": subject, "severity": severity, "text": kind, "remedy": "", "cleared_at": None}


def test_every_other_side_of_the_configuration_is_a_connection_with_what_it_is_for() -> None:
    found = {(each.kind, each.name): each for each in listing.connections(CONFIGURATION)}
    assert list(found) == [
        ("peer", "PACS"), ("peer", "CT1"), ("archive", "VNA"), ("pull", "today"), ("folder", "import"),
        ("listener", "listener"), ("sender", "RIS"), ("hl7", "RIS-OUT"), ("fhir", "FHIR-OUT"), ("orders", "orders"),
    ]
    assert [name for (_, name), each in found.items() if each.source] == ["PACS", "CT1", "VNA", "import"]
    assert [name for (_, name), each in found.items() if each.destination] == ["PACS", "RIS-OUT", "FHIR-OUT"]


def test_a_connection_is_as_bad_as_the_worst_that_is_known_of_it() -> None:
    outage = Outage(destination="PACS", since=NOW, failures=3, reason="refused", next_attempt_at=NOW)
    refusal = Refusal(destination="PACS", form="SEG", reason="no context", refused_at=NOW)
    for tone, seen in {
        "idle": Seen(),
        "good": Seen(heard_at=NOW, traffic=Traffic(waiting=2, waits_since=NOW, last_at=NOW)),
        "warning": Seen(heard_at=NOW, refused_forms=[refusal]),
        "bad": Seen(heard_at=NOW, refused_forms=[refusal], outage=outage),
    }.items():
        reasons = standing.judge(seen)
        assert standing.tone_of(reasons) == tone
        assert reasons[0].tone == tone
    assert standing.tone_of(standing.judge(Seen(traffic=Traffic(given_up=1)))) == "bad"
    assert standing.tone_of(standing.judge(Seen(traffic=Traffic(held_back=1)))) == "bad"


def test_an_alarm_counts_where_it_is_about_this_connection_and_still_stands() -> None:
    pacs = CONFIGURATION.peers["PACS"].name
    connection = listing.find(CONFIGURATION, "peer", pacs)
    assert connection is not None
    alarms = [
        alarm("silence", "PACS"), alarm("silence", "CT1"), alarm("form", "PACS:SEG", "warning"),
        alarm("jobs", "PACS"), {**alarm("commitment", "PACS"), "cleared_at": "2026-03-01"},
    ]
    found = standing.alarms_about(connection, alarms, ABOUT)
    assert [each["kind"] for each in found] == ["silence", "form"]
    assert standing.tone_of(standing.judge(Seen(heard_at=NOW, alarms=found))) == "bad"


def test_what_the_page_says_itself_no_alarm_says_again() -> None:
    outage = Outage(destination="PACS", since=NOW, failures=3, reason="refused", next_attempt_at=NOW)
    reasons = standing.judge(Seen(outage=outage, alarms=[alarm("destination", "PACS"), alarm("images", "PACS")]))
    assert [(each.what, each.values.get("text")) for each in reasons] == [("outage", None), ("alarm", "images")]


def test_a_caller_belongs_to_the_peer_whose_title_it_has_and_else_is_a_stranger() -> None:
    peers = CONFIGURATION.peers
    callers = [caller("CT1"), caller("CT3", "10.1.2.4"), caller("CT9")]
    assert [each.calling for each in standing.callers_of(peers["CT1"], callers)] == ["CT1"]
    strangers = standing.strangers(peers.values(), callers)
    assert [(each.calling, names) for each, names in strangers] == [("CT3", ["CT1"]), ("CT9", [])]


def test_one_rejection_is_a_mistake_at_a_keyboard_and_three_are_a_reason() -> None:
    once, often = ([caller("CT1", number=number)] for number in (2, 3))
    assert standing.tone_of(standing.judge(Seen(heard_at=NOW, callers=once))) == "good"
    assert standing.tone_of(standing.judge(Seen(heard_at=NOW, callers=often))) == "warning"
