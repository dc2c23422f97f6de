"""Which images of a study are its screening mammography, and for every other one why not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.dataset import Dataset
from support import result_samples as samples

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.sources.headers import SourceInstance
from radnode.pipelines.sources.screening import STANDARD, Screening, examine, named, select_screening

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PRESENTATION, PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMOSYNTHESIS, TOMO_PROJECTIONS = "1.2.840.10008.5.1.4.1.1.13.1.3", "1.2.840.10008.5.1.4.1.1.13.1.4"
CT, CAPTURE, KEY_OBJECTS = (f"1.2.840.10008.5.1.4.1.1.{each}" for each in ("2", "7", "88.59"))
MANIFEST = replace(samples.MANIFEST, name="mg-cad", modality="MG", min_slices=2, reads="screening")
ALL = {f"{side}{view}": (side, view) for side, view in STANDARD}
ORIENTATIONS = {"RCC": ["P", "L"], "LCC": ["A", "R"], "RMLO": ["P", "FL"], "LMLO": ["A", "FR"]}


def code(value: str, meaning: str, scheme: str = "SCT", **more: Any) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    for keyword, inside in more.items():
        setattr(item, keyword, inside)
    return item


CC, MLO = code("399162004", "cranio-caudal"), code("399368009", "medio-lateral oblique")


def modified(value: str, meaning: str, view: Dataset = CC, scheme: str = "SCT") -> list[Dataset]:
    return [code(view.CodeValue, view.CodeMeaning, ViewModifierCodeSequence=[code(value, meaning, scheme)])]


def region(value: str, meaning: str) -> list[Dataset]:
    return [code("76752008", "Breast", AnatomicRegionModifierSequence=[code(value, meaning)])]


def evidence(uid: str) -> list[Dataset]:
    study, series, instance = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPInstanceUID = uid
    series.ReferencedSOPSequence, study.ReferencedSeriesSequence = [instance], [series]
    return [study]


def image(label: str, base: str, changes: Mapping[str, Any]) -> Dataset:
    """A mammogram for presentation as devices write it. changes: keyword -> value, None to leave it out."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID, header.Modality = PRESENTATION, f"2.25.1.{label_number(label)}", "MG"
    header.StudyInstanceUID, header.SeriesInstanceUID = "2.25.1", f"2.25.1.{label_number(label)}.1"
    header.PresentationIntentType, header.ImageType = "FOR PRESENTATION", ["DERIVED", "PRIMARY"]
    header.ImageLaterality, header.ViewPosition = base[0], base[1:]
    header.PatientOrientation = ORIENTATIONS[base]
    header.PatientSex, header.StudyDate, header.AcquisitionDate = "F", "20260302", "20260302"
    header.AcquisitionTime = f"1017{10 + label_number(label)}"
    header.ImagerPixelSpacing, header.EstimatedRadiographicMagnificationFactor = [0.07, 0.07], 1.05
    header.PositionerType, header.DetectorType, header.PartialView = "MAMMOGRAPHIC", "DIRECT", "NO"
    header.BreastImplantPresent = "NO"
    header.Rows, header.Columns, header.SamplesPerPixel, header.PhotometricInterpretation = 32, 24, 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    for keyword, value in changes.items():
        if value is None:
            delattr(header, keyword)
        else:
            setattr(header, keyword, value)
    return header


def label_number(label: str) -> int:
    return [*ALL, "+1", "+2", "+3", "+4"].index(label) + 1


@dataclass(frozen=True, kw_only=True)
class Case:
    """change: label of one of the four views -> changes, None without it. more: label -> (view it repeats, changes).

    read: the labels of the images that are read. against: label -> words of the reason why not. lacking: view -> words.
    """

    change: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    more: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    read: str = "RCC LCC RMLO LMLO"
    against: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    reads: str = "screening"

    def headers(self) -> dict[str, Dataset]:
        found = {}
        for label in ALL:
            changes = self.change.get(label, {})
            if changes is not None:
                found[label] = image(label, label, changes)
        return found | {label: image(label, base, changes) for label, (base, changes) in self.more.items()}


def each(**changes: Any) -> dict[str, dict[str, Any]]:
    return dict.fromkeys(ALL, changes)


