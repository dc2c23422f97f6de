"""Results on their way to a DICOMweb destination: the same outbox, proof and patience as by C-STORE."""

from __future__ import annotations

import json
import ssl
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from pydicom import Dataset
from support.certificates import Authority
from support.orthanc import Orthanc
from support.outbound import BOTH, Outbound, destination, uid_of
from support.stow import StowReceiver, source
from support.web_double import Asked, Said, WebDouble, failed, stored

from radnode.config.settings import ListeningTls
from radnode.node.association import PeerUnreachable
from radnode.node.delivery.backoff import HORIZON
from radnode.node.query import count_instances, holds_instance
from radnode.node.security.tls import ServerContexts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from radnode.config.peers import Peer

MOMENT = timedelta(seconds=30)


@pytest.fixture
def outbound(tmp_path: Path) -> Iterator[Callable[[Peer], Outbound]]:
    made: list[Outbound] = []

    def make(peer: Peer) -> Outbound:
        made.append(Outbound(tmp_path, peer))
        return made[-1]

    yield make
    for each in made:
        each.close()


def web(url: str, **more: Any) -> Peer:
    """A destination; its name in the outbox is PACS."""
    shown = {name: more.pop(name) for name in ("token_file", "user", "password_file", "oauth2") if name in more}
    return destination(104, dicomweb={"url": url, **shown}, **more)


def uid_in(asked: Asked) -> str:
    """The SOP Instance UID of the object in a body."""
    found = [uid for job in range(1, 9) for name in BOTH if f"{(uid := uid_of(job, name))}".encode() in asked.body]
    return max(found, key=len, default="")


def other_patient() -> Dataset:
    patient = Dataset()
    patient.PatientID = "P3"
    return patient


def taking(asked: Asked) -> Said:
    return Said(document=stored(uid_in(asked)))


@pytest.mark.peer
def test_results_arrive_in_orthanc_with_their_bytes_and_are_looked_for_by_qido(
    tmp_path: Path, outbound: Callable[[Peer], Outbound]
) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    with Orthanc(tmp_path / "orthanc") as orthanc:
        bench = outbound(web(f"http://127.0.0.1:{orthanc.http_port}/dicom-web", user="test", password_file=secret,
                             answers_find=True))
        bench.patient.PatientID = "P1"
        bench.produce()
        bench.deliver()
        assert bench.states() == ["WAITING"] * 2
        assert "HTTP 401" in bench.standing()["destination:PACS"]

        secret.write_text("test\n")
        bench.later(MOMENT)
        assert bench.states() == ["CONFIRMED"] * 2
        assert {row.confirmed_how for row in bench.deliveries()} == {"QIDO-RS"}
        assert "destination:PACS" not in bench.standing()
        assert orthanc.instances("1.2.5.1") == sorted(uid_of(1, name) for name in BOTH)
        kept = {sent.SOPInstanceUID: sent.EncapsulatedDocument for sent in orthanc.datasets("1.2.5.1")}
        assert len(set(kept.values())) == 2

        peer = bench.peers["PACS"]
        assert holds_instance(peer, "RADNODE", study_instance_uid="1.2.5.1", series_instance_uid="1.2.9.1.1",
                              sop_instance_uid=uid_of(1, "SEG"))
        assert count_instances(peer, "RADNODE", "1.2.5.1", "1.2.9.1.1") == 1
        assert count_instances(peer, "RADNODE", "1.2.5.99", "1.2.9.1.1") is None

        bench.peers = {"PACS": peer.model_copy(update={"check_patient": True})}
        bench.patient.PatientID = "P2"
        orthanc.send(bench.image(2, other_patient()))
        bench.produce()
        bench.later(MOMENT)
        assert bench.states()[2:] == ["DEAD"] * 2
        assert "another Patient ID than the result" in bench.deliveries()[2].reason

        (study,) = orthanc.post("/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": "1.2.5.1"}})
        orthanc.delete(f"/studies/{study}")
        assert not holds_instance(peer, "RADNODE", study_instance_uid="1.2.5.1", series_instance_uid="1.2.9.1.1",
                                  sop_instance_uid=uid_of(1, "SEG"))


