"""The identity of an object is found, or refused with a reason, in bounded work, whatever the bytes are."""

from __future__ import annotations

import contextlib
import struct
import tempfile
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage

from radnode.node.intake.header_walk import DEEPEST_NESTING, Identity, is_uid, unpadded, walk
from radnode.node.intake.refusals import (
    DataSetRefused,
    IdentityMismatch,
    MissingIdentity,
    TooComplex,
    Truncated,
)

UNDEFINED = 0xFFFFFFFF


def walked(data: bytes, *, implicit_vr: bool = False, before: bytes = b"") -> Identity:
    with tempfile.TemporaryFile() as file:
        file.write(before + data)
        file.flush()
        return walk(file.fileno(), len(before), len(before) + len(data), implicit_vr=implicit_vr)


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in ("OB", "OW", "SQ", "UN", "UT", "OD", "ZZ"):
        return head + struct.pack("<xxL", size) + value
    return head + struct.pack("<H", size) + value


def item(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value) if length is None else length) + value


ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def identified(
    *,
    sop: bytes = b"1.2.3\0",
    study: bytes = b"1.2.4\0",
    series: bytes = b"1.2.5\0",
    patient: bytes = b"P-1 ",
    more: bytes = b"",
) -> bytes:
    return b"".join(
        (
            element(0x00080016, "UI", CTImageStorage.encode() + b"\0"),
            element(0x00080018, "UI", sop),
            element(0x00100020, "LO", patient),
            element(0x0020000D, "UI", study),
            element(0x0020000E, "UI", series),
            more,
        )
    )


def encoded(dataset: Dataset, *, implicit_vr: bool) -> bytes:
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = implicit_vr
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def sample(*, undefined: bool = False) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientID = "P-1"
    dataset.StudyInstanceUID = "1.2.4"
    dataset.SeriesInstanceUID = "1.2.5"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.99"
    inner.StudyInstanceUID = "1.2.77"
    inner.is_undefined_length_sequence_item = undefined
    dataset.ReferencedImageSequence = Sequence([inner, inner])
    dataset["ReferencedImageSequence"].is_undefined_length = undefined
    dataset.add_new(0x7FE00010, "OW", bytes(100))
    return dataset


@pytest.mark.parametrize("implicit_vr", [True, False], ids=["implicit", "explicit"])
@pytest.mark.parametrize("undefined", [True, False], ids=["undefined length", "defined length"])
def test_the_identity_is_found_and_nested_uids_are_not_taken_for_it(implicit_vr: bool, undefined: bool) -> None:
    found = walked(encoded(sample(undefined=undefined), implicit_vr=implicit_vr), implicit_vr=implicit_vr)
    assert found == Identity(
        sop_class_uid=CTImageStorage,
        sop_instance_uid="1.2.3",
        study_instance_uid="1.2.4",
        series_instance_uid="1.2.5",
        patient_id="P-1",
        as_agreed=True,
    )


def test_the_data_set_may_begin_anywhere_in_the_file() -> None:
    assert walked(identified(), before=b"\x02" * 200).sop_instance_uid == "1.2.3"


def test_an_encapsulated_image_is_walked_to_its_delimiter() -> None:
    pixels = encapsulate([b"\1\2\3\4"] * 3, has_bot=True)
    whole = identified(more=element(0x7FE00010, "OB", pixels, UNDEFINED))
    assert walked(whole + SEQUENCE_END).series_instance_uid == "1.2.5"
    with pytest.raises(Truncated):
        walked(whole)


@pytest.mark.catalogue("D5")
def test_padding_is_no_part_of_a_uid() -> None:
    assert walked(identified(sop=b" 1.2.3\0")).sop_instance_uid == "1.2.3"
    assert walked(identified(sop=b"1.2.3   ")).sop_instance_uid == "1.2.3"


@pytest.mark.catalogue("D7")
@pytest.mark.parametrize("cut", range(1, 130, 7))
def test_a_cut_data_set_is_truncated(cut: int) -> None:
    whole = identified(more=element(0x7FE00010, "OW", bytes(200)))
    with pytest.raises(Truncated):
        walked(whole[:-cut])


@pytest.mark.catalogue("D8")
def test_a_length_beyond_the_end_is_truncated_and_takes_no_memory() -> None:
    with pytest.raises(Truncated):
        walked(identified(more=element(0x7FE00010, "OW", bytes(100), 0xFFFFFFF0)))


