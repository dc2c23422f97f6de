"""The process that reads headers: `python -m radnode.node.header_process`, one JSON line in, one out.

It imports pydicom and next to nothing of radnode, has little memory and time, and may be killed at any time. Answers
hold what routing and completion may ask for: short values only, no pixels, no binary data.

Images of one series mostly say the same, so a converted value is remembered by the bytes it came from.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import resource
import signal
import sys
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from radnode.pipelines.sources.tag_order import UntilPixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

MOST_MEMORY_BYTES = 1 << 30
MOST_TIME_S = 3.0
"""Of computing, for one header; an ordinary one takes a millisecond."""
MOST_ELEMENTS = 10_000
LARGEST_VALUE_BYTES = 1 << 16
"""Longer values, such as private data of hundreds of megabytes, are passed over without being read."""
LONGEST_TEXT = 256
MOST_VALUES = 64
MOST_ITEMS = 16
_KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
ABOUT_OTHERS = frozenset({
    "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7",  # segmentations: of bits, label maps
    "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.88.34",  # reports
})
ABOUT_SERIES, PREDECESSORS = "AboutSeriesInstanceUID", "PredecessorSOPInstanceUID"
_MOST_SERIES = 200
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED_BYTES = 4096
_CONTEXT = (Tag("SpecificCharacterSet"), Tag("PixelRepresentation"))
_TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
_NUMBER_VRS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_CODE = {name: Tag(name) for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")}
# pydicom 3.0 leaves the escape sequence of ISO 2022 IR 58 in the text.
_ESCAPES = re.compile("\x1b[\\x20-\\x2f]*[\\x30-\\x7e]")

_remembered: dict[tuple[object, ...], tuple[Any, bool]] = {}


class HeaderRefused(Exception):
    """The header is none that an image has; the message says why, in our words alone."""


class _UntilPixels(UntilPixels):
    """Stops the parser at the pixels (PS3.5 7.1.1: an undefined length is some) or when there are too many elements."""

    def __init__(self) -> None:
        super().__init__()
        self._elements = 0

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise HeaderRefused(f"it has more than {MOST_ELEMENTS} elements")
        return super().__call__(tag, vr, length)


def read_attributes(path: str) -> dict[str, Any]:
    """Keyword or private tag -> JSON value. Raises whatever pydicom raises for a broken file.

    `PixelDataPresent` tells of an image, which has Rows, whether it has pixels. Of a key object selection
    `ReferencedSOPInstanceUID` lists the instances in its evidence (PS3.3 C.17.6.2.1); of a segmentation or a report
    :data:`ABOUT_SERIES` lists the series it is about, :data:`PREDECESSORS` what it takes the place of. `undecodable`
    names attributes with text that its character set does not hold, or with a value that could not be read.
    `ambiguous` names those that are there twice or out of order; they have no value.
    """
    until = _UntilPixels()
    with Path(path).open("rb") as file:
        dataset = read_partial(file, stop_when=until, defer_size=LARGEST_VALUE_BYTES)
        for tag in until.ambiguous:
            del dataset[tag]
        attributes = _Attributes(dataset).collected()
    if until.ambiguous:
        attributes["ambiguous"] = sorted(_keyword(tag) or _shown(tag) for tag in until.ambiguous)
    if "SOPInstanceUID" not in attributes:
        raise HeaderRefused("it has no SOP Instance UID")
    if "Rows" in attributes:
        attributes["PixelDataPresent"] = until.pixels
    if attributes.get("SOPClassUID") == _KEY_OBJECTS:
        attributes["ReferencedSOPInstanceUID"] = _evidence(path)
    if attributes.get("SOPClassUID") in ABOUT_OTHERS:
        attributes |= _about(path)
    return attributes


def _evidence(path: str) -> list[str]:
    """The instances that a key object selection names, of a whole study where that is rejected."""
    dataset = pydicom.dcmread(path, specific_tags=["CurrentRequestedProcedureEvidenceSequence"])
    named = [
        _single("UI", each.get("ReferencedSOPInstanceUID"))
        for study in dataset.get("CurrentRequestedProcedureEvidenceSequence", [])
        for series in study.get("ReferencedSeriesSequence", [])
        for each in series.get("ReferencedSOPSequence", [])
    ]
    return [uid for uid in named if isinstance(uid, str)]


def _about(path: str) -> dict[str, list[str]]:
    """Of a segmentation (PS3.3 C.8.20.2, by C.12.1.2) or a report (C.17.2) what it is about and what came before it."""
    dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[
        "ReferencedSeriesSequence", "CurrentRequestedProcedureEvidenceSequence", "PredecessorDocumentsSequence"])
    series = [*dataset.get("ReferencedSeriesSequence", []), *(
        each for study in dataset.get("CurrentRequestedProcedureEvidenceSequence", [])
        for each in study.get("ReferencedSeriesSequence", []))]
    before = [each for study in dataset.get("PredecessorDocumentsSequence", [])
              for one in study.get("ReferencedSeriesSequence", []) for each in one.get("ReferencedSOPSequence", [])]
    named = {
        ABOUT_SERIES: [_single("UI", each.get("SeriesInstanceUID")) for each in series[:_MOST_SERIES]],
        PREDECESSORS: [_single("UI", each.get("ReferencedSOPInstanceUID")) for each in before[:_MOST_SERIES]],
    }
    return {name: [uid for uid in uids if isinstance(uid, str)] for name, uids in named.items()}


class _Attributes:
    """The attributes of one data set."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._found: dict[str, Any] = {}
        self._undecodable: list[str] = []
        self._context = _context(dataset)

    def collected(self) -> dict[str, Any]:
        """Everything worth keeping."""
        for tag in self._dataset.keys():  # noqa: SIM118 - iterating a Dataset decodes every element
            if tag.is_private:
                self._add_private(tag)
            elif keyword := _keyword(int(tag)):
                self._add(tag, keyword)
        if self._undecodable:
            self._found["undecodable"] = self._undecodable
        return self._found

    def _add_private(self, tag: BaseTag) -> None:
        """A private element under its tag and, when its creator is known, under (gggg,xxee,CREATOR) (PS3.5 7.8)."""
        name = _shown(tag)
        if tag.is_private_creator or tag.element < 0x1000:
            self._add(tag, name)
            return
        creator: Any = self._dataset.get((tag.group, tag.element >> 8))
        said = "" if creator is None else str(creator.value).strip()
        self._add(tag, name, said)
        if said and name in self._found:
            self._found[f"({tag.group:04x},xx{tag.element & 0xFF:02x},{said})"] = self._found[name]

    def _add(self, tag: BaseTag, name: str, creator: str = "") -> None:
        try:
            value, decodable = _converted(self._dataset, tag, self._context, creator)
        except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError, RecursionError):
            self._undecodable.append(name)
            return
        if value is not None:
            self._found[name] = value
        if not decodable:
            self._undecodable.append(name)


