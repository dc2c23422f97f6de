"""What is not sent outside at all, with the reason: what nobody can clean by a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import UID

from radnode.node.intake import negotiation

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from radnode.node.deidentifying.profile import Profile

_OFTEN_BURNED_IN = frozenset({"US", "ES", "XC", "OT", "SC", "GM", "OP", "DOC", "IVUS", "SM", "BDUS"})
"""Modalities whose images commonly carry the patient's name as pixels."""
_DECLARING = frozenset({"MG", "DX", "IO"})
"""Modalities with annotations beside the anatomy, of which the standard wants to be told (PS3.3 C.8.11.3, type 1)."""
_UNREADABLE = {
    "1.2.840.10008.5.1.4.1.1.66": "raw data, which nobody can look into",
    "1.2.840.10008.5.1.4.1.1.104.1": "a document, whose pages are not cleaned",
    "1.2.840.10008.5.1.4.1.1.104.2": "a document, whose text is not cleaned",
    "1.2.840.10008.5.1.4.1.1.104.3": "a model of a body, which is not cleaned",
    "1.2.840.10008.5.1.4.1.1.104.4": "a model of a body, which is not cleaned",
    "1.2.840.10008.5.1.4.1.1.104.5": "a model of a body, which is not cleaned",
}


class Held(Exception):
    """It does not go where it should; the message says why, without a value of it."""


def why_held(dataset: Dataset, profile: Profile, *, masked: bool) -> str:
    """A sentence; empty if it may go. masked: a mask is configured for the device that made the image."""
    sop_class = str(dataset.get("SOPClassUID") or "")
    if sop_class not in negotiation.taken():
        return "its SOP class is not one of the standard: nobody knows what is in it"
    if sop_class in _UNREADABLE:
        return f"it is {_UNREADABLE[sop_class]}"
    if str(dataset.get("RecognizableVisualFeatures") or "").strip() == "YES":
        return "its patient can be recognised in the image (0028,0302), and faces are not cleaned here"
    if "ContentSequence" in dataset and "structured-content" not in profile.clean:
        return "it is a report; write `clean: [structured-content]` to send its content without texts"
    overlays = [dataset[group, 0x0102] for group in range(0x6000, 0x6020, 2) if (group, 0x0102) in dataset]
    if any(each.value for each in overlays):
        return "it has an overlay in the unused bits of its pixels (60xx,0102), which is not cleaned here"
    if "GraphicAnnotationSequence" in dataset:
        return "its graphic annotations may be texts, and are not cleaned here"
    return "" if "PixelData" not in dataset or masked else _burned_in(dataset, UID(sop_class).name)


def _burned_in(dataset: Dataset, name: str) -> str:
    said = str(dataset.get("BurnedInAnnotation") or "").strip()
    modality = str(dataset.get("Modality") or "").strip()
    mask = "write a mask for its manufacturer, model, rows and columns"
    if said == "YES":
        return f"its pixels hold annotations (0028,0301); {mask}"
    kinds = [str(each).strip().upper() for each in _values(dataset.get("ImageType"))]
    screen = any("SCREEN" in each or each in ("REPORT", "DOSE_INFO") for each in kinds)
    secondary = "Secondary Capture" in name or "ConversionType" in dataset
    if screen or secondary or modality in _OFTEN_BURNED_IN:
        what = "a screenshot" if screen else "a secondary capture" if secondary else f"of modality {modality}"
        return f"it is {what}, and such images commonly show the patient's name; {mask}"
    if modality in _DECLARING and said != "NO":
        return f"an image of modality {modality} has to say whether it holds annotations (0028,0301); {mask}"
    return ""


def _values(value: object) -> list[object]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]
