"""TLS, certificates, tokens and DICOMweb in a configuration: each mistake has its line and its cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from radnode.config.loading import ConfigError, load, parse
from radnode.config.references import check_files

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
node:
  tls:
    certificate: tls/node.pem
    key: tls/node.key
    ca: tls/ca.pem
  dicomweb: {host: 0.0.0.0, tls: true}
peers:
  WEB1:
    ae_title: WEB1
    host: 10.0.0.1
    port: 104
    sends: true
    token_file: tls/web1
    client_certificate: "SHA256:ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789AB:CD:EF:01:23:45:67:89"
    tls: {ca: tls/pacs.pem}
"""


def test_files_are_relative_to_the_configuration_and_missing_ones_are_told(tmp_path: Path) -> None:
    path = tmp_path / "radnode.yaml"
    path.write_text(GOOD)
    configuration = load(path)
    tls, peer = configuration.settings.tls, configuration.peers["WEB1"]
    assert tls is not None
    assert peer.tls is not None
    assert (tls.port, tls.key, tls.crl) == (2762, tmp_path / "tls/node.key", None)
    assert (peer.tls.ca, peer.token_file) == (tmp_path / "tls/pacs.pem", tmp_path / "tls/web1")
    assert peer.client_certificate == "sha256:" + "abcdef0123456789" * 4
    problems = [str(each) for each in check_files(configuration)]
    assert len(problems) == 5
    assert problems[0].startswith(f"{path}:3: node.tls.certificate: {tmp_path}/tls/node.pem cannot be read")


def test_how_two_sides_recognise_each_other_changes_no_result() -> None:
    configuration = parse(GOOD, "a.yaml")
    plain = GOOD.replace('    tls: {ca: tls/pacs.pem}\n', "").replace("    token_file: tls/web1\n", "")
    assert configuration.digest == parse(plain.replace("  dicomweb: {host: 0.0.0.0, tls: true}\n", ""), "b").digest
    assert configuration.peers["WEB1"].digest == parse(plain, "b").peers["WEB1"].digest


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("    ca: tls/ca.pem\n", "", "peers.WEB1.client_certificate: nothing asks for a certificate; give the node"),
        ("    ca: tls/ca.pem\n", "    crl: tls/crl.pem\n", "a.yaml:5: node.tls.crl: nothing asks for a certificate"),
        ("    ca: tls/ca.pem\n", "    port: 11112\n    ca: tls/ca.pem\n", "node.tls.port: the same port as dicom_port"),
        ("tls: true}", "tls: true, port: 2762}", "node.dicomweb.port: the same port as tls.port"),
        ("tls: true}", "tls: false}", "node.dicomweb.host: tokens and images would be readable by anybody"),
        ("    key: tls/node.key\n", "", "node.tls.key: missing; write `key: …`"),
        ("sends: true", "receives: true", "peers.WEB1.token_file: nothing comes from it; write `sends: true`, too"),
        ("{ca: tls/pacs.pem}", "{ca: tls/pacs.pem, key: k}", "peers.WEB1.tls.key: without certificate"),
        ("{ca: tls/pacs.pem}", "true", "peers.WEB1.tls: True is wrong"),
        ("{ca: tls/pacs.pem}", "yes please", "peers.WEB1.tls: 'yes please' is wrong; write its keys below it, or null"),
        ("{ca: tls/pacs.pem}", "{verify: false}", 'peers.WEB1.tls.verify: unknown key'),
        (":67:89\"", "\"", "a fingerprint is sha256: and 64 hexadecimal digits"),
    ],
)
def test_each_mistake_is_told_with_its_cure(right: str, wrong: str, said: str) -> None:
    assert right in GOOD
    with pytest.raises(ConfigError) as refused:
        parse(GOOD.replace(right, wrong), "a.yaml")
    assert said in str(refused.value)


def test_without_tls_dicomweb_listens_on_this_machine_only() -> None:
    web = parse("node:\n  dicomweb: {port: 8044}\n", "a.yaml").settings.dicomweb
    assert web is not None
    assert (web.host, web.port, web.tls) == ("127.0.0.1", 8044, False)
    with pytest.raises(ConfigError, match="the node has no certificate"):
        parse("node:\n  dicomweb: {tls: true}\n", "a.yaml")


WEB = """\
peers:
  CLOUD:
    receives: true
    dicomweb:
      url: https://cloud.example/rs/
      oauth2: {token_url: "https://login.example/t", client_id: radnode, secret_file: secret}
"""


def test_who_is_reached_by_dicomweb_alone_needs_no_ae_title(tmp_path: Path) -> None:
    path = tmp_path / "radnode.yaml"
    path.write_text(WEB)
    peer = load(path).peers["CLOUD"]
    assert peer.dicomweb is not None
    assert peer.target == "https://cloud.example/rs"
    assert (peer.ae_title, peer.host, peer.port) == ("CLOUD", "cloud.example", 443)
    assert [str(each) for each in check_files(load(path))] == [
        f"{path}:6: peers.CLOUD.dicomweb.oauth2.secret_file: {tmp_path}/secret cannot be read: No such file or "
        "directory; put it there, readable for the account of the node"
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("https://cloud.example/rs/", "http://cloud.example", "a.yaml:5: peers.CLOUD.dicomweb.url: a token"),
        ("https://login", "http://login", "peers.CLOUD.dicomweb.oauth2: a token or password would be readable"),
        ("https://cloud.example/rs/", "https://me@cloud.example", "is wrong; write an address such as"),
        ("      url:", "      token_file: t\n      url:", "peers.CLOUD.dicomweb.oauth2: beside token_file"),
        ("      url:", "      user: me\n      url:", "peers.CLOUD.dicomweb.user: without password_file"),
        ("    receives", "    commitment: true\n    receives", "peers.CLOUD.commitment: storage commitment is asked"),
        ("    receives: true", "    sends: true", "peers.CLOUD.ae_title: missing"),
    ],
)
def test_each_mistake_about_dicomweb_has_its_line_and_cure(right: str, wrong: str, said: str) -> None:
    assert right in WEB
    with pytest.raises(ConfigError) as error:
        parse(WEB.replace(right, wrong), "a.yaml")
    assert said in str(error.value)
