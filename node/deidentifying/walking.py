"""Every element of a data set, those of items of sequences included, and the values of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom.multival import MultiValue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import DataElement, Dataset


def several(value: Any) -> list[Any]:
    """The values of an element, none where it is empty."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MultiValue) else [value]


def elements(dataset: Dataset) -> Iterator[DataElement]:
    """Depth first; of a sequence its items' elements, not itself."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value or ():
                yield from elements(item)
        else:
            yield element
