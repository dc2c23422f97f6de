"""PDUs as another implementation reads and writes them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, A_RELEASE_RP, A_RELEASE_RQ, P_DATA_TF

from radnode.node.intake import pdus
from radnode.node.intake.pdus import Violation


def test_an_abort_carries_source_and_reason() -> None:
    pdu = A_ABORT_RQ()
    pdu.decode(pdus.abort(2, 6))
    assert (pdu.source, pdu.reason_diagnostic) == (2, 6)


def test_a_rejection_carries_its_codes() -> None:
    pdu = A_ASSOCIATE_RJ()
    pdu.decode(pdus.associate_rj(2, 3, 2))
    assert (pdu.result, pdu.source, pdu.reason_diagnostic) == (2, 3, 2)


def test_release_pdus_are_those_of_the_standard() -> None:
    assert A_RELEASE_RQ().encode() == pdus.RELEASE_RQ
    assert A_RELEASE_RP().encode() == pdus.RELEASE_RP


def test_a_command_travels_in_one_pdv() -> None:
    pdu = P_DATA_TF()
    pdu.decode(pdus.p_data(5, b"command"))
    (value,) = pdu.presentation_data_value_items
    assert value.presentation_context_id == 5
    assert value.presentation_data_value == b"\x03command"


def test_the_pdvs_of_a_pdu_are_found_in_order() -> None:
    body = b"\0\0\0\4\1\3ab" + b"\0\0\0\3\1\2c"
    found = [(context, control, bytes(data)) for context, control, data in pdus.fragments(memoryview(body))]
    assert found == [(1, 3, b"ab"), (1, 2, b"c")]


@pytest.mark.parametrize("body", [b"\0\0\0", b"\0\0\0\1\1\3", b"\0\0\0\xff\1\3ab", b"\xff\xff\xff\xff\1\3ab"])
def test_a_pdv_that_does_not_fit_is_a_violation(body: bytes) -> None:
    with pytest.raises(Violation):
        list(pdus.fragments(memoryview(body)))


@given(st.binary(max_size=100))
def test_any_body_is_pdvs_or_a_violation(body: bytes) -> None:
    with contextlib.suppress(Violation):
        assert sum(len(data) + 6 for _, _, data in pdus.fragments(memoryview(body))) == len(body)
