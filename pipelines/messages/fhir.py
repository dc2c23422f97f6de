"""Results as FHIR R4: a transaction of one DiagnosticReport, its Observations and the Device that made them.

Every resource is created on the condition that none with its identifier is there, so that a bundle sent twice is stored
once (https://hl7.org/fhir/R4/http.html#ccreate). Patient and order are named by identifier, never created: they belong
to somebody else. R4 has no ImagingSelection; images and result objects are named in a contained ImagingStudy.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from radnode.pipelines.findings import Code
from radnode.pipelines.messages.identities import accession_number, patient_id
from radnode.pipelines.messages.oru import FINDING, LATERALITY, REPORT, TRACKING_UID, number, title
from radnode.pipelines.messages.statements import SUMMARY
from radnode.pipelines.results.identity import derived_uid, local_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.pipelines.messages.identities import Identifier
    from radnode.pipelines.messages.statements import Group, Report, Statement
    from radnode.pipelines.results.writing import Making

URI = "urn:ietf:rfc:3986"
DICOM_UID = "urn:dicom:uid"
UCUM = "http://unitsofmeasure.org"
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": UCUM,
    "RADLEX": "http://radlex.org",
}
_CATEGORY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}]}
_RADIOLOGY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}
_ACCESSION = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_STUDY = "study"

Resource = dict[str, Any]


def write(making: Making, report: Report, objects: Sequence[tuple[str, str, str, str]], message_uid: str) -> bytes:
    """The bundle. objects: (SOP class, SOP instance, series UID, modality) of the results of the job."""
    device = _device(making)
    context = _context(making, full_url(device))
    observations = _observations(making, report, message_uid, context)
    entries = [device, *observations, _report(making, report, objects, message_uid, context, observations)]
    bundle = {
        "resourceType": "Bundle", "type": "transaction",
        "identifier": {"system": URI, "value": f"urn:oid:{message_uid}"},
        "timestamp": local_time(making.provenance, making.source.common).isoformat(timespec="seconds"),
        "entry": [_entry(each) for each in entries],
    }
    return json.dumps(bundle, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def full_url(resource: Resource) -> str:
    """What other entries of the bundle call a resource: of its identifier, so the same on every retry."""
    identifier = resource["identifier"][0]
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identifier['system'] + '|' + identifier['value'])}"


def system_of(scheme: str) -> str:
    """The URI of a DICOM coding scheme; of a private one, a UUID that depends on its name alone."""
    return _SYSTEMS.get(scheme) or f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'radnode coding scheme {scheme}')}"


def concept(code: Code, text: str = "") -> Resource:
    """CodeableConcept."""
    coding = {"system": system_of(code.scheme), "code": code.value, "display": code.meaning}
    return {"coding": [coding], "text": text or code.meaning}


def _entry(resource: Resource) -> Resource:
    identifier = resource["identifier"][0]
    condition = "identifier=" + quote(f"{identifier['system']}|{identifier['value']}", safe="")
    return {
        "fullUrl": full_url(resource), "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"], "ifNoneExist": condition},
    }


def _identifier(uid: str) -> list[Resource]:
    return [{"system": URI, "value": f"urn:oid:{uid}"}]


def _named(identifier: Identifier) -> Resource:
    said = {"value": identifier.value}
    if identifier.system:
        said["system"] = identifier.system
    if identifier.authority:
        return {**said, "assigner": {"display": identifier.authority}}
    return dict(said)


def _context(making: Making, device: str) -> Resource:
    """What every resource says of whose it is, when and by what; `subject` by identifier alone."""
    common = making.source.common
    context: Resource = {
        "subject": {"type": "Patient", "identifier": _named(patient_id(common, making.provenance.order.issuers))},
        "device": {"reference": device},
    }
    date = str(common.get("StudyDate") or "")
    if len(date) == 8:
        context["effectiveDateTime"] = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    accession = accession_number(common, making.provenance.order.issuers)
    if accession.value:
        context["basedOn"] = [{"type": "ServiceRequest",
                               "identifier": {**_named(accession), "type": _ACCESSION}}]
    return context


def _device(making: Making) -> Resource:
    manifest = making.provenance.manifest
    return {
        "resourceType": "Device", "identifier": _identifier(making.provenance.device_uid),
        "deviceName": [{"name": manifest.title, "type": "manufacturer-name"}], "modelNumber": manifest.name,
        "manufacturer": "radnode", "version": [{"value": manifest.version}],
    }


def _tags(making: Making) -> Resource:
    qualification = making.provenance.order.content_qualification
    return {"tag": [{"system": system_of("99RADNODE"), "code": qualification,
                     "display": f"Content Qualification {qualification}"}]}


def _observations(making: Making, report: Report, message_uid: str, context: Resource) -> list[Resource]:
    if not report.processed:
        reason = "error" if report.failed else "not-performed"
        absent = {"coding": [{"system": _ABSENT, "code": reason}], "text": report.outcome.meaning}
        return [_observation(making, context, derived_uid(message_uid, "refusal"), SUMMARY,
                             {"dataAbsentReason": absent})]
    made = [_observation(making, context, derived_uid(message_uid, "summary"), SUMMARY,
                         {"valueCodeableConcept": concept(report.outcome)})]
    for group in report.groups:
        made += _of_group(making, group, message_uid, context)
    return made


def _of_group(making: Making, group: Group, message_uid: str, context: Resource) -> list[Resource]:
    """One Observation for each statement, and one for the finding that has them as members."""
    site = group.site or group.type
    where = {"bodySite": concept(site, _place(group, site))} if site else {}
    members = [
        _observation(making, context, derived_uid(message_uid, group.key, place), each.name,
                     {**where, **_value(each)}, text=f"{each.name.meaning}: {group.label}")
        for place, each in enumerate(group.statements)
    ]
    whole: Resource = {**where}
    if group.type is not None:
        whole["valueCodeableConcept"] = concept(group.type, group.label)
    else:
        whole["valueString"] = group.label
    if members:
        whole["hasMember"] = [{"reference": full_url(each)} for each in members]
    said = [{"code": concept(TRACKING_UID), "valueString": group.tracking_uid}]
    if group.laterality is not None:
        said.append({"code": concept(LATERALITY), "valueCodeableConcept": concept(group.laterality)})
    whole["component"] = said
    return [*members, _observation(making, context, derived_uid(message_uid, group.key), FINDING, whole)]


def _place(group: Group, site: Code) -> str:
    return f"{group.laterality.meaning} {site.meaning}" if group.laterality else site.meaning


def _value(each: Statement) -> Resource:
    if isinstance(each.value, Code):
        return {"valueCodeableConcept": concept(each.value)}
    quantity: Resource = {"value": json.loads(number(each.value))}
    if each.unit:
        quantity |= {"unit": each.unit.meaning, "system": system_of(each.unit.scheme), "code": each.unit.value}
    return {"valueQuantity": quantity, **({"method": concept(each.method)} if each.method else {})}


def _observation(
    making: Making, context: Resource, uid: str, name: Code, more: Resource, *, text: str = ""
) -> Resource:
    return {
        "resourceType": "Observation", "meta": _tags(making), "identifier": _identifier(uid), "status": "preliminary",
        "category": [_CATEGORY], "code": concept(name, text), **context, **more,
    }


def _report(
    making: Making, report: Report, objects: Sequence[tuple[str, str, str, str]], message_uid: str, context: Resource,
    observations: Sequence[Resource],
) -> Resource:
    said = {key: value for key, value in context.items() if key != "device"}
    qualification = making.provenance.order.content_qualification
    return {
        "resourceType": "DiagnosticReport", "meta": _tags(making),
        "contained": [_imaging_study(making, objects, said["subject"])],
        "identifier": _identifier(message_uid), "status": "preliminary", "category": [_RADIOLOGY],
        "code": concept(REPORT, title(making)), **said,
        "issued": local_time(making.provenance, making.source.common).isoformat(timespec="seconds"),
        "result": [{"reference": full_url(each)} for each in observations],
        "imagingStudy": [{"reference": f"#{_STUDY}"}],
        "conclusion": "\n".join((f"{qualification}. Not verified by a person.", *report.sentences)),
    }


def _imaging_study(
    making: Making, objects: Sequence[tuple[str, str, str, str]], subject: Resource
) -> Resource:
    """The study with the series that were read and the objects that were made of them (C, R4 has no selection)."""
    common = making.source.common
    series: dict[str, Resource] = {
        uid: {"uid": uid, "modality": _modality(str(common.get("Modality") or "OT"))}
        for uid in dict.fromkeys(making.source.instances.values())
    }
    for sop_class, sop_instance, series_uid, modality in objects:
        one = series.setdefault(series_uid, {"uid": series_uid, "modality": _modality(modality), "instance": []})
        one["instance"].append({"uid": sop_instance, "sopClass": {"system": URI, "code": f"urn:oid:{sop_class}"}})
    return {
        "resourceType": "ImagingStudy", "id": _STUDY, "status": "available", "subject": subject,
        "identifier": [{"system": DICOM_UID, "value": f"urn:oid:{common.StudyInstanceUID}"}],
        "series": list(series.values()),
    }


def _modality(code: str) -> Resource:
    return {"system": _SYSTEMS["DCM"], "code": code}
