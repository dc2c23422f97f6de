"""DICOM in TLS (PS3.15 B.12): who may come and who may not, told by real peers; nothing that was answered is lost."""

from __future__ import annotations

import ssl
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from pydicom import dcmread
from pydicom.uid import CTImageStorage
from support import dcmtk
from support.certificates import DAY, Authority, Pair
from support.phantoms import write_small
from support.processes import required
from support.receiver import Peer, Receiver, association_request, command, data_set, p_data, pdv
from support.waiting import eventually

from radnode.config import peers
from radnode.config.settings import ListeningTls
from radnode.node.intake.admission import Admission, admit
from radnode.node.intake.connection import Deadlines
from radnode.node.security.tls import ServerContexts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.node.security.certificates import Certificate

ACCEPTED = 2
REJECTED = 3
DEADLINES = Deadlines(request=3.0, pdu=3.0, linger=0.5)
"""Short for those who never speak, and long enough for a handshake on a machine that stalls."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A hospital: its authority, the node's files, and two sources whose certificates are configured."""

    authority: Authority
    tls: ListeningTls
    one: Pair
    other: Pair

    def admit(self, calling: str, called: str, host: str, certificate: Certificate | None) -> Admission:
        pinned = {"CT1": "ct1", "CT2": self.other.fingerprint, "OLD": None}
        known = [
            peers.Peer(name=title, ae_title=title, host="127.0.0.1", port=104, sends=True, client_certificate=each)
            for title, each in pinned.items()
        ]
        return admit(known, own_ae_title="RADNODE", accept_unknown=True, called=called, calling=calling, host=host,
                     certificate=certificate)

    def receiver(self, folder: Path, *, tls: ListeningTls | None = None, **options: Any) -> Receiver:
        self.told.clear()
        contexts = ServerContexts(tls or self.tls, asks=ssl.CERT_REQUIRED, on_unusable=self.told.append)
        return Receiver(folder, admit=self.admit, tls=contexts, deadlines=DEADLINES, **options)

    @property
    def told(self) -> list[str]:
        return _TOLD


_TOLD: list[str] = []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    own = authority.pair("localhost", address="127.0.0.1")
    return Site(
        authority=authority, one=authority.pair("CT1"), other=authority.pair("CT2"),
        tls=ListeningTls(certificate=own.certificate, key=own.key, ca=authority.file),
    )


@pytest.fixture
def receiver(site: Site, tmp_path: Path) -> Iterator[Receiver]:
    with site.receiver(tmp_path) as running:
        yield running


def associated(receiver: Receiver, context: ssl.SSLContext, calling: str) -> int:
    """Type of the answer to an A-ASSOCIATE-RQ; 0 when there is no TLS."""
    try:
        with Peer(receiver.tls_port, tls=context) as peer:
            return peer.associate(calling=calling)
    except OSError:
        return 0


def reason_of(events: list[Any], event: str) -> str:
    return str(eventually(lambda: [each["reason"] for each in events if each["event"] == event], within=5)[-1])


def test_an_image_sent_by_a_real_peer_in_tls_is_kept_as_it_was_sent(
    site: Site, receiver: Receiver, tmp_path: Path
) -> None:
    (image,) = write_small(tmp_path / "ct", slices=1)
    one = site.one

    dcmtk.storescu(
        receiver.tls_port, image, called="RADNODE", calling="CT1",
        options=["+tls", str(one.key), str(one.certificate), "+cf", str(site.authority.file)],
    )

    (kept,) = receiver.kept()
    assert dcmread(kept).PixelData == dcmread(image).PixelData
    assert [each.source for each in receiver.recorded] == ["CT1"]


@pytest.mark.goal("tls")
@pytest.mark.catalogue("N12")
def test_only_its_own_certificate_lets_a_peer_in(site: Site, receiver: Receiver) -> None:
    one, other = site.authority.client(site.one), site.authority.client(site.other)
    assert associated(receiver, one, "CT1") == ACCEPTED
    assert associated(receiver, other, "CT2") == ACCEPTED
    with structlog.testing.capture_logs() as events:
        assert associated(receiver, other, "CT1") == REJECTED
        assert "a certificate of somebody else" in reason_of(events, "association.rejected")
    for title in ("CT2", "OLD", "NOBODY"):
        assert associated(receiver, one, title) == REJECTED, "it speaks for nobody else"
    stranger = site.authority.client(site.authority.pair("a third"))
    assert associated(receiver, stranger, "OLD") == ACCEPTED, "of whom no certificate is configured"
    with Peer(receiver.port) as plain:
        assert plain.associate(calling="CT1") == REJECTED, "not without TLS either"
    assert receiver.strangers.lately()["127.0.0.1"] == 5


BAD = {
    "expired": ({"start": -30 * DAY, "end": -DAY}, "certificate has expired"),
    "not yet valid": ({"start": DAY, "end": 30 * DAY}, "certificate is not yet valid"),
    "self-signed": ({"self_signed": True}, "self-signed certificate"),
}


