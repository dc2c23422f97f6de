"""A file handed on as it is: its header where a data set should begin, with whatever hides in its preamble."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGLSLossless
from structlog.testing import capture_logs
from support.receiver import Peer, Receiver, data_set

from radnode.node.intake import p10
from radnode.node.intake.p10 import LONGEST_LOOK, misplaced_header

if TYPE_CHECKING:
    from pathlib import Path

CANNOT_UNDERSTAND = 0xC000
PREAMBLES = {"zeros": bytes(128), "executable": b"MZ\x90\0" + bytes(124), "TIFF": b"II*\0" + bytes(124)}


def file_header(transfer_syntax: str = ExplicitVRLittleEndian, preamble: bytes = bytes(128)) -> bytes:
    """As another implementation writes it, with private information of a long length."""
    header = p10.header(
        sop_class_uid=CTImageStorage.encode(), sop_instance_uid=b"1.2.3", transfer_syntax_uid=transfer_syntax.encode()
    )
    private = struct.pack("<HH2sHL", 2, 0x0102, b"OB", 0, 300) + bytes(300)
    return preamble + header[128:] + private


@pytest.mark.catalogue("D6", "D14")
@pytest.mark.parametrize("preamble", PREAMBLES.values(), ids=PREAMBLES)
@pytest.mark.parametrize("from_byte", [0, 132], ids=["whole file", "group 0002 alone"])
def test_a_file_sent_as_the_data_set_is_kept_under_one_header_as_if_it_had_been_sent_rightly(
    tmp_path: Path, preamble: bytes, from_byte: int
) -> None:
    whole = file_header(preamble=preamble)[from_byte:] + data_set(pixels=2_500_000)
    with Receiver(tmp_path) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        with capture_logs() as said:
            assert peer.store(whole) == 0x0000
        assert peer.store(data_set(pixels=2_500_000)) == 0x0000
        assert [each.duplicate for each in receiver.outcomes] == [False, True]
        (path,) = receiver.kept()
        assert path.read_bytes()[:132] == bytes(128) + b"DICM"
        assert path.read_bytes().count(b"DICM") == 1
        assert path.read_bytes().endswith(data_set(pixels=2_500_000))
        assert pydicom.dcmread(path).StudyInstanceUID == "1.2.4"
        assert receiver.spooled() == receiver.quarantined() == []
    (warning,) = [each for each in said if each["event"] == "instance.file_header_removed"]
    assert (warning["log_level"], warning["octets"]) == ("warning", len(whole) - len(data_set(pixels=2_500_000)))


@pytest.mark.catalogue("D6")
@pytest.mark.parametrize("transfer_syntax", [ExplicitVRBigEndian, JPEGLSLossless])
def test_a_file_in_another_transfer_syntax_than_agreed_is_refused_and_kept_aside(
    tmp_path: Path, transfer_syntax: str
) -> None:
    with Receiver(tmp_path) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        assert peer.store(file_header(transfer_syntax) + data_set()) == CANNOT_UNDERSTAND
        assert receiver.kept() == receiver.recorded == receiver.spooled() == []
        assert len(receiver.quarantined()) == 1


@pytest.mark.catalogue("D6", "D8")
@pytest.mark.parametrize("data", [
    file_header(), file_header()[:140], bytes(128) + b"DICM", file_header()[132:150], b"",
    b"\2\0\x02\1OB\0\0\xff\xff\xff\xff" + bytes(50),
], ids=["nothing after it", "cut", "no group 0002", "cut group", "nothing", "endless value"])  # fmt: skip
def test_a_header_with_nothing_after_it_is_no_data_set(tmp_path: Path, data: bytes) -> None:
    assert misplaced_header(data[:LONGEST_LOOK]) is None
    with Receiver(tmp_path) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        assert peer.store(data) & 0xF000 in (0xC000, 0xA000)
        assert receiver.kept() == receiver.recorded == receiver.spooled() == []