def left_out(words: str, **changes: Any) -> Case:
    """A further image that looks like a right CC, taken later; the four views stay what they are."""
    return Case(more={"+1": ("RCC", changes)}, against={"+1": words})


def not_read(words: str, *, view: str = "RCC", **changes: Any) -> Case:
    """One of the four views itself is changed."""
    return Case(change={view: changes}, read=" ".join(label for label in ALL if label != view),
                against={view: words}, lacking={view: words})


RAW = {"SOPClassUID": PROCESSING, "PresentationIntentType": "FOR PROCESSING", "ImageType": ["ORIGINAL", "PRIMARY"]}
CASES: dict[str, Case] = {
    "plain": Case(),
    "M1 raw images beside": Case(
        more={"+1": ("RCC", RAW), "+2": ("LCC", RAW), "+3": ("RMLO", RAW), "+4": ("LMLO", RAW)},
        against=dict.fromkeys(("+1", "+2", "+3", "+4"), "it is FOR PROCESSING")),
    "M1 a model of raw images": Case(
        more={"+1": ("RCC", RAW), "+2": ("LCC", RAW), "+3": ("RMLO", RAW), "+4": ("LMLO", RAW)}, reads="raw screening",
        read="+1 +2 +3 +4", against=dict.fromkeys(ALL, "it is FOR PRESENTATION")),
    "M1 only raw images": Case(change=each(**RAW), read="", refused="FOR PROCESSING, which mg-cad does not read"),
    "M1 intent against SOP class": not_read("Presentation Intent Type is not", PresentationIntentType="FOR PROCESSING"),
    "M2 one view missing": Case(change={"LMLO": None}, read="RCC LCC RMLO", lacking={"LMLO": "not imaged"}),
    "M2 one breast only": Case(change={"RCC": None, "RMLO": None}, read="LCC LMLO",
                               lacking={"RCC": "not imaged", "RMLO": "not imaged"}),
    "M2 one view of each breast": Case(change={"RMLO": None, "LMLO": None}, read="",
                                       refused="no breast was imaged in both standard views"),
    "M2 CC of one, MLO of the other": Case(change={"RMLO": None, "LCC": None}, read="", refused="right MLO not imaged"),
    "M2 nothing": Case(change=dict.fromkeys(ALL), read="", refused="no breast was imaged"),
    "M3 spot": left_out("CC with Spot Compression", ViewCodeSequence=modified("399055006", "Spot Compression")),
    "M3 magnified": left_out("CC with Magnification", ViewCodeSequence=modified("399163009", "Magnification")),
    "M3 rolled": left_out("Rolled Lateral", ViewCodeSequence=modified("399197002", "Rolled Lateral")),
    "M3 cleavage": left_out("Cleavage", ViewCodeSequence=modified("399161006", "Cleavage")),
    "M3 tangential": left_out("tangential", ViewCodeSequence=modified("399110001", "tangential")),
    "M3 axillary tail": left_out("Axillary Tail", ViewCodeSequence=modified("399011000", "Axillary Tail")),
    "M3 a modifier nobody knows": left_out("Turned", ViewCodeSequence=modified("X-1", "Turned", scheme="99X")),
    "M3 ML": left_out("no standard view but ML", ViewPosition="ML", PatientOrientation=["P", "F"]),
    "M3 ML instead of the MLO": Case(
        change={"LMLO": {"ViewPosition": "ML", "PatientOrientation": ["A", "F"]}}, read="RCC LCC RMLO",
        against={"LMLO": "no standard view but ML"}, lacking={"LMLO": "not imaged"}),
    "M3 LM": left_out("no standard view but LM", ViewPosition="LM", PatientOrientation=["P", "F"]),
    "M3 LMO": left_out("no standard view but LMO", ViewPosition="LMO", PatientOrientation=["P", "F"]),
    "M3 XCCL": left_out("no standard view but XCCL", ViewPosition="XCCL"),
    "M3 from below": left_out("no standard view but FB", ViewPosition="FB"),
    "M3 magnified by its factor alone": left_out("magnified 1.8 times", EstimatedRadiographicMagnificationFactor=1.8),
    "M3 spot by its paddle alone": left_out("call it a spot view", PaddleDescription="SPOT CONTACT 10CM"),
    "M3 spot by its series alone": left_out("call it a spot view", SeriesDescription="R CC Spot"),
    "M3 rolled by its series alone": left_out("a rolled view", SeriesDescription="R CC rolled"),
    "M3 only a spot of a view": not_read("Spot Compress", ViewCodeSequence=modified("399055006", "Spot Compression")),
    "M4 implant in one breast": Case(
        change={"LCC": {"BreastImplantPresent": "YES"}, "LMLO": {"BreastImplantPresent": "YES"}}, read="RCC RMLO",
        against={"LCC": "implant", "LMLO": "implant"}, lacking={"LCC": "implant", "LMLO": "implant"}),
    "M4 implant named on one image of it": Case(
        change={"LCC": {"BreastImplantPresent": "YES"}}, read="RCC RMLO",
        against={"LCC": "implant", "LMLO": "implant"}, lacking={"LCC": "implant", "LMLO": "implant"}),
    "M4 displaced": Case(
        more={"+1": ("RCC", {"ViewCodeSequence": modified("399209000", "Implant Displaced")})}, read="LCC LMLO",
        against={"+1": "Implant Displaced", "RCC": "implant", "RMLO": "implant"}),
    "M4 displaced by words alone": Case(
        more={"+1": ("RCC", {"SeriesDescription": "R CC Eklund"})}, read="LCC LMLO",
        against={"+1": "implant-displaced", "RCC": "implant"}),
    "M4 implants in both": Case(change=each(BreastImplantPresent="YES"), read="", refused="implant"),
    "M5 no laterality": Case(change={"RCC": {"ImageLaterality": None}}, read="LCC RMLO LMLO",
                             against={"RCC": "does not say which breast"}, lacking={"RCC": "not found among"}),
    "M5 both sides at once": Case(change={"RCC": {"ImageLaterality": "B"}}, read="LCC RMLO LMLO",
                                  against={"RCC": "its laterality is B"}),
    "M5 Laterality says the other": Case(change={"RCC": {"Laterality": "L"}}, read="LCC RMLO LMLO",
                                         against={"RCC": "two sides (ImageLaterality R, Laterality L)"}),
    "M5 Laterality says the same": Case(change={"RCC": {"Laterality": "R"}}),
    "M5 Laterality alone": Case(change={"RCC": {"ImageLaterality": None, "Laterality": "R"}}),
    "M5 region says the other": Case(change={"RCC": {"AnatomicRegionSequence": region("7771000", "Left")}},
                                     read="LCC RMLO LMLO", against={"RCC": "names two sides"}),
    "M5 region alone": Case(change={"RCC": {"ImageLaterality": None,
                                            "AnatomicRegionSequence": region("24028007", "Right")}}),
    "M5 description says the other": Case(change={"RCC": {"SeriesDescription": "L CC"}}, read="LCC RMLO LMLO",
                                          against={"RCC": "SeriesDescription text L"}),
    "M5 description says the same": Case(change={"RCC": {"SeriesDescription": "Right CC"}}),
    "M5 description of all four": Case(change=each(SeriesDescription="R CC, L CC, R MLO, L MLO")),
    "M5 orientation of the other breast": not_read("MLO view of the left breast", view="RMLO",
                                                   PatientOrientation=["P", "FR"]),
    "M5 orientation turned upside down": Case(change={"RMLO": {"PatientOrientation": ["P", "HR"]}}),
    "M5 orientation of a chest": not_read("no direction to the front", view="RCC", PatientOrientation=["L", "F"]),
    "M5 no orientation": Case(change={"RCC": {"PatientOrientation": None}}),
    "M5 a right breast flipped to look left": Case(change={"RCC": {"PatientOrientation": ["A", "L"]}}),
    "M6 code alone": Case(change={"RCC": {"ViewPosition": None, "ViewCodeSequence": [CC]}}),
    "M6 retired code alone": Case(change={"RMLO": {"ViewPosition": None, "ViewCodeSequence": [
        code("R-10226", "medio-lateral oblique", "SRT")]}}),
    "M6 text and code": Case(change={"RCC": {"ViewCodeSequence": [CC]}}),
    "M6 text against code": Case(change={"RCC": {"ViewCodeSequence": [MLO]}}, read="LCC RMLO LMLO",
                                 against={"RCC": "it names two views"}),
    "M6 neither": Case(change={"RCC": {"ViewPosition": None}}, read="LCC RMLO LMLO",
                       against={"RCC": "does not say which view"}, lacking={"RCC": "not found among"}),
    "M6 a code nobody knows": Case(change={"RCC": {"ViewPosition": None, "ViewCodeSequence": [
        code("1", "upside down", "99X")]}}, read="LCC RMLO LMLO", against={"RCC": "no standard view but upside down"}),
    "M6 a text nobody knows": Case(change={"RCC": {"ViewPosition": "CCID"}}, read="LCC RMLO LMLO",
                                   against={"RCC": "no standard view but CCID"}),
    "M6 description against view": Case(change={"RCC": {"SeriesDescription": "R MLO"}}, read="LCC RMLO LMLO",
                                        against={"RCC": "it names two views"}),
    "M7 a part beside the whole": left_out("only a part of the breast", PartialView="YES"),
    "M7 only parts": Case(
        change={"RCC": {"PartialView": "YES"}}, more={"+1": ("RCC", {"PartialView": "YES"})}, read="LCC RMLO LMLO",
        against={"RCC": "only a part", "+1": "only a part"}, lacking={"RCC": "only a part of the breast"}),
    "M8 taken again": Case(more={"+1": ("RCC", {"AcquisitionTime": "102500"})}, read="+1 LCC RMLO LMLO",
                           against={"RCC": "a newer image of right CC"}),
    "M8 taken again and sent first": Case(more={"+1": ("RCC", {"AcquisitionTime": "090000"})},
                                          against={"+1": "a newer image"}),
    "M8 three times": Case(
        more={"+1": ("LMLO", {"AcquisitionTime": "102500"}), "+2": ("LMLO", {"AcquisitionTime": "102400.5"})},
        read="RCC LCC RMLO +1", against={"LMLO": "a newer image", "+2": "a newer image"}),
    "M8 at the same time": Case(
        more={"+1": ("RCC", {"AcquisitionTime": "101711"})}, read="LCC RMLO LMLO",
        against={"RCC": "nothing says which is the newest", "+1": "nothing says which is the newest"}),
    "M8 one exposure processed again": Case(
        change={"RCC": {"ContentDate": "20260302", "ContentTime": "101800"}},
        more={"+1": ("RCC", {"AcquisitionTime": "101711", "ContentDate": "20260302", "ContentTime": "102000"})},
        read="+1 LCC RMLO LMLO", against={"RCC": "a newer image"}),
    "M8 without times": Case(
        more={"+1": ("RCC", {"AcquisitionTime": None})}, read="LCC RMLO LMLO",
        against={"RCC": "nothing says which is the newest", "+1": "nothing says which is the newest"}),
    "M8 the newest was rejected": Case(
        more={"+1": ("RCC", {"AcquisitionTime": "102500"}), "+2": ("RCC", {
            "SOPClassUID": KEY_OBJECTS, "Modality": "KO",
            "ConceptNameCodeSequence": [code("113001", "Rejected for Quality Reasons", "DCM")],
            "CurrentRequestedProcedureEvidenceSequence": evidence("2.25.1.5")})},
        against={"+1": "rejected after it was taken"}),
    "M9 reconstruction": left_out("Breast Tomosynthesis", SOPClassUID=TOMOSYNTHESIS, NumberOfFrames=60),
    "M9 reconstruction as CT": left_out("not a MG image", SOPClassUID=CT),
    "M9 projections": left_out("not a MG image", SOPClassUID=TOMO_PROJECTIONS),
    "M9 projections in a plain class": left_out("tomosynthesis", ImageType=["ORIGINAL", "PRIMARY", "TOMO_PROJ"]),
    "M9 secondary capture": left_out("Secondary Capture", SOPClassUID=CAPTURE),
    "M9 synthetic": left_out("tomosynthesis", ImageType=["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"]),
    "M9 synthetic by its description": left_out("computed from a tomosynthesis", SeriesDescription="R CC C-View"),
    "M9 synthetic instead of the view": not_read("tomosynthesis", ImageType=["DERIVED", "PRIMARY", "", "GENERATED_2D"]),
    "M9 a type nobody knows": left_out("Image Type has PANORAMA", ImageType=["DERIVED", "PRIMARY", "PANORAMA"]),
    "M9 several frames": left_out("several frames", NumberOfFrames=15),
    "M9 one word as its type": Case(change={"RCC": {"ImageType": "ORIGINAL"}}),
    "M9 made after the examination": left_out("SECONDARY", ImageType=["DERIVED", "SECONDARY"]),
    "M10 inverted": Case(change=each(PhotometricInterpretation="MONOCHROME1")),
    "M10 colour": left_out("Photometric Interpretation is RGB", PhotometricInterpretation="RGB", SamplesPerPixel=3),
    "M10 no pixel spacing": not_read("how large its pixels are", ImagerPixelSpacing=None),
    "M10 Pixel Spacing instead": Case(change={"RCC": {"ImagerPixelSpacing": None, "PixelSpacing": [0.1, 0.1]}}),
    "M10 pixels that are not square": not_read("not square", ImagerPixelSpacing=[0.07, 0.1]),
    "M11 specimen": left_out("specimen", ViewCodeSequence=[code("127457009", "tissue specimen from breast")]),
    "M11 specimen by its container": left_out("specimen", SpecimenDescriptionSequence=[Dataset()]),
    "M11 specimen on no positioner": left_out("specimen", PositionerType="NONE"),
    "M11 stereotactic": left_out("intervention", SeriesDescription="Stereotactic pair"),
    "M11 biopsy by procedure code": left_out("intervention", ProcedureCodeSequence=[
        code("122548005", "Biopsy of breast")]),
    "M11 galactography": left_out("intervention", StudyDescription="Galactography right"),
    "M11 quality control": left_out("quality control", QualityControlImage="YES"),
    "M12 low energy": left_out("contrast medium", ImageType=["ORIGINAL", "PRIMARY", "", "LOW_ENERGY"]),
    "M12 recombined": left_out("contrast medium", ImageType=["DERIVED", "PRIMARY", "", "RECOMBINED"]),
    "M12 by its agent": left_out("contrast medium", ContrastBolusAgent="Iohexol"),
    "M12 all of it": Case(change=each(ContrastBolusAgent="Iohexol"), read="", refused="contrast medium"),
    "M12 by its description": left_out("contrast medium", SeriesDescription="R CC CESM"),
    "M13 digitised film": not_read("digitised film", DetectorType="FILM"),
    "M13 film by conversion": not_read("digitised film", ConversionType="DF"),
    "M14 a gigabyte of tomosynthesis": left_out("Breast Tomosynthesis", SOPClassUID=TOMOSYNTHESIS, NumberOfFrames=90,
                                                Rows=4096, Columns=3328),
    "M15 a Frame of Reference that only one image has": Case(change={"RCC": {"FrameOfReferenceUID": "2.25.9"}}),
    "M16 prior and current in one study": Case(
        more={f"+{number}": (label, {"AcquisitionDate": "20240302", "AcquisitionTime": "170000"})
              for number, label in enumerate(ALL, 1)},
        against=dict.fromkeys(("+1", "+2", "+3", "+4"), "an earlier examination")),
    "M16 a prior does not fill a gap": Case(
        change={"LMLO": None}, more={"+1": ("LMLO", {"AcquisitionDate": "20240302"})}, read="RCC LCC RMLO",
        against={"+1": "an earlier examination"}, lacking={"LMLO": "an earlier examination"}),
    "M16 over midnight": Case(change={"RCC": {"AcquisitionTime": "235900"}, "LCC": {
        "AcquisitionTime": "235930"}, "RMLO": {"AcquisitionDate": "20260303", "AcquisitionTime": "000030"}, "LMLO": {
        "AcquisitionDate": "20260303", "AcquisitionTime": "000100"}}),
    "M16 two studies": Case(change={"LMLO": {"StudyInstanceUID": "2.25.2"}}, refused="of 2 studies"),
    "M16 a day that is not said": Case(
        more={"+1": ("RCC", {"AcquisitionDate": "20240302"})},
        change={"LMLO": {"AcquisitionDate": None, "AcquisitionTime": None, "StudyDate": None}}, read="RCC LCC RMLO",
        against={"+1": "an earlier examination", "LMLO": "does not say when it was taken"}),
    "a man": Case(change=each(PatientSex="M"), refused="registered as male"),
    "not a mammogram at all": Case(change=each(SOPClassUID=CT, Modality="CT"), read="", refused="not a MG image"),
}


