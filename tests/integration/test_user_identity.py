"""A peer that says who its user is (PS3.7 D.3.3.7): nobody asked, nobody keeps it, and it proves nothing.

The standard has an acceptor that does not check identities accept without a response; a requestor that needs one goes
away. To reject instead would turn away those that say it to everybody; to answer would be a lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from support.receiver import AE_TITLE, VERIFICATION, Receiver

from radnode.config.peers import Peer
from radnode.node.intake.admission import admit

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from radnode.node.intake.admission import Admission

PASSCODE = b"canary-passcode-7141"


def _identity() -> UserIdentityNegotiation:
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.positive_response_requested = 2, True
    identity.primary_field, identity.secondary_field = b"canary-user", PASSCODE
    return identity


def test_A16_a_user_identity_is_passed_over_and_its_passcode_never_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Receiver(tmp_path) as receiver:
        ae = AE(ae_title="CT1")
        ae.add_requested_context(VERIFICATION)
        association = ae.associate("127.0.0.1", receiver.port, ae_title=AE_TITLE, ext_neg=[_identity()])
        assert association.is_established
        assert association.acceptor.user_identity is None, "no positive response: a peer that insists on one goes away"
        assert association.send_c_echo().Status == 0x0000
        association.release()
    said = "".join(capfd.readouterr())
    assert "association.opened" in said
    assert "canary" not in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and PASSCODE in path.read_bytes()]


def test_A16_a_user_identity_lets_nobody_in_who_is_not_configured(tmp_path: Path) -> None:
    peer = Peer.model_validate({"name": "CT1", "ae_title": "CT1", "host": "127.0.0.1", "port": 104, "sends": True})

    def configured(calling: str, called: str, host: str, _certificate: object) -> Admission:
        return admit([peer], own_ae_title=AE_TITLE, accept_unknown=False, calling=calling, called=called, host=host)

    with Receiver(tmp_path, admit=configured) as receiver:
        for title, let_in in (("CT1", True), ("STRANGER", False)):
            ae = AE(ae_title=title)
            ae.add_requested_context(VERIFICATION)
            association = ae.associate("127.0.0.1", receiver.port, ae_title=AE_TITLE, ext_neg=[_identity()])
            assert association.is_established == let_in
            if let_in:
                association.release()
