"""What leaves the hospital is of nobody: every place where a name, a number, a day or a UID can hide."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from radnode.node.deidentifying import outward as module
from radnode.node.deidentifying.checking import identity_of, leftovers
from radnode.node.deidentifying.holding import Held
from radnode.node.deidentifying.inward import WayBack, inward
from radnode.node.deidentifying.outward import outward
from radnode.node.deidentifying.profile import Profile
from radnode.node.deidentifying.pseudonyms import NotOurs, Pseudonyms, SecretTooShort, shifted

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "0123456789abcdef" * 4
OUTSIDE = Pseudonyms(SECRET, "OUTSIDE")
ALL = Profile(
    retain=frozenset({"device", "patient-characteristics", "modified-dates", "safe-private"}),
    clean=frozenset({"descriptors", "structured-content"}),
)


def image(**changes: Any) -> Dataset:
    """A CT image of a patient."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.840.99999.20240517.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.840.99999.20240517.1", "1.2.840.99999.20240517.2"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Canaria^Serinus", "CAN-00017", "19500203"
    dataset.StudyDate, dataset.StudyTime, dataset.Modality = "20240517", "101112", "CT"
    dataset.AccessionNumber, dataset.StudyID = "ACC-4711-22", "ST-9988"
    dataset.ReferringPhysicianName = "Erithacus^Rubecula"
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def with_pixels(dataset: Dataset, rows: int = 8, columns: int = 8) -> Dataset:
    """All 200, eight bits."""
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 1
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.PhotometricInterpretation = 7, 0, "MONOCHROME2"
    dataset.PixelData = np.full((rows, columns), 200, np.uint8).tobytes()
    dataset["PixelData"].VR = "OB"
    return dataset


@pytest.fixture
def leave(tmp_path: Path) -> Any:
    """`leave(dataset)`: (bytes, data set) of what leaves. Raises Held."""

    def through(
        dataset: Dataset, profile: Profile = ALL, *, masks: Any = (), syntax: str = ExplicitVRLittleEndian,
        preamble: bytes = b"",
    ) -> tuple[bytes, Dataset]:
        content, _ = outward(written(dataset, tmp_path, syntax, preamble), profile, OUTSIDE, masks)
        return content, pydicom.dcmread(BytesIO(content))

    return through


