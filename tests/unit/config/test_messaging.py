"""The section `messaging`: each mistake has its line and its cure, and nothing lets anybody in by accident."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

import radnode.config
from radnode.config.loading import ConfigError, parse
from radnode.config.messaging import (
    FhirDestination,
    Hl7Destination,
    Issuers,
    Listen,
    MessagingSettings,
    Sender,
)
from radnode.config.peers import ClientCredentials
from radnode.config.references import check_references, named_files

MANUAL = Path(radnode.config.__file__).parent / "defaults" / "radnode.yaml"
GOOD = """\
node:
  tls: {certificate: own.pem, key: own.key, ca: ca.pem}
messaging:
  listen: {host: 0.0.0.0, tls: true}
  senders:
    RIS: {hosts: [10.1.1.0/24], client_certificate: ris.example}
  hl7:
    RIS-IN: {host: ris.example, tls: {ca: ris-ca.pem}}
  fhir:
    EHR:
      url: https://ehr.example/r4/
      oauth2: {token_url: "https://login.example/token", client_id: radnode, secret_file: secret}
  orders_from: {url: "https://ehr.example/r4", token_file: token}
routes:
  - {name: a, when: {modality: CT, order_priority: stat}, run: [ct-lung], send: [RIS-IN, EHR]}
"""


def test_a_good_file_names_destinations_that_routes_may_send_to() -> None:
    configuration = parse(GOOD, "a.yaml")

    assert check_references(configuration, ["ct-lung"]) == []
    assert configuration.destinations["RIS-IN"].forms == ("ORU", "ORU-NOT-PROCESSED")
    assert configuration.messaging.fhir["EHR"].target == "https://ehr.example/r4"
    assert {path.name for _, path in named_files(configuration)} >= {"ris-ca.pem", "secret", "token"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    RIS: {hosts: [10.1.1.0/24], client_certificate: ris.example}", "    RIS: {}",
         "a.yaml:6: messaging.senders.RIS: anybody could send in its name"),
        ("tls: true}", "tls: false}", "messaging.senders.RIS.client_certificate: nothing asks for a certificate"),
        ("  tls: {certificate", "  # {certificate", "messaging.listen.tls: the node has no certificate"),
        ("0.0.0.0, tls", "0.0.0.0, port: 11112, tls", "messaging.listen.port: another port of the node is the same"),
        ("listen: {host: 0.0.0.0, tls: true}", "listen: null", "messaging.senders: nobody listens"),
        ("https://ehr.example/r4/", "http://ehr.example/r4/", "messaging.fhir.EHR.url: patients and tokens"),
        ("https://ehr.example/r4/", "https://me:pw@ehr.example/", "messaging.fhir.EHR.url"),
        ("https://login.example", "http://login.example", "messaging.fhir.EHR.oauth2: patients and tokens"),
        ("ris.example, tls", "ris.example, prt: 1, tls", 'did you mean "port"?'),
        ("    EHR:", "    RIS-IN:", "messaging.hl7.RIS-IN: another destination has this name"),
        ("order_priority", "order_prio", 'did you mean "order_priority"?'),
        ("client_certificate: ris.example", "accession: [OBR-99]", "messaging.senders.RIS.accession"),
        ("client_certificate: ris.example", "character_set: KOI8", "messaging.senders.RIS.character_set"),
        ("  hl7:", "  hl8:", 'did you mean "hl7"?'),
    ],
)
def test_each_mistake_is_said_where_it_stands(old: str, new: str, said: str) -> None:
    assert old in GOOD

    with pytest.raises(ConfigError) as refused:
        parse(GOOD.replace(old, new), "a.yaml")
    assert said in str(refused.value)


def test_a_route_cannot_send_where_nobody_is() -> None:
    configuration = parse(GOOD.replace("[RIS-IN, EHR]", "[RIS-INN]"), "a.yaml")

    (problem,) = check_references(configuration, ["ct-lung"])
    assert 'did you mean "RIS-IN"?' in str(problem)


def test_the_manual_shows_every_key_with_its_default() -> None:
    text = MANUAL.read_text()
    written = YAML(typ="safe").load(text)["messaging"]

    assert written.keys() == MessagingSettings.model_fields.keys()
    assert written["issuers"].keys() == Issuers.model_fields.keys()
    section = text[text.index("\nmessaging:"):text.index("\nmessaging:") + 4000]
    for model in (Listen, Sender, Hl7Destination, FhirDestination, ClientCredentials):
        assert {name for name in model.model_fields if name != "name" and f"{name}:" not in section} == set()
    assert parse(text, "manual").messaging == MessagingSettings()
