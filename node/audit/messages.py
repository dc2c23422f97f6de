"""Audit messages as XML (PS3.15 A.5.1), one function for each event of A.5.3 that the node can tell.

Each is about one patient at most. Codes are those of PS3.16 CID 400 to 405. Nothing here reads XML.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree as ET

from radnode.storage.audit import NewMessage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

Outcome = Literal[0, 4, 8, 12]
Action = Literal["C", "R", "U", "D", "E"]

SUCCESS: Outcome = 0
MINOR: Outcome = 4
SERIOUS: Outcome = 8

EVENTS = {
    "Application Activity": "110100", "Audit Log Used": "110101", "Begin Transferring DICOM Instances": "110102",
    "DICOM Instances Accessed": "110103", "DICOM Instances Transferred": "110104", "DICOM Study Deleted": "110105",
    "Export": "110106", "Order Record": "110109", "Patient Record": "110110", "Query": "110112",
    "Security Alert": "110113", "User Authentication": "110114",
}
"""CID 400, those that are used."""
TYPES = {
    "Application Start": "110120", "Application Stop": "110121", "Login": "110122", "Logout": "110123",
    "Node Authentication": "110126", "Software Configuration": "110131", "Use of Restricted Function": "110132",
    "User Security Attributes Changed": "110137",
}
"""CID 401, those that are used."""
_ROLES = {"Application": "110150", "Application Launcher": "110151", "Destination Role ID": "110152",
          "Source Role ID": "110153", "Destination Media": "110154"}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 2.2 has no place for, not even escaped."""
NO_NAME = "not recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Somebody or something that takes part. user_id: a name, or a process. role: one of `_ROLES`.

    address: a machine name or an IP address, empty if there is none.
    """

    user_id: str
    is_requestor: bool
    role: str = ""
    ae_title: str = ""
    name: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyObject:
    """The study that an event is about, and its patient. instances: SOP class (or empty) -> how many."""

    study_instance_uid: str
    patient_id: str = ""
    accession_number: str = ""
    instances: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """Makes the messages of one node. node: the node itself as it takes part."""

    site: str
    node: Participant

    def activity(self, at: datetime, kind: Literal["Application Start", "Application Stop"]) -> NewMessage:
        """A.5.3.1: the node starts or stops."""
        return self._message(at, "Application Activity", "E", SUCCESS, (self._as("Application"),), type_code=kind)

    def authentication(
        self, at: datetime, who: Participant, kind: Literal["Login", "Logout"], failure: str = ""
    ) -> NewMessage:
        """A.5.3.13: somebody came in, did not, or went."""
        outcome = MINOR if failure else SUCCESS
        return self._message(at, "User Authentication", "E", outcome, (who, self._as("Application")), type_code=kind,
                             description=failure)

    def transferred(self, at: datetime, source: Participant, destination: Participant, study: StudyObject,
                    failure: str = "") -> NewMessage:
        """A.5.3.7: instances of one study came, or went; by whom else they were asked for is not known here."""
        action: Action = "C" if destination.user_id == self.node.user_id else "R"
        return self._message(at, "DICOM Instances Transferred", action, MINOR if failure else SUCCESS,
                             (source, destination), study=study, description=failure)

    def begins(self, at: datetime, source: Participant, destination: Participant, study: StudyObject) -> NewMessage:
        """A.5.3.5: instances of one study are going to be sent."""
        return self._message(at, "Begin Transferring DICOM Instances", "E", SUCCESS, (source, destination), study=study)

    def exported(self, at: datetime, destination: Participant, study: StudyObject, form: str, failure: str = ""
                 ) -> NewMessage:
        """A.5.3.4: results of a study went to a record in another form than DICOM's. form: HL7 v2, or FHIR."""
        return self._message(at, "Export", "R", MINOR if failure else SUCCESS, (self._exports(), destination),
                             study=study, description=", ".join(filter(None, (form, failure))))

    def _exports(self) -> Participant:
        return replace(self._as("Source Role ID"), is_requestor=True)

    def deleted(self, at: datetime, study: StudyObject, why: str) -> NewMessage:
        """A.5.3.8: instances of a study were deleted."""
        return self._message(at, "DICOM Study Deleted", "D", SUCCESS, (self._as("Application"),), study=study,
                             description=why)

    def told(self, at: datetime, kind: Literal["Order Record", "Patient Record"], source: Participant, patient_id: str,
             action: Action) -> NewMessage:
        """CID 400, laid out as A.5.1 wants it: a message of HL7 told of an order or of a patient, and it was kept."""
        return self._message(at, kind, action, SUCCESS, (source, self._as("Destination Role ID")), patient=patient_id)

    def accessed(self, at: datetime, who: Participant, study: StudyObject, action: Action) -> NewMessage:
        """A.5.3.6: somebody looked at a study, or did something with it."""
        return self._message(at, "DICOM Instances Accessed", action, SUCCESS, (who, self._as("Destination Role ID")),
                             study=study)

    def queried(self, at: datetime, who: Participant, path: str, query: str) -> NewMessage:
        """A.5.3.10: somebody asked for a list of studies. The query is in it as it was asked."""
        return self._message(at, "Query", "E", SUCCESS, (who, self._as("Destination Role ID")), query=(path, query))

    def alert(self, at: datetime, who: Participant, kind: str, what: str, outcome: Outcome) -> NewMessage:
        """A.5.3.11: something that matters to security was done, or refused. kind: one of `TYPES`. what: in words."""
        return self._message(at, "Security Alert", "E", outcome, (who, self._as("Application")), type_code=kind,
                             description=what)

    def log_used(self, at: datetime, who: Participant) -> NewMessage:
        """A.5.3.2: somebody read the audit trail."""
        return self._message(at, "Audit Log Used", "R", SUCCESS, (who,), log=True)

    def _as(self, role: str) -> Participant:
        node = self.node
        return Participant(user_id=node.user_id, is_requestor=False, role=role, ae_title=node.ae_title, name=node.name,
                           address=node.address)

    def _message(
        self, at: datetime, event: str, action: Action, outcome: Outcome, participants: Sequence[Participant], *,
        type_code: str = "", description: str = "", study: StudyObject | None = None,
        query: tuple[str, str] | None = None, log: bool = False, patient: str | None = None,
    ) -> NewMessage:
        root = ET.Element("AuditMessage")
        head = ET.SubElement(root, "EventIdentification", {
            "EventActionCode": action,
            "EventDateTime": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "EventOutcomeIndicator": str(outcome),
        })
        _coded(head, "EventID", EVENTS[event], event)
        if type_code:
            _coded(head, "EventTypeCode", TYPES[type_code], type_code)
        if description:
            ET.SubElement(head, "EventOutcomeDescription").text = _clean(description)
        for each in participants:
            _participant(root, each)
        source = ET.SubElement(root, "AuditSourceIdentification", {"AuditSourceID": _clean(self.site)})
        ET.SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})
        if study is not None:
            _study(root, study)
        if patient is not None:
            _patient(root, patient)
        if query is not None:
            _query(root, *query)
        if log:
            _log(root)
        text = '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(root, encoding="unicode")
        requestor = next((each for each in participants if each.is_requestor), participants[0])
        return NewMessage(at=at, event=event, outcome=outcome, who=_clean(requestor.user_id), message=text,
                          study_instance_uid=study.study_instance_uid if study else None)


