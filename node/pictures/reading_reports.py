"""Structured reports: findings with their numbers and the places that they name. For the image process alone.

TID 1500 and the CAD reports (TID 4000, 4100) are read alike: what is a finding is a measurement group, a single image
finding or a composite feature; what it has stands below it. Nothing is concluded from what is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydicom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom import Dataset

_GROUP, _SINGLE, _COMPOSITE = "125007", "111059", "111015"
_FINDING, _SITE, _LATERALITY, _IMPRESSION = "121071", "363698007", "272741003", "111034"
_DERIVATION = "121401"
_INTENT, _NOT_SHOWN = "111056", "111152"
_SITES = (_SITE, "G-C0E3")
_LATERALITIES = (_LATERALITY, "G-C171")
_ABOUT_ITSELF = frozenset({_INTENT, _FINDING, *_SITES, "112039", "112040", "111057", "111016", "111001", "111003"})
_DIMENSIONS = {"SCOORD": 2, "SCOORD3D": 3}
MOST_FINDINGS = 500
MOST_POINTS = 5000


def report(path: Path) -> dict[str, Any]:
    """`title`, `summary`, `findings`, and `left_out`: how many findings more there are.

    A finding: `name`, `site`, `side`, `numbers` [name, value, unit], `answers` [name, value], `places` (`on`: SOP
    Instance UID and frame or 0, `kind`, `points`: pairs of pixel coordinates), `in_patient` (`frame_of_reference`,
    `kind`, `points`: triples, mm), `images` [SOP Instance UID, frame or 0], `segment` [SOP Instance UID, number],
    `of`: the composite feature it belongs to, counted from 0, or None; `shown`: False where it is not to be presented.
    """
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    tree = _Tree(dataset)
    findings = list(tree.findings())
    return {
        "title": _meaning(dataset.get("ConceptNameCodeSequence")), "findings": findings[:MOST_FINDINGS],
        "summary": tree.summary(), "left_out": max(0, len(findings) - MOST_FINDINGS),
    }


class _Tree:
    def __init__(self, root: Dataset) -> None:
        self._root = root
        self._found = 0

    def findings(self) -> Iterator[dict[str, Any]]:
        yield from self._within(self._root, None)

    def summary(self) -> list[str]:
        """What the report says at its top level in one word or sentence."""
        said = []
        for item in _children(self._root):
            if item.get("ValueType") == "CODE" and _name(item) in ("111017", "111064", "111065"):
                said.append(_meaning(item.get("ConceptCodeSequence")))
        return said

    def _within(self, item: Dataset, of: int | None) -> Iterator[dict[str, Any]]:
        for child in _children(item):
            if _name(child) in (_GROUP, _SINGLE, _COMPOSITE):
                number, self._found = self._found, self._found + 1
                yield self._finding(child, of)
                yield from self._within(child, number)
            else:
                yield from self._within(child, of)

    def _finding(self, item: Dataset, of: int | None) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": _meaning(item.get("ConceptCodeSequence")), "site": "", "side": "", "numbers": [], "answers": [],
            "places": [], "in_patient": [], "images": [], "segment": None, "of": of, "shown": True,
        }
        for child in _children(item):
            kind, name = child.get("ValueType"), _name(child)
            if name == _INTENT:
                found["shown"] = _code(child.get("ConceptCodeSequence")) != _NOT_SHOWN
            elif kind == "CODE":
                self._said(child, name, found)
            elif kind == "NUM":
                found["numbers"] += _number(child)
            elif kind in _DIMENSIONS:
                self._place(child, found)
            elif kind == "IMAGE" or "ReferencedContentItemIdentifier" in child:
                self._image(child, found)
        return found

    def _said(self, item: Dataset, name: str, found: dict[str, Any]) -> None:
        value = _meaning(item.get("ConceptCodeSequence"))
        if name == _FINDING:
            found["name"] = value
        elif name in _SITES:
            found["site"] = value
            found["side"] = next((_meaning(each.get("ConceptCodeSequence")) for each in _children(item)
                                  if _name(each) in _LATERALITIES), "")
        elif name not in _ABOUT_ITSELF and name not in (_SINGLE, _COMPOSITE):
            found["answers"].append([_meaning(item.get("ConceptNameCodeSequence")), value])

    def _place(self, item: Dataset, found: dict[str, Any]) -> None:
        values = [float(each) for each in item.get("GraphicData") or []]
        size = _DIMENSIONS[item.ValueType]
        points = [values[first : first + size] for first in range(0, len(values), size)]
        if not points or len(values) % size or len(points) > MOST_POINTS:
            return
        place = {"kind": str(item.get("GraphicType", "")), "points": points}
        if size == 3:
            found["in_patient"].append({
                **place, "frame_of_reference": str(item.get("ReferencedFrameOfReferenceUID", ""))})
            return
        for child in _children(item):
            for uid, frame in self._images(child):
                found["places"].append({**place, "on": [uid, frame]})

    def _image(self, item: Dataset, found: dict[str, Any]) -> None:
        resolved = self._resolved(item)
        for reference in resolved.get("ReferencedSOPSequence", []):
            segment = reference.get("ReferencedSegmentNumber")
            if segment is not None:
                numbers = segment if isinstance(segment, list | pydicom.multival.MultiValue) else [segment]
                if len(numbers) == 1:
                    found["segment"] = [str(reference.ReferencedSOPInstanceUID), int(numbers[0])]
        if found["segment"] is None:
            found["images"] += [[uid, frame] for uid, frame in self._images(item)]

    def _images(self, item: Dataset) -> Iterator[tuple[str, int]]:
        for reference in self._resolved(item).get("ReferencedSOPSequence", []):
            frames = reference.get("ReferencedFrameNumber")
            several = frames if isinstance(frames, list | pydicom.multival.MultiValue) else [frames or 0]
            for frame in several:
                yield str(reference.get("ReferencedSOPInstanceUID", "")), int(frame)

    def _resolved(self, item: Dataset) -> Dataset:
        """The item itself, or the one that it stands for (PS3.3 C.17.3.2.5)."""
        place = item.get("ReferencedContentItemIdentifier")
        if place is None:
            return item
        numbers = [place] if isinstance(place, int) else list(place)
        found = self._root
        for number in numbers[1:]:
            found = found.ContentSequence[int(number) - 1]
        return found


def _children(item: Dataset) -> list[Dataset]:
    return list(item.get("ContentSequence") or [])


def _name(item: Dataset) -> str:
    return _code(item.get("ConceptNameCodeSequence"))


def _code(sequence: Any) -> str:
    return str(sequence[0].get("CodeValue", "")) if sequence else ""


def _meaning(sequence: Any) -> str:
    return str(sequence[0].get("CodeMeaning", ""))[:200] if sequence else ""


def _number(item: Dataset) -> list[list[Any]]:
    measured = item.get("MeasuredValueSequence")
    if not measured:
        return []
    units = measured[0].get("MeasurementUnitsCodeSequence")
    derived = [_meaning(each.get("ConceptCodeSequence")) for each in _children(item) if _name(each) == _DERIVATION]
    name = ", ".join([_meaning(item.get("ConceptNameCodeSequence")), *derived])
    return [[name, float(measured[0].NumericValue), _code(units)]]
