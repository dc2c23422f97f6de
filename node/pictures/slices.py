"""The pictures of a series in the order in which they are leafed through. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from radnode.node.pictures.planes import (
    Plane,
    Sides,
    in_order,
    place_said,
    plane_of,
    sides_of_plane,
    sides_of_projection,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.storage.listing_queries import InstanceFound

PROJECTIONS = frozenset({"MG", "CR", "DX", "RG", "IO", "PX", "XA", "RF"})
"""Modalities whose images are no slices, even where they say a place."""
_VIEWS = {"399162004": "CC", "399368009": "MLO", "399260004": "ML", "399352003": "LM", "399196006": "FB",
          "399192008": "XCCL", "399101009": "XCCM", "399099002": "LMO", "R-10242": "CC", "R-10226": "MLO"}
"""Codes of CID 4014 -> View Position (0018,5101)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One frame. frame: from 1. number: Instance Number. sides: None where the image does not say them.

    aspect: height of a pixel over its width. side: L, R, B or "" of an image of one side; view: "" if unknown.
    """

    instance: InstanceFound
    frame: int
    rows: int
    columns: int
    number: int | None
    plane: Plane | None
    sides: Sides | None
    aspect: float = 1.0
    side: str = ""
    view: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """SOP Instance UID and frame, 0 for an instance that has but one."""
        return self.instance.sop_instance_uid, self.frame if frames_of(self.instance.attributes) > 1 else 0

    @property
    def said(self) -> str:
        """Side and view of a projection, as R CC."""
        return " ".join(filter(None, (self.side, self.view)))

    @property
    def place(self) -> tuple[str, float] | None:
        """Towards which side of the patient's origin, and how far, mm."""
        return place_said(self.plane) if self.plane is not None else None


def frames_of(attributes: Mapping[str, Any]) -> int:
    """Number of Frames."""
    value = attributes.get("NumberOfFrames")
    return value if isinstance(value, int) and value > 0 else 1


def slices_of(
    images: Sequence[InstanceFound], places: Mapping[int, Sequence[Mapping[str, Any]]]
) -> tuple[tuple[Slice, ...], bool]:
    """Every frame of these images, and whether they are ordered by where they lie, else by Instance Number.

    places: id of an instance -> of each of its frames what it says of its place; else the header says it.
    """
    found = [
        _slice(image, number, {**image.attributes, **_said_of(places.get(image.id, ()), number)})
        for image in images if image.attributes.get("PixelDataPresent")
        for number in range(1, frames_of(image.attributes) + 1)
    ]
    order = in_order([each.plane for each in found])
    return (tuple(found), False) if order is None else (tuple(found[each] for each in order), True)


def _said_of(places: Sequence[Mapping[str, Any]], number: int) -> Mapping[str, Any]:
    return places[number - 1] if number <= len(places) else {}


def _slice(image: InstanceFound, frame: int, values: Mapping[str, Any]) -> Slice:
    plane = None if values.get("Modality") in PROJECTIONS else plane_of(values)
    number = values.get("InstanceNumber")
    return Slice(
        instance=image, frame=frame, rows=_count(values, "Rows"), columns=_count(values, "Columns"),
        number=number if isinstance(number, int) else None, plane=plane,
        sides=sides_of_plane(plane) if plane is not None else sides_of_projection(values.get("PatientOrientation")),
        aspect=_aspect(values), side=_side(values), view=_view(values),
    )


def _count(values: Mapping[str, Any], keyword: str) -> int:
    value = values.get(keyword)
    return value if isinstance(value, int) and value > 0 else 0


def _aspect(values: Mapping[str, Any]) -> float:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        value = values.get(keyword)
        if isinstance(value, list) and len(value) == 2 and all(isinstance(each, int | float) and each > 0
                                                               for each in value):
            return float(value[0]) / float(value[1])
    return 1.0


def _side(values: Mapping[str, Any]) -> str:
    """Of the image before that of its series, and none where they contradict each other."""
    said = {str(values[keyword]) for keyword in ("ImageLaterality", "Laterality", "FrameLaterality")
            if values.get(keyword) in ("L", "R", "B")}
    return said.pop() if len(said) == 1 else ""


def _view(values: Mapping[str, Any]) -> str:
    coded = values.get("ViewCodeSequence")
    if isinstance(coded, list) and coded and isinstance(coded[0], dict):
        code = _VIEWS.get(str(coded[0].get("CodeValue")))
        return code or str(coded[0].get("CodeMeaning") or "")
    return str(values.get("ViewPosition") or "")
