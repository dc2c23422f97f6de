"""STOW-RS (PS3.18 10.5): what is answered Success is kept like an image of C-STORE, whatever the client does."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import socket
import ssl
import time
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import httpx
import pydicom
import pytest
import structlog
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian
from requests import Session
from support.certificates import Authority
from support.phantoms import write_small
from support.receiver import IMPATIENT, Peer, data_set
from support.stow import BOUNDARY, RELATED, STUDIES, TOKEN, StowReceiver, failures, file, multipart, source, stored
from support.waiting import eventually

from radnode.config.settings import ListeningTls
from radnode.node.dicomweb import http
from radnode.node.dicomweb import multipart as parser
from radnode.node.security.tls import ServerContexts
from radnode.storage.errors import StorageFull
from radnode.storage.files import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


JSON, XML = "application/dicom+json", "application/dicom+xml"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[StowReceiver]:
    with StowReceiver(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StowReceiver]:
    with StowReceiver(tmp_path_factory.mktemp("shared")) as running:
        yield running


def head(*fields: str, to: str = STUDIES, content_type: str = RELATED) -> bytes:
    lines = [f"POST {to} HTTP/1.1", "Host: node", f"Authorization: Bearer {TOKEN}", f"Content-Type: {content_type}"]
    return "\r\n".join([*lines, *fields, "", ""]).encode()


def status_of(answered: bytes) -> int:
    return int(answered.split(b" ", 2)[1]) if answered else 0


def test_what_a_client_stores_is_kept_byte_by_byte_and_the_answer_names_it(receiver: StowReceiver) -> None:
    answer = receiver.post(multipart(file(1), file(2, pixels=500_000)))

    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    assert stored(answer) == ["1.2.3.1", "1.2.3.2"]
    assert [each.source for each in receiver.recorded] == ["WEB1", "WEB1"]
    assert len({each.association for each in receiver.recorded}) == 1
    assert sorted(path.read_bytes() for path in receiver.kept()) == sorted([file(1), file(2, pixels=500_000)])
    assert receiver.spooled() == []


def test_one_image_sent_both_ways_is_one_image(receiver: StowReceiver) -> None:
    assert receiver.post(multipart(file(1))).status_code == 200
    with Peer(receiver.port) as peer:
        peer.associate()
        data = data_set(instance=b"1.2.3.1\0", study=b"1.2.5\0", pixels=100)
        assert peer.store(data, "1.2.3.1") == 0x0000
    assert [each.duplicate for each in receiver.outcomes] == [False, True]
    assert len(receiver.kept()) == 1


def test_a_single_part_a_stream_without_length_and_a_compressed_one_are_stored(receiver: StowReceiver) -> None:
    pieces = iter([multipart(file(2))[:100], multipart(file(2))[100:]])
    assert receiver.post(file(1), "application/dicom").status_code == 200
    assert receiver.post(pieces).status_code == 200
    packed = gzip.compress(multipart(file(3, pixels=200_000)))
    assert receiver.post(packed, **{"Content-Encoding": "gzip"}).status_code == 200
    assert [each.sop_instance_uid for each in receiver.recorded] == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]


def test_the_answer_is_xml_where_that_is_asked_for(receiver: StowReceiver) -> None:
    answer = receiver.post(multipart(file(1), b"no file"), Accept=XML)
    assert (answer.status_code, answer.headers["content-type"]) == (202, XML)
    root = ElementTree.fromstring(answer.content)  # noqa: S314 - our own
    said = {each.get("keyword"): each for each in root}
    assert said.keys() == {"ReferencedSOPSequence", "OtherFailuresSequence"}
    assert "1.2.3.1" in "".join(said["ReferencedSOPSequence"].itertext())
    assert "".join(said["OtherFailuresSequence"].itertext()) == str(0xC005)


def test_of_good_and_bad_instances_the_good_are_kept_and_each_bad_has_its_reason(receiver: StowReceiver) -> None:
    other_uid = file(9, sop_instance_uid=b"1.2.3.8")
    answer = receiver.post(multipart(
        file(1), b"not a file", file(2)[:-30], other_uid, file(3, sop_instance_uid=b"not a uid"),
        file(4, transfer_syntax_uid=ExplicitVRBigEndian.encode()),
        file(5, transfer_syntax_uid=DeflatedExplicitVRLittleEndian.encode()), file(6, sop_class_uid=b"1.2.840"), b"",
    ))  # fmt: skip
    assert answer.status_code == 202
    assert stored(answer) == ["1.2.3.1"]
    assert failures(answer) == [0xC004, 0xA900, 0xC122, 0xC122, 0xC122, 0xC005, 0x0117, 0xC005]
    assert len(receiver.kept()) == 1
    assert receiver.spooled() == []
    assert receiver.storage.refusals.lately()["WEB1"] == 8


def test_an_instance_of_another_study_than_the_address_names_is_refused(receiver: StowReceiver) -> None:
    answer = receiver.post(multipart(file(1), file(2, study=b"1.2.6\0")), to=f"{STUDIES}/1.2.5")
    assert (answer.status_code, stored(answer), failures(answer)) == (202, ["1.2.3.1"], [0xA900])
    none = receiver.post(multipart(file(3)), to=f"{STUDIES}/1.2.7")
    assert (none.status_code, failures(none)) == (409, [0xA900])


def test_a_series_is_open_for_completion_as_long_as_its_request_lasts(receiver: StowReceiver) -> None:
    def pieces() -> Iterator[bytes]:
        body = multipart(file(1), file(2))
        yield body[:-40]
        eventually(lambda: receiver.associations.open_associations("1.2.5") == 1, within=5)
        yield body[-40:]

    assert receiver.post(pieces()).status_code == 200
    assert receiver.associations.open_associations("1.2.5") == 0


@pytest.mark.parametrize(("authorization", "status"), [
    (f"Bearer {TOKEN}", 200),
    ("Bearer another", 401),
    ("Bearer", 401),
    ("", 401),
    (httpx.BasicAuth("WEB1", TOKEN)._auth_header, 200),
    (httpx.BasicAuth("WEB2", TOKEN)._auth_header, 401),
    (httpx.BasicAuth("WEB1", "another")._auth_header, 401),
    ("Basic !!!", 401),
    ("Digest username=WEB1", 401),
])
def test_only_a_source_that_shows_its_token_stores(receiver: StowReceiver, authorization: str, status: int) -> None:
    answer = receiver.post(multipart(file(1)), Authorization=authorization)
    assert answer.status_code == status
    assert len(receiver.recorded) == (status == 200)
    assert receiver.strangers.lately()["127.0.0.1"] == (status == 401)
    if status == 401:
        assert "Bearer" in answer.headers["www-authenticate"]


def test_a_token_counts_only_from_the_addresses_of_its_peer_and_is_read_anew(tmp_path: Path) -> None:
    elsewhere = source(tmp_path, "WEB2", "the other token", hosts=("10.0.0.0/8",))
    with StowReceiver(tmp_path, peers=[source(tmp_path), elsewhere]) as receiver:
        def post(token: str) -> int:
            return receiver.post(multipart(file(1)), Authorization=f"Bearer {token}").status_code

        assert post("the other token") == 401
        assert post(TOKEN) == 200
        (tmp_path / "WEB1.token").write_text("renewed\n")
        assert (post(TOKEN), post("renewed")) == (401, 200)
        (tmp_path / "WEB1.token").unlink()
        assert post("renewed") == 401


def test_in_tls_a_certificate_is_enough_and_one_of_nobody_is_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    own, web, pinned = (authority.pair(name) for name in ("localhost", "web1", "web2"))
    known = [source(tmp_path, client_certificate="web1"), source(tmp_path, "WEB2", "two")]
    tls = ListeningTls(certificate=own.certificate, key=own.key, ca=authority.file)
    contexts = ServerContexts(tls, asks=ssl.CERT_OPTIONAL, on_unusable=print)
    with StowReceiver(tmp_path, peers=known, web_tls=contexts) as receiver:
        def post(pair: object, **fields: str) -> int:
            context = authority.client(pair)  # type: ignore[arg-type]
            with httpx.Client(verify=context, trust_env=False) as client:
                url = f"https://127.0.0.1:{receiver.web.port}{STUDIES}"
                headers = {"Content-Type": RELATED, **fields}
                return client.post(url, content=multipart(file(1)), headers=headers).status_code

        assert post(web) == 200
        assert post(pinned) == 401
        assert post(None) == 401
        assert post(None, Authorization=f"Bearer {TOKEN}") == 401, "WEB1 has to come with its certificate"
        assert post(web, Authorization=f"Bearer {TOKEN}") == 200
        assert post(web, Authorization="Bearer two") == 401, "the certificate of another source"
        assert post(None, Authorization="Bearer two") == 200
    assert {each.source for each in receiver.recorded} == {"WEB1", "WEB2"}


@pytest.mark.parametrize(("said", "status"), [
    (head("Content-Length: 0", to="/"), 404),
    (head("Content-Length: 0", to="/dicom-web/studies/1.2.3/series"), 404),
    (head("Content-Length: 0", to="/dicom-web/studies/" + "1" * 65), 404),
    (head("Content-Length: 0", to="/dicom-web/studies/../../etc/passwd"), 404),
    (head("Content-Length: 0").replace(b"POST", b"GET"), 405),
    (head("Content-Length: 0", "Accept: text/html"), 406),
    (head("Content-Length: 0", content_type="text/plain"), 415),
    (head("Content-Length: 0", content_type="application/json"), 415),
    (head("Content-Length: 0", content_type='multipart/related; type="application/dicom+json"; boundary=b'), 415),
    (head("Content-Length: 0", content_type="multipart/form-data; boundary=b"), 415),
    (head("Content-Length: 0", content_type="nonsense"), 415),
    (head("Content-Length: 0", content_type="multipart/related; type=application/dicom"), 400),
    (head("Content-Length: 0", content_type='multipart/related; type="application/dicom"; boundary="a\\"b"'), 400),
    (head("Content-Length: 0", "Content-Encoding: br"), 415),
    (head("Content-Length: 0"), 400),
    (head("Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    (head("Content-Length: 5", "Content-Length: 6"), 400),
    (head("Transfer-Encoding: gzip, chunked"), 501),
    (head("Transfer-Encoding: chunked") + b"zz\r\n", 400),
    (head("X: " + "x" * 100_000), 431),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    (b"\1\0\0\0\1\0" + bytes(300), 400),
    (b"GET\r\n\r\n", 400),
])
def test_a_request_that_is_none_of_ours_is_answered_with_what_is_wrong(
    shared: StowReceiver, said: bytes, status: int
) -> None:
    before = len(shared.recorded)
    answered = shared.raw(said)
    assert status_of(answered) == status, answered
    assert len(shared.recorded) == before
    assert shared.spooled() == []
    assert shared.post(multipart(file(1))).status_code == 200, "the next is served"


@pytest.mark.parametrize(("fields", "status"), [
    (["Content-Length: 0"], 405), (["Content-Length: 0", "Transfer-Encoding: chunked"], 400),
])
def test_the_answer_to_head_has_no_body(shared: StowReceiver, fields: list[str], status: int) -> None:
    answered = shared.raw(head(*fields).replace(b"POST", b"HEAD"))
    said, _, body = answered.partition(b"\r\n\r\n")
    assert status_of(answered) == status
    assert b"content-length" in said.lower()
    assert body == b""


PART = b"Content-Type: application/dicom\r\n\r\n"
OPEN, CLOSE = f"--{BOUNDARY}\r\n".encode(), f"--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(("body", "status", "kept"), [
    (b"", 400, 0),
    (CLOSE, 400, 0),
    (b"no boundary at all", 400, 0),
    (b"x" * 100_000, 400, 0),
    (multipart(file(1), boundary="another"), 400, 0),
    (multipart(file(1)).replace(b"\r\n", b"\n"), 400, 0),
    (multipart(file(1), file(2))[: -len(CLOSE)], 400, 1),
    (multipart(file(1), file(2))[: -len(CLOSE)] + OPEN, 400, 2),
    (multipart(file(1)) + b"epilogue", 200, 1),
    (multipart(file(1)) + b"x" * 100_000, 400, 1),
    (b"preamble\r\n" + multipart(file(1)), 200, 1),
    (OPEN + PART + file(1) + b"\r\n" + CLOSE.replace(b"\r\n", b""), 200, 1),
    (OPEN.replace(b"\r\n", b"   \t\r\n") + PART + file(1) + b"\r\n" + CLOSE, 200, 1),
    (OPEN.replace(b"\r\n", b"more\r\n") + PART + file(1) + b"\r\n" + CLOSE, 400, 0),
    (OPEN + b"\r\n" + file(1) + b"\r\n" + CLOSE, 200, 1),
    (OPEN + b"X: y\r\n" + CLOSE, 400, 0),
    (OPEN + b"Content-Type: application/dicom\r\n\r\n" + CLOSE, 409, 0),
    (OPEN + b"Content-Type: text/plain\r\n\r\nhello\r\n" + CLOSE, 409, 0),
    (OPEN + b"Content-Type: application/dicom\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n" + CLOSE, 409, 0),
    (OPEN + b"Content-Type: multipart/related; boundary=in\r\n\r\n" + multipart(file(1), boundary="in") + b"\r\n"
     + CLOSE, 409, 0),
    (OPEN + b"X: " + b"x" * 10_000 + b"\r\n" + PART + file(1) + b"\r\n" + CLOSE, 400, 0),
    (OPEN + b"X: y\r\n" * 40 + PART + file(1) + b"\r\n" + CLOSE, 400, 0),
    (OPEN + b"no field\r\n" + PART + file(1) + b"\r\n" + CLOSE, 400, 0),
    (OPEN + b"X: folded\r\n over lines\r\n" + PART + file(1) + b"\r\n" + CLOSE, 400, 0),
    (OPEN + b"content-type: text/plain\r\n" + PART + file(1) + b"\r\n" + CLOSE, 400, 0),
], ids=range(25))  # fmt: skip
@pytest.mark.parametrize("whole", [True, False], ids=["length", "chunked"])
def test_a_malformed_body_keeps_what_was_whole_and_nothing_else(
    shared: StowReceiver, body: bytes, status: int, kept: int, whole: bool
) -> None:
    before = len(shared.recorded)
    answer = shared.post(body if whole else iter([body[at : at + 37] for at in range(0, len(body), 37)]))
    assert answer.status_code == status
    recorded = shared.recorded[before:]
    assert len(recorded) == kept
    assert {each.digest for each in recorded} <= {path.stem for path in shared.kept()}
    assert shared.spooled() == []
    if kept:
        assert stored(answer) == [each.sop_instance_uid for each in recorded]


def test_a_body_that_is_cut_keeps_whole_parts_and_answers_no_success(receiver: StowReceiver) -> None:
    body = multipart(file(1), file(2))
    ends = [body.index(b"\r\n--", len(OPEN)) + len(OPEN), len(body) - 4]
    for cut in (1, 30, 200, 520, *(end + more for end in ends for more in (-1, 0, 1))):
        before = len(receiver.recorded)
        answer = receiver.post(body[:cut])
        assert answer.status_code == 400, cut
        assert len(receiver.recorded) - before == sum(end <= cut for end in ends), cut
        assert receiver.spooled() == [], cut
    assert status_of(receiver.raw(head(f"Content-Length: {len(body)}") + body[:700])) == 0, "the client went away"
    assert receiver.spooled() == []


def test_a_part_that_holds_nearly_the_boundary_is_kept_as_it_is(receiver: StowReceiver) -> None:
    tempting = b"\r\n--boundary-of-a-tes\r\n--\r\n\r\n--boundary-of-a-tesT--\r\r\n-"
    content = file(1, pixels=0)[:-12] + b"\xe0\x7f\x10\0OB\0\0" + len(tempting + b"\0").to_bytes(4, "little") + tempting
    content += b"\0"
    for size in (1, 7, 4096):
        body = multipart(content)
        answer = receiver.post(iter([body[at : at + size] for at in range(0, len(body), size)]))
        assert answer.status_code == 200
    (kept,) = receiver.kept()
    assert kept.read_bytes() == content


def test_an_object_over_the_limit_is_refused_and_one_that_does_not_end_is_cut(tmp_path: Path) -> None:
    with StowReceiver(tmp_path, largest_object=100_000) as receiver:
        answer = receiver.post(multipart(file(1, pixels=150_000), file(2)))
        assert (answer.status_code, stored(answer), failures(answer)) == (202, ["1.2.3.2"], [0xC001])
        endless = (b"x" * 50_000 for _ in range(10_000))
        sent = receiver.raw(head("Transfer-Encoding: chunked") + b"".join(_chunks([OPEN + PART + file(3)[:400], *(
            next(endless) for _ in range(6))])))
        assert status_of(sent) == 413
        assert receiver.spooled() == []


def _chunks(pieces: Sequence[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def test_a_small_body_that_inflates_to_a_large_one_is_cut(
    receiver: StowReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_FREE_INFLATION", 100_000)
    bomb = gzip.compress(multipart(file(1), file(2, pixels=50_000_000)))
    answer = receiver.post(bomb, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 413
    assert stored(answer) == ["1.2.3.1"]
    assert receiver.spooled() == []
    for broken in (gzip.compress(multipart(file(3)))[:-9], b"no gzip", gzip.compress(multipart(file(4))) + b"more"):
        assert receiver.post(broken, **{"Content-Encoding": "gzip"}).status_code == 400


def test_without_space_nothing_is_read_and_the_client_is_told_to_come_again(
    receiver: StowReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise StorageFull(receiver.store.root, 0)

    with monkeypatch.context() as patched:
        patched.setattr(receiver.store, "check_reserve", full)
        answer = receiver.post(multipart(file(1)))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    with monkeypatch.context() as patched:
        patched.setattr(FileStore, "keep", lambda *_, **__: full())
        answer = receiver.post(multipart(file(1)))
        assert (answer.status_code, answer.headers["retry-after"], failures(answer)) == (503, "60", [0xA700])
    assert receiver.recorded == []
    assert receiver.post(multipart(file(1))).status_code == 200


def test_more_requests_than_seats_are_told_to_come_again(tmp_path: Path) -> None:
    with StowReceiver(tmp_path, web={"max_requests": 1}) as receiver:
        def pieces() -> Iterator[bytes]:
            body = multipart(file(1, pixels=1000))
            yield body[:900]
            eventually(lambda: bool(receiver.spooled()), within=5)
            second = receiver.post(multipart(file(2)))
            assert (second.status_code, second.headers["retry-after"]) == (503, "1")
            yield body[900:]

        assert receiver.post(pieces()).status_code == 200
        assert receiver.post(multipart(file(2))).status_code == 200


def test_a_client_that_sends_a_byte_now_and_then_is_cut_and_holds_nobody_up(tmp_path: Path) -> None:
    with StowReceiver(tmp_path, web={"slowest_s": 0.5}) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.web.port), timeout=10) as slow:
            slow.sendall(head("Content-Length: 100000") + OPEN + PART + file(1)[:200])
            began = time.monotonic()
            assert receiver.post(multipart(file(2))).status_code == 200
            answered = b""
            while not answered and time.monotonic() - began < 8:
                slow.sendall(b"\0")
                slow.settimeout(0.05)
                try:
                    answered = slow.recv(1000)
                except TimeoutError:
                    continue
            assert status_of(answered) == 408
        with socket.create_connection(("127.0.0.1", receiver.web.port), timeout=10) as slow:
            slow.sendall(b"POST ")
            assert slow.recv(1) == b"", "a head that does not come"
        eventually(lambda: receiver.spooled() == [], within=5)


def test_a_large_object_is_never_in_memory(tmp_path: Path) -> None:
    """The client is in this process, too."""
    mebibyte = bytes(1 << 20)
    beginning = OPEN + PART + file(1, pixels=0)[:-12] + b"\xe0\x7f\x10\0OB\0\0" + (150 << 20).to_bytes(4, "little")
    with StowReceiver(tmp_path, largest_object=1 << 30) as receiver:
        assert receiver.post(multipart(file(2))).status_code == 200
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak begins anew
        before = _peak_mib()
        answer = receiver.post(itertools.chain([beginning], itertools.repeat(mebibyte, 150), [b"\r\n" + CLOSE]))
        assert (answer.status_code, stored(answer)) == (200, ["1.2.3.1"])
        assert _peak_mib() - before < 32
        assert {path.stat().st_size >> 20 for path in receiver.kept()} == {0, 150}


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


@pytest.mark.catalogue("N1", "N2")
def test_silent_clients_hold_nobody_up(receiver: StowReceiver) -> None:
    with contextlib.ExitStack() as silent:
        for number in range(80):
            client = silent.enter_context(socket.create_connection(("127.0.0.1", receiver.web.port), timeout=10))
            client.sendall(b"POST /"[: number % 7])
        began = time.monotonic()
        assert receiver.post(multipart(file(1))).status_code == 200
        assert time.monotonic() - began < 5


def test_a_client_that_waits_for_100_continue_is_refused_before_it_sends_the_body(receiver: StowReceiver) -> None:
    body = multipart(file(1))
    refused = head(f"Content-Length: {len(body)}", "Expect: 100-continue").replace(TOKEN.encode(), b"another")
    assert status_of(receiver.raw(refused)) == 401
    accepted = receiver.raw(head(f"Content-Length: {len(body)}", "Expect: 100-continue") + body)
    assert accepted.startswith(b"HTTP/1.1 100")
    assert b"HTTP/1.1 200" in accepted


def test_requests_follow_each_other_on_one_connection(receiver: StowReceiver) -> None:
    said = b"".join(head(f"Content-Length: {len(body)}") + body for body in (multipart(file(1)), multipart(file(2))))
    answered = receiver.raw(said)
    assert answered.count(b"HTTP/1.1 200") == 2
    assert len(receiver.kept()) == 2


def test_a_stop_in_mid_body_keeps_no_half_and_answers_nothing(tmp_path: Path) -> None:
    with StowReceiver(tmp_path, deadlines=IMPATIENT) as receiver:
        with socket.create_connection(("127.0.0.1", receiver.web.port), timeout=10) as client:
            half = OPEN + PART + file(2, pixels=1000)[:900]
            client.sendall(head("Content-Length: 100000") + OPEN + PART + file(1) + b"\r\n" + half)
            eventually(lambda: len(receiver.recorded) == 1 and receiver.spooled(), within=5)
            receiver.web.stop()
            assert client.recv(1000) == b""
        assert len(receiver.kept()) == 1
        assert receiver.spooled() == []


def test_what_a_client_sends_is_never_part_of_a_log_line(receiver: StowReceiver) -> None:
    evil = "evil\x1b[2Jname"
    with structlog.testing.capture_logs() as events:
        receiver.raw(head(f"X: {evil}").replace(b"POST", b"PO\x1bST"))
        receiver.post(multipart(evil.encode()), to=f"{STUDIES}/EVIL")
        receiver.post(multipart(file(1), fields=f"Content-Type: {evil[:4]}/x\r\n"))
        receiver.post(multipart(file(1)), Authorization="Bearer EVIL")
    assert events
    assert "evil" not in json.dumps([str(each) for each in events]).lower()


def test_an_independent_client_stores_real_images(receiver: StowReceiver, tmp_path: Path) -> None:
    files = write_small(tmp_path / "ct", slices=3)
    session = Session()
    session.trust_env = False
    session.auth = ("WEB1", TOKEN)
    client = DICOMwebClient(f"http://127.0.0.1:{receiver.web.port}/dicom-web", session=session)
    datasets = [pydicom.dcmread(path) for path in files]

    answer = client.store_instances(datasets, study_instance_uid=datasets[0].StudyInstanceUID)

    assert [str(item.ReferencedSOPInstanceUID) for item in answer.ReferencedSOPSequence] == [
        str(each.SOPInstanceUID) for each in datasets
    ]
    assert "FailedSOPSequence" not in answer
    assert {each.digest for each in receiver.recorded} == {sha256(p.read_bytes()).hexdigest() for p in receiver.kept()}
    kept = {str(each.SOPInstanceUID): each for each in map(pydicom.dcmread, receiver.kept())}
    assert all(kept[str(each.SOPInstanceUID)].PixelData == each.PixelData for each in datasets)
    assert pydicom.dcmread(BytesIO(file(1))).SOPClassUID == CTImageStorage


def test_a_request_of_too_many_parts_is_refused(receiver: StowReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "MOST_PARTS", 3)
    answer = receiver.post(multipart(file(1), file(2), file(3), file(4)))
    assert (answer.status_code, len(stored(answer))) == (400, 3)
