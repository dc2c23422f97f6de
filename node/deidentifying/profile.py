"""What becomes of each attribute: PS3.15 Table E.1-1, its options, and what the table does not name.

The table is that of dicom-anonymizer, which is generated from the standard; its program is not used, because it leaves
sequences alone. Where the table leaves a choice by the IOD (X/Z, X/D, Z/D) the answer that keeps every IOD whole is
taken: the attribute stays, with nothing or a dummy in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom.datadict import keyword_for_tag, tag_for_keyword

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydicom.tag import BaseTag


class Action(Enum):
    """What becomes of a value. Whatever a kept sequence holds is judged in its turn."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    KEEP = "K"
    SHIFT = "date shifted"
    CLEAN = "C"
    AGE = "age"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The Basic Profile with these options (words of the configuration). words: in lower case, for descriptors."""

    retain: frozenset[str] = frozenset()
    clean: frozenset[str] = frozenset()
    words: frozenset[str] = field(default_factory=frozenset)

    @property
    def method_codes(self) -> list[tuple[str, str]]:
        """De-identification Method Code Sequence (0012,0064): CID 7050, code value and meaning."""
        said = [("113100", "Basic Application Confidentiality Profile")]
        said += [_METHODS[option] for option in _METHODS if option in self.retain | self.clean]
        return said


_METHODS: Mapping[str, tuple[str, str]] = {
    "pixels": ("113101", "Clean Pixel Data Option"),
    "structured-content": ("113104", "Clean Structured Content Option"),
    "descriptors": ("113105", "Clean Descriptors Option"),
    "modified-dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
    "device": ("113109", "Retain Device Identity Option"),
    "uids": ("113110", "Retain UIDs Option"),
    "safe-private": ("113111", "Retain Safe Private Option"),
}


def action(tag: BaseTag, vr: str, profile: Profile) -> Action:
    """What becomes of a public attribute.

    The table is a list of what is dangerous. What it does not name is kept only where its kind cannot name anybody:
    of free texts what is nobody's stays, bytes without a structure and attributes that nobody knows go,
    names and times are treated like those that it names, and every UID that the standard does not define is replaced.
    """
    if (chosen := _option(tag, vr, profile)) is not None:
        return chosen
    if tag in _LISTED:
        return _LISTED[tag]
    for mask, pattern in _REPEATING:
        if tag & mask == pattern:
            return Action.REMOVE
    if tag in _PIXELS:
        return Action.KEEP
    if vr in ("LO", "SH") and keyword_for_tag(tag).endswith(_FREE_TEXTS):
        return Action.CLEAN
    return _UNLISTED.get(vr, Action.KEEP)


def _option(tag: BaseTag, vr: str, profile: Profile) -> Action | None:
    """What an option says, which goes before the profile."""
    if "patient-characteristics" in profile.retain and tag in _CHARACTERISTICS:
        return Action.AGE if vr == "AS" else Action.KEEP
    if "device" in profile.retain and tag in _DEVICE:
        return Action.KEEP
    if "descriptors" in profile.clean and tag in _DESCRIPTORS:
        return Action.CLEAN
    if "uids" in profile.retain and vr == "UI":
        return Action.KEEP
    if "structured-content" in profile.clean and tag == _CONTENT:
        return Action.KEEP
    if "modified-dates" in profile.retain and vr in ("DA", "DT", "TM") and tag not in _OF_THE_PATIENT:
        return Action.SHIFT
    if "modified-dates" in profile.retain and tag == _TIMEZONE:
        return Action.KEEP
    return None


def _tags(keywords: Iterable[str]) -> frozenset[int]:
    found = {keyword: tag_for_keyword(keyword) for keyword in keywords}
    if unknown := [keyword for keyword, tag in found.items() if tag is None]:
        raise ValueError(f"the dictionary has no {', '.join(unknown)}")
    return frozenset(tag for tag in found.values() if tag is not None)


_ACTIONS: Mapping[str, Action] = {
    "X_TAGS": Action.REMOVE, "Z_TAGS": Action.EMPTY, "D_TAGS": Action.DUMMY, "U_TAGS": Action.UID,
    "Z_D_TAGS": Action.DUMMY, "X_Z_TAGS": Action.EMPTY, "X_D_TAGS": Action.DUMMY, "X_Z_D_TAGS": Action.DUMMY,
    "X_Z_U_STAR_TAGS": Action.KEEP,  # sequences of references, whose UIDs are replaced one by one
}
_LISTED: Mapping[int, Action] = {
    tag[0] << 16 | tag[1]: action for name, action in _ACTIONS.items() for tag in getattr(table, name) if len(tag) == 2
}
_REPEATING = [
    (tag[2] << 16 | tag[3], (tag[0] & tag[2]) << 16 | (tag[1] & tag[3])) for tag in table.X_TAGS if len(tag) == 4
]
_UNLISTED: Mapping[str, Action] = {
    "LT": Action.CLEAN, "ST": Action.CLEAN, "UT": Action.CLEAN, "UC": Action.CLEAN, "UR": Action.REMOVE,
    "UN": Action.REMOVE, "OB": Action.REMOVE, "PN": Action.DUMMY, "DA": Action.DUMMY, "DT": Action.DUMMY,
    "TM": Action.DUMMY, "AS": Action.REMOVE, "UI": Action.UID, "AE": Action.REMOVE,
}
_FREE_TEXTS = ("Description", "Label", "Comments", "Comment", "Text", "Title", "Reason")
_PIXELS = _tags((
    "PixelData", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "ICCProfile", "LUTData",
))
_CONTENT = 0x0040A730
_TIMEZONE = 0x00080201
_OF_THE_PATIENT = _tags((
    "PatientBirthDate", "PatientBirthTime", "PatientBirthDateInAlternativeCalendar",
    "PatientDeathDateInAlternativeCalendar", "LastMenstrualDate",
))
"""No option of the standard keeps the first four; the last is nobody's business outside."""
_CHARACTERISTICS = _tags((
    "EthnicGroup", "PatientAge", "PatientSex", "PatientSexNeutered", "PatientSize", "PatientWeight", "PregnancyStatus",
    "SmokingStatus",
))
"""Of the option; those that it would clean (allergies, state, special needs, pre-medication) go instead."""
_DEVICE = _tags((
    "CassetteID", "DetectorID", "DeviceDescription", "DeviceLabel", "DeviceSerialNumber", "DeviceUID", "GantryID",
    "GeneratorID", "LensMake", "LensModel", "LensSerialNumber", "LensSpecification", "ManufacturerDeviceClassUID",
    "ManufacturerDeviceIdentifier", "ModifyingDeviceID", "PerformedStationName", "PerformedStationNameCodeSequence",
    "PlateID", "ScheduledStationName", "ScheduledStationNameCodeSequence", "SourceManufacturer",
    "SourceSerialNumber", "StationName", "TransducerIdentificationSequence", "TreatmentMachineName", "UDISequence",
    "UniqueDeviceIdentifier", "XRayDetectorID", "XRayDetectorLabel", "XRaySourceID",
))
"""Of the option, but for its dates: a calibration on the day of the examination would tell that day."""
_DESCRIPTORS = _tags((
    "AcquisitionDeviceProcessingDescription", "AcquisitionProtocolDescription", "ContrastBolusAgent",
    "DerivationDescription", "PerformedProcedureStepDescription", "ProtocolName", "RequestedProcedureDescription",
    "ROIDescription", "ROIGenerationDescription", "ROIName", "ROIObservationLabel", "ScheduledProcedureStepDescription",
    "SeriesDescription", "StructureSetDescription", "StructureSetLabel", "StructureSetName", "StudyDescription",
    "UserContentLabel",
))
"""Of the option; the others, comments and histories, go."""
