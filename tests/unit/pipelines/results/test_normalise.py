"""What a result inherits is the source's, legal, and in UTF-8; what was repaired is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.data import get_charset_files
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from support import charset_sources, result_samples
from support.charset_sources import TEXTS, Text

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.results.charsets import TextReader
from radnode.pipelines.results.normalise import normalise, read_source

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.catalogue("I1")
@pytest.mark.parametrize("charset", TEXTS)
def test_every_character_set_becomes_utf_8_with_the_same_text(charset: str, tmp_path: Path) -> None:
    header = charset_sources.header_in(TEXTS[charset], result_samples.stack()[0])
    common, repairs = normalise([header])
    assert repairs == ()
    assert str(common.PatientName) == TEXTS[charset].meant
    common.file_meta = header.file_meta
    common.save_as(tmp_path / "utf-8.dcm", enforce_file_format=False)
    again = pydicom.dcmread(tmp_path / "utf-8.dcm", force=True)
    assert again.SpecificCharacterSet == "ISO_IR 192"
    assert str(again.PatientName) == TEXTS[charset].meant
    assert str(again.PatientName).count("=") == TEXTS[charset].meant.count("=")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["MUELLER ANNE", "MUELLER,ANNE DR", "^^^^", "A" * 90, "Wang^Xiao Dong^^^^^"])
def test_I3_a_name_in_any_form_is_inherited_as_it_is(name: str) -> None:
    header = result_samples.stack()[0]
    header.PatientName = name
    common, repairs = normalise([header])
    assert (str(common.PatientName), repairs) == (name, ())


@pytest.mark.catalogue("I2")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", [path for path in get_charset_files("*.dcm") if path])
def test_pydicoms_own_character_set_files_keep_their_names(path: str) -> None:
    header = pydicom.dcmread(path, stop_before_pixels=True)
    common, _ = normalise([header])
    assert str(common.PatientName) == str(header.get("PatientName") or "")


@pytest.mark.catalogue("I1")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("text", "meant", "word"), [
    (Text("", "Müller".encode("latin-1"), ""), "Müller", "Latin-1"),
    (Text("", "Müller".encode(), ""), "Müller", "UTF-8"),
    (Text("ISO_IR 999", "Müller".encode(), ""), "Müller", "UTF-8"),
    (Text("\\GB18030", "王^小东".encode("gb18030"), ""), "王^小东", "GB18030"),
    (Text("\\ISO_IR 192", "王^小东".encode(), ""), "王^小东", "UTF-8"),
], ids=["none, Latin-1", "none, UTF-8", "unknown", "GB18030 extends", "UTF-8 extends"])  # fmt: skip
def test_a_missing_or_illegal_character_set_is_read_by_what_the_bytes_are_and_said(
    text: Text, meant: str, word: str
) -> None:
    common, repairs = normalise([charset_sources.header_in(text, result_samples.stack()[0])])
    assert str(common.PatientName) == meant
    assert repairs == (f"SpecificCharacterSet: missing or wrong, texts read as {word}",)


@pytest.mark.catalogue("I1")
@pytest.mark.parametrize("text", [
    Text("ISO_IR 192", b"M\xfcller", ""), Text("\\ISO 2022 IR 87", b"Yamada=\x1b$B\xff\xfe", ""),
])  # fmt: skip
def test_a_name_that_does_not_decode_fails_the_job_instead_of_being_misspelt(text: Text) -> None:
    with pytest.raises(RunFailed, match="PatientName"):
        normalise([charset_sources.header_in(text, result_samples.stack()[0])])


@pytest.mark.catalogue("I6", "S9")
@pytest.mark.parametrize(("keyword", "value"), [
    ("PatientID", "PAT-2"), ("IssuerOfPatientID", "OTHER"), ("PatientName", "Other^Name"),
    ("PatientBirthDate", "19700101"), ("StudyInstanceUID", "1.2.3"), ("AccessionNumber", "A-1"),
])  # fmt: skip
def test_images_of_two_patients_or_studies_fail_the_job_by_name(keyword: str, value: str) -> None:
    headers = result_samples.stack()
    setattr(headers[3], keyword, value)
    with pytest.raises(RunFailed, match=keyword):
        normalise(headers)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID"])
def test_images_without_uids_fail_the_job_by_name(keyword: str) -> None:
    headers = result_samples.stack()
    volume = result_samples.volume_of(headers)
    setattr(headers[2], keyword, "")
    with pytest.raises(RunFailed, match=keyword):
        read_source(headers, volume)


@pytest.mark.catalogue("I6")
def test_one_name_in_two_character_sets_is_one_patient() -> None:
    first, second = result_samples.stack(2)
    second.SpecificCharacterSet = "ISO_IR 100"
    common, _ = normalise([first, second])
    assert str(common.PatientName) == "Müller^Änne"


@pytest.mark.catalogue("I4", "I8")
def test_missing_type_2_attributes_become_empty() -> None:
    header = result_samples.stack()[0]
    for keyword in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "ReferringPhysicianName",
        "AccessionNumber",
    ):
        delattr(header, keyword)
    common, repairs = normalise([header])
    assert repairs == ()
    assert (common.PatientName, common.StudyID, common.AccessionNumber) == ("", "", "")


@pytest.mark.goal("names")
@pytest.mark.catalogue("D19", "I10")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("keyword", "vr", "value"), [
    ("PatientSex", "CS", "W"), ("PatientSex", "CS", "female"), ("PatientBirthDate", "DA", "1960"),
    ("PatientBirthDate", "DA", "19601332"), ("PatientBirthDate", "DA", "1960.01.02"),
    ("StudyTime", "TM", "10:15:00"), ("StudyTime", "TM", "2515"),
])  # fmt: skip
def test_malformed_values_are_emptied_and_named_without_their_value(
    keyword: str, vr: str, value: str
) -> None:
    header = result_samples.stack()[0]
    header[keyword] = DataElement(keyword, vr, value)
    common, repairs = normalise([header])
    assert common[keyword].value in ("", None)
    assert len(repairs) == 1
    assert repairs[0].startswith(f"{keyword}: ")
    assert value not in repairs[0]


def test_nothing_private_and_no_pixels_are_inherited() -> None:
    header = result_samples.stack()[0]
    header.private_block(0x0011, "SCANNER", create=True).add_new(1, "LO", "secret")
    header.PixelData = b"\0\0"
    source = read_source(
        [header, *result_samples.stack()[1:]], result_samples.volume_of(result_samples.stack())
    )
    for dataset in (source.common, *source.slices):
        assert not any(element.tag.is_private for element in dataset.iterall())
        assert "PixelData" not in dataset


def test_timezone_and_request_are_inherited() -> None:
    header = result_samples.stack()[0]
    header.TimezoneOffsetFromUTC = "+0100"
    request = Dataset()
    request.RequestedProcedureID = "RP-1"
    header.RequestAttributesSequence = [request]
    common, _ = normalise([header])
    assert common.TimezoneOffsetFromUTC == "+0100"
    assert common.RequestAttributesSequence[0].RequestedProcedureID == "RP-1"


def test_slices_follow_the_order_of_the_volume() -> None:
    headers = result_samples.stack()
    volume = result_samples.volume_of(headers)
    source = read_source(list(reversed(headers)), volume)
    assert [header.SOPInstanceUID for header in source.slices] == [
        frame.sop_instance_uid for frame in volume.frames
    ]


@pytest.mark.parametrize(
    ("declared", "written", "read"),
    [
        (["", "ISO 2022 IR 58"], "张^小东".encode("gb2312"), "张^小东"),
        (["", "ISO 2022 IR 149"], "洪^吉洞".encode("euc_kr"), "洪^吉洞"),
    ],
    ids=["Chinese", "Korean"],
)
def test_an_extension_written_without_its_escape_is_read_and_reported(
    declared: list[str], written: bytes, read: str
) -> None:
    reader = TextReader(declared)

    assert reader.text(written.decode("latin-1")) == read
    assert reader.guess
