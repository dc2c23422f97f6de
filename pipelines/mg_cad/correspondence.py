"""The same lesion in both views of a breast: equally far behind the nipple, along the line to the chest wall.

In a CC and an MLO view the distance of a lesion to the nipple, measured along that line, agrees within about a
centimetre (Kopans, Breast Imaging, "triangulation"); nothing more can be said of two views without a third.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from radnode.pipelines.mg_cad.breast import Breast
    from radnode.pipelines.mg_cad.marks import Mark

TOLERANCE_MM = 12.0


def pairs(
    breasts: Mapping[str, Breast], marks: Mapping[str, Sequence[Mark]]
) -> list[tuple[Mark, Mark]]:
    """(mark on CC, mark on MLO) of one breast, each mark at most once, the most certain pairs first.

    breasts, marks: view -> that image of the breast, and what was found on it.
    """
    if not {"CC", "MLO"} <= breasts.keys():
        return []
    behind = {view: breast.nipple[0] for view, breast in breasts.items()}
    possible = [
        (one.certainty * other.certainty, one, other)
        for one in marks["CC"] for other in marks["MLO"]
        if one.kind == other.kind
        and abs((behind["CC"] - one.center[0]) - (behind["MLO"] - other.center[0])) <= TOLERANCE_MM
    ]
    found: list[tuple[Mark, Mark]] = []
    used: set[int] = set()
    for _, one, other in sorted(possible, key=lambda each: -each[0]):
        if not used & {id(one), id(other)}:
            used |= {id(one), id(other)}
            found.append((one, other))
    return found