@pytest.mark.catalogue("D7")
def test_a_cut_inside_a_sequence_is_truncated() -> None:
    inside = element(0x00081140, "SQ", item(element(0x00081155, "UI", b"1.2\0"), UNDEFINED), UNDEFINED)
    assert walked(identified(more=inside + ITEM_END + SEQUENCE_END)).as_agreed
    for end in (inside, inside + ITEM_END):
        with pytest.raises(Truncated):
            walked(identified(more=end))


@pytest.mark.catalogue("D16")
def test_stray_zeros_after_the_last_element_are_padding() -> None:
    assert walked(identified(more=b"\0")).sop_instance_uid == "1.2.3"
    assert walked(identified(more=element(0xFFFCFFFC, "OB", bytes(10)))).sop_instance_uid == "1.2.3"
    with pytest.raises(Truncated):
        walked(identified(more=b"\x01"))


@pytest.mark.catalogue("D3")
@pytest.mark.parametrize("missing", ["sop", "study", "series"])
@pytest.mark.parametrize("value", [b"", b"\0\0", b"  "], ids=["empty", "NUL", "spaces"])
def test_an_empty_uid_is_missing(missing: str, value: bytes) -> None:
    with pytest.raises(MissingIdentity):
        walked(identified(**{missing: value}))


@pytest.mark.catalogue("D3")
def test_an_absent_series_is_missing() -> None:
    data = identified()
    with pytest.raises(MissingIdentity, match=r"\(0020,000e\)"):
        walked(data[: data.index(element(0x0020000E, "UI", b"1.2.5\0"))])


@pytest.mark.goal("names")
@pytest.mark.catalogue("D4", "I10")
@pytest.mark.parametrize(
    "value",
    [
        b"../../../../tmp/x ",
        b"/etc/cron.d/a ",
        b"1.2.3;touch a ",
        b"1.2\n3 ",
        b"1..2",
        b"1." * 32 + b"11",
        b"1.a ",
    ],
)
def test_what_is_no_uid_is_refused_and_not_repeated(value: bytes) -> None:
    with pytest.raises(IdentityMismatch) as refused:
        walked(identified(study=value))
    assert value.strip().decode() not in str(refused.value)


@pytest.mark.catalogue("D15")
def test_a_uid_that_is_there_twice_with_different_values_is_ambiguous() -> None:
    again = element(0x0020000E, "UI", b"1.2.5\0")
    other = element(0x0020000E, "UI", b"1.2.6\0")
    assert walked(identified(more=again)).series_instance_uid == "1.2.5"
    with pytest.raises(IdentityMismatch):
        walked(identified(more=other))


@pytest.mark.catalogue("D9")
def test_explicit_data_that_was_announced_as_implicit_is_understood_and_said() -> None:
    found = walked(encoded(sample(), implicit_vr=False), implicit_vr=True)
    assert (found.sop_instance_uid, found.as_agreed) == ("1.2.3", False)


@pytest.mark.catalogue("D9")
def test_implicit_data_that_was_announced_as_explicit_is_understood_and_said() -> None:
    found = walked(encoded(sample(), implicit_vr=True), implicit_vr=False)
    assert (found.sop_instance_uid, found.as_agreed) == ("1.2.3", False)


@pytest.mark.catalogue("D10")
def test_a_sequence_encoded_as_unknown_has_implicit_items() -> None:
    """PS3.5 6.2.2 note 2."""
    implicit = struct.pack("<HHL", 0x0008, 0x1155, 4) + b"1.2\0"
    unknown = element(0x00091001, "UN", item(implicit, UNDEFINED) + ITEM_END + SEQUENCE_END, UNDEFINED)
    assert walked(identified(more=unknown + element(0x00100030, "DA", b"20260101"))).as_agreed


@pytest.mark.catalogue("D9")
def test_a_value_representation_of_the_future_has_a_long_length() -> None:
    assert walked(identified(more=element(0x00091001, "ZZ", bytes(70_000)))).as_agreed


