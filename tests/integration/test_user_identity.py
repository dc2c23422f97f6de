"""A peer that says who its user is (PS3.7 D.3.3.7): nobody asked, and nobody keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from support.receiver import AE_TITLE, VERIFICATION, Receiver

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PASSCODE = b"canary-passcode-7141"


def test_a_user_identity_is_passed_over_and_its_passcode_never_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.positive_response_requested = 2, True
    identity.primary_field, identity.secondary_field = b"canary-user", PASSCODE
    with Receiver(tmp_path) as receiver:
        ae = AE(ae_title="CT1")
        ae.add_requested_context(VERIFICATION)
        association = ae.associate("127.0.0.1", receiver.port, ae_title=AE_TITLE, ext_neg=[identity])
        assert association.is_established
        assert association.acceptor.user_identity is None, "no positive response: a peer that insists on one goes away"
        assert association.send_c_echo().Status == 0x0000
        association.release()
    said = "".join(capfd.readouterr())
    assert "association.opened" in said
    assert "canary" not in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and PASSCODE in path.read_bytes()]
