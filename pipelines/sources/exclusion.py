"""Which images of a series are no part of what a pipeline reads, each with its reason.

An image is left out for what it says about itself; what it looks like is judged nowhere here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import UID, CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage

from radnode.pipelines.sources.headers import ENHANCED, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom import Dataset

SOP_CLASSES = {"CT": {CTImageStorage, *ENHANCED["CT"]}, "MR": {MRImageStorage, *ENHANCED["MR"]},
               "PT": {PositronEmissionTomographyImageStorage, *ENHANCED["PT"]}}

# Image Type (0008,0008) as scanners write it; PS3.3 C.8.2.1.1.1 defines only the first three values.
_LOCALISERS = ("LOCALIZER", "SCOUT", "TOPOGRAM", "CT_SOM5 TOP", "CT_SOM7 TOP", "CT_SOM8 TOP")
_SCREENS = (
    "SCREEN SAVE",
    "SCREENSAVE",
    "DOSE",
    "DOSE_INFO",
    "PROTOCOL",
    "CT_SOM5 PROT",
    "CT_SOM7 PROT",
    "CT_SOM8 PROT",
    "REPORT",
)
_PROJECTIONS = ("MIP", "MINIP", "MIN_IP", "MAX_IP", "AVERAGE", "VRT", "VOLUME_RENDER", "SSD", "RENDERED")


def reason_to_exclude(dataset: Dataset, modality: str) -> str | None:
    """Why an image does not belong to a stack of this modality; None if it may."""
    return _wrong_kind(dataset, modality) or _wrong_type(dataset) or _wrong_pixels(dataset)


def type_to_exclude(dataset: Dataset, names: Sequence[str], reason: str) -> str | None:
    """The reason and the value, if Image Type has one of these names."""
    found = {str(value).strip().upper() for value in _values(dataset.get("ImageType"))} & set(names)
    return f"{reason} (Image Type {min(found)})" if found else None


def page_to_exclude(dataset: Dataset) -> str | None:
    """Why an image shows no anatomy, or shows it only to plan by; None if it may."""
    return type_to_exclude(dataset, _LOCALISERS, "it is a localiser") or type_to_exclude(
        dataset, _SCREENS, "it is a screen, protocol or dose page"
    )


def _wrong_kind(dataset: Dataset, modality: str) -> str | None:
    sop_class = str(dataset.get("SOPClassUID", ""))
    if sop_class not in SOP_CLASSES.get(modality, ()):
        return f"it is {UID(sop_class).name or 'of no SOP class'}, not a {modality} image"
    if dataset.get("Modality") != modality:
        return f"its modality is {dataset.get('Modality') or 'missing'}, not {modality}"
    if dataset.get("ConcatenationUID"):
        return "it is one part of a concatenation, which is not supported"
    return None


def _wrong_type(dataset: Dataset) -> str | None:
    if found := page_to_exclude(dataset) or type_to_exclude(
        dataset, _PROJECTIONS, "it is a projection or rendering, not a slice"
    ):
        return found
    if dataset.get("BurnedInAnnotation") == "YES":
        return "it has text burned into its pixels"
    return None


def _wrong_pixels(dataset: Dataset) -> str | None:
    if numbers(dataset.get("SamplesPerPixel"), 1) != (1.0,):
        return "it is a colour image"
    if dataset.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        return f"its Photometric Interpretation is {dataset.get('PhotometricInterpretation') or 'missing'}"
    return None


def _values(value: object) -> list[object]:
    if value is None:
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
