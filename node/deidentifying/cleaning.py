"""A data set made into that of nobody (PS3.15 Annex E), sequences within sequences too.

Same data set, same profile, same secret: same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items

from radnode.node.deidentifying import safe_private
from radnode.node.deidentifying.profile import Action, Profile, action
from radnode.node.deidentifying.pseudonyms import shifted
from radnode.node.deidentifying.standard_uids import is_standard
from radnode.node.deidentifying.wording import cleaned, unchanged

if TYPE_CHECKING:
    from datetime import timedelta

    from pydicom.dataelem import DataElement

    from radnode.node.deidentifying.pseudonyms import Pseudonyms

OF_THE_PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
OF_THE_STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDescription")
"""What identifies them, and what comes back with a result."""

_DUMMIES: dict[str, Any] = {
    "DA": "19000101", "DT": "19000101000000", "TM": "000000", "DS": "0", "IS": "0", "OB": b"\0\0", "UN": b"\0\0",
    "OW": b"\0\0", "AS": "",
}
_TEXTS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_SENTENCES = frozenset({"LT", "ST", "UC", "UT"})
_NUMBERS = frozenset({"FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})


class NotIdentifiable(Exception):
    """It does not say whose it is, so that a pseudonym would be a guess."""


@dataclass(slots=True)
class Record:
    """What a data set was before: the way back. uids, dates: new to old."""

    patient_pseudonym: str = ""
    study_pseudonym: str = ""
    patient: dict[str, str] = field(default_factory=dict)
    study: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)


def deidentify(dataset: Dataset, profile: Profile, pseudonyms: Pseudonyms) -> Record:
    """Change a data set in place. Raises :class:`NotIdentifiable`, and what pydicom raises for broken values."""
    patient_id = str(dataset.get("PatientID") or "").strip()
    study_uid = str(dataset.get("StudyInstanceUID") or "")
    if not patient_id or not study_uid:
        raise NotIdentifiable("it has no Patient ID" if not patient_id else "it has no Study Instance UID")
    patient = pseudonyms.patient(patient_id, str(dataset.get("IssuerOfPatientID") or ""))
    record = Record(patient_pseudonym=patient, patient=_values(dataset, OF_THE_PATIENT),
                    study={**_values(dataset, OF_THE_STUDY), "StudyInstanceUID": study_uid})
    cleaner = _Cleaner(profile, pseudonyms, pseudonyms.shift(patient), record)
    cleaner.clean(dataset)
    record.study_pseudonym = str(dataset.StudyInstanceUID)
    dataset.PatientName = dataset.PatientID = patient
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if "modified-dates" in profile.retain else "REMOVED"
    dataset.DeidentificationMethod = "radnode, PS3.15 Annex E"
    dataset.DeidentificationMethodCodeSequence = [_code(*each) for each in profile.method_codes]
    return record


class _Cleaner:
    def __init__(self, profile: Profile, pseudonyms: Pseudonyms, shift: timedelta, record: Record) -> None:
        self._profile = profile
        self._pseudonyms = pseudonyms
        self._shift = shift
        self._record = record

    def clean(self, dataset: Dataset) -> None:
        """One level, and all below it."""
        private = safe_private.kept(dataset) if "safe-private" in self._profile.retain else frozenset()
        for tag in list(dataset.keys()):
            if tag.group <= 0x0002 or tag.element == 0 or (tag.is_private and tag not in private):
                del dataset[tag]
            elif not tag.is_private:
                self._clean_one(dataset, dataset[tag])

    def _clean_one(self, dataset: Dataset, element: DataElement) -> None:
        match action(element.tag, element.VR, self._profile):
            case Action.REMOVE:
                del dataset[element.tag]
            case Action.EMPTY:
                element.value = Items([]) if element.VR == "SQ" else None
            case Action.DUMMY:
                self._dummy(element)
            case Action.UID:
                element.value = self._each(element.value, self.uid)
            case Action.SHIFT:
                self._move(element)
            case Action.CLEAN:
                self._reduce(element)
            case Action.AGE if _years(str(element.value or "")) > 89:
                element.value = "090Y"
            case _ if element.VR == "SQ":
                for item in element.value or ():
                    self.clean(item)

    def uid(self, uid: str) -> str:
        """Another in its place, but for those that the standard defines."""
        if not uid or is_standard(uid):
            return uid
        new = self._pseudonyms.uid(uid)
        self._record.uids[new] = uid
        return new

    def _dummy(self, element: DataElement) -> None:
        if element.VR == "SQ":
            for item in element.value or ():
                for inner in list(item):
                    if inner.tag.is_private:
                        del item[inner.tag]
                    else:
                        self._dummy(inner)
        elif element.VR == "UI":
            element.value = self._each(element.value, self.uid)
        elif element.VR in _TEXTS:
            element.value = "REMOVED"
        elif element.VR in _NUMBERS:
            element.value = 0
        else:
            element.value = _DUMMIES.get(element.VR)

    def _move(self, element: DataElement) -> None:
        """A time of day says nothing without its day, and stays."""
        if element.VR == "TM" or not element.value:
            return
        moved = self._each(element.value, self._moved)
        if None in (moved if isinstance(moved, list) else [moved]):
            self._dummy(element)
        else:
            element.value = moved

    def _moved(self, value: str) -> str | None:
        new = shifted(value, self._shift)
        if new is not None:
            self._record.dates[new[:8]] = value.replace(".", "", 2)[:8] if value.count(".") == 2 else value[:8]
        return new

    def _reduce(self, element: DataElement) -> None:
        """To what is nobody's; where nothing is left, a dummy, because a text may have to be there."""
        if element.VR not in _TEXTS:
            self._dummy(element)
        elif not element.is_empty:
            shorten = unchanged if element.VR in _SENTENCES else cleaned
            element.value = self._each(element.value, lambda text: shorten(text, self._profile.words) or "REMOVED")

    @staticmethod
    def _each(value: Any, change: Any) -> Any:
        if value is None or value == "":
            return value
        return [change(str(each)) for each in value] if isinstance(value, MultiValue) else change(str(value))


def _values(dataset: Dataset, keywords: tuple[str, ...]) -> dict[str, str]:
    return {keyword: str(dataset[keyword].value or "") for keyword in keywords if keyword in dataset}


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code


def _years(age: str) -> int:
    """Of an AS (PS3.5 6.2)."""
    return int(age[:3]) if len(age) == 4 and age[3] == "Y" and age[:3].isdigit() else 0


