"""Result forms, and what kinds of destination show.

A profile is a named list of result forms, each with the reason beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

ResultForm = Literal[
    "LABELMAP", "SEG", "FRACTIONAL", "PM", "RTSTRUCT", "SC", "GSPS", "TID1500", "COMPREHENSIVE", "OHIF",
    "MAMMOGRAPHY-CAD", "CHEST-CAD", "KEY-OBJECTS", "PDF", "IMAGES", "NOT-PROCESSED",
]

Profile = Literal["any-pacs", "ohif", "weasis", "slicer", "mammography-workstation", "radiotherapy"]

PROFILES: Mapping[Profile, tuple[ResultForm, ...]] = {
    # Uncompressed BINARY is the one segmentation that every tool reads; many workstations take no Comprehensive 3D SR.
    "any-pacs": ("SEG", "COMPREHENSIVE", "NOT-PROCESSED"),
    # Shows label maps, TID 1500 as a list, and takes over marks that look like its own tools.
    "ohif": ("LABELMAP", "TID1500", "OHIF", "NOT-PROCESSED"),
    # Shows reports as text, their coordinates not at all; it applies presentation states.
    "weasis": ("SEG", "COMPREHENSIVE", "GSPS", "NOT-PROCESSED"),
    # Reads both through dcmqi.
    "slicer": ("SEG", "TID1500", "NOT-PROCESSED"),
    # CAD SR is what it was made for; most show no segmentation and no other report.
    "mammography-workstation": ("MAMMOGRAPHY-CAD", "NOT-PROCESSED"),
    # Planning systems go by contours and their names.
    "radiotherapy": ("RTSTRUCT", "NOT-PROCESSED"),
}
