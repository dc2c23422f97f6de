"""The gate of messages: read again by other code than wrote them, and compared with the findings and the images.

A message is refused as a result object is: with it the whole job.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from pydicom.valuerep import PersonName

from radnode.pipelines.findings import Code
from radnode.pipelines.messages import hl7
from radnode.pipelines.results.gate import GateRefused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from radnode.pipelines.messages.statements import Report
    from radnode.pipelines.results.writing import Making

Fault = tuple[str, str]
_CLOSE = 1e-6
_NEEDED = {"Device": ("identifier",), "Observation": ("identifier", "status", "code", "subject"),
           "DiagnosticReport": ("identifier", "status", "code", "subject", "conclusion", "imagingStudy")}


def check(content: bytes, making: Making, report: Report, objects: Collection[str]) -> None:
    """Refuse a message that does not say what was found, of whom. objects: SOP Instance UIDs that it may name.

    Raises :class:`~radnode.pipelines.results.gate.GateRefused`.
    """
    name = making.wanted.form
    faults = _faults_of_oru if name.startswith("ORU") else _faults_of_bundle
    try:
        for check_name, detail in faults(content, making, report, objects):
            raise GateRefused(name, check_name, detail)
    except (hl7.NotReadable, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise GateRefused(name, "message", f"cannot be read back ({type(error).__name__})") from error


def _faults_of_oru(content: bytes, making: Making, report: Report, objects: Collection[str]) -> Iterator[Fault]:
    message = hl7.read(content)
    if [each.name for each in message.segments[:3]] != ["MSH", "PID", "OBR"] or len(list(message.all("OBR"))) != 1:
        yield "structure", "not one MSH, PID and OBR"
        return
    yield from _patient(message.segments[1], making)
    obr, said = message.segments[2], list(message.all("OBX"))
    common, order = making.source.common, making.provenance.order
    if obr.get(18) != str(common.AccessionNumber or "").strip():
        yield "study", "OBR-18 is not the images' Accession Number"
    if [each.get(5, 2) for each in said if each.get(2) == "HD"] != [str(common.StudyInstanceUID)]:
        yield "study", "not the images' Study Instance UID"
    if [each.get(5) for each in said if each.get(3) == "CONTENT-QUALIFICATION"] != [order.content_qualification]:
        yield "qualification", f"it does not say {order.content_qualification}"
    if {each.get(11) for each in said} != {"P" if report.processed else "X"} or obr.get(25) != "P":
        yield "status", "not preliminary"
    if not {each.get(5) for each in said if each.get(2) == "RP"} <= set(objects):
        yield "reference", "it names an object that is no result of this job"
    texts = [hl7.unescape(each.raw(5)) for each in said if each.get(2) == "TX"]
    if texts != list(report.sentences):
        yield "sentences", "they are not those of the findings"
    numbers = [(each.get(3), float(each.get(5)), each.get(6)) for each in said if each.get(2) == "NM"]
    codes = [(each.get(3), each.get(5)) for each in said if each.get(2) == "CWE"]
    yield from _content(report, numbers, codes)


def _patient(pid: hl7.Segment, making: Making) -> Iterator[Fault]:
    common = making.source.common
    if pid.get(3) != str(common.PatientID or "").strip() or len(pid.repetitions(3)) > 1:
        yield "patient", "PID-3 is not the images' Patient ID"
    if pid.get(7) != str(common.PatientBirthDate or "") or pid.get(8) != str(common.PatientSex or ""):
        yield "patient", "PID-7 or PID-8 differ from the images'"
    if (pid.get(5), pid.get(5, 2)) != _first_words(PersonName(str(common.PatientName or ""))):
        yield "patient", "PID-5 is not the images' Patient's Name"


def _first_words(name: PersonName) -> tuple[str, str]:
    words = [*(name.alphabetic or name.ideographic or name.phonetic or "").split("^"), ""]
    return words[0].strip(), words[1].strip()


def _faults_of_bundle(content: bytes, making: Making, report: Report, objects: Collection[str]) -> Iterator[Fault]:
    bundle = json.loads(content)
    resources = [entry["resource"] for entry in bundle["entry"]]
    if bundle["resourceType"] != "Bundle" or bundle["type"] != "transaction":
        yield "structure", "no transaction"
    yield from _entries(bundle["entry"])
    common, order = making.source.common, making.provenance.order
    clinical = [each for each in resources if each["resourceType"] != "Device"]
    if {each["subject"]["identifier"]["value"] for each in clinical} != {str(common.PatientID or "").strip()}:
        yield "patient", "a subject is not the images' patient"
    accession = str(common.AccessionNumber or "").strip()
    orders = {one["identifier"]["value"] for each in clinical for one in each.get("basedOn", [])}
    if orders != ({accession} if accession else set()):
        yield "study", "the order is not that of the images' Accession Number"
    if {each["status"] for each in clinical} != {"preliminary"}:
        yield "status", "not preliminary"
    if any(each["meta"]["tag"][0]["code"] != order.content_qualification for each in clinical):
        yield "qualification", f"it does not say {order.content_qualification}"
    reports = [each for each in clinical if each["resourceType"] == "DiagnosticReport"]
    if len(reports) != 1:
        yield "structure", "not one DiagnosticReport"
        return
    yield from _study(reports[0], making, objects)
    if reports[0]["conclusion"].split("\n", 1)[-1] != "\n".join(report.sentences):
        yield "sentences", "they are not those of the findings"
    observations = [each for each in clinical if each["resourceType"] == "Observation"]
    if len(reports[0]["result"]) != len(observations):
        yield "structure", "the report does not name every observation"
    yield from _content(report, *_said(observations, processed=report.processed))


def _entries(entries: list[dict[str, Any]]) -> Iterator[Fault]:
    urls = [entry["fullUrl"] for entry in entries]
    if len(set(urls)) != len(urls):
        yield "structure", "two entries share a fullUrl"
    for entry in entries:
        resource = entry["resource"]
        missing = [key for key in _NEEDED[resource["resourceType"]] if not resource.get(key)]
        if missing:
            yield "structure", f"{resource['resourceType']} has no {missing[0]}"
        if entry["request"]["method"] != "POST" or not entry["request"].get("ifNoneExist"):
            yield "structure", "an entry is not created on a condition"
        if not set(_references(resource)) <= {*urls, *(f"#{each['id']}" for each in resource.get("contained", []))}:
            yield "reference", "a reference leads out of the bundle"


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _study(report: dict[str, Any], making: Making, objects: Collection[str]) -> Iterator[Fault]:
    study = report["contained"][0]
    if study["identifier"][0]["value"] != f"urn:oid:{making.source.common.StudyInstanceUID}":
        yield "study", "not the images' Study Instance UID"
    named = {one["uid"] for series in study["series"] for one in series.get("instance", [])}
    if not named <= set(objects):
        yield "reference", "it names an object that is no result of this job"


def _said(
    observations: list[dict[str, Any]], *, processed: bool
) -> tuple[list[tuple[str, float, str]], list[tuple[str, str]]]:
    """(numbers, codes) that the observations say, under the names that HL7 v2 has for them."""
    numbers, codes = [], []
    for each in observations:
        name = each["code"]["coding"][0]["code"]
        if quantity := each.get("valueQuantity"):
            numbers.append((name, float(quantity["value"]), quantity.get("code", "")))
        if value := each.get("valueCodeableConcept"):
            codes.append((name, value["coding"][0]["code"]))
        if each.get("dataAbsentReason") and not processed:
            codes.append((name, "111245"))
        codes += [(one["code"]["coding"][0]["code"], one["valueCodeableConcept"]["coding"][0]["code"])
                  for one in each.get("component", []) if "valueCodeableConcept" in one]
    return numbers, codes


def _content(
    report: Report, numbers: list[tuple[str, float, str]], codes: list[tuple[str, str]]
) -> Iterator[Fault]:
    """Numbers and codes are those of the findings, in their order."""
    wanted = [(each.name.value, each.value, each.unit.value if each.unit else "")
              for group in report.groups for each in group.statements if not isinstance(each.value, Code)]
    same = len(wanted) == len(numbers) and all(
        (name, unit) == (said_name, said_unit) and math.isclose(value, said, rel_tol=_CLOSE)
        for (name, value, unit), (said_name, said, said_unit) in zip(wanted, numbers, strict=True)
    )
    if not same:
        yield "numbers", "they are not those of the findings"
    meant = Counter((each.name.value, each.value.value) for group in report.groups for each in group.statements
                    if isinstance(each.value, Code))
    meant[("111017", report.outcome.value)] += 1
    meant.update(("121071", group.type.value) for group in report.groups if group.type)
    meant.update(("272741003", group.laterality.value) for group in report.groups if group.laterality)
    sites = Counter(("363698007", group.site.value) for group in report.groups if group.site)
    if Counter(each for each in codes if each[0] != "363698007") != meant:
        yield "codes", "they are not those of the findings"
    if any(each[0] == "363698007" for each in codes) and Counter(each for each in codes if each[0] == "363698007") \
            != sites:
        yield "codes", "the sites are not those of the findings"


