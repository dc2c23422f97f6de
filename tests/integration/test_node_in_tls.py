"""A whole node in TLS: configured by a file, examined by the doctor, entered by DICOM and by STOW-RS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from support import dcmtk
from support.certificates import DAY, Authority
from support.network import free_port
from support.node import NodeProcess, PeerEntry
from support.phantoms import write_small
from support.receiver import Peer
from support.stow import RELATED, STUDIES, multipart
from support.waiting import eventually

from radnode.config.loading import load
from radnode.node.doctor import examination
from radnode.node.service import Node, StartRefused

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.goal("tls")
@pytest.mark.catalogue("N11", "N12", "C12")
def test_a_node_in_tls_takes_images_by_both_ways_and_says_who_could_not_come(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    own, ct1 = authority.pair("radnode", end=10 * DAY), authority.pair("ct1")
    tls_port, web_port = free_port(), free_port()
    token = tmp_path / "token"
    token.write_text("a token")
    files = write_small(tmp_path / "ct", slices=2)
    node = NodeProcess(
        tmp_path / "node", routes=[],
        peers=[
            PeerEntry(name="CT1", port=104, more={"sends": True, "client_certificate": "ct1"}),
            PeerEntry(name="WEB1", port=104, more={"sends": True, "token_file": str(token)}),
        ],
        settings={
            "tls": {"port": tls_port, "certificate": str(own.certificate), "key": str(own.key),
                    "ca": str(authority.file)},
            "dicomweb": {"host": "localhost", "port": web_port, "tls": True},
        },
    )  # fmt: skip
    with node:
        secured = ["+tls", str(ct1.key), str(ct1.certificate), "+cf", str(authority.file)]
        dcmtk.storescu(tls_port, files[0], called="RADNODE", calling="CT1", options=secured)
        with httpx.Client(verify=authority.client(None), trust_env=False) as client:
            answer = client.post(
                f"https://127.0.0.1:{web_port}{STUDIES}", content=multipart(files[1].read_bytes()),
                headers={"Authorization": "Bearer a token", "Content-Type": RELATED},
            )
            open_to_nobody = client.post(f"https://127.0.0.1:{web_port}{STUDIES}", content=b"")
        assert (answer.status_code, open_to_nobody.status_code) == (200, 401)
        for _ in range(3):
            with Peer(node.port) as plain:
                assert plain.associate(calling="CT1") == 3, "it has to come with its certificate"
        alarms = eventually(lambda: {each["name"] for each in node.get("/api/alarms")}, within=30)
        assert {"certificate-ends:node"} <= alarms
        eventually(lambda: any(each["name"].startswith("strangers:") for each in node.get("/api/alarms")), within=30)
        assert sum(node.get("/api/ledger")["states"].values()) == 2


def test_the_doctor_looks_at_certificates_keys_and_tokens(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    own, other = authority.pair("radnode"), authority.pair("other")
    old = authority.pair("old", start=-9 * DAY, end=-DAY)
    token = tmp_path / "token"
    token.write_text("a token")
    path = tmp_path / "radnode.yaml"
    text = f"""
node:
  data: data
  tls: {{certificate: {own.certificate}, key: {own.key}, ca: {authority.file}, crl: {authority.revoke()}}}
peers:
  PACS:
    ae_title: PACS
    host: 10.0.0.1
    port: 104
    sends: true
    token_file: {token}
    tls: {{ca: {authority.file}, certificate: {old.certificate}, key: {old.key}}}
messaging:
  hl7:
    RIS: {{host: 10.0.0.2, tls: {{ca: {authority.file}, certificate: {old.certificate}, key: {old.key}}}}}
"""
    path.write_text(text)
    said = {each.question: each for each in examination.machine(load(path))}
    assert said["certificate of node"].state == said["authority of node"].state == "ok"
    assert said["list of revoked certificates of node"].state == "ok"
    assert said["TLS of node"].state == said["TLS of PACS"].state == "ok"
    assert said["certificate of PACS"].state == "wrong"
    assert "ended on" in said["certificate of PACS"].answer
    assert (said["certificate of RIS"].state, said["TLS of RIS"].state) == ("wrong", "ok")
    assert said["permissions of token"].state == "warning", "others may read it"
    assert said[f"permissions of {own.key.name}"].state == "ok"
    path.write_text(text.replace(str(own.key), str(other.key)))
    assert {each.question: each for each in examination.machine(load(path))}["TLS of node"].state == "wrong"
    with pytest.raises(StartRefused, match="are no certificate with its key"):
        Node(load(path))