def _params() -> list[Any]:
    return [pytest.param(case, id=name, marks=pytest.mark.catalogue(name.split()[0]) if name[0] == "M" else ())
            for name, case in CASES.items()]


def _examined(case: Case) -> tuple[Screening, dict[str, Dataset]]:
    headers = case.headers()
    return examine(list(headers.values()), replace(MANIFEST, reads=case.reads)), headers


@pytest.mark.goal("mammograms")
@pytest.mark.parametrize("case", _params())
def test_of_each_view_one_clear_image_is_read_and_every_other_has_its_reason(case: Case) -> None:
    found, headers = _examined(case)
    assert case.refused in found.refused
    assert bool(found.refused) == bool(case.refused)
    label_of = {str(header.SOPInstanceUID): label for label, header in headers.items()}
    read = [label_of[uid] for uid in found.views.values()]
    if case.read or not case.refused:
        assert set(read) == set(case.read.split())
    assert len(set(read)) == len(read)
    for place, uid in found.views.items():
        assert place == (label_of[uid][0], label_of[uid][1:]) or ALL[case.more[label_of[uid]][0]] == place
    for label, words in case.against.items():
        assert words in found.left_out[str(headers[label].SOPInstanceUID)]
    pictures = {str(each.SOPInstanceUID) for each in headers.values() if each.SOPClassUID != KEY_OBJECTS}
    assert found.views.keys() | found.lacking.keys() == set(STANDARD)
    assert set(found.views.values()) | found.left_out.keys() == pictures
    assert not set(found.views.values()) & found.left_out.keys()
    for label, words in case.lacking.items():
        assert words in found.lacking[ALL[label]]
    for place in found.lacking:
        assert any(named(place) in note.lower().replace("cc", "CC").replace("mlo", "MLO")
                   or f"{'right' if place[0] == 'R' else 'left'} breast" in note.lower() for note in found.notes)


