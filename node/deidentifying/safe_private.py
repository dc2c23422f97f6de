"""Private attributes that cannot name anybody: numbers of the acquisition (PS3.15 E.3.10, Table E.3.10-1).

Only those that are needed to compute with images, and only as numbers: whatever else stands in their place goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

SAFE = frozenset({
    (0x7053, "Philips PET Private Group", 0x00),  # SUV scale factor
    (0x7053, "Philips PET Private Group", 0x09),  # activity concentration scale factor
    (0x2001, "Philips Imaging DD 001", 0x03),  # diffusion b-factor
    (0x2005, "Philips MR Imaging DD 001", 0x0D),  # scale intercept
    (0x2005, "Philips MR Imaging DD 001", 0x0E),  # scale slope
    (0x2005, "Philips MR Imaging DD 001", 0xB0),  # diffusion directions RL, AP, FH
    (0x2005, "Philips MR Imaging DD 001", 0xB1),
    (0x2005, "Philips MR Imaging DD 001", 0xB2),
    (0x0019, "SIEMENS MR HEADER", 0x0A),  # images in mosaic
    (0x0019, "SIEMENS MR HEADER", 0x0C),  # b-value
    (0x0019, "SIEMENS MR HEADER", 0x0E),  # diffusion gradient direction
    (0x0019, "SIEMENS MR HEADER", 0x27),  # b-matrix
    (0x0019, "SIEMENS MR HEADER", 0x28),  # bandwidth per pixel, phase encode
    (0x0043, "GEMS_PARM_01", 0x39),  # b-value
    (0x0019, "GEMS_ACQU_01", 0xBB),  # diffusion directions
    (0x0019, "GEMS_ACQU_01", 0xBC),
    (0x0019, "GEMS_ACQU_01", 0xBD),
})
"""Group, private creator, last two digits of the element."""
_NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})


def kept(dataset: Dataset) -> frozenset[BaseTag]:
    """The private attributes of one level that may stay, each with the creator of its block (PS3.5 7.8.1)."""
    found: set[BaseTag] = set()
    for tag in list(dataset.keys()):
        if not tag.is_private or tag.element < 0x1000:
            continue
        creator_tag = type(tag)(tag.group << 16 | tag.element >> 8)
        if creator_tag not in dataset:
            continue
        creator = str(dataset[creator_tag].value or "").strip()
        if (tag.group, creator, tag.element & 0xFF) in SAFE and dataset[tag].VR in _NUMBERS:
            found |= {tag, creator_tag}
    return frozenset(found)