@pytest.mark.catalogue("D11")
def test_deep_nesting_is_followed_without_recursion_and_refused_beyond_a_limit() -> None:
    def nested(depth: int) -> bytes:
        opening = element(0x0040A730, "SQ", item(b"", UNDEFINED), UNDEFINED)
        return identified(more=opening * depth + (ITEM_END + SEQUENCE_END) * depth)

    assert walked(nested(DEEPEST_NESTING // 2)).as_agreed
    with pytest.raises(TooComplex):
        walked(nested(DEEPEST_NESTING // 2 + 1))
    with pytest.raises(TooComplex):
        walked(nested(50_000))


@pytest.mark.catalogue("D12")
def test_millions_of_items_are_refused() -> None:
    bomb = identified(more=element(0x0040A730, "SQ", item(b"") * 2_000_000 + SEQUENCE_END, UNDEFINED))
    with pytest.raises(TooComplex):
        walked(bomb)


@pytest.mark.catalogue("D20")
def test_a_large_private_element_is_skipped_by_its_length() -> None:
    with tempfile.TemporaryFile() as file:
        size = 500_000_000
        file.write(identified() + element(0x00091001, "OB", b"", size))
        end = file.tell() + size
        file.truncate(end)
        assert walk(file.fileno(), 0, end, implicit_vr=False).sop_instance_uid == "1.2.3"


def test_a_whole_file_sent_as_a_data_set_is_refused() -> None:
    with pytest.raises(DataSetRefused):
        walked(bytes(128) + b"DICM" + element(0x00020010, "UI", b"1.2.840.10008.1.2.1\0") + identified())


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\xff" * 64, b"\x08\0"])
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(DataSetRefused):
        walked(junk)


SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"


def _sample_file(name: str) -> tuple[bytes, Dataset]:
    """The data set bytes of a file that comes with pydicom, and what pydicom reads in it."""
    whole = (SAMPLES / name).read_bytes()
    length: int = struct.unpack_from("<L", whole, 140)[0]
    return whole[144 + length :], pydicom.dcmread(BytesIO(whole), stop_before_pixels=True)


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "JPEG-lossy.dcm", "rtplan.dcm",
     "reportsi.dcm", "J2K_pixelrep_mismatch.dcm", "SC_rgb_rle_2frame.dcm", "examples_ybr_color.dcm"],
)  # fmt: skip
def test_real_files_are_walked_to_their_end(name: str) -> None:
    data, dataset = _sample_file(name)
    found = walked(data, implicit_vr=bool(dataset.original_encoding[0]))
    assert found.sop_instance_uid == dataset.SOPInstanceUID
    assert found.series_instance_uid == dataset.SeriesInstanceUID
    assert found.as_agreed


@pytest.mark.catalogue("D7")
@pytest.mark.parametrize("name", ["MR_truncated.dcm", "rtplan_truncated.dcm"])
def test_truncated_files_are_found_out(name: str) -> None:
    data, dataset = _sample_file(name)
    with pytest.raises(Truncated):
        walked(data, implicit_vr=bool(dataset.original_encoding[0]))


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "image_dfl.dcm"], ids=["big endian", "deflated"])
def test_a_data_set_in_a_syntax_that_was_not_agreed_is_refused(name: str) -> None:
    data, _ = _sample_file(name)
    with pytest.raises(DataSetRefused):
        walked(data)


OPEN_SEQUENCE = identified(more=element(0x00081140, "SQ", item(b"", UNDEFINED), UNDEFINED))


def overwritten(at: int, new: bytes) -> bytes:
    return OPEN_SEQUENCE[:at] + new + OPEN_SEQUENCE[at + len(new) :]


ANYTHING = st.binary(max_size=200)
NEARLY_GOOD = st.builds(overwritten, st.integers(0, 120), st.binary(min_size=1, max_size=6))


@given(data=ANYTHING | NEARLY_GOOD, implicit_vr=st.booleans())
@example(data=struct.pack("<HHL", 0xFFFE, 0xE00D, 0), implicit_vr=True)
@example(data=struct.pack("<HHL", 0xFFFE, 0xE0DD, 0), implicit_vr=False)
def test_any_bytes_end_in_an_identity_or_a_refusal(data: bytes, implicit_vr: bool) -> None:
    with contextlib.suppress(DataSetRefused):
        assert is_uid(walked(data, implicit_vr=implicit_vr).sop_instance_uid.encode())


@pytest.mark.parametrize(
    ("value", "valid"),
    [(b"1", True), (b"1.2.840", True), (b"1.02", True), (b"1" * 64, True), (b"", False), (b"1" * 65, False),
     (b".1", False), (b"1.", False), (b"1..2", False), (b"1.2\n", False), ("1.\u0663".encode(), False)],
)  # fmt: skip
def test_a_uid_is_digits_and_dots(value: bytes, valid: bool) -> None:
    assert is_uid(value) is valid


@pytest.mark.catalogue("D5")
def test_only_padding_is_removed_from_a_uid() -> None:
    assert unpadded(b" 1.2.3\0 ") == b"1.2.3"
    assert unpadded(b"1.2\0.3") == b"1.2\0.3"