def _context(dataset: Dataset) -> tuple[str | None, ...]:
    """What else than its own bytes decides how a value reads."""
    found: list[Any] = [dataset.get_item(tag, keep_deferred=True) for tag in _CONTEXT]
    return tuple(None if each is None else str(each.value) for each in found)  # the parser may have made lists


def _converted(dataset: Dataset, tag: BaseTag, context: tuple[str | None, ...], creator: str = "") -> tuple[Any, bool]:
    """The JSON value, None for what is not kept; and whether all of its text was in its character set."""
    raw: Any = dataset.get_item(tag, keep_deferred=True)
    if not isinstance(raw, RawDataElement):
        return _convert(dataset, tag, context)
    if raw.value is None:
        return None, True
    if len(raw.value) > _LONGEST_REMEMBERED_BYTES:
        return _convert(dataset, tag, context)
    # An int, because comparing pydicom's tags costs more than all else here.
    key = (*context, creator, int(tag), raw.VR, raw.value, raw.is_implicit_VR, raw.is_little_endian)
    if (known := _remembered.get(key)) is None:
        known = _convert(dataset, tag, context)
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[key] = known
    return known


def _convert(dataset: Dataset, tag: BaseTag, context: tuple[str | None, ...]) -> tuple[Any, bool]:
    element = dataset[tag]
    value = _codes(element.value, context) if element.VR == "SQ" else _value(element.VR, element.value)
    return value, "\ufffd" not in str(value)


def _shown(tag: int) -> str:
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


@lru_cache(maxsize=MOST_ELEMENTS)
def _keyword(tag: int) -> str:
    return keyword_for_tag(tag)


def _value(vr: str, value: Any) -> Any:
    if vr not in _TEXT_VRS | _NUMBER_VRS:
        return None
    if isinstance(value, (list, MultiValue)):
        if len(value) > MOST_VALUES:
            return None
        values = [_single(vr, each) for each in value]
        return [each for each in values if each is not None]
    return _single(vr, value)


def _single(vr: str, value: Any) -> str | int | float | None:
    if value is None:
        return None
    if vr == "IS":
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            return int(value)
    elif vr in _NUMBER_VRS:
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            if math.isfinite(number := float(value)):  # JSON has no word for the others
                return int(value) if isinstance(value, int) else number
    text = _ESCAPES.sub("", str(value)).replace("\0", "").strip()
    return text if 0 < len(text) <= LONGEST_TEXT else None


def _codes(items: Any, context: tuple[str | None, ...]) -> list[dict[str, str]] | None:
    """Code sequences, one level deep; other sequences are not kept. Items inherit the character set (PS3.5 6.1.2.3)."""
    if not items or len(items) > MOST_ITEMS or _CODE["CodeMeaning"] not in items[0]:
        return None
    return [{name: _code(item, tag, context) for name, tag in _CODE.items()} for item in items]


def _code(item: Dataset, tag: BaseTag, context: tuple[str | None, ...]) -> str:
    if tag not in item:
        return ""
    value, _ = _converted(item, tag, (*context, *_context(item)))
    return value if isinstance(value, str) else ""


def _confine() -> None:
    """Limits on this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _give_up)
    warnings.simplefilter("ignore")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def _give_up(_signal: int, _frame: object) -> None:
    raise HeaderRefused(f"it takes more than {MOST_TIME_S:g} s to read")


@contextlib.contextmanager
def _limited_time() -> Iterator[None]:
    """Ends what Python code computes for too long; the node ends this process when anything else hangs."""
    signal.setitimer(signal.ITIMER_PROF, MOST_TIME_S, MOST_TIME_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _answer(path: str) -> dict[str, Any]:
    try:
        with _limited_time():
            return {"attributes": read_attributes(path)}
    except MemoryError:
        return {"error": "the header needs more memory than a header may"}
    except HeaderRefused as refused:
        return {"error": f"the header cannot be read: {refused}"}
    except Exception as error:  # noqa: BLE001 - whatever a broken file does to the parser is its answer
        return {"error": f"the header cannot be read: {type(error).__name__}"}


def main() -> None:
    """Answer until standard input ends."""
    _confine()
    for line in sys.stdin:
        order = json.loads(line)
        sys.stdout.write(json.dumps({"id": order["id"], **_answer(order["path"])}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
