"""Whatever a header holds, its process answers soon, in our words, and goes on to the next file."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from radnode.node.indexing import Header, HeaderFailure, HeaderReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ITEM = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


@pytest.fixture
def reader() -> Iterator[HeaderReader]:
    reader = HeaderReader()
    yield reader
    reader.close()


def written(path: Path, more: bytes = b"", **values: Any) -> Path:
    """A file with these attributes, and with raw elements after them."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes() + more)
    return path


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sHI", group, number, vr, 0, len(value)) + value


def attributes(reader: HeaderReader, path: Path) -> dict[str, Any]:
    (answer,) = reader.read([(1, path)])
    assert isinstance(answer, Header), answer
    return answer.attributes


def reason(reader: HeaderReader, path: Path) -> str:
    (answer,) = reader.read([(1, path)])
    assert isinstance(answer, HeaderFailure), answer
    return answer.reason


@pytest.mark.catalogue("D12")
def test_millions_of_empty_items_of_known_length_are_passed_over(reader: HeaderReader, tmp_path: Path) -> None:
    path = written(tmp_path / "a", element(0x0008, 0x1140, b"SQ", ITEM * 2_000_000), Modality="CT")

    assert attributes(reader, path)["Modality"] == "CT"


@pytest.mark.catalogue("D12")
def test_endless_empty_items_end_at_the_time_limit_and_harm_no_other_file(
    reader: HeaderReader, tmp_path: Path
) -> None:
    items = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + ITEM * 1_000_000 + SEQUENCE_END
    path = written(tmp_path / "a", items)

    answers = list(reader.read([(1, path), (2, written(tmp_path / "good", Modality="CT"))]))

    assert isinstance(answers[0], HeaderFailure)
    assert answers[0].reason == "the header cannot be read: it takes more than 3 s to read"
    assert isinstance(answers[1], Header)


@pytest.mark.catalogue("D12")
def test_a_flood_of_elements_is_refused(reader: HeaderReader, tmp_path: Path) -> None:
    flood = b"".join(element(0x0009 + 2 * (n >> 12), 0x1000 + (n & 0xFFF), b"UN", b"") for n in range(20_000))

    assert reason(reader, written(tmp_path / "a", flood)).endswith("it has more than 10000 elements")


@pytest.mark.catalogue("D20")
def test_a_large_private_value_costs_nothing(reader: HeaderReader, tmp_path: Path) -> None:
    path = written(tmp_path / "a", element(0x0009, 0x1001, b"OB", b""), Modality="CT")
    with path.open("r+b") as file:
        file.seek(-4, 2)
        file.write(struct.pack("<I", 2_000_000_000))
        file.truncate(path.stat().st_size + 2_000_000_000)  # a hole: no disk is used

    assert attributes(reader, path)["Modality"] == "CT"


@pytest.mark.catalogue("D13")
def test_a_deflated_flood_ends_at_a_limit(reader: HeaderReader, tmp_path: Path) -> None:
    path = written(tmp_path / "a")
    head = path.read_bytes()
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = deflate.compress(head[head.index(b"\x08\x00\x16\x00UI") :])
    for _ in range(1200):
        body += deflate.compress(bytes(1_000_000))
    whole = path.read_bytes()
    meta_length = struct.unpack("<I", whole[140:144])[0]
    path.write_bytes(whole[: 144 + meta_length] + body + deflate.flush())

    assert reason(reader, path) in (
        "the header needs more memory than a header may",
        "the header cannot be read: it takes more than 3 s to read",
    )


@pytest.mark.catalogue("D7")
@pytest.mark.parametrize("kept", [0, 100, 131, 132, 150, 300, 340])
def test_a_file_cut_anywhere_is_an_answer(reader: HeaderReader, tmp_path: Path, kept: int) -> None:
    path = written(tmp_path / "a", Modality="CT", PatientName="A^B")
    path.write_bytes(path.read_bytes()[:kept])

    (answer,) = reader.read([(1, path)])

    assert answer.id == 1


def test_a_header_without_a_name_is_refused_in_plain_words(reader: HeaderReader, tmp_path: Path) -> None:
    path = written(tmp_path / "a", Modality="CT")
    dataset = pydicom.dcmread(path)
    del dataset.SOPInstanceUID
    dataset.save_as(path)

    assert reason(reader, path) == "the header cannot be read: it has no SOP Instance UID"


@pytest.mark.catalogue("D4")
def test_a_uid_that_looks_like_a_path_is_only_a_value(reader: HeaderReader, tmp_path: Path) -> None:
    uid = b"../../../etc/x;\n"
    found = attributes(reader, written(tmp_path / "a", struct.pack("<HH2sH", 0x0020, 0x000E, b"UI", len(uid)) + uid))

    assert found["SeriesInstanceUID"] == "../../../etc/x;"


@pytest.mark.catalogue("D22")
@pytest.mark.parametrize(
    ("more", "present"),
    [
        (b"", False),
        (element(0x7FE0, 0x0010, b"OW", b""), False),
        (element(0x7FE0, 0x0010, b"OW", b"\0\0"), True),
        (struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + ITEM + SEQUENCE_END, True),
        (element(0x7FE0, 0x0008, b"OF", bytes(4)), True),
    ],
    ids=["none", "empty", "plain", "encapsulated", "float"],
)
def test_an_image_without_pixels_is_known(reader: HeaderReader, tmp_path: Path, more: bytes, present: bool) -> None:
    assert attributes(reader, written(tmp_path / "a", more, Rows=1, Columns=1))["PixelDataPresent"] is present


