"""Headers are read in a process of their own, which may die or hang without harm to anybody else's."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from radnode.node import indexing
from radnode.node.indexing import Header, HeaderFailure, HeaderReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def reader() -> Iterator[HeaderReader]:
    reader = HeaderReader()
    yield reader
    reader.close()


def written(path: Path, *, syntax: str = ExplicitVRLittleEndian, **values: object) -> Path:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path


def one(reader: HeaderReader, path: Path) -> Header | HeaderFailure:
    (answer,) = reader.read([(7, path)])
    assert answer.id == 7
    return answer


def attributes(reader: HeaderReader, path: Path) -> dict[str, object]:
    answer = one(reader, path)
    assert isinstance(answer, Header), answer
    return answer.attributes


def test_values_come_as_text_numbers_and_codes(reader: HeaderReader, tmp_path: Path) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-28000", "SRT", "Lung"
    path = written(
        tmp_path / "a",
        Modality="CT",
        SliceThickness="1.5",
        InstanceNumber="4",
        ImageType=["ORIGINAL", "PRIMARY"],
        AnatomicRegionSequence=[code],
        BitsAllocated=8,
        PixelData=b"\0\0",
    )

    found = attributes(reader, path)

    assert found["Modality"] == "CT"
    assert found["SliceThickness"] == 1.5
    assert found["InstanceNumber"] == 4
    assert found["ImageType"] == ["ORIGINAL", "PRIMARY"]
    assert found["AnatomicRegionSequence"] == [
        {"CodeValue": "T-28000", "CodingSchemeDesignator": "SRT", "CodeMeaning": "Lung"}
    ]
    assert "PixelData" not in found


def test_a_private_tag_is_known_by_number_and_by_creator(reader: HeaderReader, tmp_path: Path) -> None:
    dataset = Dataset()
    dataset.private_block(0x0019, "MAKER", create=True).add_new(0x0C, "DS", "2.5")
    path = written(tmp_path / "a")
    whole = pydicom.dcmread(path)
    whole.update(dataset)
    whole.save_as(path)

    found = attributes(reader, path)

    assert found["(0019,100c)"] == 2.5
    assert found["(0019,xx0c,MAKER)"] == 2.5


@pytest.mark.catalogue("I1", "I2")
@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("GB18030", "王^小东"),
        ("ISO_IR 192", "Ærø^Łukasz"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ],
    ids=["GB18030", "UTF-8", "IR 149", "IR 87"],
)
def test_names_are_read_in_their_character_set(
    reader: HeaderReader, tmp_path: Path, charset: str | list[str], text: str
) -> None:
    path = written(tmp_path / "a", SpecificCharacterSet=charset, PatientName=text)

    assert attributes(reader, path)["PatientName"] == text


def test_a_code_is_read_in_the_character_set_of_its_data_set_or_of_its_item(
    reader: HeaderReader, tmp_path: Path
) -> None:
    inherited, own = Dataset(), Dataset()
    for code, charset in ((inherited, None), (own, "ISO_IR 101")):
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "Łydka"
        if charset:
            code.SpecificCharacterSet = charset
    path = written(tmp_path / "a", SpecificCharacterSet="ISO_IR 192", AnatomicRegionSequence=[inherited, own])

    found = attributes(reader, path)["AnatomicRegionSequence"]

    assert isinstance(found, list)
    assert [code["CodeMeaning"] for code in found] == ["Łydka", "Łydka"]


@pytest.mark.catalogue("D18")
def test_nonsense_in_a_number_stays_text_and_harms_nothing_else(reader: HeaderReader, tmp_path: Path) -> None:
    path = written(tmp_path / "a", Modality="CT")
    raw = path.read_bytes()
    thickness = b"\x18\x00\x50\x00DS\x04\x00" + b"1,5 "
    path.write_bytes(raw + thickness)

    found = attributes(reader, path)

    assert found["SliceThickness"] == "1,5"
    assert found["Modality"] == "CT"


@pytest.mark.catalogue("D11")
def test_deep_nesting_is_an_answer_not_a_crash(reader: HeaderReader, tmp_path: Path) -> None:
    inner = Dataset()
    for _ in range(90):
        outer = Dataset()
        outer.ReferencedStudySequence = Sequence([inner])
        inner = outer
    path = written(tmp_path / "a", ReferencedStudySequence=[inner])

    assert isinstance(one(reader, path), Header | HeaderFailure)


def test_a_dead_process_is_replaced_and_no_answer_is_lost(reader: HeaderReader, tmp_path: Path) -> None:
    paths = [(number, written(tmp_path / str(number), InstanceNumber=str(number))) for number in range(50)]
    answers = reader.read(paths)
    first = next(answers)
    process = reader._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)

    found = [first, *answers]

    assert [answer.id for answer in found] == list(range(50))
    assert all(isinstance(answer, Header) for answer in found)


@pytest.mark.catalogue("D12")
def test_a_file_that_never_ends_is_given_up_and_the_next_is_read(
    reader: HeaderReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "LONGEST_WAIT_S", 6.0)  # longer than a Python starts on a busy machine
    os.mkfifo(tmp_path / "endless")
    good = written(tmp_path / "good", Modality="CT")

    answers = list(reader.read([(1, tmp_path / "endless"), (2, good)]))

    assert isinstance(answers[0], HeaderFailure)
    assert "within" in answers[0].reason
    assert isinstance(answers[1], Header)


@pytest.mark.parametrize("content", [b"", b"\0" * 128 + b"DICM" + b"\xff" * 100, b"GET / HTTP/1.1\r\n"])
def test_what_is_no_dicom_is_refused_by_name(reader: HeaderReader, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)

    answer = one(reader, path)

    assert isinstance(answer, HeaderFailure)
    assert "header" in answer.reason
