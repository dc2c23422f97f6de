"""Results go out as HL7 v2 and FHIR from the same outbox as DICOM: once, as the same bytes, until they have arrived."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hl7
import pytest
from sqlalchemy import select
from support.certificates import Authority
from support.fhir import FhirPeer
from support.fhir import destination as fhir_destination
from support.messages import Ris
from support.network import free_port
from support.outbound import Outbound
from support.result_samples import sample

from radnode.config.messaging import FhirDestination, Hl7Destination
from radnode.node.messaging import mllp_sending
from radnode.node.statuses import Outcome
from radnode.pipelines.messages import producing
from radnode.pipelines.results.writers import write
from radnode.storage import outbox
from radnode.storage.tables import DeliveryRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The messages of the sample findings, as a worker makes them."""
    one = sample(forms=("SEG", "ORU", "FHIR"), output_folder=str(tmp_path_factory.mktemp("written")))
    objects = write(one.findings, one.source, one.provenance, ("SEG",))
    return {each.name: Path(each.path).read_bytes()
            for each in producing.results(one.findings, one.source, one.provenance, objects)}


@pytest.fixture
def bench(tmp_path: Path, written: dict[str, bytes]) -> Iterator[Outbound]:
    made = Outbound(tmp_path)
    made.messages = written
    yield made
    made.close()


@pytest.fixture(scope="module")
def fhir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FhirPeer]:
    with FhirPeer(tmp_path_factory.mktemp("fhir")) as peer:
        yield peer


def ris(port: int, **more: Any) -> Hl7Destination:
    return Hl7Destination(name="RIS", host="127.0.0.1", port=port, application="RIS", facility="HOSPITAL", **more)


def acknowledging(code: str, error: str = "") -> Callable[[hl7.Message], hl7.Message]:
    """Every message is answered so; the text quotes the patient, as texts of some systems do."""

    def answer(message: hl7.Message) -> hl7.Message:
        return hl7.parse(
            f"MSH|^~\\&|RIS|H|RADNODE||20260302||ACK|1|P|2.5.1\rMSA|{code}|{message.segment('MSH')[10]}|PAT-1 Müller\r"
            + (f"ERR||PID^1^3|{error}^PAT-1^HL70357|E||||Müller^Änne\r" if error else "")
        )

    return answer


def test_a_ris_gets_the_message_addressed_to_it_and_its_acknowledgement_ends_the_delivery(bench: Outbound) -> None:
    with Ris() as peer:
        bench.peers = {"RIS": ris(peer.port)}
        bench.produce(["ORU"], to=["RIS"])
        bench.deliver()

    assert bench.states() == ["SENT"]
    (message,) = peer.messages
    assert [str(message.segment("MSH")[field]) for field in (5, 6, 9)] == ["RIS", "HOSPITAL", "ORU^R01^ORU_R01"]
    assert str(message.segment("PID")[5]) == "Müller^Änne^^^^^^A"
    volumes = [(str(each[5]), str(each[6])) for each in message.segments("OBX") if "118565006" in str(each[3])]
    assert volumes == [("618.75", "mm3^cubic millimeter^UCUM"), ("1244.531", "mm3^cubic millimeter^UCUM")]


def test_a_ris_that_was_away_gets_the_same_bytes_later(bench: Outbound) -> None:
    port = free_port()
    bench.peers = {"RIS": ris(port)}
    bench.produce(["ORU"], to=["RIS"])
    bench.deliver()
    assert bench.states() == ["WAITING"]
    assert "destination:RIS" in {each.name for each in bench.alarms.raised()}

    with Ris(acknowledging("AR", "207")) as peer:
        bench.peers = {"RIS": ris(peer.port)}
        with bench.database.begin() as session:
            for row in session.scalars(select(DeliveryRow)):
                row.target = None
        bench.to_next_due()
        assert bench.states() == ["WAITING"]
        peer.answer = acknowledging("AA")
        bench.to_next_due()
    assert bench.states() == ["SENT"]
    assert len(peer.messages) == 2
    assert str(peer.messages[0]) == str(peer.messages[1])


@pytest.mark.parametrize(
    ("code", "error", "state"),
    [("AE", "102", "DEAD"), ("AE", "", "DEAD"), ("AR", "200", "DEAD"), ("CE", "101", "DEAD"),
     ("AE", "206", "WAITING"), ("AR", "", "WAITING"), ("CR", "207", "WAITING"), ("CA", "", "SENT")],
)
def test_an_acknowledgement_is_believed_for_what_it_says_and_none_of_its_words_are_repeated(
    bench: Outbound, capsys: pytest.CaptureFixture[str], code: str, error: str, state: str
) -> None:
    with Ris(acknowledging(code, error)) as peer:
        bench.peers = {"RIS": ris(peer.port)}
        bench.produce(["ORU"], to=["RIS"])
        bench.deliver()

    (row,) = bench.deliveries()
    assert row.state == state
    assert state == "SENT" or f"it answered {code}" in row.reason
    told = capsys.readouterr()
    assert "PAT-1" not in row.reason + told.out + told.err