@pytest.mark.parametrize(("said", "states", "told"), [
    (Said(status=503, headers={"Retry-After": "120"}), ["WAITING"] * 2, "is not available now (HTTP 503)"),
    (Said(status=403), ["WAITING"] * 2, "does not allow this node to do that"),
    (Said(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"}), ["WAITING"] * 2, "which is not followed"),
    (Said(status=413), ["DEAD", "DEAD"], "too large for it; its findings"),
    (Said(status=409, document=failed(0xA900)), ["DEAD", "DEAD"], "status 0xA900; its findings"),
    (Said(status=400), ["DEAD", "DEAD"], ""),
    (Said(status=500), ["WAITING"] * 2, ""),
    (Said(cut=0), ["WAITING"] * 2, ""),
    (Said(document=stored(uid_of(1, "SEG")), cut=9), ["WAITING"] * 2, ""),
    (Said(document={}), ["WAITING"] * 2, ""),
])
def test_a_destination_that_does_not_take_an_object_says_what_follows(
    outbound: Callable[[Peer], Outbound], said: Said, states: list[str], told: str
) -> None:
    with WebDouble(lambda asked: said if uid_in(asked) == uid_of(1, "SEG") else taking(asked)) as double:
        bench = outbound(web(double.url + "/rs"))
        bench.produce()
        bench.deliver()
        assert bench.states() == states
        assert told in bench.standing().get("destination:PACS", "") + bench.deliveries()[0].reason
        assert {each.path for each in double.asked} == {"/rs/studies"}
        if states == ["WAITING"] * 2:
            wait = bench.deliveries()[0].due_at - bench.clock.time
            assert (wait == timedelta(minutes=2)) == (said.status == 503)
            double.answer = taking
            while bench.to_next_due():
                pass
            assert bench.states() == ["SENT"] * 2
            same = Counter(each.digest for each in double.asked)
            assert sorted(same.values()) == [1, 2], "the same bytes at each attempt"


def test_an_object_that_no_try_gets_through_is_given_up_after_three_days(
    outbound: Callable[[Peer], Outbound]
) -> None:
    with WebDouble(lambda _: Said(status=401)) as double:
        bench = outbound(web(double.url))
        bench.produce()
        bench.deliver()
        bench.later(HORIZON)
        assert bench.states() == ["DEAD"] * 2
        assert "given up after 72 h" in bench.deliveries()[0].reason


def test_a_token_is_asked_for_once_and_again_when_it_is_refused(
    tmp_path: Path, outbound: Callable[[Peer], Outbound]
) -> None:
    (tmp_path / "secret").write_text("a secret+1\n")
    given: list[str] = []

    def answer(asked: Asked) -> Said:
        if asked.path == "/token":
            if asked.headers["authorization"] != "Basic cmFkbm9kZTphK3NlY3JldCUyQjE=":
                return Said(status=401, document={"error": "invalid_client"}, content_type="application/json")
            assert asked.body == b"grant_type=client_credentials&scope=store"
            given.append(f"token-{len(given)}")
            document = {"access_token": given[-1], "token_type": "Bearer", "expires_in": 3600}
            return Said(document=document, content_type="application/json")
        return taking(asked) if asked.headers.get("authorization") == f"Bearer {given[-1]}" else Said(status=401)

    with WebDouble(answer) as double:
        oauth2 = {"token_url": double.url + "/token", "client_id": "radnode", "secret_file": tmp_path / "secret",
                  "scope": "store"}
        bench = outbound(web(double.url, oauth2=oauth2))
        bench.produce()
        bench.deliver()
        assert (bench.states(), given) == (["SENT"] * 2, ["token-0"])
        given.append("token-1")  # the service has forgotten what it gave
        bench.produce()
        bench.later(MOMENT)
        assert (bench.states(), given) == (["SENT"] * 4, ["token-0", "token-1", "token-2"])
        bench.peers = {"PACS": web(double.url, oauth2={**oauth2, "client_id": "another"})}
        bench.produce()
        bench.later(MOMENT)
        assert bench.states()[4:] == ["WAITING"] * 2
        text = bench.standing()["destination:PACS"]
        assert "HTTP 401 (invalid_client)" in text
        assert "a secret" not in json.dumps(bench.standing())


def test_https_asks_for_the_peers_name_and_shows_the_nodes_certificate(
    tmp_path: Path, outbound: Callable[[Peer], Outbound]
) -> None:
    authority = Authority(tmp_path / "ca")
    theirs, ours = authority.pair("pacs.hospital.example"), authority.pair("node")
    contexts = ServerContexts(ListeningTls(certificate=theirs.certificate, key=theirs.key, ca=authority.file),
                              asks=ssl.CERT_OPTIONAL, on_unusable=print)
    known = [source(tmp_path).model_copy(update={"token_file": None, "client_certificate": ours.fingerprint})]
    with StowReceiver(tmp_path / "pacs", peers=known, web_tls=contexts) as receiver:
        url = f"https://127.0.0.1:{receiver.web.port}/dicom-web"
        tls = {"ca": authority.file, "certificate": ours.certificate, "key": ours.key, "name": "pacs.hospital.example"}
        bench = outbound(web(url, tls=tls))
        bench.produce(["SC"])
        bench.deliver()
        assert (bench.states(), len(receiver.kept())) == (["SENT"], 1)

        bench.peers = {"PACS": web(url, tls={**tls, "name": "other.example"})}
        bench.produce(["SC"])
        bench.later(MOMENT)
        assert "ostname mismatch" in bench.standing()["destination:PACS"]
        bench.peers = {"PACS": web(url, tls={"ca": authority.file, "name": "pacs.hospital.example"})}
        bench.to_next_due()
        assert "HTTP 401" in bench.standing()["destination:PACS"]


def test_a_list_that_comes_in_parts_is_counted_to_its_end(tmp_path: Path) -> None:
    def listing(asked: Asked) -> Said:
        if urlsplit(asked.path).path.endswith("/series"):
            return Said(status=204)
        at = int(asked.query["offset"])
        uids = [f"1.2.3.{number}" for number in range(at, min(at + 7, 25))]
        return Said(document=[{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids])

    with WebDouble(listing) as double:
        peer = web(double.url)
        assert count_instances(peer, "RADNODE", "1.2.5", "1.2.4") == 25
        double.answer = lambda _: Said(document={"what": 1})
        with pytest.raises(PeerUnreachable, match="did not answer a query in DICOM JSON"):
            count_instances(peer, "RADNODE", "1.2.5", "1.2.4")
        double.answer = lambda _: Said(document=[{"00080018": {"vr": "??", "Value": 5}}])
        with pytest.raises(PeerUnreachable, match="what is no DICOM JSON"):
            count_instances(peer, "RADNODE", "1.2.5", "1.2.4")
