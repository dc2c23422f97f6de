"""What one mammogram says of itself: which breast, which view, when, and why it may be no standard view. Pure.

Two reasons are kept apart: an image of another kind is left out; one that contradicts itself, or does not say what it
must, is held, and the radiologist is told so by name. Nothing is guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from radnode.pipelines.sources.headers import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydicom import Dataset

    Header = Mapping[str, Any] | Dataset

SIDES = {"R": "right", "L": "left"}
VIEWS = ("CC", "MLO")
"""The standard views of a screening."""

# PS3.3 C.8.11.7.1 and PS3.16 CID 4014, in SNOMED CT and in the retired codes of SNOMED RT: code -> View Position.
_SNOMED = ("SCT", "SRT", "SNM3", "99SDM")
_VIEW_CODES = {
    "399162004": "CC", "R-10242": "CC", "399368009": "MLO", "R-10226": "MLO", "399260004": "ML", "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM", "399099002": "LMO", "R-10230": "LMO", "399196006": "FB", "R-10244": "FB",
    "399188001": "SIO", "R-102D0": "SIO", "441555000": "ISO", "R-40AAA": "ISO", "399192008": "XCCL",
    "R-1024A": "XCCL", "399101009": "XCCM", "R-1024B": "XCCM", "399265009": "XCC", "R-102CF": "XCC",
}
_SPECIMEN_CODES = ("127457009", "G-8310")
_IMPLANT_DISPLACED = ("399209000", "R-102D5")
_SIDE_CODES = {"7771000": "L", "G-A101": "L", "80248007": "L", "T-04030": "L",
               "24028007": "R", "G-A100": "R", "73056007": "R", "T-04020": "R"}

# Further values of Image Type that change nothing about a plain mammogram. Every other one is not known to be one.
_PLAIN_TYPES = {"", "LEFT", "RIGHT", "CC", "MLO", "POST_PROCESSED", "PROCESSED", "RAW", "FFDM", "STANDARD", "NONE"}
_TOMOSYNTHESIS = re.compile(r"TOMO|GENERATED|SYNTH|DBT")
_CONTRAST = re.compile(r"ENERGY|RECOMBINED|SUBTRACT|CONTRAST|CESM|CEDM|CEM")
_TEXTS = ("SeriesDescription", "ProtocolName", "PaddleDescription", "AcquisitionDeviceProcessingDescription")
_OF_PROCEDURE = ("StudyDescription", "PerformedProcedureStepDescription", "RequestedProcedureDescription")
_INTERVENTION = re.compile(
    r"\b(specimen|biops\w*|stereota\w*|galactogra\w*|ductogra\w*|wire|needle|localization|localisation|marker clip)\b",
    re.IGNORECASE,
)
_WORDS = {
    "a spot view": re.compile(r"\bspot\b", re.IGNORECASE),
    "a magnified view": re.compile(r"\b(mag|magn|magni\w+)\b", re.IGNORECASE),
    "a rolled view": re.compile(r"\broll(ed)?\b", re.IGNORECASE),
    "a tangential view": re.compile(r"\btangential\b", re.IGNORECASE),
    "a view of the cleavage": re.compile(r"\bcleavage\b", re.IGNORECASE),
    "an implant-displaced view": re.compile(r"\b(eklund|implant[ -]?displaced)\b", re.IGNORECASE),
    "an image with contrast medium": re.compile(r"\b(cesm|cedm|cem|contrast|dual[ -]energy)\b", re.IGNORECASE),
    "computed from a tomosynthesis": re.compile(r"\b(tomo\w*|dbt|synthe\w+|c-view)\b", re.IGNORECASE),
}
_NAMED_VIEW = re.compile(r"\b(left|right|l|r)[ _-]*(cc|mlo)\b", re.IGNORECASE)
# In contact with the detector a breast is shown up to about 1.1 times its size; magnified views start at 1.4.
_MAGNIFIED = 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Mammogram:
    """One image of a breast, by its header.

    side: a key of :data:`SIDES`, "" if unclear. view: as in View Position, "" if unclear. taken: when, None if it does
    not say. day: YYYYMMDD, "" if not said. against: why it is no standard view to read, "" if it is one.
    held: it contradicts itself or does not say what it must. implant: it says that the breast has one.
    """

    sop_instance_uid: str
    side: str
    view: str
    taken: datetime | None
    processed: datetime | None
    day: str
    against: str
    held: bool
    implant: bool


class _Unclear(Exception):
    """What an image says contradicts itself, or is not said."""


def describe(header: Header) -> Mammogram:
    """Judge an image whose SOP class and pixels are those of a mammogram already."""
    side, unclear_side = _or_unclear(_side, header)
    view, unclear_view = _or_unclear(_view, header)
    kind = _other_kind(header)
    unclear = unclear_side or unclear_view or _or_unclear(_orientation, header, side, view)[1]
    against = kind or unclear or _no_standard_view(header, view) or _unusable(header)
    return Mammogram(
        sop_instance_uid=str(header.get("SOPInstanceUID", "")), side=side, view=view,
        taken=_moment(header, "Acquisition"), processed=_moment(header, "Content"),
        day=_text(header, "AcquisitionDate")[:8] or _text(header, "AcquisitionDateTime")[:8]
        or _text(header, "ContentDate")[:8] or _text(header, "StudyDate")[:8],
        against=against, held=bool(unclear) and not kind, implant=_implant(header),
    )


def printable(text: str) -> str:
    """Text of a header for a sentence: short and plain."""
    return re.sub(r"[^\w .+/-]", " ", text)[:32].strip()


def _or_unclear(judge: Any, *given: Any) -> tuple[str, str]:
    try:
        return judge(*given), ""
    except _Unclear as unclear:
        return "", str(unclear)


def _side(header: Header) -> str:
    """L or R, of all that names a side (PS3.3 C.8.3.1.1.1, C.7.3.1, C.8.11.7). Raises _Unclear."""
    said: dict[str, str] = {}
    for keyword in ("ImageLaterality", "Laterality", "FrameLaterality"):
        if value := _text(header, keyword).upper():
            said[keyword] = value
    for item in _items(header, "AnatomicRegionSequence"):
        for coded in (item, *_items(item, "AnatomicRegionModifierSequence")):
            if found := _SIDE_CODES.get(_code(coded)):
                said["AnatomicRegionSequence"] = found
    if not said:
        raise _Unclear("it does not say which breast it shows (Image Laterality, Laterality)")
    if other := sorted(set(said.values()) - SIDES.keys()):
        raise _Unclear(f"its laterality is {printable(other[0])}, not one breast")
    said |= {f"{keyword} text": named[0] for keyword, named in _named(header).items()}
    if len(set(said.values())) > 1:
        raise _Unclear("it names two sides (" + ", ".join(f"{key} {value}" for key, value in said.items()) + ")")
    return next(iter(said.values()))


def _view(header: Header) -> str:
    """The view in the words of View Position, by text and code; "" for a code of no view known. Raises _Unclear."""
    said: dict[str, str] = {}
    if text := _text(header, "ViewPosition").upper():
        said["View Position"] = text
    coded = _items(header, "ViewCodeSequence")
    for item in coded:
        if _scheme(item) in _SNOMED and _code(item) in _VIEW_CODES:
            said[f"View Code {_code(item)}"] = _VIEW_CODES[_code(item)]
        else:
            said[f"View Code {printable(_code(item))}"] = printable(_text(item, "CodeMeaning")) or "unknown"
    if not said:
        raise _Unclear("it does not say which view it is (View Position, View Code Sequence)")
    if len({value.upper() for value in said.values()}) > 1 and not _is_specimen(coded):
        raise _Unclear("it names two views (" + ", ".join(f"{key}: {printable(value)}" for key, value in said.items())
                       + ")")
    view = next(iter(said.values()))
    if other := {named[1] for named in _named(header).values()} - {view} if view in VIEWS else set():
        raise _Unclear(f"it names two views (View Position or its code {view}, its descriptions {min(other)})")
    return view


def _orientation(header: Header, side: str, view: str) -> str:
    """PS3.3 C.8.11.7.1: in an oblique view the breast's own side is above, so what is towards the feet is towards the
    other side. Raises _Unclear.
    """
    said = _values(header, "PatientOrientation")
    if len(said) == 2 and not any(each[:1] in ("A", "P") for each in said):
        raise _Unclear(f"its Patient Orientation {printable('/'.join(said))} has no direction to the front")
    if view != "MLO" or not side:
        return ""
    for each in said:
        across = next((one for one in each if one in "LR"), "")
        if across and ("F" in each or "H" in each) and (across == side) == ("F" in each):
            raise _Unclear(f"its Patient Orientation {printable('/'.join(said))} is that of an MLO view of the "
                           f"{SIDES['L' if side == 'R' else 'R']} breast")
    return ""


def _other_kind(header: Header) -> str:
    """Why it is no plain mammogram of a breast at all, "" if it is one."""
    return _other_type(header) or _other_object(header)


def _other_type(header: Header) -> str:
    types = _values(header, "ImageType")[2:]
    if any(_TOMOSYNTHESIS.search(each) for each in types):
        return "it is part of a tomosynthesis or computed from one (Image Type)"
    if any(_CONTRAST.search(each) for each in types) or header.get("ContrastBolusAgent") or _items(
        header, "ContrastBolusAgentSequence"
    ):
        return "it was made with contrast medium, of one or two energies"
    if unknown := [each for each in types if each not in _PLAIN_TYPES and not each.isdigit()]:
        return f"its Image Type has {printable(unknown[0])}, which is not known to be a plain mammogram"
    return ""


def _other_object(header: Header) -> str:
    if _text(header, "QualityControlImage").upper() == "YES":
        return "it is a quality control image"
    if _is_specimen(_items(header, "ViewCodeSequence")) or _items(header, "SpecimenDescriptionSequence") or (
        _text(header, "PositionerType").upper() == "NONE"
    ):
        return "it shows a specimen, not a breast"
    if found := _INTERVENTION.search(" ".join(_said_of_procedure(header))):
        return f"it belongs to an intervention (its descriptions say {found[0].lower()})"
    if _text(header, "DetectorType").upper() == "FILM" or _text(header, "ConversionType").upper() == "DF":
        return "it is a digitised film"
    if (numbers(header.get("NumberOfFrames") or 1, 1) or (0.0,))[0] != 1:
        return "it has several frames"
    return ""


def _no_standard_view(header: Header, view: str) -> str:
    """Why a clear view is not read."""
    modifiers = [each for item in _items(header, "ViewCodeSequence")
                 for each in _items(item, "ViewModifierCodeSequence")]
    if modifiers:
        return f"it is no standard view but {view} with {printable(_text(modifiers[0], 'CodeMeaning')) or 'a modifier'}"
    if view not in VIEWS:
        return f"it is no standard view but {printable(view)}"
    text = " ".join(_text(header, keyword) for keyword in _TEXTS)
    for meaning, pattern in _WORDS.items():
        if pattern.search(text):
            return f"its descriptions call it {meaning}"
    factor = numbers(header.get("EstimatedRadiographicMagnificationFactor"), 1)
    if factor is not None and factor[0] >= _MAGNIFIED:
        return f"it is magnified {factor[0]:.2g} times"
    if _text(header, "PartialView").upper() == "YES" or _items(header, "PartialViewCodeSequence"):
        return "it shows only a part of the breast (Partial View)"
    return ""


def _unusable(header: Header) -> str:
    for keyword in ("ImagerPixelSpacing", "PixelSpacing"):
        spacing = numbers(header.get(keyword), 2)
        if spacing is not None and min(spacing) > 0:
            return "" if max(spacing) <= 1.02 * min(spacing) else "its pixels are not square"
    return "it does not say how large its pixels are (Imager Pixel Spacing)"


def _is_specimen(coded: list[Any]) -> bool:
    return any(_code(each) in _SPECIMEN_CODES for each in coded)


def _implant(header: Header) -> bool:
    modifiers = [each for item in _items(header, "ViewCodeSequence")
                 for each in _items(item, "ViewModifierCodeSequence")]
    displaced = any(_code(each) in _IMPLANT_DISPLACED for each in modifiers) or bool(
        _WORDS["an implant-displaced view"].search(" ".join(_text(header, keyword) for keyword in _TEXTS)))
    return displaced or _text(header, "BreastImplantPresent").upper() == "YES"


def _named(header: Header) -> dict[str, tuple[str, str]]:
    """Side and view of the descriptions that name exactly one, such as "R CC"."""
    found = {}
    for keyword in ("SeriesDescription", "ProtocolName"):
        names = {(each[0][0].upper(), each[1].upper()) for each in _NAMED_VIEW.findall(_text(header, keyword))}
        if len(names) == 1:
            found[keyword] = names.pop()
    return found


def _said_of_procedure(header: Header) -> Iterator[str]:
    for keyword in (*_TEXTS, *_OF_PROCEDURE):
        yield _text(header, keyword)
    for keyword in ("ProcedureCodeSequence", "PerformedProtocolCodeSequence", "RequestedProcedureCodeSequence"):
        for item in _items(header, keyword):
            yield _text(item, "CodeMeaning")


def _moment(header: Header, of: str) -> datetime | None:
    """When it was acquired, or when its content was made, by the clock on the modality's wall (as if in UTC)."""
    at = _text(header, "AcquisitionDateTime") if of == "Acquisition" else ""
    at = at or _text(header, f"{of}Date") + _text(header, f"{of}Time").replace(":", "")
    parsed = re.match(r"(\d{8})(\d{2})(\d{2})?(\d{2})?(\.\d{1,6})?", at)
    if parsed is None:
        return None
    try:
        whole = datetime.strptime("".join(each or "00" for each in parsed.groups()[:4]) + "+0000", "%Y%m%d%H%M%S%z")
    except ValueError:
        return None
    return whole.replace(microsecond=int(float(parsed[5] or 0) * 1e6), tzinfo=UTC)


def _values(header: Header, keyword: str) -> list[str]:
    value = header.get(keyword) or ()
    return [str(each).strip().upper() for each in ((value,) if isinstance(value, str) else value)]


def _items(header: Any, keyword: str) -> list[Any]:
    return list(header.get(keyword) or ())


def _text(header: Any, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()


def _code(item: Any) -> str:
    return _text(item, "CodeValue")


def _scheme(item: Any) -> str:
    return _text(item, "CodingSchemeDesignator").upper()
