"""How a study, a series and a number are written for a reader, beside pictures and elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from radnode.node.pages.words import N_

if TYPE_CHECKING:
    from radnode.storage.showing import ShownSeries, ShownStudy

NO_PICTURE = N_("No picture")
_UNITS = {"ml": "mL", "1": "", "[hnsf'U]": "HU", "mm2": "mm²", "mm3": "mm³", "cm2": "cm²", "cm3": "cm³", "Cel": "°C"}
"""UCUM's spelling -> a reader's."""


def name_said(name: Any) -> str:
    """A person name (PS3.5 6.2.1) as it is written: letters, then ideographs if there are any."""
    groups = [" ".join(part for part in group.split("^") if part) for group in str(name or "").split("=")[:2]]
    return " · ".join(each for each in groups if each)


def date_said(value: Any) -> str:
    """20260301 as 2026-03-01; as it is where it is none."""
    text = str(value or "")
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() else text


def number_said(value: float) -> str:
    """With four digits, and all digits before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def unit(code: str) -> str:
    """A unit of UCUM for a reader; what is in braces is an annotation, not a unit."""
    return _UNITS.get(code, "" if code.startswith("{") and code.endswith("}") else code)


def study_shown(study: ShownStudy) -> dict[str, Any]:
    """For a template. Empty where unknown."""
    said = study.attributes
    return {
        "id": study.study_id, "patient": name_said(said.get("PatientName")), "patient_id": said.get("PatientID") or "",
        "born": date_said(said.get("PatientBirthDate")), "sex": said.get("PatientSex") or "",
        "date": date_said(said.get("StudyDate")), "description": said.get("StudyDescription") or "",
        "accession": said.get("AccessionNumber") or "",
    }


def series_shown(series: ShownSeries, views: str = "") -> dict[str, Any]:
    """For a template."""
    said = series.attributes
    return {
        "address": series.address, "modality": said.get("Modality") or "", "number": said.get("SeriesNumber"),
        "description": said.get("SeriesDescription") or "", "instances": series.instances, "made": series.is_result,
        "views": views,
        "pictures": said.get("Modality") not in ("SR", "SEG", "RTSTRUCT", "PR", "KO", "DOC", "PLAN", "REG"),
    }


def instead(text: str) -> bytes:
    """A picture that says why there is none."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200" viewBox="0 0 200 200">'
        '<rect width="200" height="200" fill="#22282e"/>'
        f'<text x="100" y="105" fill="#d5dbe1" font-family="sans-serif" font-size="17" text-anchor="middle">'
        f"{escape(text)}</text></svg>"
    ).encode()
