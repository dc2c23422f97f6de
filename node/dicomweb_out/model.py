"""Matches of a search as DICOM JSON (PS3.18 10.6.3 and Annex F). Pure."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from radnode.node.dicomweb_out.matching import tag_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.storage.listing_queries import Found, InstanceFound, SeriesFound

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
_written = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_OF_CODE = {"CodeValue": "SH", "CodingSchemeDesignator": "SH", "CodeMeaning": "LO"}


def matches(found: Sequence[Found], base: str, wanted: frozenset[str] | None) -> str:
    """Matches as JSON, each with the levels above it; what many have in common is written once.

    base: address of the service. wanted: keywords beside the usual ones, None: all that is known.
    """
    of_studies: dict[int, dict[str, str]] = {}
    of_series: dict[int, dict[str, str]] = {}
    answers = []
    for each in found:
        study, series = each.study, each.series
        if study.study_id not in of_studies:
            of_studies[study.study_id] = _elements(_of_study(each, wanted))
        elements, address = of_studies[study.study_id], f"{base}/studies/{study.study_instance_uid}"
        if series is not None:
            if series.series_id not in of_series:
                own = _elements(_of_series(series, wanted, counted=each.instance is None))
                of_series[series.series_id] = elements | own
            elements = of_series[series.series_id]
            address += f"/series/{series.series_instance_uid}"
        if each.instance is not None:
            elements = elements | _elements(_of_instance(each.instance, wanted))
            address += f"/instances/{each.instance.sop_instance_uid}"
        elements = elements | _elements({"RetrieveURL": address})
        answers.append(f"{{{','.join([elements[tag] for tag in sorted(elements)])}}}")
    return f"[{','.join(answers)}]"


def _of_study(found: Found, wanted: frozenset[str] | None) -> dict[str, Any]:
    values = {
        "SpecificCharacterSet": "ISO_IR 192", "InstanceAvailability": "ONLINE",
        **_kept(found.study.attributes, "study", wanted), "StudyInstanceUID": found.study.study_instance_uid,
    }
    if found.instance is None:
        values |= {
            "NumberOfStudyRelatedSeries": found.study.series, "NumberOfStudyRelatedInstances": found.study.instances,
            "ModalitiesInStudy": list(found.study.modalities),
        }
    return values


def _of_series(series: SeriesFound, wanted: frozenset[str] | None, *, counted: bool) -> dict[str, Any]:
    values = {**_kept(series.attributes, "series", wanted), "SeriesInstanceUID": series.series_instance_uid}
    return {**values, "NumberOfSeriesRelatedInstances": series.instances} if counted else values


def _of_instance(instance: InstanceFound, wanted: frozenset[str] | None) -> dict[str, Any]:
    return {
        **_kept(instance.attributes, "instance", wanted), "SOPInstanceUID": instance.sop_instance_uid,
        "SOPClassUID": instance.sop_class_uid, "AvailableTransferSyntaxUID": instance.transfer_syntax_uid,
    }


def _elements(values: Mapping[str, Any]) -> dict[str, str]:
    """Tag -> its member of the object, in JSON."""
    return dict(_member(keyword, value) if isinstance(value, list | dict) else _common(keyword, value)
                for keyword, value in values.items())


def _member(keyword: str, value: Any) -> tuple[str, str]:
    tag, element = _element(keyword, value)
    return tag, f'"{tag}":{_written(element)}'


_common = lru_cache(maxsize=4096, typed=True)(_member)
"""Matches mostly say the same of each attribute."""


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
