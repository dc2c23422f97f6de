"""Recognising that images were rejected after they were sent (IHE RAD Imaging Object Change Management, IOCM)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"

# PS3.16 CID 7011. Not among them: 113039, Data Retention Policy Expired, which says nothing against what was found.
TITLES = {
    "113001": "Rejected for Quality Reasons",
    "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry",
}


def rejection(attributes: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """Why, and the SOP Instance UIDs, if this object rejects images; None else."""
    if attributes.get("SOPClassUID") != KEY_OBJECT_SELECTION:
        return None
    for title in attributes.get("ConceptNameCodeSequence") or []:
        if title.get("CodingSchemeDesignator") == "DCM" and title.get("CodeValue") in TITLES:
            return TITLES[title["CodeValue"]], list(attributes.get("ReferencedSOPInstanceUID") or [])
    return None