@pytest.mark.goal("tls")
@pytest.mark.catalogue("N12")
@pytest.mark.parametrize("kind", [*BAD, "of an unknown authority", "none", "revoked"])
def test_a_bad_certificate_is_refused_and_the_log_says_why(site: Site, tmp_path: Path, kind: str) -> None:
    tls, said = site.tls, "unable to get local issuer certificate"
    if kind in BAD:
        made, said = BAD[kind]
        shown: Pair | None = site.authority.pair("CT1", **made)
    elif kind == "revoked":
        shown, said = site.authority.pair("CT1"), "certificate revoked"
        tls = tls.model_copy(update={"crl": site.authority.revoke(shown)})
    elif kind == "none":
        shown, said = None, "it shows no certificate"
    else:
        shown = Authority(tmp_path / "other", "Other CA").pair("CT1")
    with site.receiver(tmp_path, tls=tls) as receiver, structlog.testing.capture_logs() as events:
        assert associated(receiver, site.authority.client(shown), "CT1") == 0
        assert said in reason_of(events, "tls.refused")
        assert receiver.strangers.lately()["127.0.0.1"] == 1
        assert associated(receiver, site.authority.client(site.one), "CT1") == ACCEPTED, "others are served"
        assert receiver.kept() == receiver.spooled() == []


@pytest.mark.goal("tls")
@pytest.mark.catalogue("N11")
def test_plain_dicom_on_the_tls_port_and_tls_on_the_plain_one_are_closed(site: Site, receiver: Receiver) -> None:
    with structlog.testing.capture_logs() as events:
        with Peer(receiver.tls_port) as plain:
            plain.send(association_request(calling="CT1"))
            assert plain.closed()
        assert reason_of(events, "tls.refused") == "what it says is not TLS"
        with pytest.raises(OSError), Peer(receiver.port, tls=site.authority.client(site.one)):
            pass
        assert reason_of(events, "association.rejected") == "TLS on the port without TLS"
    assert receiver.strangers.lately()["127.0.0.1"] == 2
    assert receiver.recorded == []


@pytest.mark.goal("tls")
@pytest.mark.catalogue("N13")
@pytest.mark.parametrize(("options", "wanted"), [
    (["-tls1_3"], "TLSv1.3"),
    (["-tls1_2"], "TLSv1.2"),
    (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ""),
    (["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], ""),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"], ""),
    (["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"], ""),
], ids=["1.3", "1.2", "1.1", "no forward secrecy", "CBC", "no encryption"])  # fmt: skip
def test_tls_is_1_2_or_1_3_with_the_ciphers_of_bcp_195(
    site: Site, receiver: Receiver, options: list[str], wanted: str
) -> None:
    done = subprocess.run(
        [required("openssl"), "s_client", "-connect", f"127.0.0.1:{receiver.tls_port}", "-CAfile", site.authority.file,
         "-cert", site.one.certificate, "-key", site.one.key, *options],
        capture_output=True, text=True, input="", timeout=20, check=False,
    )  # fmt: skip
    agreed = [line for line in done.stdout.splitlines() if line.startswith("New, ")]
    assert (done.returncode == 0) == bool(wanted), done.stdout + done.stderr
    assert agreed == [] or (wanted in agreed[0] if wanted else "(NONE)" in agreed[0])
    assert "Compression: NONE" in done.stdout


@pytest.mark.catalogue("N2")
def test_thirty_silent_peers_on_the_tls_port_hold_nobody_up(site: Site, tmp_path: Path) -> None:
    with site.receiver(tmp_path) as receiver:
        silent = [Peer(receiver.tls_port) for _ in range(30)]
        hello = ssl.MemoryBIO()
        for half in silent[:10]:
            half.send(_client_hello(hello)[:40])
        began = time.monotonic()
        assert associated(receiver, site.authority.client(site.one), "CT1") == ACCEPTED
        assert time.monotonic() - began < DEADLINES.request, "one handshake, beside thirty that do not end"
        assert all(each.closed() for each in silent)
        assert time.monotonic() - began < 10 * DEADLINES.request, "each in its time, not one after the other"
        for each in silent:
            each.socket.close()


def _client_hello(unread: ssl.MemoryBIO) -> bytes:
    said = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(unread, said, server_hostname="localhost").do_handshake()
    return said.read()


def test_a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not(site: Site, tmp_path: Path) -> None:
    first, second = (site.authority.pair(f"node{number}") for number in (1, 2))
    tls = ListeningTls(certificate=tmp_path / "own.pem", key=tmp_path / "own.key", ca=site.authority.file)

    def install(pair: Pair) -> None:
        tls.certificate.write_bytes(pair.certificate.read_bytes())
        tls.key.write_bytes(pair.key.read_bytes())

    def shown() -> str:
        with Peer(receiver.tls_port, tls=site.authority.client(site.one)) as peer:
            assert isinstance(peer.socket, ssl.SSLSocket)
            return str(dict(each[0] for each in (peer.socket.getpeercert() or {})["subject"])["commonName"])

    install(first)
    with site.receiver(tmp_path / "node", tls=tls) as receiver:
        assert shown() == "node1"
        tls.key.write_text("half a fi")
        assert shown() == "node1", "the last good one stays"
        (told,) = site.told
        assert str(tls.key) in told
        install(second)
        assert shown() == "node2"
        assert site.told[-1] == ""


def test_an_answer_in_the_middle_of_an_object_at_the_end_of_the_node_is_never_success(
    site: Site, receiver: Receiver
) -> None:
    """What is still encrypted in the kernel must not be read as the object's last bytes."""
    data = data_set(pixels=400_000)
    with Peer(receiver.tls_port, tls=site.authority.client(site.one)) as peer:
        assert peer.associate(calling="CT1") == ACCEPTED
        peer.send(p_data(pdv(1, 3, command(0x0001, CTImageStorage, "1.2.3", has_data_set=True))))
        for at in range(0, 300_000, 60_000):
            peer.send(p_data(pdv(1, 0, data[at : at + 60_000])))
        eventually(lambda: receiver.spooled(), within=5)
        receiver.stop()
        with pytest.raises(OSError):
            peer.status()
    assert receiver.kept() == receiver.recorded == []
    assert receiver.spooled() == []
