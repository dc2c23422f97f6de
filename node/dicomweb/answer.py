"""The answer to a request to store: what is stored, what is not, and why (PS3.18 10.5.3, Annex I.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from radnode.node import statuses
from radnode.node.dicomweb.media import XML

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.node.statuses import Status

_KEYWORDS = {
    "00081150": "ReferencedSOPClassUID", "00081155": "ReferencedSOPInstanceUID", "00081190": "RetrieveURL",
    "00081197": "FailureReason", "00081198": "FailedSOPSequence", "00081199": "ReferencedSOPSequence",
    "0008119A": "OtherFailuresSequence",
}  # fmt: skip
_NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one part. UIDs are empty where the part named none."""

    sop_class_uid: str
    sop_instance_uid: str
    status: Status

    @property
    def stored(self) -> bool:
        """It is durable."""
        return self.status.code == statuses.SUCCESS


def http_status(outcomes: Sequence[Outcome]) -> int:
    """200 all are stored, 202 some, 409 none, 503 none, but later they may be (PS3.18 Table 10.5.3-1)."""
    stored = sum(outcome.stored for outcome in outcomes)
    if stored:
        return 200 if stored == len(outcomes) else 202
    return 503 if any(statuses.passes(outcome.status.code) for outcome in outcomes) else 409


def payload(outcomes: Sequence[Outcome], media_type: str) -> bytes:
    """In JSON (PS3.18 Annex F) or XML (PS3.19 A.1)."""
    dataset = _dataset(outcomes)
    if media_type == XML:
        root = ElementTree.Element("NativeDicomModel", xmlns=_NAMESPACE)
        _to_xml(root, dataset)
        return bytes(ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))
    return json.dumps(dataset).encode()


def _dataset(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The DICOM JSON model. No instance can be fetched here, so each Retrieve URL is empty."""
    stored: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for outcome in outcomes:
        named = bool(outcome.sop_class_uid and outcome.sop_instance_uid)
        item: dict[str, Any] = {}
        if named:
            item["00081150"] = {"vr": "UI", "Value": [outcome.sop_class_uid]}
            item["00081155"] = {"vr": "UI", "Value": [outcome.sop_instance_uid]}
        if outcome.stored:
            stored.append({**item, "00081190": {"vr": "UR"}})
            continue
        item["00081197"] = {"vr": "US", "Value": [outcome.status.code]}
        (failed if named else others).append(item)
    sequences = (("00081198", failed), ("00081199", stored), ("0008119A", others))
    return {tag: {"vr": "SQ", "Value": items} for tag, items in sequences if items}


def _to_xml(parent: ElementTree.Element, dataset: dict[str, Any]) -> None:
    for tag, attribute in sorted(dataset.items()):
        element = ElementTree.SubElement(
            parent, "DicomAttribute", {"tag": tag, "vr": attribute["vr"], "keyword": _KEYWORDS[tag]}
        )
        for number, value in enumerate(attribute.get("Value", ()), start=1):
            if attribute["vr"] == "SQ":
                _to_xml(ElementTree.SubElement(element, "Item", number=str(number)), value)
            else:
                ElementTree.SubElement(element, "Value", number=str(number)).text = str(value)
