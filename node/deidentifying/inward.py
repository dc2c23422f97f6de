"""A result that came back under pseudonyms, made into one of whom it is of.

Only what is known is put back: a UID or a day of which the node has no record stays what it is, and an object whose
study, patient or references are not known is not sent on at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.multival import MultiValue

from radnode.node.deidentifying.cleaning import OF_THE_PATIENT, OF_THE_STUDY
from radnode.node.deidentifying.holding import Held
from radnode.node.deidentifying.outward import written
from radnode.node.deidentifying.standard_uids import is_standard
from radnode.node.deidentifying.walking import elements, several

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

_REFERENCES = frozenset({"ReferencedSOPInstanceUID"})
_SAID_OF_THE_WAY_OUT = (
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What an object that came back names. uids: all but those of the standard. days: YYYYMMDD."""

    patient: str
    study: str
    series: str
    instance: str
    uids: frozenset[str]
    references: frozenset[str]
    days: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBack:
    """What is known of what it names: new to old, and the attributes of the patient and the study as they were."""

    patient: dict[str, str] = field(default_factory=dict)
    study: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    days: dict[str, str] = field(default_factory=dict)


def named_in(path: Path) -> Named:
    """What the node has to look up."""
    dataset = pydicom.dcmread(path)
    uids, references, days = set(), set(), set()
    for element in elements(dataset):
        for value in several(element.value):
            if element.VR == "UI" and not is_standard(str(value)):
                uids.add(str(value))
                references |= {str(value)} if element.keyword in _REFERENCES else set()
            elif element.VR in ("DA", "DT"):
                days.add(str(value)[:8])
    return Named(
        patient=str(dataset.get("PatientID") or "").strip(), study=str(dataset.get("StudyInstanceUID") or ""),
        series=str(dataset.get("SeriesInstanceUID") or ""), instance=str(dataset.get("SOPInstanceUID") or ""),
        uids=frozenset(uids), references=frozenset(references), days=frozenset(days),
    )


def inward(path: Path, way: WayBack) -> bytes:
    """The bytes of the file that goes to the archive. Raises :class:`Held`."""
    dataset = pydicom.dcmread(path)
    _make_unicode(dataset)
    patient = str(dataset.get("PatientID") or "").strip()
    _change(dataset, lambda element: _restored(element, way))
    for keyword in (*OF_THE_PATIENT, *OF_THE_STUDY):
        known = {**way.study, **way.patient}.get(keyword)
        if known is not None:
            setattr(dataset, keyword, known)
        elif keyword in dataset:
            del dataset[keyword]
    for keyword in _SAID_OF_THE_WAY_OUT:
        if keyword in dataset:
            del dataset[keyword]
    content = written(dataset)
    again = pydicom.dcmread(BytesIO(content))
    if again.StudyInstanceUID != way.study["StudyInstanceUID"] or again.PatientID != way.patient["PatientID"]:
        raise Held("read again, it is of another patient or study than it was made for")
    left = [each for each in (patient, *way.uids) if each and each.encode() in content]
    if left:
        raise Held("a pseudonym is left in it where none can be: in a text, or in a private attribute")
    return content


def _restored(element: DataElement, way: WayBack) -> Any:
    known = way.uids if element.VR == "UI" else way.days
    values = [_old(str(each), known, element.VR) for each in several(element.value)]
    return values if isinstance(element.value, MultiValue) else values[0] if values else element.value


def _old(value: str, known: dict[str, str], vr: str) -> str:
    return known.get(value, value) if vr == "UI" else known.get(value[:8], value[:8]) + value[8:]


def _make_unicode(dataset: Dataset) -> None:
    """Names are put back that the character set of the result may not have (PS3.3 C.12.1.1.2)."""
    dataset.decode()
    _drop_character_sets(dataset)
    dataset.SpecificCharacterSet = "ISO_IR 192"


def _drop_character_sets(dataset: Dataset) -> None:
    for element in list(dataset):
        if element.keyword == "SpecificCharacterSet":
            del dataset[element.tag]
        elif element.VR == "SQ":
            for item in element.value or ():
                _drop_character_sets(item)


def _change(dataset: Dataset, new: Callable[[DataElement], Any]) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value or ():
                _change(item, new)
        elif element.VR in ("UI", "DA", "DT") and not element.is_empty:
            element.value = new(element)
