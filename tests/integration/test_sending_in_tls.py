"""What the node sends in TLS: the peer's certificate and name are checked, and every failure has its sentence."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.certificates import DAY, Authority, Pair
from support.phantoms import write_small
from support.receiver import AE_TITLE, IMPATIENT, Receiver

from radnode.config.peers import ClientTls, Peer
from radnode.config.settings import ListeningTls
from radnode.node.association import PeerUnreachable
from radnode.node.security.tls import ServerContexts
from radnode.node.sending import forward

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.orthanc import Orthanc


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def pacs(folder: Path, authority: Authority, own: Pair) -> Receiver:
    """A destination in TLS that asks for certificates."""
    tls = ListeningTls(certificate=own.certificate, key=own.key, ca=authority.file)
    contexts = ServerContexts(tls, asks=ssl.CERT_REQUIRED, on_unusable=print)
    return Receiver(folder, tls=contexts, deadlines=IMPATIENT)


def peer(port: int, authority: Authority, shown: Pair | None, **more: Any) -> Peer:
    own = {"certificate": shown.certificate, "key": shown.key} if shown else {}
    return Peer(name="PACS", ae_title=AE_TITLE, host="127.0.0.1", port=port, receives=True,
                tls=ClientTls(**{"ca": authority.file, **own, **more}))  # fmt: skip


def refusal(files: list[Path], to: Peer) -> str:
    with pytest.raises(PeerUnreachable) as refused:
        list(forward(files, to, "RADNODE"))
    return str(refused.value)


def test_images_leave_in_tls_for_a_peer_whose_name_and_authority_are_right(
    authority: Authority, tmp_path: Path
) -> None:
    files = write_small(tmp_path / "ct", slices=2)
    own, by_name = authority.pair("pacs", address="127.0.0.1"), authority.pair("pacs.hospital.example")
    with pacs(tmp_path / "pacs", authority, own) as receiver:
        sent = forward(files, peer(receiver.tls_port, authority, authority.pair("node")), "RADNODE")
        assert [status for _, status in sent] == [0, 0]
        assert len(receiver.kept()) == 2
    with pacs(tmp_path / "named", authority, by_name) as receiver:
        to = peer(receiver.tls_port, authority, authority.pair("node"), name="pacs.hospital.example")
        assert [status for _, status in forward(files, to, "RADNODE")] == [0, 0]


@pytest.mark.goal("tls")
def test_each_thing_that_is_wrong_in_tls_is_said(authority: Authority, tmp_path: Path) -> None:
    files, shown = write_small(tmp_path / "ct", slices=1), authority.pair("node")
    good = authority.pair("pacs", address="127.0.0.1")
    other = Authority(tmp_path / "other", "Other CA")
    old = authority.pair("pacs", address="127.0.0.1", start=-9 * DAY, end=-DAY)
    with pacs(tmp_path / "good", authority, good) as receiver:
        right = peer(receiver.tls_port, authority, shown)
        assert "certificate required" in refusal(files, peer(receiver.tls_port, authority, None))
        assert "unknown ca" in refusal(files, peer(receiver.tls_port, authority, other.pair("node")))
        assert "self-signed certificate in certificate chain" in refusal(files, peer(receiver.tls_port, other, shown))
        assert "mismatch" in refusal(files, peer(receiver.tls_port, authority, shown, name="other.example"))
        assert "is not TLS" in refusal(files, right.model_copy(update={"port": receiver.port}))
        absent = tmp_path / "absent.pem"
        assert str(absent) in refusal(files, peer(receiver.tls_port, authority, None, ca=absent))
        assert "does not accept" in refusal(files, right.model_copy(update={"tls": None, "port": receiver.tls_port}))
        assert receiver.recorded == []
        assert [status for _, status in forward(files, right, "RADNODE")] == [0], "and nothing stays wrong"
    with pacs(tmp_path / "old", authority, old) as receiver:
        assert "certificate has expired" in refusal(files, peer(receiver.tls_port, authority, shown))


@pytest.mark.goal("tls")
def test_N13_a_peer_that_offers_an_old_version_only_is_not_sent_anything(authority: Authority, tmp_path: Path) -> None:
    files, own = write_small(tmp_path / "ct", slices=1), authority.pair("pacs", address="127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.load_cert_chain(own.certificate, own.key)
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        failed: list[str] = []

        def serve() -> None:
            accepted, _ = listener.accept()
            try:
                context.wrap_socket(accepted, server_side=True)
            except OSError as error:
                failed.append(str(error))
            accepted.close()

        thread = threading.Thread(target=serve)
        thread.start()
        said = refusal(files, peer(listener.getsockname()[1], authority, None))
        thread.join(10)
    assert "version" in said
    assert failed


@pytest.mark.peer
def test_orthanc_takes_images_in_tls_and_gives_its_own_in_tls_and_by_stow(
    start_orthanc: Callable[..., Orthanc], authority: Authority, tmp_path: Path
) -> None:
    from support.stow import TOKEN, StowReceiver, source  # noqa: PLC0415

    files = write_small(tmp_path / "ct", slices=2)
    own, theirs, shown = (authority.pair(name, address="127.0.0.1") for name in ("node", "orthanc", "radnode"))
    tls = ListeningTls(certificate=own.certificate, key=own.key, ca=authority.file)
    contexts = ServerContexts(tls, asks=ssl.CERT_REQUIRED, on_unusable=print)
    node = StowReceiver(tmp_path / "node", tls=contexts, peers=[source(tmp_path)])
    with node:
        orthanc = start_orthanc(more={
            "DicomTlsEnabled": True, "DicomTlsCertificate": str(theirs.certificate),
            "DicomTlsPrivateKey": str(theirs.key), "DicomTlsTrustedCertificates": str(authority.file),
            "DicomModalities": {
                "node": {"AET": AE_TITLE, "Host": "127.0.0.1", "Port": node.tls_port, "UseDicomTls": True},
            },
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Servers": {
                "node": {"Url": f"http://127.0.0.1:{node.web.port}/dicom-web", "Username": "WEB1", "Password": TOKEN},
            }},
        })  # fmt: skip
        to = peer(orthanc.port, authority, shown).model_copy(update={"ae_title": orthanc.ae_title})
        assert [status for _, status in forward(files, to, "RADNODE")] == [0, 0]
        study = str(orthanc.get("/studies?expand")[0]["MainDicomTags"]["StudyInstanceUID"])

        orthanc.forward_again(study)
        by_dimse = {(each.sop_instance_uid, each.digest) for each in node.recorded}
        assert len(by_dimse) == 2
        answer = orthanc.post("/dicom-web/servers/node/stow", {"Resources": orthanc.resources(study)})

        assert answer, orthanc.log()
        by_stow = node.recorded[2:]
        assert [each.source for each in by_stow] == ["WEB1", "WEB1"]
        assert {(each.sop_instance_uid, each.digest) for each in by_stow} == by_dimse, "the same bytes either way"
        assert len(node.kept()) == 2