def written(dataset: Dataset, folder: Path, syntax: str = ExplicitVRLittleEndian, preamble: bytes = b"") -> Path:
    """As a file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.SourceApplicationEntityTitle = "CANARIASCANNER"
    dataset.preamble = preamble.ljust(128, b"\0")
    target = folder / "original.dcm"
    pydicom.dcmwrite(target, dataset, enforce_file_format=True)
    return target


def item(**values: Any) -> Dataset:
    """An item of a sequence."""
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


def test_a_name_and_a_uid_are_replaced_in_sequences_within_sequences(leave: Any) -> None:
    inner = item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID="1.2.840.99999.20240517.3",
                 PersonName="Canaria^Serinus", ContentDate="20240517")
    dataset = image(ReferencedSeriesSequence=Items([item(
        SeriesInstanceUID="1.2.840.99999.20240517.2", ReferencedInstanceSequence=Items([inner]))]))
    content, sent = leave(dataset)
    series = sent.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == sent.SeriesInstanceUID
    assert series.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == sent.SOPInstanceUID
    assert series.ReferencedInstanceSequence[0].ContentDate == sent.StudyDate
    assert b"Canaria" not in content


def test_private_attributes_go_but_for_safe_numbers(leave: Any) -> None:
    dataset = image()
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "800")
    dataset.private_block(0x0019, "SIEMENS MR HEADER").add_new(0x08, "LO", "Canaria^Serinus")
    dataset.private_block(0x0099, "ACME", create=True).add_new(0x01, "UI", "1.2.840.99999.20240517.3")
    dataset.private_block(0x0099, "ACME").add_new(0x02, "PN", "Canaria^Serinus")
    inner = item()
    inner.private_block(0x0099, "ACME", create=True).add_new(0x01, "LO", "CAN-00017")
    dataset.RequestAttributesSequence = Items([inner])
    dataset.ReferencedImageSequence = Items([inner])
    content, sent = leave(dataset)
    assert sent.private_block(0x0019, "SIEMENS MR HEADER")[0x0C].value == 800
    assert [str(each.tag) for each in sent if each.tag.is_private] == ["(0019,0010)", "(0019,100C)"]
    assert b"CAN-00017" not in content
    assert all(not each.tag.is_private for each in leave(image(), Profile())[1])


def test_a_safe_private_number_that_holds_a_text_goes(leave: Any) -> None:
    dataset = image()
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "LO", "Canaria^Serinus")
    assert all(not each.tag.is_private for each in leave(dataset)[1])


@pytest.mark.parametrize(("character_set", "name"), [
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("ISO_IR 100", "Müller^Jürgen"),
    ("ISO_IR 144", "Канарейкин^Павел"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
    ("ISO_IR 192", "Παπαδόπουλος^Γιώργος"),
])
def test_a_name_in_another_character_set_goes(leave: Any, character_set: Any, name: str) -> None:
    dataset = image(SpecificCharacterSet=character_set, PatientName=name, PatientComments=f"Herr {name}",
                    SeriesDescription=f"Thorax {name.partition('=')[0]}")
    content, sent = leave(dataset)
    assert sent.PatientName == sent.PatientID
    assert sent.SeriesDescription == "Thorax"
    encodings = {"ISO_IR 100": "latin-1", "ISO_IR 144": "iso8859_5", "GB18030": "gb18030", "ISO_IR 192": "utf-8"}
    encoding = encodings.get(str(character_set), "iso2022_jp")
    for part in name.replace("=", "^").split("^"):
        assert part.encode(encoding) not in content


def test_overlays_curves_and_what_is_appended_go(leave: Any) -> None:
    dataset = with_pixels(image())
    dataset.add_new(0x60003000, "OW", b"Canaria^Serinus ")
    dataset.add_new(0x60004000, "LT", "Canaria")
    dataset.add_new(0x50003000, "OW", b"Canaria^Serinus ")
    dataset.add_new(0xFFFCFFFC, "OB", b"CAN-00017 ")
    content, _ = leave(dataset, preamble=b"Canaria^Serinus")
    assert b"Canaria" not in content
    assert b"CANARIASCANNER" not in content
    assert b"CAN-00017" not in content


def test_days_of_one_patient_are_moved_by_the_same_number_and_times_of_day_stay(leave: Any) -> None:
    dataset = image(AcquisitionDateTime="20240517101112.5+0900", SeriesDate="20240519", SeriesTime="1011",
                    ContentDate="20240520", DateOfLastCalibration=["20240101", "20240102"])
    _, sent = leave(dataset)
    by = OUTSIDE.shift(OUTSIDE.patient("CAN-00017", ""))
    assert by.days < 0
    assert sent.StudyDate == shifted("20240517", by)
    assert sent.SeriesDate == shifted("20240519", by)
    assert sent.AcquisitionDateTime == f"{shifted('20240517', by)}101112.5+0900"
    assert list(sent.DateOfLastCalibration) == [shifted("20240101", by), shifted("20240102", by)]
    assert (sent.StudyTime, sent.SeriesTime) == ("101112", "1011")
    assert sent.PatientBirthDate == ""
    assert sent.LongitudinalTemporalInformationModified == "MODIFIED"


def test_without_the_option_no_day_and_no_time_is_left(leave: Any) -> None:
    dataset = image(AcquisitionDateTime="20240517101112.5", SeriesDate="20240519", ContentTime="101113")
    content, sent = leave(dataset, Profile())
    assert (sent.StudyDate, sent.StudyTime) == ("", "")
    assert b"202405" not in content
    assert b"10111" not in content
    assert sent.LongitudinalTemporalInformationModified == "REMOVED"


def test_a_report_keeps_its_codes_and_numbers_and_loses_its_texts(leave: Any) -> None:
    codes = Items([item(CodeValue="M-54000", CodingSchemeDesignator="SRT", CodeMeaning="Necrosis")])
    dataset = image(SOPClassUID=ComprehensiveSRStorage, Modality="SR", ContentSequence=Items([
        item(ValueType="TEXT", TextValue="Herr Canaria, 17.05.2024, geb. 1950-02-03"),
        item(ValueType="PNAME", PersonName="Erithacus^Rubecula"),
        item(ValueType="UIDREF", UID="1.2.840.99999.20240517.3"),
        item(ValueType="DATE", Date="20240517"),
        item(ValueType="CODE", ConceptCodeSequence=codes, ContentSequence=Items([
            item(ValueType="TEXT", TextValue="Lung nodule of Canaria"),
            item(ValueType="TEXT", TextValue="Left lung, 3 nodule")])),
    ]))
    with pytest.raises(Held, match="it is a report"):
        leave(dataset, Profile())
    content, sent = leave(dataset)
    text, person, uid, date, code = sent.ContentSequence
    assert text.TextValue == "REMOVED"
    assert person.PersonName == "REMOVED"
    assert sent.SOPInstanceUID == uid.UID
    assert date.Date == sent.StudyDate
    assert code.ConceptCodeSequence[0].CodeMeaning == "Necrosis"
    assert [each.TextValue for each in code.ContentSequence] == ["REMOVED", "Left lung, 3 nodule"]
    assert b"Canaria" not in content


def test_what_was_done_is_said_in_codes(leave: Any) -> None:
    _, sent = leave(image(BurnedInAnnotation="NO"))
    codes = {each.CodeValue for each in sent.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113104", "113105", "113107", "113108", "113109", "113111"}
    assert (sent.PatientIdentityRemoved, sent.BurnedInAnnotation) == ("YES", "NO")


def test_big_endian_is_held_because_its_pixels_would_be_turned(leave: Any) -> None:
    dataset = image()
    with pytest.raises(Held, match="big endian"):
        leave(dataset, syntax=ExplicitVRBigEndian)
    inflated = leave(dataset, syntax=DeflatedExplicitVRLittleEndian)[1]
    assert inflated.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_the_oldest_are_of_one_age_and_none_is_told_without_the_option(leave: Any) -> None:
    assert leave(image(PatientAge="097Y"))[1].PatientAge == "090Y"
    assert leave(image(PatientAge="061Y"))[1].PatientAge == "061Y"
    assert "PatientAge" not in leave(image(PatientAge="061Y"), Profile())[1]


def test_the_same_original_gives_the_same_bytes_and_another_destination_another_name(tmp_path: Path) -> None:
    path = written(image(), tmp_path)
    first, second = (outward(path, ALL, Pseudonyms(SECRET, "OUTSIDE"), ())[0] for _ in range(2))
    assert first == second
    elsewhere = pydicom.dcmread(BytesIO(outward(path, ALL, Pseudonyms(SECRET, "ELSEWHERE"), ())[0]))
    here = pydicom.dcmread(BytesIO(first))
    assert elsewhere.PatientID != here.PatientID
    assert elsewhere.StudyInstanceUID != here.StudyInstanceUID


@pytest.mark.parametrize(("changes", "reason"), [
    ({"BurnedInAnnotation": "YES"}, "its pixels hold annotations"),
    ({"SOPClassUID": UltrasoundImageStorage, "Modality": "US"}, "of modality US"),
    ({"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "CT"}, "a secondary capture"),
    ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "a screenshot"),
    ({"Modality": "MG"}, "has to say whether it holds annotations"),
    ({"RecognizableVisualFeatures": "YES"}, "faces are not cleaned"),
    ({"SOPClassUID": "1.2.3.4.5"}, "not one of the standard"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, "a document"),
    ({"GraphicAnnotationSequence": []}, "graphic annotations"),
    ({"add_new": (0x60000102, "US", 12)}, "an overlay in the unused bits"),
    ({"PatientID": ""}, "no Patient ID"),
])
def test_what_no_table_can_clean_is_held_with_a_reason(leave: Any, changes: dict[str, Any], reason: str) -> None:
    overlay = changes.pop("add_new", None)
    dataset = with_pixels(image(**changes))
    if overlay:
        dataset.add_new(*overlay)
    with pytest.raises(Held, match=reason):
        leave(dataset)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless])
def test_a_mask_for_the_device_paints_over_and_lets_it_go(leave: Any, tmp_path: Path, syntax: str) -> None:
    mask = {"manufacturer": "ACME", "model": "Sono 1", "rows": 8, "columns": 8, "boxes": [(0, 0, 8, 2)]}
    dataset = with_pixels(image(SOPClassUID=UltrasoundImageStorage, Modality="US", Manufacturer="Acme",
                                ManufacturerModelName="Sono 1", BurnedInAnnotation="YES"))
    if syntax == JPEGLSLossless:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    _, sent = leave(dataset, masks=[mask], syntax=syntax)
    assert not sent.pixel_array[:2].any()
    assert (sent.pixel_array[2:] == 200).all()
    assert sent.BurnedInAnnotation == "NO"
    other = {**mask, "columns": 9}
    with pytest.raises(Held, match="pixels hold annotations"):
        leave(dataset, masks=[other], syntax=syntax)


@pytest.mark.parametrize(("keyword", "value"), [
    ("ConvolutionKernel", "CANARIA"), ("SoftwareVersions", "CAN-00017"), ("BodyPartExamined", "SERINUS"),
    ("ConvolutionKernel", "ACC-4711-22"), ("SoftwareVersions", "of 17.05.2024"), ("ScanOptions", "20240517"),
    ("ManufacturerModelName", "Rubecula"),
])
def test_the_gate_finds_an_identity_where_no_table_looks_for_it(leave: Any, keyword: str, value: str) -> None:
    with pytest.raises(Held, match="after cleaning there was still"):
        leave(image(**{keyword: value}))


def test_the_gate_does_not_rely_on_the_cleaning(leave: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_the_name(dataset: Dataset, *_: Any) -> Any:
        record = module.Record(patient_pseudonym="P")
        dataset.PatientName = dataset.PatientID = "P"
        return record

    monkeypatch.setattr(module, "deidentify", only_the_name)
    with pytest.raises(Held) as held:
        leave(image())
    for what in ("a name or number", "a date of the original", "a UID of the original"):
        assert what in str(held.value)


def test_a_number_within_a_longer_one_is_no_find() -> None:
    identity = identity_of(image(PatientID="123456"), lambda _: False)
    assert leftovers(b"2.25.9912345677", Dataset(), identity, made=()) == []
    assert leftovers(b"PAT 123456", Dataset(), identity, made=())


def test_three_dark_pixels_are_no_name() -> None:
    identity = identity_of(image(PatientName="C3N-00247", PatientID="C3N-00247"), lambda _: False)
    assert leftovers(b"\xfb\0C\x003\0n\0\x07\0", Dataset(), identity, made=()) == []
    assert leftovers("C3N-00247".encode("utf-16-le"), Dataset(), identity, made=())


def test_a_secret_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(SecretTooShort, match="openssl rand"):
        Pseudonyms("hospital", "OUTSIDE")


def test_what_is_sealed_opens_with_its_secret_and_under_its_name_only() -> None:
    sealed = OUTSIDE.seal("patient", "P", {"PatientID": "CAN-00017"})
    assert b"CAN-00017" not in sealed
    assert OUTSIDE.unseal("patient", "P", sealed) == {"PatientID": "CAN-00017"}
    for other, name in ((Pseudonyms(SECRET[::-1], "OUTSIDE"), "P"), (OUTSIDE, "Q"), (Pseudonyms(SECRET, "X"), "P")):
        with pytest.raises(NotOurs):
            other.unseal("patient", name, sealed)


def test_a_pseudonym_in_a_text_that_cannot_be_replaced_holds_a_result_back(tmp_path: Path) -> None:
    way = WayBack(patient={"PatientID": "CAN-00017"}, study={"StudyInstanceUID": "1.2.840.99999.20240517.1"},
                  uids={"2.25.5": "1.2.840.99999.20240517.1"})
    dataset = image(PatientID="ABCDEFGHIJKLMNOP", StudyInstanceUID="2.25.5", ImageComments="of ABCDEFGHIJKLMNOP")
    with pytest.raises(Held, match="a pseudonym is left"):
        inward(written(dataset, tmp_path), way)
