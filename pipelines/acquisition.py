"""How images were made (`StudyImages.acquisition`: DICOM keyword -> text), as numbers and in sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def number(text: str | None) -> float:
    """A header's number; 0 for none and for what is none."""
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def printable(text: str) -> str:
    """Header text in a result: short and plain."""
    return re.sub(r"[^\w .+-]", " ", text)[:24].strip()


def on_posture(acquisition: Mapping[str, str]) -> list[str]:
    """What a rare Patient Position means for the sides."""
    posture = acquisition.get("PatientPosition", "")
    if not posture or posture in ("HFS", "FFS"):
        return []
    return [f"The patient was registered in position {printable(posture)}. If that was not the true one, left and "
            "right are exchanged."]
