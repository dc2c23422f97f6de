"""Which images of a job are those that a pipeline reads one by one: radiographs, mammograms, colour images. Pure.

An image that is left out has its reason; what is doubtful about a side is refused.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalIntraOralXRayImageStorageForPresentation,
    DigitalIntraOralXRayImageStorageForProcessing,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    OphthalmicPhotography8BitImageStorage,
    SecondaryCaptureImageStorage,
    VideoEndoscopicImageStorage,
    VideoMicroscopicImageStorage,
    VideoPhotographicImageStorage,
    VLEndoscopicImageStorage,
    VLMicroscopicImageStorage,
    VLPhotographicImageStorage,
)

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.sources.decoding import pixel_format
from radnode.pipelines.sources.exclusion import page_to_exclude, type_to_exclude
from radnode.pipelines.sources.headers import numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pydicom import Dataset

    from radnode.pipelines.contract import Manifest
    from radnode.pipelines.sources.decoding import PixelFormat
    from radnode.pipelines.sources.headers import SourceInstance

    Header = Mapping[str, Any] | Dataset

PRESENTATION = {
    "MG": DigitalMammographyXRayImageStorageForPresentation, "DX": DigitalXRayImageStorageForPresentation,
    "IO": DigitalIntraOralXRayImageStorageForPresentation, "CR": ComputedRadiographyImageStorage,
}
PROCESSING = {
    "MG": DigitalMammographyXRayImageStorageForProcessing, "DX": DigitalXRayImageStorageForProcessing,
    "IO": DigitalIntraOralXRayImageStorageForProcessing,
}
COLOUR = frozenset({
    VLEndoscopicImageStorage, VLMicroscopicImageStorage, VLPhotographicImageStorage, VideoEndoscopicImageStorage,
    VideoMicroscopicImageStorage, VideoPhotographicImageStorage, OphthalmicPhotography8BitImageStorage,
    SecondaryCaptureImageStorage, MultiFrameTrueColorSecondaryCaptureImageStorage,
})
# A radiograph is CR or DX by the age of the machine that made it.
_ALIKE = {"CR": ("CR", "DX"), "DX": ("DX", "CR")}
PALETTE = "PALETTE COLOR"
_SAMPLES = {PALETTE: 1, "RGB": 3, "YBR_FULL": 3, "YBR_FULL_422": 3, "YBR_ICT": 3, "YBR_RCT": 3}
_SYNTHESISED = ("GENERATED_2D", "TOMO_2D", "TOMOSYNTHESIS")
_AGREED = ("BodyPartExamined", "PatientAge", "PatientSex", "KVP", "Manufacturer", "ManufacturerModelName",
           "DetectorType")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedImage:
    """One image to read. frames: 1-based numbers; (None,) for a single-frame image."""

    instance: SourceInstance
    form: PixelFormat
    frames: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSelection:
    """The images to read, by Series Number, Instance Number and UID.

    excluded: SOP Instance UID -> why not. notes: what must travel with the result. acquisition: keyword -> value,
    where all of them agree.
    """

    images: tuple[SelectedImage, ...]
    excluded: Mapping[str, str]
    notes: tuple[str, ...]
    acquisition: Mapping[str, str]


def select_projections(instances: Sequence[SourceInstance], manifest: Manifest) -> ImageSelection:
    """Choose the images that a manifest reads. Raises NotProcessed if there are none, or fewer than it wants."""
    excluded: dict[str, str] = {}
    chosen: dict[str, SelectedImage] = {}
    for instance in sorted(instances, key=_order):
        uid, dataset = instance.sop_instance_uid, instance.dataset
        if not uid or not dataset.get("SeriesInstanceUID"):
            raise NotProcessed("an image without SOP Instance UID or Series Instance UID: no result may refer to it")
        if uid in chosen or uid in excluded:
            raise NotProcessed(f"instance {uid} is there twice")
        reason = reason_to_exclude(dataset, manifest)
        if reason is not None:
            excluded[uid] = reason
            continue
        form = pixel_format(dataset, samples_of(dataset))
        frames: tuple[int | None, ...] = tuple(range(1, form.frames + 1)) if form.frames > 1 else (None,)
        chosen[uid] = SelectedImage(instance=instance, form=form, frames=frames)
    if len(chosen) < max(manifest.min_slices, 1):
        reasons = Counter(excluded.values()).most_common(3)
        raise NotProcessed(
            f"{len(chosen)} of {len(instances)} images are {manifest.modality} images that {manifest.name} reads, it "
            f"needs {max(manifest.min_slices, 1)}"
            + "".join(f"; {count} left out: {reason}" for reason, count in reasons)
        )
    headers = [each.instance.dataset for each in chosen.values()]
    return ImageSelection(
        images=tuple(chosen.values()), excluded=excluded, notes=tuple(_notes(headers, manifest)),
        acquisition={keyword: values.pop() for keyword in _AGREED
                     if len(values := {str(header.get(keyword, "")) for header in headers}) == 1 and "" not in values},
    )


def reason_to_exclude(dataset: Dataset, manifest: Manifest) -> str | None:
    """Why an image is not one that the manifest reads; None if it is."""
    return (
        kind_to_exclude(dataset, manifest)
        or (None if manifest.reads == "colour" else _two_sides(dataset))
        or pixels_to_exclude(dataset)
    )


def kind_to_exclude(dataset: Header, manifest: Manifest) -> str | None:
    """Why an image is of another kind than the manifest reads; None if it is of that kind."""
    other = _no_colour_image(dataset, manifest) if manifest.reads == "colour" else _no_radiograph(dataset, manifest)
    return other or page_to_exclude(dataset)  # type: ignore[arg-type]


def samples_of(dataset: Dataset) -> int:
    """Samples of a pixel, by its Photometric Interpretation."""
    return _SAMPLES.get(str(dataset.get("PhotometricInterpretation", "")), 1)


def laterality_of(dataset: Dataset) -> str:
    """L, R, B or "" (PS3.3 C.8.3.1.1.1, C.7.3.1)."""
    said = str(dataset.get("ImageLaterality") or dataset.get("Laterality") or "").strip().upper()
    return said if said in ("L", "R", "B") else ""


def _order(instance: SourceInstance) -> tuple[float, float, str]:
    series, number = (numbers(instance.dataset.get(keyword), 1) for keyword in ("SeriesNumber", "InstanceNumber"))
    return (series or (0.0,))[0], (number or (0.0,))[0], instance.sop_instance_uid


def _no_radiograph(dataset: Header, manifest: Manifest) -> str | None:
    sop_class = str(dataset.get("SOPClassUID", ""))
    modalities = _ALIKE.get(manifest.modality, (manifest.modality,))
    raw = manifest.reads == "raw projection"
    wanted, other = (PROCESSING, PRESENTATION) if raw else (PRESENTATION, PROCESSING)
    if sop_class not in {table.get(each) for table in (wanted, other) for each in modalities}:
        return f"it is {UID(sop_class).name or 'of no SOP class'}, not a {' or '.join(modalities)} image"
    if dataset.get("Modality") not in modalities:
        return f"its modality is {dataset.get('Modality') or 'missing'}, not {' or '.join(modalities)}"
    said = str(dataset.get("PresentationIntentType") or "")
    intended = "FOR PROCESSING" if sop_class in PROCESSING.values() else "FOR PRESENTATION"
    if said not in ("", intended):
        return f"its SOP class is {intended}, its Presentation Intent Type is not"
    if intended != ("FOR PROCESSING" if raw else "FOR PRESENTATION"):
        return f"it is {intended}, which {manifest.name} does not read"
    if dataset.get("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        return f"its Photometric Interpretation is {dataset.get('PhotometricInterpretation') or 'missing'}"
    kind = dataset.get("ImageType") or []
    if len(kind) > 1 and kind[1] == "SECONDARY":
        return "it was made from other images after the examination (Image Type SECONDARY)"
    return type_to_exclude(dataset, _SYNTHESISED, "it is computed from a tomosynthesis")  # type: ignore[arg-type]


def _two_sides(dataset: Dataset) -> str | None:
    if len({str(dataset.get(each)) for each in ("ImageLaterality", "Laterality") if dataset.get(each)}) > 1:
        return "it names two sides (Image Laterality and Laterality)"
    return None


def _no_colour_image(dataset: Header, manifest: Manifest) -> str | None:
    sop_class = str(dataset.get("SOPClassUID", ""))
    if sop_class not in COLOUR:
        return f"it is {UID(sop_class).name or 'of no SOP class'}, not a colour image"
    if dataset.get("Modality") != manifest.modality:
        return f"its modality is {dataset.get('Modality') or 'missing'}, not {manifest.modality}"
    photometric = str(dataset.get("PhotometricInterpretation") or "missing")
    if photometric not in _SAMPLES:
        return f"it is no colour image (Photometric Interpretation {photometric})"
    if photometric != PALETTE and numbers((dataset.get("BitsAllocated"), dataset.get("BitsStored")), 2) != (8, 8):
        return "its colours have other than 8 bits"
    return None


def pixels_to_exclude(dataset: Dataset) -> str | None:
    """Why the pixels of an image are none that are read; None if they are."""
    samples = samples_of(dataset)
    if numbers(dataset.get("SamplesPerPixel"), 1) != (float(samples),):
        return "its Samples per Pixel are not those of its Photometric Interpretation"
    if dataset.get("ConcatenationUID"):
        return "it is one part of a concatenation, which is not supported"
    try:
        pixel_format(dataset, samples)
    except NotProcessed as error:
        return str(error)
    return None


def _notes(headers: Sequence[Dataset], manifest: Manifest) -> list[str]:
    """What a radiologist must know of the images."""
    def count(sentence: str, found: Sequence[bool]) -> list[str]:
        return [f"{sum(found)} of {len(headers)} images {sentence}"] if any(found) else []

    def says(keyword: str) -> list[bool]:
        return [str(header.get(keyword, "")).strip() == "YES" for header in headers]

    notes = count("have text burned into their pixels.", says("BurnedInAnnotation"))
    if manifest.reads != "colour":
        notes += count("show only a part of the breast (Partial View).", says("PartialView"))
        notes += count("show a breast with an implant.", says("BreastImplantPresent"))
        notes += count("do not say where left and right are (Patient Orientation, Laterality).", [
            not laterality_of(header) and len(header.get("PatientOrientation") or ()) != 2 for header in headers
        ])
    else:
        notes += count("have a colour profile, which was not applied: colours are as stored.", [
            "ICCProfile" in header and header.get("ColorSpace") != "SRGB" for header in headers
        ])
    notes += (
        ["The images were compressed with loss; measured values may differ from the original."]
        if any(str(header.get("LossyImageCompression", "")) == "01" for header in headers) else []
    )
    return notes
