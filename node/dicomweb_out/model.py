"""Matches of a search as DICOM JSON (PS3.18 10.6.3 and Annex F). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from radnode.node.dicomweb_out.matching import tag_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.storage.listing_queries import Found

_NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_ALWAYS = {
    "study": (
        "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyDescription",
        "TimezoneOffsetFromUTC", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
        "StudyID",
    ),
    "series": (
        "Modality", "SeriesDescription", "SeriesNumber", "SeriesDate", "SeriesTime", "BodyPartExamined",
        "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "TimezoneOffsetFromUTC",
    ),
    "instance": ("InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"),
}
_OF_CODE = {"CodeValue": "SH", "CodingSchemeDesignator": "SH", "CodeMeaning": "LO"}


def match(found: Found, base: str, wanted: frozenset[str] | None) -> dict[str, Any]:
    """One match with the levels above it. base: address of the service. wanted: keywords beside the usual ones, None:
    all that is known.
    """
    values: dict[str, Any] = {"SpecificCharacterSet": "ISO_IR 192", "InstanceAvailability": "ONLINE"}
    address = f"{base}/studies/{found.study.study_instance_uid}"
    values |= _kept(found.study.attributes, "study", wanted)
    values["StudyInstanceUID"] = found.study.study_instance_uid
    if found.instance is None:
        values |= {
            "NumberOfStudyRelatedSeries": found.study.series, "NumberOfStudyRelatedInstances": found.study.instances,
            "ModalitiesInStudy": list(found.study.modalities),
        }
    if found.series is not None:
        address += f"/series/{found.series.series_instance_uid}"
        values |= _kept(found.series.attributes, "series", wanted)
        values["SeriesInstanceUID"] = found.series.series_instance_uid
        if found.instance is None:
            values["NumberOfSeriesRelatedInstances"] = found.series.instances
    if found.instance is not None:
        address += f"/instances/{found.instance.sop_instance_uid}"
        values |= _kept(found.instance.attributes, "instance", wanted)
        values |= {
            "SOPInstanceUID": found.instance.sop_instance_uid, "SOPClassUID": found.instance.sop_class_uid,
            "AvailableTransferSyntaxUID": found.instance.transfer_syntax_uid,
        }
    values["RetrieveURL"] = address
    elements = dict(_element(keyword, value) for keyword, value in values.items())
    return dict(sorted(elements.items()))


def _kept(attributes: Mapping[str, Any], level: str, wanted: frozenset[str] | None) -> dict[str, Any]:
    """The usual attributes of a level, empty where unknown, and of the others those that are wanted and known."""
    usual = dict.fromkeys(_ALWAYS[level]) if level != "instance" else {}
    known = {
        keyword: value for keyword, value in attributes.items()
        if keyword != "PixelDataPresent" and (wanted is None or keyword in wanted or keyword in _ALWAYS[level])
    }
    return {**usual, **known}


def _element(keyword: str, value: Any) -> tuple[str, dict[str, Any]]:
    tag, vr = tag_of(keyword)
    vr = vr.partition(" or ")[0]
    if value is None or value == []:
        return tag, {"vr": vr}
    values = value if isinstance(value, list) else [value]
    return tag, {"vr": vr, "Value": [_value(vr, each) for each in values]}


def _value(vr: str, value: Any) -> Any:
    if vr == "SQ":
        return {tag_of(name)[0]: {"vr": of, "Value": [value[name]]} for name, of in _OF_CODE.items() if value.get(name)}
    if vr == "PN":
        groups = str(value).split("=")
        return {name: group for name, group in zip(_GROUPS, groups, strict=False) if group}
    if vr in _NUMBERS:
        return value if isinstance(value, int | float) else str(value)
    return str(value)
