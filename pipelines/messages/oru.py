"""Results as ORU^R01 of HL7 v2.5.1 (chapter 7), preliminary, in UTF-8.

MSH-5 and MSH-6 stay empty here: who it is for is written when it is sent
(:func:`radnode.pipelines.messages.hl7.addressed`), into bytes that are otherwise those that passed the gate.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING

from pydicom.valuerep import PersonName

from radnode.pipelines.findings import Code
from radnode.pipelines.messages import hl7
from radnode.pipelines.messages.hl7 import composed, escape, segment
from radnode.pipelines.messages.identities import accession_number, order_numbers, patient_id
from radnode.pipelines.messages.statements import SUMMARY
from radnode.pipelines.results.identity import local_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from pydicom import Dataset

    from radnode.pipelines.messages.identities import Identifier
    from radnode.pipelines.messages.statements import Group, Report, Statement
    from radnode.pipelines.results.writing import Making

REPORT = Code("18748-4", "LN", "Diagnostic imaging study")
STUDY = Code("113014", "DCM", "DICOM Study")
OBJECTS = Code("121181", "DCM", "DICOM Object Catalog")
FINDING = Code("121071", "DCM", "Finding")
SITE = Code("363698007", "SCT", "Finding Site")
LATERALITY = Code("272741003", "SCT", "Laterality")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
COMMENT = Code("121106", "DCM", "Comment")
QUALIFICATION = Code("CONTENT-QUALIFICATION", "99RADNODE", "Content Qualification")

PRELIMINARY, NO_RESULT = "P", "X"
"""HL7 tables 0123 and 0085. X: results cannot be obtained for this observation."""


def write(making: Making, report: Report, objects: Sequence[str], message_uid: str) -> bytes:
    """The message. objects: SOP Instance UIDs of the results of the job. message_uid: the same on every retry."""
    started = local_time(making.provenance, making.source.common)
    status = PRELIMINARY if report.processed else NO_RESULT
    lines = [
        segment("MSH", {2: hl7.SEPARATORS[1:], 3: "RADNODE", 7: _time(started), 9: composed("ORU", "R01", "ORU_R01"),
                        10: control_id(message_uid), 11: "P", 12: "2.5.1", 18: "UNICODE UTF-8"}),
        _pid(making),
        _obr(making, started),
    ]
    for number, (kind, name, sub, value, more) in enumerate(_observations(making, report, objects), 1):
        lines.append(segment("OBX", {1: str(number), 2: kind, 3: code(name), 4: sub, 5: value, 11: status,
                                     18: _device(making), **more}))
    return hl7.written(lines)


def control_id(message_uid: str) -> str:
    """MSH-10, which has 20 characters: of the UID under which the message is kept."""
    return hashlib.sha256(message_uid.encode()).hexdigest()[:20].upper()


def number(value: float) -> str:
    """NM: seven significant digits, without exponent (HL7 v2.5.1 2.A.47)."""
    text = format(Decimal(f"{value:.7g}"), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def code(concept: Code) -> str:
    """CWE. The schemes of DICOM are called the same in HL7 table 0396."""
    return composed(concept.value, concept.meaning, concept.scheme)


def title(making: Making) -> str:
    """What a list of results shows; it says RESEARCH, because most lists show nothing else."""
    qualification = making.provenance.order.content_qualification
    return f"AI {making.provenance.manifest.title}" + (f" {qualification}" if qualification != "PRODUCT" else "")


def _pid(making: Making) -> str:
    common = making.source.common
    return segment("PID", {
        1: "1", 3: identified(patient_id(common, making.provenance.order.issuers)),
        5: names(common.get("PatientName")), 7: str(common.get("PatientBirthDate") or ""),
        8: str(common.get("PatientSex") or ""),
    })


def identified(identifier: Identifier) -> str:
    """CX: the value, and in its fourth component who gave it."""
    authority = "&".join(map(escape, (identifier.authority, identifier.universal, identifier.universal_type)))
    return f"{escape(identifier.value)}^^^{authority.rstrip('&')}".rstrip("^")


def names(value: object) -> str:
    """XPN: a repetition for each component group, with its representation; prefix and suffix change their places."""
    if not value:
        return ""
    name = PersonName(str(value))
    said = []
    for group, representation in ((name.alphabetic, "A"), (name.ideographic, "I"), (name.phonetic, "P")):
        if group:
            family, given, middle, prefix, suffix = (*group.split("^"), "", "", "", "", "")[:5]
            said.append(composed(family, given, middle, suffix, prefix, "", "", representation))
    return "~".join(said)


def _obr(making: Making, started: datetime) -> str:
    common = making.source.common
    accession = accession_number(common, making.provenance.order.issuers).value
    placer, filler = order_numbers(common)
    manifest = making.provenance.manifest
    return segment("OBR", {
        1: "1", 2: escape(placer), 3: escape(filler or accession),
        4: composed(REPORT.value, REPORT.meaning, REPORT.scheme, manifest.name, title(making), "99RADNODE"),
        7: str(common.get("StudyDate") or "") + _seconds(common), 18: escape(accession), 22: _time(started), 24: "RAD",
        25: PRELIMINARY,
    })


def _observations(
    making: Making, report: Report, objects: Sequence[str]
) -> Iterator[tuple[str, Code, str, str, dict[int, str]]]:
    """(type, name, sub-ID, value, further fields) of each OBX; a finding's share a sub-ID."""
    order = making.provenance.order
    yield "ST", QUALIFICATION, "", escape(order.content_qualification), {}
    yield "HD", STUDY, "", composed("", str(making.source.common.StudyInstanceUID), "ISO"), {}
    yield "CWE", SUMMARY, "", code(report.outcome), {}
    for place, group in enumerate(report.groups, 1):
        for kind, name, value, more in _of_group(group):
            yield kind, name, str(place), value, more
    for sentence in report.sentences:
        yield "TX", COMMENT, "", escape(sentence), {}
    for uid in objects:
        yield "RP", OBJECTS, "", composed(uid, "", "IM", "DICOM"), {}


def _of_group(group: Group) -> Iterator[tuple[str, Code, str, dict[int, str]]]:
    yield "ST", TRACKING_UID, group.tracking_uid, {}
    if group.type is not None:
        yield "CWE", FINDING, f"{code(group.type)}^^^^^^{escape(group.label)}", {}
    if group.site is not None:
        yield "CWE", SITE, code(group.site), {}
    if group.laterality is not None:
        yield "CWE", LATERALITY, code(group.laterality), {}
    for each in group.statements:
        yield _stated(each)


def _stated(each: Statement) -> tuple[str, Code, str, dict[int, str]]:
    if isinstance(each.value, Code):
        return "CWE", each.name, code(each.value), {}
    more = {6: code(each.unit)} if each.unit else {}
    if each.method:
        more[17] = code(each.method)
    return "NM", each.name, number(each.value), more


def _device(making: Making) -> str:
    manifest = making.provenance.manifest
    return composed(f"{manifest.name} {manifest.version}", "radnode", making.provenance.device_uid, "ISO")


def _time(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%S%z")


def _seconds(common: Dataset) -> str:
    """The Study Time to the second, where there is a date to it; with its offset where the images state one."""
    if not common.get("StudyDate"):
        return ""
    time = str(common.get("StudyTime") or "").split(".")[0]
    offset = str(common.get("TimezoneOffsetFromUTC") or "")
    return time + offset if len(time) in (4, 6) else ""
