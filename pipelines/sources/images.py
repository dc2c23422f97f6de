"""From selected images to pixels, each image and each frame for itself."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_color_lut

from radnode.pipelines.contract import IncompleteInput, NotProcessed, StudyImages
from radnode.pipelines.geometry import ColourImage, Projection, SourceFrame
from radnode.pipelines.sources.decoding import (
    NATIVE,
    check_codestream,
    decode,
    decode_frame,
    frame_index,
    note_loss,
    open_pixels,
)
from radnode.pipelines.sources.headers import numbers
from radnode.pipelines.sources.projections import laterality_of, samples_of
from radnode.pipelines.sources.volume import VOLUME_BUDGET_BYTES, padding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.contract import Manifest
    from radnode.pipelines.sources.projections import ImageSelection, SelectedImage

_GREY_BYTES, _COLOUR_BYTES = 6, 3
"""Of a pixel: as float32, as uint8 and its validity; red, green and blue."""
_NO_WINDOW = "Some images have no window; they were shown from their darkest to their brightest pixel."
# PS3.16 CID 4014: what ViewPosition spells as text.
_VIEWS = {"399162004": "CC", "R-10242": "CC", "399368009": "MLO", "R-10226": "MLO"}


def read_projections(selection: ImageSelection, manifest: Manifest) -> StudyImages:
    """Decode the images, with all that a pipeline is told about them.

    Raises IncompleteInput, naming the instance, for one that does not decode; NotProcessed for what is too much at
    once, has no usable values, or shows nothing at all.
    """
    each_bytes = _COLOUR_BYTES if manifest.reads == "colour" else _GREY_BYTES
    wanted = each_bytes * sum(_pixels(each) for each in selection.images)
    if wanted > VOLUME_BUDGET_BYTES:
        frames = sum(len(each.frames) for each in selection.images)
        raise NotProcessed(f"{frames} images or frames with {wanted >> 20} MiB of pixels are more than is read at once "
                           f"({VOLUME_BUDGET_BYTES >> 20} MiB)")
    notes = list(selection.notes)
    read: list[Projection | ColourImage] = []
    for each in selection.images:
        read += _colours(each, notes) if manifest.reads == "colour" else _radiographs(each, notes)
    empty = [number for number, each in enumerate(read, 1) if _is_constant(each)]
    if len(empty) == len(read):
        raise NotProcessed(f"none of the {len(read)} images shows anything: each has one value everywhere")
    if empty:
        notes.append(f"{len(empty)} of {len(read)} images show nothing: one value everywhere.")
    return StudyImages(
        projections=tuple(read), modality=manifest.modality, excluded=selection.excluded,
        notes=tuple(dict.fromkeys(notes)), acquisition=selection.acquisition,
    )


def display_values(values: NDArray[np.float64], dataset: Dataset, valid: NDArray[np.bool_] | None) -> (
    NDArray[np.uint8] | None
):
    """Grey from 0, black, to 255, by the image's first VOI LUT or window (PS3.3 C.11.2), MONOCHROME1 inverted.

    values: after the modality transformation, before inversion. None if the image has neither. Raises NotProcessed for
    a table that cannot be read.
    """
    share = _by_table(values, dataset) if dataset.get("VOILUTSequence") else _by_window(values, dataset)
    if share is None:
        return None
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        share = 1 - share
    grey = np.rint(share * 255).astype(np.uint8)
    if valid is not None:
        grey[~valid] = 0
    return grey


def _pixels(image: SelectedImage) -> int:
    return math.prod((image.form.rows, image.form.columns, image.form.frames))


def _is_constant(image: Projection | ColourImage) -> bool:
    pixels = image.rgb if isinstance(image, ColourImage) else image.pixels
    return bool((pixels == pixels[0, 0]).all())


def _frame(image: SelectedImage, number: int | None) -> SourceFrame:
    return SourceFrame(
        sop_class_uid=str(image.instance.dataset.SOPClassUID), sop_instance_uid=image.instance.sop_instance_uid,
        frame_number=number,
    )


def _radiographs(image: SelectedImage, notes: list[str]) -> Iterator[Projection]:
    dataset = image.instance.dataset
    stored_frames = decode(image.instance, [number or 1 for number in image.frames], notes)
    implant = {"YES": True, "NO": False}.get(str(dataset.get("BreastImplantPresent", "")).strip())
    detector, patient = _spacings(dataset)
    for number, stored in zip(image.frames, stored_frames, strict=True):
        padded = padding(stored, dataset)
        valid = None if padded is None or not padded.any() else ~padded
        values, (low, high) = _modality_values(stored, image)
        display = display_values(values, dataset, valid)
        mirror = low + high if dataset.PhotometricInterpretation == "MONOCHROME1" else None
        if mirror is not None:
            values = mirror - values
        if valid is not None and valid.any():
            values[~valid] = values[valid].min()
        if display is None:
            notes.append(_NO_WINDOW)
            low, high = float(values.min()), float(values.max())
            display = np.rint((values - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
        yield Projection(
            source=_frame(image, number),
            series_instance_uid=str(dataset.SeriesInstanceUID),
            pixels=values.astype(np.float32),
            display=display,
            valid=valid,
            spacing_mm=detector,
            spacing_in_patient_mm=patient,
            orientation=_orientation(dataset),
            laterality=laterality_of(dataset),
            view=_view(dataset),
            magnification=_first(dataset.get("EstimatedRadiographicMagnificationFactor")),
            mirror=mirror,
            implant=implant,
            partial=str(dataset.get("PartialView", "")).strip() == "YES",
        )


def _spacings(dataset: Dataset) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """(at the detector, in the patient), PS3.3 10.7.1.3: Pixel Spacing is corrected for magnification where it differs
    from Imager Pixel Spacing or names its calibration; otherwise it says the same as Imager Pixel Spacing.
    """
    imager, given = (_positive(dataset, keyword) for keyword in ("ImagerPixelSpacing", "PixelSpacing"))
    if given is None:
        return imager, None
    if dataset.get("PixelSpacingCalibrationType") or (imager is not None and given != imager):
        return imager, given
    return given, None


def _positive(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    found = numbers(dataset.get(keyword), 2)
    return (found[0], found[1]) if found is not None and min(found) > 0 else None


def _orientation(dataset: Dataset) -> tuple[str, str] | None:
    said = list(dataset.get("PatientOrientation") or ())
    return (str(said[0]), str(said[1])) if len(said) == 2 else None


def _view(dataset: Dataset) -> str:
    if said := str(dataset.get("ViewPosition") or "").strip():
        return said
    coded = dataset.get("ViewCodeSequence") or ()
    return _VIEWS.get(str(coded[0].get("CodeValue", "")), "") if coded else ""


def _modality_values(
    stored: NDArray[np.integer], image: SelectedImage
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Values after the modality transformation (PS3.3 C.11.1), and the lowest and highest that there can be."""
    dataset, form = image.instance.dataset, image.form
    half = 1 << (form.bits_stored - 1)
    ends = np.array([-half, half - 1] if form.signed else [0, 2 * half - 1])
    if table := dataset.get("ModalityLUTSequence"):
        values, highest = _looked_up(stored, table[0], dataset)
        return values, (0.0, highest)
    slope = _first(dataset.get("RescaleSlope", 1))
    intercept = _first(dataset.get("RescaleIntercept", 0))
    if not slope or intercept is None:
        raise NotProcessed(f"instance {image.instance.sop_instance_uid} has no usable Rescale Slope and Intercept")
    low, high = sorted(float(end) for end in ends * slope + intercept)
    return stored * np.float64(slope) + intercept, (low, high)


