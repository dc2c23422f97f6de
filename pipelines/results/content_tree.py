"""A content tree of a structured report, with items that refer to other items (PS3.3 C.17.3).

highdicom builds no such references. An item refers to another by its place in the tree, counted from 1 at the root; the
places are known only when the tree is complete, so items are objects until then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from radnode.pipelines.results.marking import concept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Code
    from radnode.pipelines.geometry import SourceFrame


@dataclass(slots=True, eq=False)
class Item:
    """One content item. relationship: to its parent. target: for an item by reference, which has nothing else."""

    relationship: str
    value_type: str = ""
    name: Code | None = None
    value: Mapping[str, Any] = field(default_factory=dict)
    children: list[Item] = field(default_factory=list)
    target: Item | None = None

    def add(self, *items: Item) -> Item:
        """Append children; returns this item."""
        self.children.extend(items)
        return self


def container(relationship: str, name: Code) -> Item:
    """A heading."""
    return Item(relationship, "CONTAINER", name, {"ContinuityOfContent": "SEPARATE"})


def code(relationship: str, name: Code, value: Code) -> Item:
    """A coded answer."""
    return Item(relationship, "CODE", name, {"ConceptCodeSequence": [concept(value)]})


def text(relationship: str, name: Code, value: str) -> Item:
    """Free text."""
    return Item(relationship, "TEXT", name, {"TextValue": value})


def uid(relationship: str, name: Code, value: str) -> Item:
    """A UID."""
    return Item(relationship, "UIDREF", name, {"UID": value})


def date(relationship: str, name: Code, value: str) -> Item:
    """A date, YYYYMMDD."""
    return Item(relationship, "DATE", name, {"Date": value})


def time(relationship: str, name: Code, value: str) -> Item:
    """A time, HHMMSS."""
    return Item(relationship, "TIME", name, {"Time": value})


def number(relationship: str, name: Code, value: float, unit: Code) -> Item:
    """A number with its unit."""
    measured = Dataset()
    measured.NumericValue = f"{value:.10g}"
    measured.MeasurementUnitsCodeSequence = [concept(unit)]
    return Item(relationship, "NUM", name, {"MeasuredValueSequence": [measured]})


def image(relationship: str, source: SourceFrame) -> Item:
    """An image, without a concept name."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.sop_class_uid
    reference.ReferencedSOPInstanceUID = source.sop_instance_uid
    if source.frame_number is not None:
        reference.ReferencedFrameNumber = source.frame_number
    return Item(relationship, "IMAGE", None, {"ReferencedSOPSequence": [reference]})


def coordinates(relationship: str, name: Code, graphic_type: str, points: NDArray[Any], on: Item) -> Item:
    """POINT or POLYLINE on a library image. points: (n, 2), (column, row) in pixels, corner of the first pixel 0, 0."""
    data = [float(value) for value in points.ravel()]
    drawn = Item(relationship, "SCOORD", name, {"GraphicData": data, "GraphicType": graphic_type})
    return drawn.add(refer("SELECTED FROM", on))


def refer(relationship: str, target: Item) -> Item:
    """An item that is there already."""
    return Item(relationship, target=target)


def encode(root: Item) -> Dataset:
    """The attributes of the document content module for this tree."""
    places: dict[int, list[int]] = {}
    _number(root, [1], places)
    return _encoded(root, places)


def _number(item: Item, place: list[int], places: dict[int, list[int]]) -> None:
    places[id(item)] = place
    for position, child in enumerate(item.children, 1):
        _number(child, [*place, position], places)


def _encoded(item: Item, places: Mapping[int, list[int]]) -> Dataset:
    encoded = Dataset()
    if item.relationship:
        encoded.RelationshipType = item.relationship
    if item.target is not None:
        encoded.ReferencedContentItemIdentifier = places[id(item.target)]
        return encoded
    encoded.ValueType = item.value_type
    if item.name is not None:
        encoded.ConceptNameCodeSequence = [concept(item.name)]
    for keyword, value in item.value.items():
        setattr(encoded, keyword, value)
    if item.children:
        encoded.ContentSequence = [_encoded(child, places) for child in item.children]
    return encoded
