"""The process that reads headers: `python -m radnode.node.header_process`, one JSON line in, one out.

It imports pydicom and nothing of the node, has little memory, and may be killed at any time. Answers hold what routing
and completion may ask for: short values only, no pixels, no binary data.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import re
import resource
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.multival import MultiValue

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MOST_MEMORY_BYTES = 1 << 30
MOST_ELEMENTS = 10_000
LONGEST_TEXT = 256
MOST_VALUES = 64
MOST_ITEMS = 16
_PR_SET_PDEATHSIG = 1
_TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
_NUMBER_VRS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
# pydicom 3.0 leaves the escape sequence of ISO 2022 IR 58 in the text.
_ESCAPES = re.compile("\x1b[\\x20-\\x2f]*[\\x30-\\x7e]")


class TooManyElements(ValueError):
    """The header is longer than any image's."""


class NoInstance(ValueError):
    """What can be read names no instance."""


def read_attributes(path: str) -> dict[str, Any]:
    """Keyword or private tag -> JSON value. Raises whatever pydicom raises for a broken file."""
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    if len(dataset) > MOST_ELEMENTS:
        raise TooManyElements(f"more than {MOST_ELEMENTS} elements")
    attributes: dict[str, Any] = {}
    for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset decodes every element
        if tag.is_private:
            _add_private(dataset, tag, attributes)
        elif keyword := keyword_for_tag(tag):
            _add(dataset, tag, keyword, attributes)
    if "SOPInstanceUID" not in attributes:
        raise NoInstance("no SOP Instance UID")
    return attributes


def _add(dataset: Dataset, tag: Any, name: str, attributes: dict[str, Any]) -> None:
    try:
        element = dataset[tag]
        value = _codes(element.value) if element.VR == "SQ" else _value(element.VR, element.value)
    except (ValueError, TypeError, LookupError, NotImplementedError, RecursionError):
        attributes.setdefault("undecodable", []).append(name)
        return
    if value is not None:
        attributes[name] = value
        if "\ufffd" in str(value):
            attributes.setdefault("undecodable", []).append(name)


def _add_private(dataset: Dataset, tag: Any, attributes: dict[str, Any]) -> None:
    """A private element under its tag and, when its creator is known, under (gggg,xxee,CREATOR) (PS3.5 7.8)."""
    _add(dataset, tag, f"({tag.group:04x},{tag.element:04x})", attributes)
    if tag.is_private_creator or tag.element < 0x1000:
        return
    creator: Any = dataset.get((tag.group, tag.element >> 8))
    value = attributes.get(f"({tag.group:04x},{tag.element:04x})")
    if creator is not None and value is not None:
        attributes[f"({tag.group:04x},xx{tag.element & 0xFF:02x},{str(creator.value).strip()})"] = value


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


def _codes(items: Any) -> list[dict[str, str]] | None:
    """Code sequences, one level deep; other sequences are not kept."""
    if not items or len(items) > MOST_ITEMS or "CodeMeaning" not in items[0]:
        return None
    return [{name: str(item.get(name, ""))[:LONGEST_TEXT] for name in _CODE} for item in items]


def _confine() -> None:
    """Limits on this process; the kernel ends it when its parent dies."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    warnings.simplefilter("ignore")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def main() -> None:
    """Answer until standard input ends."""
    _confine()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = {"id": order["id"], "attributes": read_attributes(order["path"])}
        except MemoryError:
            answer = {"id": order["id"], "error": "the header needs more memory than a header may"}
        except Exception as error:  # noqa: BLE001 - whatever a broken file does to the parser is its answer
            answer = {"id": order["id"], "error": f"the header cannot be read: {type(error).__name__}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