def _by_table(values: NDArray[np.float64], dataset: Dataset) -> NDArray[np.float64]:
    """0 to 1."""
    found, highest = _looked_up(np.rint(values).astype(np.int64), dataset.VOILUTSequence[0], dataset)
    return found / highest


def _looked_up(
    values: NDArray[np.integer], table: Dataset, dataset: Dataset
) -> tuple[NDArray[np.float64], float]:
    """Values by a LUT, and the highest it may give (PS3.3 C.11.1.1, C.11.2.1.1).

    LUT Descriptor is the number of entries, the value of the first, and the bits of each; entries have 16 bits in the
    file, though some write 8. Raises NotProcessed for a table that is none.
    """
    descriptor, data = numbers(table.get("LUTDescriptor"), 3), table.get("LUTData")
    if descriptor is not None and data is not None:
        count, first, bits = int(descriptor[0]) or 1 << 16, int(descriptor[1]), int(descriptor[2])
        if dataset.PixelRepresentation == 1 and first >= 1 << 15:
            first -= 1 << 16
        if isinstance(data, bytes):
            entries = np.frombuffer(data, np.uint8 if len(data) in (count, count + count % 2) else "<u2")
        else:
            entries = np.atleast_1d(np.asarray(data, dtype=np.int64))
        highest = (1 << bits) - 1
        if 8 <= bits <= 16 and len(entries) >= count and 0 <= entries[:count].min() <= entries[:count].max() <= highest:
            return entries[np.clip(values - first, 0, count - 1)].astype(np.float64), float(highest)
    raise NotProcessed(f"instance {dataset.SOPInstanceUID} has a lookup table that cannot be used")


