"""Orders read from a FHIR server: ServiceRequests, ImagingStudies and their Patients, as orders of HL7 v2 are. Pure.

A server may ignore a search parameter that it does not know and answer with everything: what does not carry the
Accession Number or the Study Instance UID itself is no answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from radnode.storage.orders import Order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from radnode.storage.orders import PatientId

_GONE = frozenset({"revoked", "entered-in-error", "draft"})
_MOST_TEXT = 2000
_REFERENCE = re.compile(r"(Patient|ServiceRequest)/[A-Za-z0-9.-]{1,64}")
_STUDY_UID = "urn:dicom:uid"
"""The system of a Study Instance UID (FHIR R4 ImagingStudy, 11.16.1)."""


def missing(bundle: object) -> list[str]:
    """References to the Patients and orders that the server has not put beside what names them; some never do."""
    resources = _resources(bundle)
    beside = {f"{each.get('resourceType')}/{each.get('id')}" for each in resources}
    named = [one for each in resources for one in (each.get("subject"), *_dicts(each.get("basedOn")))]
    wanted = {str(each.get("reference")) for each in _dicts(named)}
    return sorted(each for each in wanted - beside if _REFERENCE.fullmatch(each))


def study_identifier(study_instance_uid: str) -> str:
    """To search an ImagingStudy by."""
    return f"{_STUDY_UID}|urn:oid:{study_instance_uid}"


def orders_in(bundle: object, accession_number: str, issuers: Mapping[str, str]) -> list[Order]:
    """The orders under this number. issuers: the systems of `messaging.issuers`; others' identifiers do not count."""
    resources = _resources(bundle)
    patients = {f"Patient/{each.get('id')}": each for each in resources if each.get("resourceType") == "Patient"}
    return [
        order for each in resources if each.get("resourceType") == "ServiceRequest"
        and _is_of(each, accession_number, issuers.get("accession_system", ""))
        for order in _order(each, accession_number, patients, issuers)
    ]


def studies_in(
    bundle: object, study_instance_uid: str, accession_number: str, issuers: Mapping[str, str]
) -> list[Order]:
    """What the ImagingStudy of this UID says: the orders that it is based on, else its own procedure and reason.

    They stand for the Accession Number of the images.
    """
    resources = _resources(bundle)
    patients = {f"Patient/{each.get('id')}": each for each in resources if each.get("resourceType") == "Patient"}
    requests = {f"ServiceRequest/{each.get('id')}": each for each in resources
                if each.get("resourceType") == "ServiceRequest"}
    found: list[Order] = []
    for study in resources:
        if study.get("resourceType") != "ImagingStudy" or not _is_study(study, study_instance_uid):
            continue
        named = [str(each.get("reference")) for each in _dicts(study.get("basedOn"))]
        based_on = [requests[each] for each in named if each in requests]
        for request in based_on or [_as_request(study)]:
            found += _order(request, accession_number, patients, issuers)
    return found


def _is_study(study: Mapping[str, Any], uid: str) -> bool:
    return any(each.get("system") == _STUDY_UID and each.get("value") == f"urn:oid:{uid}"
               for each in _dicts(study.get("identifier")))


def _as_request(study: Mapping[str, Any]) -> dict[str, Any]:
    """An ImagingStudy in the terms of a ServiceRequest, without what it does not say."""
    procedures = [{"text": text} for text in map(_text, _dicts(study.get("procedureCode"))) if text]
    code = procedures[0] if procedures else {"text": study.get("description")}
    status = "revoked" if study.get("status") in ("cancelled", "entered-in-error") else "active"
    return {**study, "code": code, "status": status, "priority": None}


def _resources(bundle: object) -> list[Mapping[str, Any]]:
    entries = _dicts(bundle.get("entry")) if isinstance(bundle, dict) else []
    return _dicts([entry.get("resource") for entry in entries])


def _is_of(request: Mapping[str, Any], accession_number: str, system: str) -> bool:
    return any(one.get("value") == accession_number and (not system or one.get("system") == system)
               for one in _dicts(request.get("identifier")))


def _order(
    request: Mapping[str, Any], accession_number: str, patients: Mapping[str, Mapping[str, Any]],
    issuers: Mapping[str, str],
) -> Iterator[Order]:
    subject = request.get("subject")
    subject = subject if isinstance(subject, dict) else {}
    patient = patients.get(str(subject.get("reference")), {})
    identifiers = (*_dicts(patient.get("identifier")), *_dicts([subject.get("identifier")]))
    known = tuple(_patient_id(each, issuers) for each in identifiers if _counts(each, issuers))
    reasons = filter(None, map(_text, _dicts(request.get("reasonCode"))))
    yield Order(
        accession_number=accession_number, number=f"{request.get('resourceType')}/{request.get('id')}", patients=known,
        birth_date=_date(patient.get("birthDate")), cancelled=request.get("status") in _GONE,
        priority=str(request.get("priority") or ""), reason="; ".join(reasons)[:_MOST_TEXT],
        procedure=_text(request.get("code"))[:_MOST_TEXT],
        said_at=re.sub(r"\D", "", str((request.get("meta") or {}).get("lastUpdated") or ""))[:14],
    )


def _counts(identifier: Mapping[str, Any], issuers: Mapping[str, str]) -> bool:
    system = issuers.get("patient_system")
    return bool(identifier.get("value")) and (not system or identifier.get("system") == system)


def _patient_id(identifier: Mapping[str, Any], issuers: Mapping[str, str]) -> PatientId:
    system = str(identifier.get("system") or "")
    authority = issuers.get("patient_authority", "") if system and system == issuers.get("patient_system") else ""
    universal = system.removeprefix("urn:oid:") if system.startswith("urn:oid:") else ""
    return str(identifier["value"]), authority, universal


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(concept: object) -> str:
    if not isinstance(concept, dict):
        return ""
    said = [concept.get("text"), *(each.get("display") or each.get("code") for each in _dicts(concept.get("coding")))]
    return str(next(filter(None, said), ""))


def _date(text: object) -> str:
    return str(text).replace("-", "") if re.fullmatch(r"\d{4}-\d\d-\d\d", str(text)) else ""
