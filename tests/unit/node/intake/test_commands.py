"""Command sets are read and written as another implementation writes and reads them."""

from __future__ import annotations

import contextlib
import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode, encode

from radnode.node.intake import commands
from radnode.node.intake.commands import Command
from radnode.node.intake.pdus import Violation
from radnode.node.statuses import Status


def _store_request(instance: str = "1.2.3") -> bytes:
    request = C_STORE()
    request.MessageID = 7
    request.AffectedSOPClassUID = CTImageStorage
    request.AffectedSOPInstanceUID = instance
    request.Priority = 2
    request.DataSet = BytesIO(b"x")
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    encoded = encode(message.command_set, True, True)
    assert encoded is not None
    return encoded


def test_a_store_request_is_read() -> None:
    assert commands.parse(_store_request()) == Command(
        field=commands.C_STORE_RQ,
        message_id=7,
        has_data_set=True,
        sop_class_uid=CTImageStorage.encode(),
        sop_instance_uid=b"1.2.3",
    )


def test_an_answer_is_read_by_another_implementation() -> None:
    request = commands.parse(_store_request())
    answer = decode(BytesIO(commands.response(request, Status(0xA700, "no space"))), True, True)
    assert answer.CommandField == 0x8001
    assert answer.MessageIDBeingRespondedTo == 7
    assert answer.CommandDataSetType == 0x0101
    assert answer.Status == 0xA700
    assert answer.ErrorComment == "no space"
    assert answer.AffectedSOPClassUID == CTImageStorage
    assert answer.AffectedSOPInstanceUID == "1.2.3"
    assert answer.CommandGroupLength == len(commands.response(request, Status(0xA700, "no space"))) - 12


@pytest.mark.catalogue("A22")
def test_an_answer_does_not_repeat_what_is_no_uid() -> None:
    request = Command(field=1, message_id=1, has_data_set=True, sop_class_uid=b"", sop_instance_uid=b"../../etc/passwd")
    assert b"passwd" not in commands.response(request, Status(0x0117, ""))


@pytest.mark.parametrize("field", [0x8001, 0x8030, commands.C_CANCEL_RQ])
def test_answers_and_cancels_are_not_answered(field: int) -> None:
    command = Command(field=field, message_id=1, has_data_set=False, sop_class_uid=b"", sop_instance_uid=b"")
    assert not command.is_request


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\0" * 7,
        struct.pack("<HHL", 0, 0x0100, 0xFFFFFFFF),
        struct.pack("<HHL", 0, 0x0100, 1) + b"\1",
        struct.pack("<HHLH", 8, 0x0018, 2, 1),
    ],
    ids=["empty", "short", "length beyond", "one byte field", "other group"],
)
def test_a_broken_command_set_is_a_violation(broken: bytes) -> None:
    with pytest.raises(Violation):
        commands.parse(broken)


@pytest.mark.catalogue("A13")
@given(st.binary(max_size=300))
def test_any_bytes_are_a_command_or_a_violation(data: bytes) -> None:
    with contextlib.suppress(Violation):
        assert commands.parse(data).field in range(0x10000)