def _participant(root: ET.Element, who: Participant) -> None:
    is_requestor = "true" if who.is_requestor else "false"
    attributes = {"UserID": _clean(who.user_id) or "unknown", "UserIsRequestor": is_requestor}
    if who.ae_title:
        attributes["AlternativeUserID"] = f"AETITLE={_clean(who.ae_title)}"
    if who.name:
        attributes["UserName"] = _clean(who.name)
    if who.address:
        attributes["NetworkAccessPointID"] = _clean(who.address)
        attributes["NetworkAccessPointTypeCode"] = "2" if re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*",
                                                                       who.address) else "1"
    element = ET.SubElement(root, "ActiveParticipant", attributes)
    if who.role:
        _coded(element, "RoleIDCode", _ROLES[who.role], who.role)


def _study(root: ET.Element, study: StudyObject) -> None:
    element = _object(root, study.study_instance_uid, "a study", kind="2", role="3",
                      code=("110180", "Study Instance UID"), system="DCM")
    description = ET.SubElement(element, "ParticipantObjectDescription")
    if study.accession_number:
        ET.SubElement(description, "Accession", {"Number": _clean(study.accession_number)})
    for sop_class_uid, number in sorted(study.instances.items()):
        known = {"UID": _clean(sop_class_uid)} if sop_class_uid else {}
        ET.SubElement(description, "SOPClass", {**known, "NumberOfInstances": str(number)})
    ET.SubElement(ET.SubElement(description, "ParticipantObjectContainsStudy"), "StudyIDs",
                  {"UID": _clean(study.study_instance_uid)})
    _patient(root, study.patient_id)


def _patient(root: ET.Element, patient_id: str) -> None:
    _object(root, patient_id or "unknown", NO_NAME, kind="1", role="1", code=("2", "Patient Number"),
            system="RFC-3881")


def _query(root: ET.Element, path: str, query: str) -> None:
    element = ET.SubElement(root, "ParticipantObjectIdentification", {
        "ParticipantObjectID": _clean(path), "ParticipantObjectTypeCode": "2", "ParticipantObjectTypeCodeRole": "24",
    })
    _coded(element, "ParticipantObjectIDTypeCode", "10", "Search Criteria", "RFC-3881")
    ET.SubElement(element, "ParticipantObjectQuery").text = base64.b64encode(query.encode()).decode("ascii")


def _log(root: ET.Element) -> None:
    _object(root, "/api/audit", "Security Audit Log", kind="2", role="13", code=("12", "URI"), system="RFC-3881")


def _object(
    root: ET.Element, identifier: str, name: str, *, kind: str, role: str, code: tuple[str, str], system: str
) -> ET.Element:
    element = ET.SubElement(root, "ParticipantObjectIdentification", {
        "ParticipantObjectID": _clean(identifier), "ParticipantObjectTypeCode": kind,
        "ParticipantObjectTypeCodeRole": role,
    })
    _coded(element, "ParticipantObjectIDTypeCode", *code, system)
    ET.SubElement(element, "ParticipantObjectName").text = name
    return element


def _coded(parent: ET.Element, name: str, code: str, meaning: str, system: str = "DCM") -> None:
    ET.SubElement(parent, name, {
        "csd-code": code, "codeSystemName": system, "displayName": meaning, "originalText": meaning,
    })


def _clean(text: str) -> str:
    """One line that XML can hold."""
    return " ".join(_NOT_XML.sub("?", text).split())[:1024]