def _by_window(values: NDArray[np.float64], dataset: Dataset) -> NDArray[np.float64] | None:
    """0 to 1 by the first window; PS3.3 C.11.2.1.2.1 and C.11.2.1.3."""
    center, width = (_first(dataset.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if center is None or width is None or width < (1 if function == "LINEAR" else 1e-6):
        return None
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -60, 60))))
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1e-6)
    return np.clip((values - center) / width + 0.5, 0, 1)


def _first(value: object) -> float | None:
    """The first of one or several numbers."""
    several = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    found = numbers(several[:1], 1)
    return None if found is None else found[0]


def _colours(image: SelectedImage, notes: list[str]) -> Iterator[ColourImage]:
    dataset = image.instance.dataset
    for number, rgb in zip(image.frames, _rgb(image, notes), strict=True):
        yield ColourImage(
            source=_frame(image, number),
            series_instance_uid=str(dataset.SeriesInstanceUID),
            rgb=rgb,
            spacing_mm=_positive(dataset, "PixelSpacing"),
            orientation=_orientation(dataset),
            laterality=laterality_of(dataset),
        )


def _rgb(image: SelectedImage, notes: list[str]) -> Iterator[NDArray[np.uint8]]:
    """uint8 (rows, columns, 3) of each frame. Raises as :func:`decode`."""
    form, uid = image.form, image.instance.sop_instance_uid
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if samples_of(image.instance.dataset) == 1:
            found = [_of_palette(stored, pydicom.dcmread(image.instance.path))
                     for stored in decode(image.instance, [number or 1 for number in image.frames], notes)]
        else:
            dataset, syntax = open_pixels(image.instance, form)
            found = []
            for number in (number or 1 for number in image.frames):
                if syntax not in NATIVE:
                    check_codestream(dataset, form, number, syntax, notes)
                decoded = decode_frame(dataset, frame_index(number, form, dataset), syntax, raw=False)
                if decoded.dtype != np.uint8:
                    raise IncompleteInput(f"instance {uid} decodes to {decoded.dtype}")
                found.append(decoded.astype(np.uint8, copy=False))
            note_loss(syntax, notes)
    if any("Photometric Interpretation" in str(warning.message) for warning in caught):
        notes.append("A codestream and its header disagree on the model of its colours; the codestream's was used.")
    for rgb in found:
        if rgb.shape != (form.rows, form.columns, 3):
            raise IncompleteInput(f"instance {uid} decodes to {rgb.shape}")
        yield rgb


def _of_palette(stored: NDArray[np.integer], dataset: Dataset) -> NDArray[np.uint8]:
    """PS3.3 C.7.9: entries of 16 bits are cut to 8."""
    try:
        found = apply_color_lut(stored.astype(np.uint16), dataset)
        wide = int(dataset.RedPaletteColorLookupTableDescriptor[2]) == 16
    except Exception as error:
        # A palette may be anything that somebody wrote.
        raise NotProcessed(f"instance {dataset.SOPInstanceUID} has a palette that cannot be used "
                           f"({type(error).__name__})") from error
    return (found / 257 if wide else found).round().astype(np.uint8)
