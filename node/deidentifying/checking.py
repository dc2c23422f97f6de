"""The gate: nothing that identified a patient is left in the bytes that leave.

It knows nothing of how an object was cleaned: it takes the identifying values of the original and looks for them, as
bytes in the whole file (preamble, file meta information, private attributes, pixels) and as words in every text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom.datadict import keyword_for_tag
from pydicom.valuerep import PersonName

from radnode.node.deidentifying.standard_uids import is_standard
from radnode.node.deidentifying.walking import elements, several
from radnode.node.deidentifying.wording import KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

SHORTEST_IN_BYTES = 6
"""Shorter values would be found in pixels by chance; they are looked for as whole words in texts."""
SHORTEST_WORD = 2
_IDENTIFYING = frozenset({
    "PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID", "IssuerOfPatientID",
    "PatientAddress", "PatientTelephoneNumbers", "PatientMotherBirthName", "MilitaryRank", "MedicalRecordLocator",
    "RequestedProcedureID", "ScheduledProcedureStepID", "PerformedProcedureStepID",
    "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest", "ServiceEpisodeID",
    "InstitutionName", "InstitutionAddress", "InsurancePlanIdentification", "ResponsibleOrganization",
    "PatientReligiousPreference",
})
_TEXTS = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_WORD = re.compile(r"[^\W_]+")
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})[-./ ]?(\d{1,2})[-./ ]?(\d{1,2})(?!\d)")
_YEAR_LAST = re.compile(r"(?<!\d)(\d{1,2})[-./ ](\d{1,2})[-./ ](\d{4})(?!\d)")
_ENCODINGS = ("utf-8", "latin-1", "gb18030", "shift_jis", "euc_jp", "euc_kr", "iso8859_5", "utf-16-le")


@dataclass(slots=True)
class Identity:
    """What identified the patient: names and numbers as text, days (YYYYMMDD), UIDs."""

    names: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    days: set[str] = field(default_factory=set)
    uids: set[str] = field(default_factory=set)
    encoded: set[bytes] = field(default_factory=set)


def identity_of(original: Dataset, retained: Callable[[DataElement], bool]) -> Identity:
    """All that an original says of whose it is, at any depth and in private attributes too.

    retained: whether an attribute leaves as it is, on purpose; its day or UID is none to be looked for.
    """
    found = Identity()
    for element in elements(original):
        if element.VR in ("DA", "DT", "UI") and retained(element):
            continue
        for value in several(element.value):
            _add(found, element, value)
    for kind in (found.numbers, found.names):
        kind.discard("")
    return found


def _add(found: Identity, element: DataElement, value: object) -> None:
    text = str(value).strip()
    if element.VR == "PN":
        _add_name(found, value)
    elif element.VR in _TEXTS and keyword_for_tag(element.tag) in _IDENTIFYING:
        found.numbers.add(text)
    elif element.VR in ("DA", "DT"):
        day = text.replace(".", "", 2)[:8]
        found.days |= {day} if len(day) == 8 and day.isdigit() else set()
    elif element.VR == "UI" and not is_standard(text):
        found.uids.add(text)


def leftovers(content: bytes, written: Dataset, identity: Identity, *, made: Collection[str]) -> list[str]:
    """What of the identity is in a written object: what kind and where, never the value. Empty: it may leave.

    made: values that were put there on purpose (pseudonyms, moved days), which may be equal to an original by chance.
    """
    made = {*made, "REMOVED"}
    found = list(_in_bytes(content, identity, made))
    words = {word.casefold() for word in _words_of(identity)}
    whole = {each.casefold() for each in identity.names | identity.numbers} - {each.casefold() for each in made}
    for element in elements(written):
        if element.VR not in _TEXTS:
            continue
        where = keyword_for_tag(element.tag) or str(element.tag)
        for text in (str(each) for each in several(element.value) if str(each) not in made):
            if words & {word.casefold() for word in _WORD.findall(text)}:
                found.append(f"a part of a name in {where}")
            elif text.strip().casefold() in whole or _days_in(text) & (identity.days - made):
                found.append(f"an identifying value in {where}")
    return list(dict.fromkeys(found))


def _words_of(identity: Identity) -> set[str]:
    """Of the names; a word that examinations are described by, such as Head, would be found without being a name."""
    found = {word for name in identity.names for word in _WORD.findall(name) if len(word) >= SHORTEST_WORD}
    return {word for word in found if word.lower() not in KNOWN and word != "REMOVED"}


def _in_bytes(content: bytes, identity: Identity, made: set[str]) -> Iterator[str]:
    texts = (identity.names | identity.numbers | _words_of(identity)) - made
    numbers = {each for each in texts if each.isdigit()}
    encoded = set(identity.encoded)
    for text in texts - numbers:
        if text.isascii() and len(text) < SHORTEST_IN_BYTES:
            continue  # C3N in UTF-16 is three dark pixels of 16 bits
        encoded |= {text.encode(name, "ignore") for name in _ENCODINGS}
    folded = content.lower()
    if any(each.lower() in folded for each in encoded if len(each) >= SHORTEST_IN_BYTES) or any(
        _stands_alone(content, each) for each in numbers if len(each) >= SHORTEST_IN_BYTES
    ):
        yield "a name or number of the patient in the bytes"
    if any(_stands_alone(content, day) for day in identity.days - made):
        yield "a date of the original in the bytes"
    if any(_stands_alone(content, uid) for uid in identity.uids - made):
        yield "a UID of the original in the bytes"


def _stands_alone(content: bytes, value: str) -> bool:
    """Not as a part of a longer UID; what begins with it, such as the time after a day, is found."""
    after = rb"(?![0-9.])" if "." in value else rb""
    return re.search(rb"(?<![0-9.])" + re.escape(value.encode()) + after, content) is not None


def _days_in(text: str) -> set[str]:
    """Days in a text, as people write them."""
    found = {f"{year}{month:0>2}{day:0>2}" for year, month, day in _YEAR_FIRST.findall(text)}
    for first, second, year in _YEAR_LAST.findall(text):
        found |= {f"{year}{second:0>2}{first:0>2}", f"{year}{first:0>2}{second:0>2}"}
    return found


def _add_name(found: Identity, value: object) -> None:
    name = value if isinstance(value, PersonName) else PersonName(str(value))
    for group in (name.alphabetic, name.ideographic, name.phonetic):
        if group.strip("^ "):
            found.names.add(group.strip("^ "))
    if raw := getattr(name, "original_string", b""):
        found.encoded |= {each.strip(b"^ ") for each in bytes(raw).split(b"=")}