def test_what_was_given_up_is_sent_again_by_hand(bench: Outbound) -> None:
    with Ris(acknowledging("AE", "102")) as peer:
        bench.peers = {"RIS": ris(peer.port)}
        bench.produce(["ORU"], to=["RIS"])
        bench.deliver()
        assert "deliveries" in bench.standing()
        peer.answer = acknowledging("AA")
        with bench.database.begin() as session:
            assert outbox.resend(session, outbox.dead_deliveries(session), bench.clock.now()) == [1]
        bench.deliver()

    assert bench.states() == ["SENT"]


def test_in_tls_the_ris_has_to_be_the_one_that_is_configured(bench: Outbound, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path / "other")
    for signer, state in ((stranger, "WAITING"), (authority, "SENT")):
        pair = signer.pair("localhost", address="127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        with Ris(tls=context) as peer:
            bench.peers = {"RIS": ris(peer.port, tls={"ca": authority.file})}
            bench.produce(["ORU"], to=["RIS"])
            bench.later(timedelta(hours=1))
            assert bench.states()[-1] == state
            assert len(peer.messages) == (state == "SENT")


def test_an_acknowledgement_of_another_message_is_none(written: dict[str, bytes]) -> None:
    answer = b"MSH|^~\\&|RIS\rMSA|AA|OTHER\r"

    assert mllp_sending.judge(answer, "OTHER").outcome is Outcome.STORED
    for useless in (answer, b"MSH|^~\\&|RIS\r", b"\xff"):
        judged = mllp_sending.judge(useless, "MINE")
        assert (judged.outcome, judged.reason) == (Outcome.TRANSIENT, "no acknowledgement of it")


def test_a_fhir_server_keeps_one_report_however_often_it_is_sent(bench: Outbound, fhir: FhirPeer) -> None:
    bench.peers = {"EHR": fhir_destination(fhir)}
    bench.produce(["FHIR"], to=["EHR"])
    bench.deliver()
    with bench.database.begin() as session:
        assert outbox.resend(session, [1], bench.clock.now()) == [1]
    bench.deliver()

    assert bench.states() == ["SENT"]
    (report,) = fhir.all("DiagnosticReport")
    observations = {f"Observation/{each['id']}": each for each in fhir.all("Observation")}
    assert len(fhir.all("Device")) == 1
    assert sorted(each["reference"] for each in report["result"]) == sorted(observations)
    values = {each["code"]["text"]: each["valueQuantity"] for each in observations.values() if "valueQuantity" in each}
    assert values["Volume: Right lung"] == {"value": 618.75, "unit": "cubic millimeter", "code": "mm3",
                                            "system": "http://unitsofmeasure.org"}
    assert report["status"] == "preliminary"


def test_a_bundle_that_a_fhir_server_refuses_is_given_up(bench: Outbound, fhir: FhirPeer) -> None:
    bench.peers = {"EHR": fhir_destination(fhir)}
    bench.messages = {"FHIR": bench.messages["FHIR"].replace(b'"status":"preliminary"', b'"status":7', 1)}
    bench.produce(["FHIR"], to=["EHR"])
    bench.deliver()

    (row,) = bench.deliveries()
    assert (row.state, "it answered 422" in row.reason) == ("DEAD", True), row.reason


@pytest.mark.parametrize(
    ("shown", "said"),
    [({"oauth2": None}, "it answered 401"), ({"client_id": "nobody"}, "no token from")],
)
def test_whom_a_fhir_server_does_not_let_in_tries_again(
    bench: Outbound, fhir: FhirPeer, shown: dict[str, Any], said: str
) -> None:
    section = fhir.section()
    section["oauth2"] = shown["oauth2"] if "oauth2" in shown else {**section["oauth2"], **shown}
    bench.peers = {"EHR": FhirDestination(name="EHR", **section)}
    bench.produce(["FHIR"], to=["EHR"])
    bench.deliver()

    (row,) = bench.deliveries()
    assert (row.state, said in row.reason) == ("WAITING", True), row.reason


def test_a_fhir_server_that_is_not_there_is_an_outage(bench: Outbound) -> None:
    bench.peers = {"EHR": FhirDestination(name="EHR", url=f"http://127.0.0.1:{free_port()}/fhir")}
    bench.produce(["FHIR"], to=["EHR"])
    bench.deliver()
    for _ in range(3):
        bench.to_next_due()

    assert bench.states() == ["WAITING"]
    assert "destination:EHR" in {each.name for each in bench.alarms.raised()}
    bench.later(timedelta(hours=80))
    assert bench.states() == ["DEAD"]