@pytest.mark.catalogue("D21")
def test_what_is_no_image_needs_no_pixels(reader: HeaderReader, tmp_path: Path) -> None:
    assert "PixelDataPresent" not in attributes(reader, written(tmp_path / "a", Modality="SR"))


@pytest.mark.catalogue("I1")
def test_text_that_is_not_in_its_character_set_is_marked(reader: HeaderReader, tmp_path: Path) -> None:
    name = b"M\xfcller^\xff\xfe "
    path = written(
        tmp_path / "a",
        struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", len(name)) + name,
        SpecificCharacterSet="ISO_IR 192",
    )

    found = attributes(reader, path)

    assert found["undecodable"] == ["PatientName"]
    assert found["PatientName"].startswith("M\ufffd")


@pytest.mark.catalogue("I2")
def test_the_escapes_of_chinese_names_are_no_text(reader: HeaderReader, tmp_path: Path) -> None:
    name = b"Wang^XiaoDong=\x1b$)A" + "王".encode("gb2312") + b"^\x1b$)A" + "小东".encode("gb2312")
    raw = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", len(name)) + name
    path = written(tmp_path / "a", raw, SpecificCharacterSet=["", "ISO 2022 IR 58"])

    assert attributes(reader, path)["PatientName"] == "Wang^XiaoDong=王^小东"


def test_the_same_bytes_read_differently_under_another_character_set(reader: HeaderReader, tmp_path: Path) -> None:
    name = "Łukasz".encode("iso8859-2")
    raw = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", len(name)) + name
    latin2 = written(tmp_path / "2", raw, SpecificCharacterSet="ISO_IR 101")
    latin1 = written(tmp_path / "1", raw, SpecificCharacterSet="ISO_IR 100")

    assert attributes(reader, latin2)["PatientName"] == "Łukasz"
    assert attributes(reader, latin1)["PatientName"] == "£ukasz"
    assert attributes(reader, latin2)["PatientName"] == "Łukasz"


@pytest.mark.parametrize(("representation", "value"), [(0, 65_535), (1, -1)], ids=["unsigned", "signed"])
def test_the_same_bytes_read_differently_under_another_pixel_representation(
    reader: HeaderReader, tmp_path: Path, representation: int, value: int
) -> None:
    """Smallest Image Pixel Value is US or SS by Pixel Representation (PS3.5 A.2), which implicit VR does not say."""
    path = written(tmp_path / "a", PixelRepresentation=representation, Rows=1)
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x00280106, "US" if representation == 0 else "SS", value)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    dataset.save_as(path, implicit_vr=True, little_endian=True)

    assert attributes(reader, path)["SmallestImagePixelValue"] == value


@pytest.mark.catalogue("D15")
def test_an_attribute_that_is_there_twice_or_out_of_order_has_no_value_and_is_named(
    reader: HeaderReader, tmp_path: Path
) -> None:
    more = (
        element(0x0020, 0x0011, b"UN", b"1 ") + element(0x0020, 0x0011, b"UN", b"2 ")
        + struct.pack("<HH2sH", 0x0008, 0x0060, b"CS", 2) + b"CT"
        + struct.pack("<HH2sH", 0x0020, 0x000E, b"UI", 4) + b"1.2\0"
        + 2 * (struct.pack("<HH2sH", 0x0029, 0x1001, b"CS", 2) + b"A ")
    )  # fmt: skip
    found = attributes(reader, written(tmp_path / "a", more, StudyDescription="Thorax"))

    assert found["ambiguous"] == ["(0029,1001)", "Modality", "SeriesNumber"]
    assert not {"Modality", "SeriesNumber", "(0029,1001)"} & found.keys()
    assert (found["StudyDescription"], found["SeriesInstanceUID"]) == ("Thorax", "1.2")


@pytest.mark.catalogue("D17")
def test_a_sequence_whose_length_takes_in_the_pixels_is_an_image_without_pixels(
    reader: HeaderReader, tmp_path: Path
) -> None:
    rows = struct.pack("<HH2sHH", 0x0028, 0x0010, b"US", 2, 8)
    pixels = element(0x7FE0, 0x0010, b"OW", bytes(128))
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(pixels)) + pixels
    honest = attributes(reader, written(tmp_path / "a", rows + pixels))
    hidden = attributes(reader, written(tmp_path / "b", rows + element(0x0040, 0x0260, b"SQ", item)))
    child = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    unclosed = struct.pack("<HHI", 0xFFFE, 0xE000, len(child)) + child
    swallowed = written(tmp_path / "c", element(0x0008, 0x1115, b"SQ", unclosed) + rows + pixels)

    assert (honest["PixelDataPresent"], hidden["PixelDataPresent"]) == (True, False)
    (answer,) = reader.read([(1, swallowed)])
    assert isinstance(answer, HeaderFailure), answer