@pytest.mark.parametrize("case", _params())
def test_the_order_in_which_images_arrive_changes_nothing(case: Case) -> None:
    found, headers = _examined(case)
    turned = examine(list(headers.values())[::-1], replace(MANIFEST, reads=case.reads))
    assert (turned.views, turned.left_out, turned.lacking) == (found.views, found.left_out, found.lacking)


@pytest.mark.catalogue("M2")
def test_of_a_breast_that_was_not_imaged_it_says_so() -> None:
    found, _ = _examined(CASES["M2 one breast only"])
    assert found.notes == ("Right breast not imaged. Nothing is said about this breast.",)


@pytest.mark.catalogue("M5")
def test_a_mammogram_of_an_unclear_side_is_named_to_the_radiologist() -> None:
    found, _ = _examined(CASES["M5 Laterality says the other"])
    assert any("do not say clearly which breast" in note and "two sides" in note for note in found.notes)
    assert not any("not imaged" in note for note in found.notes)


def test_what_was_chosen_is_read_in_the_order_of_a_hanging(tmp_path: Path) -> None:
    headers = CASES["M8 taken again"].headers()
    instances = [SourceInstance(path=tmp_path, dataset=each) for each in headers.values()]
    selection = select_screening(instances[::-1], MANIFEST)
    assert [each.instance.dataset for each in selection.images] == [
        headers["+1"], headers["LCC"], headers["RMLO"], headers["LMLO"]
    ]
    assert list(selection.excluded) == [headers["RCC"].SOPInstanceUID]


@pytest.mark.catalogue("M16")
def test_a_study_that_is_no_screening_is_refused_in_a_sentence(tmp_path: Path) -> None:
    headers = CASES["M16 two studies"].headers().values()
    with pytest.raises(NotProcessed, match="2 studies; a screening is one"):
        select_screening([SourceInstance(path=tmp_path, dataset=each) for each in headers], MANIFEST)
