"""Under which names a patient and an order are known outside DICOM, as the images say them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom import Dataset

PATIENT_AUTHORITY, PATIENT_SYSTEM, ACCESSION_SYSTEM = "patient_authority", "patient_system", "accession_system"
"""Keys of `WorkOrder.issuers`: what identifiers belong to where the images do not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """A value with who gave it. authority: its short name. universal, universal_type: e.g. 1.2.3 and ISO.

    system: its URI in FHIR.
    """

    value: str
    authority: str = ""
    universal: str = ""
    universal_type: str = ""
    system: str = ""


def patient_id(common: Dataset, issuers: Mapping[str, str]) -> Identifier:
    """Patient ID (0010,0020) with its issuer (0010,0021), (0010,0024); configured names where the images state none."""
    stated = str(common.get("IssuerOfPatientID") or "").strip()
    qualifiers = common.get("IssuerOfPatientIDQualifiersSequence") or []
    universal = str(qualifiers[0].get("UniversalEntityID") or "").strip() if qualifiers else ""
    kind = str(qualifiers[0].get("UniversalEntityIDType") or "").strip() if qualifiers else ""
    unstated = not (stated or universal)
    return Identifier(
        value=str(common.get("PatientID") or "").strip(),
        authority=stated or (issuers.get(PATIENT_AUTHORITY, "") if unstated else ""),
        universal=universal, universal_type=kind,
        system=_system(universal, kind) or _configured(stated, issuers),
    )


def accession_number(common: Dataset, issuers: Mapping[str, str]) -> Identifier:
    """Accession Number (0008,0050) with its issuer (0008,0051)."""
    qualifiers = common.get("IssuerOfAccessionNumberSequence") or []
    authority, universal, kind = (
        str(qualifiers[0].get(keyword) or "").strip() if qualifiers else ""
        for keyword in ("LocalNamespaceEntityID", "UniversalEntityID", "UniversalEntityIDType")
    )
    return Identifier(
        value=str(common.get("AccessionNumber") or "").strip(), authority=authority, universal=universal,
        universal_type=kind,
        system=_system(universal, kind) or ("" if authority or universal else issuers.get(ACCESSION_SYSTEM, "")),
    )


def order_numbers(common: Dataset) -> tuple[str, str]:
    """(placer, filler) order number of the first request (0040,0275) that states one."""
    for item in common.get("RequestAttributesSequence") or []:
        placer, filler = (str(item.get(keyword) or "").strip() for keyword in
                          ("PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest"))
        if placer or filler:
            return placer, filler
    return "", ""


def _configured(stated: str, issuers: Mapping[str, str]) -> str:
    """The configured URI stands for the configured authority only: another issuer's patients are others."""
    authority = issuers.get(PATIENT_AUTHORITY, "")
    return issuers.get(PATIENT_SYSTEM, "") if not stated or stated.casefold() == authority.casefold() else ""


def _system(universal: str, kind: str) -> str:
    if not universal:
        return ""
    return {"ISO": f"urn:oid:{universal}", "UUID": f"urn:uuid:{universal.lower()}", "URI": universal}.get(kind, "")
