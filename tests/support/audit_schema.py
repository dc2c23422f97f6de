"""The audit message of PS3.15 A.5.1.1 as a RELAX NG grammar, written from the standard, with rules of A.5.3 on top."""

from __future__ import annotations

from lxml import etree

_CODED = "".join(
    f'<attribute name="{name}"><data type="token"><param name="minLength">1</param></data></attribute>'
    for name in ("csd-code", "codeSystemName", "originalText")
) + '<optional><attribute name="displayName"><data type="token"/></attribute></optional>'


def _coded(name: str) -> str:
    return f'<element name="{name}">{_CODED}</element>'


def _one_of(name: str, *values: object) -> str:
    choices = "".join(f"<value>{value}</value>" for value in values)
    return f'<attribute name="{name}"><choice>{choices}</choice></attribute>'


def _maybe(*parts: str) -> str:
    return "".join(f"<optional>{part}</optional>" for part in parts)


def _text(name: str, kind: str = "token") -> str:
    return f'<attribute name="{name}"><data type="{kind}"/></attribute>'


GRAMMAR = f"""
<element name="AuditMessage" xmlns="http://relaxng.org/ns/structure/1.0"
    datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
  <element name="EventIdentification">
    {_maybe(_one_of("EventActionCode", *"CRUDE"))}{_text("EventDateTime", "dateTime")}
    {_one_of("EventOutcomeIndicator", 0, 4, 8, 12)}
    {_coded("EventID")}<zeroOrMore>{_coded("EventTypeCode")}</zeroOrMore>
    {_maybe('<element name="EventOutcomeDescription"><text/></element>')}
  </element>
  <oneOrMore><element name="ActiveParticipant">
    {_text("UserID")}{_text("UserIsRequestor", "boolean")}
    {_maybe(_text("AlternativeUserID"), _text("UserName"), _text("NetworkAccessPointID"),
            _one_of("NetworkAccessPointTypeCode", *range(1, 6)))}
    <zeroOrMore>{_coded("RoleIDCode")}</zeroOrMore>
  </element></oneOrMore>
  <element name="AuditSourceIdentification">
    {_text("AuditSourceID")}{_maybe(_text("AuditEnterpriseSiteID"))}
    <zeroOrMore><element name="AuditSourceTypeCode">{_one_of("csd-code", *range(1, 10))}</element></zeroOrMore>
  </element>
  <zeroOrMore><element name="ParticipantObjectIdentification">
    {_text("ParticipantObjectID")}
    {_maybe(_one_of("ParticipantObjectTypeCode", *range(1, 5)), _one_of("ParticipantObjectTypeCodeRole", *range(1, 27)),
            _one_of("ParticipantObjectDataLifeCycle", *range(1, 16)), _text("ParticipantObjectSensitivity"))}
    {_coded("ParticipantObjectIDTypeCode")}
    <choice>
      <element name="ParticipantObjectName"><data type="token"/></element>
      <element name="ParticipantObjectQuery"><data type="base64Binary"/></element>
    </choice>
    <zeroOrMore><element name="ParticipantObjectDetail">
      {_text("type")}{_text("value", "base64Binary")}
    </element></zeroOrMore>
    <zeroOrMore><element name="ParticipantObjectDescription">
      <zeroOrMore><element name="MPPS">{_text("UID")}</element></zeroOrMore>
      <zeroOrMore><element name="Accession">{_text("Number")}</element></zeroOrMore>
      <zeroOrMore><element name="SOPClass">
        {_maybe(_text("UID"))}{_text("NumberOfInstances", "integer")}
        <zeroOrMore><element name="Instance">{_text("UID")}</element></zeroOrMore>
      </element></zeroOrMore>
      {_maybe('<element name="ParticipantObjectContainsStudy"><zeroOrMore><element name="StudyIDs">' + _text("UID")
              + "</element></zeroOrMore></element>")}
    </element></zeroOrMore>
  </element></zeroOrMore>
</element>
"""

_RECORD = {"Order Record", "Patient Record"}
_PATIENT = {"DICOM Instances Transferred", "Begin Transferring DICOM Instances", "DICOM Instances Accessed",
            "DICOM Study Deleted", "Export"}
"""Events with at least one study and exactly one patient (A.5.3.4 to A.5.3.8)."""
_schema = etree.RelaxNG(etree.fromstring(GRAMMAR))


def faults(message: str) -> list[str]:
    """What is wrong with a message, empty if nothing is."""
    root = etree.fromstring(message.encode("utf-8"))
    found = [] if _schema.validate(root) else [str(each) for each in _schema.error_log]
    (event,) = root.xpath("EventIdentification/EventID/@originalText")
    roles = [int(each) for each in root.xpath("ParticipantObjectIdentification/@ParticipantObjectTypeCodeRole")]
    if event in _PATIENT and (roles.count(1) != 1 or 3 not in roles):
        found.append(f"{event}: one patient and a study, not {roles}")
    if event in _RECORD and roles != [1]:
        found.append(f"{event}: one patient, not {roles}")
    if event not in _PATIENT | _RECORD and 1 in roles:
        found.append(f"{event} has a patient")
    if event == "User Authentication" and not root.xpath("EventIdentification/EventTypeCode"):
        found.append(f"{event} without a type")
    return found
