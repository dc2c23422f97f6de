"""Images from real senders: what they send is what is kept, and what is refused they are told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)
from support import dcmtk
from support.chest import write_chest
from support.receiver import AE_TITLE, Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.peer

SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path / "receiver") as running:
        yield running


def _elements(path: Path) -> bytes:
    """The data set of a file, as it is encoded there."""
    whole = path.read_bytes()
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


def test_echoscu_is_answered(receiver: Receiver) -> None:
    assert dcmtk.echoscu(receiver.port, called=AE_TITLE).returncode == 0


def test_every_object_of_a_series_is_kept_bit_for_bit(receiver: Receiver, tmp_path: Path) -> None:
    series = write_chest(tmp_path / "ct", slices=20)
    dcmtk.dcmsend(receiver.port, tmp_path / "ct", called=AE_TITLE)
    assert {_elements(path) for path in series.files} == {_elements(path) for path in receiver.kept()}
    assert {each.series_instance_uid for each in receiver.recorded} == {series.series_instance_uid}
    assert receiver.ended("released") == 1


@pytest.mark.catalogue("U1")
def test_a_resend_over_another_tool_is_the_same_object(receiver: Receiver, tmp_path: Path) -> None:
    write_chest(tmp_path / "ct", slices=5)
    dcmtk.dcmsend(receiver.port, tmp_path / "ct", called=AE_TITLE)
    dcmtk.storescu(receiver.port, tmp_path / "ct", called=AE_TITLE, options=["-R", "-xe"])
    assert [each.duplicate for each in receiver.outcomes] == [False] * 5 + [True] * 5
    assert len(receiver.kept()) == 5


@pytest.mark.catalogue("A10", "A18")
def test_small_pdus_and_one_association_for_each_image_work(receiver: Receiver, tmp_path: Path) -> None:
    series = write_chest(tmp_path / "ct", slices=8)
    for path in series.files:
        dcmtk.storescu(receiver.port, path, called=AE_TITLE, options=["-R", "--max-send-pdu", "4096"])
    assert len(receiver.kept()) == 8
    assert receiver.ended("released") == 8


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("CT_small.dcm", ExplicitVRLittleEndian),
        ("MR_small_RLE.dcm", RLELossless),
        ("MR_small_jp2klossless.dcm", JPEG2000Lossless),
        ("JPEG-lossy.dcm", JPEGExtended12Bit),
        ("MR_small_jpeg_ls_lossless.dcm", JPEGLSLossless),
    ],
)
def test_a_compressed_object_stays_compressed(receiver: Receiver, name: str, syntax: str) -> None:
    dcmtk.dcmsend(receiver.port, SAMPLES / name, called=AE_TITLE)
    (path,) = receiver.kept()
    kept = pydicom.dcmread(path)
    assert kept.file_meta.TransferSyntaxUID == receiver.recorded[0].transfer_syntax_uid == syntax
    assert kept.PixelData == pydicom.dcmread(SAMPLES / name).PixelData


@pytest.mark.catalogue("A9", "D13")
def test_a_syntax_without_a_bound_is_refused_in_negotiation(receiver: Receiver) -> None:
    done = dcmtk.dcmsend(receiver.port, SAMPLES / "image_dfl.dcm", called=AE_TITLE, check=False)
    assert "NOT sent to the peer" in done.stdout + done.stderr
    assert receiver.kept() == receiver.quarantined() == []


@pytest.mark.catalogue("A9")
def test_big_endian_files_are_sent_in_a_syntax_that_is_taken(receiver: Receiver) -> None:
    sample = SAMPLES / "MR_small_bigendian.dcm"
    assert pydicom.dcmread(sample).file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    dcmtk.dcmsend(receiver.port, sample, called=AE_TITLE)
    (path,) = receiver.kept()
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_implicit_vr_is_taken_from_a_sender_that_has_nothing_else(receiver: Receiver) -> None:
    dcmtk.storescu(receiver.port, SAMPLES / "CT_small.dcm", called=AE_TITLE, options=["-xi"])
    (path,) = receiver.kept()
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert receiver.recorded[0].sop_instance_uid == pydicom.dcmread(path).SOPInstanceUID


@pytest.mark.catalogue("A21")
def test_an_abort_in_the_middle_loses_nothing_that_was_answered(receiver: Receiver, tmp_path: Path) -> None:
    series = write_chest(tmp_path / "ct", slices=3)
    dcmtk.storescu(receiver.port, series.files[0], called=AE_TITLE, options=["-R", "--abort"])
    assert len(receiver.kept()) == 1
    assert receiver.ended("aborted") == 1


@pytest.mark.catalogue("D3")
def test_an_image_without_its_series_is_refused_and_the_sender_is_told_so(receiver: Receiver, tmp_path: Path) -> None:
    series = write_chest(tmp_path / "ct", slices=2)
    path = _without_series(series.files[0], tmp_path)
    done = dcmtk.storescu(receiver.port, path, called=AE_TITLE, options=["-R"], check=False)
    assert "Error: CannotUnderstand" in done.stdout + done.stderr
    assert receiver.kept() == []
    assert len(receiver.quarantined()) == 1


def test_four_associations_at_once_keep_everything(receiver: Receiver, tmp_path: Path) -> None:
    folders = [tmp_path / f"{number}" for number in range(4)]
    for folder in folders:
        write_chest(folder, name=folder.name, slices=25)
    with ThreadPoolExecutor(4) as senders:
        for sent in [senders.submit(dcmtk.dcmsend, receiver.port, folder, called=AE_TITLE) for folder in folders]:
            sent.result()
    assert len(receiver.kept()) == len(receiver.recorded) == 100
    assert len({each.association for each in receiver.recorded}) == 4
    assert receiver.spooled() == []


def _without_series(path: Path, folder: Path) -> Path:
    dataset = pydicom.dcmread(path)
    del dataset.SeriesInstanceUID
    target = folder / "without-series.dcm"
    dataset.save_as(target)
    return target
