"""What is agreed with a peer: storage of every class, in a syntax that can be decoded, nothing else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID, CTImageStorage
from pynetdicom.pdu import A_ASSOCIATE_AC
from support.receiver import VERIFICATION, association_request

from radnode.node.commitment_sets import PUSH_MODEL
from radnode.node.intake import negotiation
from radnode.node.intake.negotiation import (
    IMPLICIT_VR_LITTLE_ENDIAN,
    TRANSFER_SYNTAXES,
    Agreement,
    NotNegotiable,
    negotiate,
)
from radnode.node.intake.pdus import MAX_P_DATA, Violation

LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"
RETIRED_ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
MPEG4 = "1.2.840.10008.1.2.4.102"
JPIP = "1.2.840.10008.1.2.4.94"
REQUEST = association_request()


def proposed(*contexts: tuple[str, list[str]]) -> Agreement:
    return negotiate(memoryview(association_request(contexts=contexts)[6:]))


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_syntax_with_a_decoder_is_taken(syntax: str) -> None:
    assert proposed((CTImageStorage, [syntax])).contexts[1].transfer_syntax == syntax


@pytest.mark.catalogue("A9", "D13")
@pytest.mark.parametrize("syntax", [BIG_ENDIAN, DEFLATED, MPEG4, JPIP], ids=["big endian", "deflated", "video", "JPIP"])
def test_a_syntax_without_a_decoder_is_refused(syntax: str) -> None:
    agreement = proposed((CTImageStorage, [syntax]))
    assert not agreement.contexts
    assert agreement.refused == [CTImageStorage.encode()]


def test_nothing_makes_a_sender_compress_with_loss() -> None:
    lossy = ["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.91", IMPLICIT_VR_LITTLE_ENDIAN]
    assert proposed((CTImageStorage, lossy)).contexts[1].transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN


@pytest.mark.parametrize("abstract_syntax", [LABEL_MAP_SEGMENTATION, RETIRED_ULTRASOUND, VERIFICATION])
def test_new_and_old_classes_are_taken(abstract_syntax: str) -> None:
    assert proposed((abstract_syntax, [IMPLICIT_VR_LITTLE_ENDIAN])).contexts[1].abstract_syntax == abstract_syntax


@pytest.mark.catalogue("A7")
def test_one_hundred_and_twenty_eight_contexts_are_answered_each() -> None:
    agreement = proposed(*[(CTImageStorage, [syntax]) for syntax in TRANSFER_SYNTAXES * 9][:126], (VERIFICATION, [
        IMPLICIT_VR_LITTLE_ENDIAN]), ("1.2.3", [IMPLICIT_VR_LITTLE_ENDIAN]))  # fmt: skip
    assert (len(agreement.contexts), len(agreement.refused)) == (127, 1)


def test_the_answer_is_read_by_another_implementation() -> None:
    pdu = A_ASSOCIATE_AC()
    pdu.decode(proposed((CTImageStorage, [IMPLICIT_VR_LITTLE_ENDIAN]), ("1.2.3", [BIG_ENDIAN])).answer)
    answer = pdu.to_primitive()
    assert answer.maximum_length_received == MAX_P_DATA
    assert [context.result for context in answer.presentation_context_definition_results_list] == [0, 3]
    assert answer.implementation_class_uid.is_valid


@pytest.mark.catalogue("A3")
def test_titles_are_read_without_padding_and_whatever_they_contain() -> None:
    request = bytearray(REQUEST[6:])
    request[4:20], request[20:36] = b"  RADNODE       ", b"CT\n\xc41\0\0\0\0\0\0\0\0\0\0\0"
    found = negotiation.titles(memoryview(request))
    assert (found.called, found.calling) == ("RADNODE", "CT\n\xc41")


def test_a_foreign_application_context_is_rejected() -> None:
    other = REQUEST.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")
    with pytest.raises(NotNegotiable) as rejected:
        negotiate(memoryview(other[6:]))
    assert rejected.value.codes == (1, 1, 2)


@pytest.mark.catalogue("A7")
def test_an_even_context_id_is_a_violation() -> None:
    """PS3.8 9.3.2.2: odd integers between 1 and 255."""
    at = 74 + 4 + struct.unpack_from(">H", REQUEST, 76)[0]  # behind the application context item
    assert (REQUEST[at], REQUEST[at + 4]) == (0x20, 1)
    even = REQUEST[: at + 4] + b"\x02" + REQUEST[at + 5 :]
    with pytest.raises(Violation):
        negotiate(memoryview(even[6:]))


@pytest.mark.catalogue("A6")
@pytest.mark.parametrize(
    "items",
    [
        b"\x20\0\0\0" * 15_000,
        b"\x50\0\xff\xfc" + b"\x54\0\0\0" * 16_000,
        bytes(65_000),
        b"\x20\0\0\x04\x01\0\0\0" * 8000,
    ],
    ids=["empty contexts", "empty user information", "zeros", "repeated contexts"],
)
def test_a_request_full_of_nothing_is_refused(items: bytes) -> None:
    with pytest.raises((Violation, NotNegotiable)):
        negotiate(memoryview(REQUEST[6:74] + items))


@pytest.mark.catalogue("A8")
def test_an_invented_uid_is_refused_like_an_unknown_one() -> None:
    invented = association_request().replace(
        CTImageStorage.encode(), b"1.2\n[31mevil/../0008.5.1.4"[:25].ljust(25, b"!")
    )
    agreement = negotiate(memoryview(invented[6:]))
    assert [context.abstract_syntax for context in agreement.contexts.values()] == [VERIFICATION]


@given(at=st.integers(0, len(REQUEST) - 7), new=st.binary(min_size=1, max_size=8))
def test_any_request_is_agreed_or_refused(at: int, new: bytes) -> None:
    body = REQUEST[6:]
    changed = body[:at] + new + body[at + len(new) :]
    try:
        agreement = negotiate(memoryview(changed))
    except (Violation, NotNegotiable):
        return
    assert all(UID(context.transfer_syntax) in TRANSFER_SYNTAXES for context in agreement.contexts.values())


def test_a_peer_that_may_not_store_gets_verification_and_storage_commitment_alone() -> None:
    contexts = [(each, [IMPLICIT_VR_LITTLE_ENDIAN]) for each in (CTImageStorage, VERIFICATION, PUSH_MODEL)]
    agreement = negotiate(memoryview(association_request(contexts=contexts)[6:]), stores=False)
    assert {each.abstract_syntax for each in agreement.contexts.values()} == {VERIFICATION, PUSH_MODEL}
    assert agreement.refused == [CTImageStorage.encode()]
