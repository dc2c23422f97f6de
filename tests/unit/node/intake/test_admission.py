"""Who is let in, by AE title and address."""

from __future__ import annotations

import pytest

from radnode.config.peers import Peer
from radnode.node.intake.admission import (
    CALLED_NOT_RECOGNIZED,
    CALLING_NOT_RECOGNIZED,
    Admission,
    Admitted,
    Rejected,
    admit,
)


def _peer(name: str = "PACS", ae_title: str = "PACS", **more: object) -> Peer:
    return Peer.model_validate(
        {
            "name": name,
            "ae_title": ae_title,
            "host": "10.0.0.1",
            "port": 104,
            "sends": True,
            "receives": True,
            **more,
        }
    )


def _ask(*peers: Peer, accept_unknown: bool = False, **asked: str) -> Admission:
    return admit(
        peers,
        own_ae_title="RADNODE",
        accept_unknown=accept_unknown,
        **{"called": "RADNODE", "calling": "PACS", "host": "10.0.0.1", **asked},
    )


def test_a_configured_sender_is_known_by_its_name() -> None:
    assert _ask(_peer(name="main archive")) == Admitted(source="main archive")


@pytest.mark.catalogue("A2")
@pytest.mark.parametrize("called", ["OTHER", "radnode", "", "RADNODE2"])
def test_another_called_title_is_refused_whoever_calls(called: str) -> None:
    refused = _ask(_peer(), called=called, accept_unknown=True)
    assert isinstance(refused, Rejected)
    assert refused.codes == CALLED_NOT_RECOGNIZED == (1, 1, 7)


@pytest.mark.catalogue("A1")
@pytest.mark.parametrize("calling", ["UNKNOWN", "pacs", ""])
def test_an_unknown_caller_is_refused(calling: str) -> None:
    refused = _ask(_peer(), calling=calling)
    assert isinstance(refused, Rejected)
    assert refused.codes == CALLING_NOT_RECOGNIZED == (1, 1, 3)


def test_a_peer_that_only_receives_does_not_send() -> None:
    assert isinstance(_ask(_peer(sends=False)), Rejected)


@pytest.mark.catalogue("N14")
def test_a_known_title_from_another_network_is_refused_also_when_unknown_peers_are_accepted() -> None:
    peer = _peer(hosts=["192.168.1.0/24"])
    assert isinstance(_ask(peer, host="10.0.0.1", accept_unknown=True), Rejected)
    assert _ask(peer, host="192.168.1.77") == Admitted(source="PACS")


@pytest.mark.catalogue("N15")
def test_peers_that_share_a_title_are_told_apart_by_their_address() -> None:
    peers = (_peer(name="CT 1", hosts=["10.0.0.1/32"]), _peer(name="CT 2", hosts=["10.0.0.2/32"]))
    assert _ask(*peers, host="10.0.0.2") == Admitted(source="CT 2")


def test_an_address_of_the_other_family_is_outside() -> None:
    assert isinstance(_ask(_peer(hosts=["10.0.0.0/8"]), host="fe80::1"), Rejected)


def test_an_unknown_peer_is_accepted_under_its_own_title_where_that_is_configured() -> None:
    assert _ask(calling="NEW CT", accept_unknown=True) == Admitted(source="NEW CT", is_configured=False)


@pytest.mark.catalogue("A3")
@pytest.mark.parametrize("calling", ["CT\n1", "CT\x1b[2J", "C\xc4T", ""])
def test_a_title_that_can_not_be_shown_is_never_accepted(calling: str) -> None:
    assert isinstance(_ask(calling=calling, accept_unknown=True), Rejected)


def test_a_mere_destination_is_let_in_to_report_on_storage_commitment_and_not_to_store() -> None:
    assert isinstance(_ask(_peer(sends=False, receives=True)), Rejected)
    assert _ask(_peer(sends=False, receives=True, commitment=True)) == Admitted(source="PACS", stores=False)


def test_of_two_entries_for_one_archive_the_one_that_sends_counts() -> None:
    there = _peer(name="PACS out", sends=False, receives=True, commitment=True)
    here = _peer(name="PACS in", sends=True, receives=False)
    assert _ask(there, here) == _ask(here, there) == Admitted(source="PACS in")
