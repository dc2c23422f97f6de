"""Pictures with burned-in outlines, for whoever can show nothing else: a Secondary Capture series (PS3.3 A.8.1).

First a page in words, then every image that has a finding, in the order of the source, then every radiograph that a map
lies on, tinted by it. Outlines are never filled, so that the anatomy stays visible. The letters at the edges say where
the picture's sides lie in the patient. A picture has no pixel spacing: it is scaled, and nobody should measure in it.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.uid import SecondaryCaptureImageStorage

from radnode.pipelines.geometry import ColourImage, Projection
from radnode.pipelines.results import placing
from radnode.pipelines.results.contours import outlines
from radnode.pipelines.results.plain import base, reference
from radnode.pipelines.results.report_document import sentences, summary_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Findings, Map
    from radnode.pipelines.geometry import SourceFrame
    from radnode.pipelines.results.writing import Writing

    Seen = NDArray[np.float32] | NDArray[np.uint8]

Colour = tuple[int, int, int]

# The longer side of the image in a picture, at least.
SIDE = 768
FOOT, MAP_FOOT = 56, 36
MARK: Colour = (255, 230, 0)
_INK, _PAPER = (235, 235, 235), (12, 12, 12)
_NOTICE = "RESEARCH - not for diagnosis"
_UNVERIFIED = "Drawn by a machine - not verified by a person"
_PAGE_WIDTH, _LINE = 900, 20
# (centre, width) in Hounsfield units; other modalities are shown from their 1st to their 99th percentile.
_LUNG_WINDOW, _SOFT_TISSUE_WINDOW = (-500.0, 1500.0), (40.0, 400.0)
_LUNG = "39607008"
_TINT = 0.55
"""Of the colour where a map is largest; the anatomy stays visible."""
_NO_OUTLINE = "Shows what spoke for the class. No outline of a finding."
# A direction names a second axis when it leans to it by more than this share.
_LEANS = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One image with findings.

    pixels: as :func:`as_seen` gives them. rings: (colour, closed outline or point in pixel coordinates). towards: the
    patient directions at the right and at the bottom edge, "" if unknown. spacing: between rows, between columns.
    tint: a map of `pixels`, whose colour is that of the only label.
    """

    image: SourceFrame
    pixels: Seen
    rings: tuple[tuple[Colour, NDArray[np.float64]], ...]
    labels: tuple[tuple[Colour, str], ...]
    towards: tuple[str, str]
    spacing: tuple[float, float]
    place: str
    tint: NDArray[np.float32] | None = None


def write(writing: Writing) -> tuple[Dataset, ...]:
    """A page in words, then one picture for each image with a finding, and for each map over a radiograph."""
    pages = [_instance(writing, _page(writing), 1, None)]
    window = _window(writing)
    findings = writing.findings
    for number, shown in enumerate((*images_with_findings(findings), *tinted(findings)), 2):
        picture = _picture(shown, window, writing.provenance.order.content_qualification)
        pages.append(_instance(writing, picture, number, shown))
    return tuple(pages)


def images_with_findings(findings: Findings) -> tuple[Shown, ...]:
    """In the order of the volume, or of the projections."""
    rings: dict[SourceFrame, list[tuple[Colour, NDArray[np.float64]]]] = {}
    labels: dict[SourceFrame, dict[tuple[Colour, str], None]] = {}

    def add(image: SourceFrame, colour: Colour, label: str, drawn: list[NDArray[np.float64]]) -> None:
        rings.setdefault(image, []).extend((colour, ring) for ring in drawn)
        labels.setdefault(image, {})[colour, label] = None

    for segment in findings.segments:
        for frame, plane in findings.planes_of(segment):
            add(frame, segment.rgb, segment.label, list(outlines(plane)))
    for detection in findings.detections:
        placed = placing.place(detection, findings)
        certainty = "" if detection.certainty is None else f" {detection.certainty:.0%}"
        add(placed.image, MARK, f"{detection.label}{certainty}", [placed.points])
    return tuple(
        Shown(image=image, pixels=pixels, towards=towards, spacing=spacing, place=place, rings=tuple(rings[image]),
              labels=tuple(labels[image]))
        for image, pixels, towards, spacing, place in _images(findings) if image in rings
    )


def maps_over_radiographs(findings: Findings) -> tuple[Map, ...]:
    """The maps that a picture is made of; a parametric map shows those of volumes."""
    flat = {each.source.sop_instance_uid for each in findings.projections if isinstance(each, Projection)}
    return tuple(each for each in findings.maps if each.on in flat and each.values.ndim == 2)


def tinted(findings: Findings) -> tuple[Shown, ...]:
    """The images that maps lie on, in the order of the maps."""
    maps = maps_over_radiographs(findings)
    return tuple(
        Shown(image=image, pixels=pixels, towards=towards, spacing=spacing, place=place, rings=(),
              labels=((each.rgb, each.label),), tint=each.values)
        for each in maps for image, pixels, towards, spacing, place in _images(findings)
        if image.sop_instance_uid == each.on
    )


def _images(
    findings: Findings,
) -> list[tuple[SourceFrame, Seen, tuple[str, str], tuple[float, float], str]]:
    if findings.volume is None:
        return [
            (each.source, as_seen(each), each.orientation or ("", ""), each.spacing_mm or (1.0, 1.0),
             " ".join(word for word in (each.laterality, each.view, f"frame {each.source.frame_number}"
                                        if each.source.frame_number else "") if word))
            for each in findings.projections
        ]
    volume = findings.grid
    towards = (letters(volume.affine[:3, 2]), letters(volume.affine[:3, 1]))
    spacing = volume.spacing_mm[1:]
    count = len(volume.frames)
    return [
        (frame, volume.voxels[index], towards, spacing, f"image {index + 1} of {count}")
        for index, frame in enumerate(volume.frames)
    ]


def as_seen(image: Projection | ColourImage) -> Seen:
    """What a reader sees of an image: uint8 as its own window shows it, or RGB; float32 if it has no window."""
    if isinstance(image, ColourImage):
        return image.rgb
    return image.pixels if image.display is None else image.display


def in_grey_or_colour(pixels: Seen, window: tuple[float, float] | None = None) -> tuple[NDArray[np.uint8], str]:
    """8 bits, grey or RGB, and the window that made them. float32 pixels are shown by it, or from their 1st to their
    99th percentile; what is seen already stays as it is.
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False), "of the image"
    if window is None:
        low, high = (float(value) for value in np.percentile(pixels, [1, 99]))
        said = f"{low:.0f} to {high:.0f}"
    else:
        low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
        said = f"C {window[0]:.0f} W {window[1]:.0f}"
    return np.clip((pixels - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8), said


def letters(direction: NDArray[np.float64]) -> str:
    """Where a direction (LPS) leads in the patient: L, R, A, P, H, F, the strongest first, as in PS3.3 C.7.6.1.1.1."""
    size = np.abs(direction) / np.linalg.norm(direction)
    order = sorted(range(3), key=lambda axis: -size[axis])
    return "".join("LPH"[axis] if direction[axis] > 0 else "RAF"[axis] for axis in order if size[axis] > _LEANS)


def opposite(towards: str) -> str:
    """The letters of the other edge."""
    return towards.translate(str.maketrans("LRAPHF", "RLPAFH"))


def scale_of(shape: tuple[int, int], spacing: tuple[float, float]) -> tuple[float, float]:
    """Picture pixels for each image pixel, (across columns, across rows): true proportions, `SIDE` or more long."""
    finest = min(spacing)
    across, down = spacing[1] / finest, spacing[0] / finest
    up = max(1.0, SIDE / max(shape[1] * across, shape[0] * down))
    return across * up, down * up


def window_of(writing: Writing) -> tuple[float, float]:
    """(centre, width) to look at these findings with, in the units of the images."""
    found = _window(writing)
    if found is not None:
        return found
    findings = writing.findings
    first = None if findings.volume is not None else findings.projections[0]
    if isinstance(first, ColourImage):
        return 128.0, 256.0
    values = findings.grid.voxels if first is None else first.pixels
    low, high = (float(value) for value in np.percentile(values, [1, 99]))
    return (low + high) / 2, max(high - low, 1.0)


def _window(writing: Writing) -> tuple[float, float] | None:
    if str(writing.source.common.get("Modality")) != "CT":
        return None
    lungs = any(segment.type.value == _LUNG or (segment.site and segment.site.value == _LUNG)
                for segment in writing.findings.segments)
    return _LUNG_WINDOW if lungs else _SOFT_TISSUE_WINDOW


def _picture(shown: Shown, window: tuple[float, float] | None, qualification: str) -> Image.Image:
    grey, said = in_grey_or_colour(shown.pixels, window)
    across, down = scale_of((grey.shape[0], grey.shape[1]), shown.spacing)
    size = round(grey.shape[1] * across), round(grey.shape[0] * down)
    sheet = Image.new("RGB", (size[0], size[1] + FOOT + (MAP_FOOT if shown.tint is not None else 0)), _PAPER)
    sheet.paste(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR).convert("RGB"), (0, 0))
    draw = ImageDraw.Draw(sheet)
    if shown.tint is not None:
        ((colour, _),) = shown.labels
        largest = max(float(shown.tint.max()), 1e-12)
        share = Image.fromarray((255 * _TINT * np.clip(shown.tint / largest, 0, 1)).astype(np.uint8))
        sheet.paste(colour, (0, 0), share.resize(size, Image.Resampling.BILINEAR))
        _scale(draw, size, colour, largest)
    for colour, ring in shown.rings:
        points = [(x * across, y * down) for x, y in ring.tolist()]
        if len(points) == 1:
            (x, y), arm = points[0], 9
            draw.line([(x - arm, y), (x + arm, y)], fill=colour, width=2)
            draw.line([(x, y - arm), (x, y + arm)], fill=colour, width=2)
        else:
            draw.line([*points, points[0]], fill=colour, width=2)
    _edges(draw, size, shown.towards)
    _foot(draw, size, shown, said, qualification)
    return sheet


def _scale(draw: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, largest: float) -> None:
    """What the tint means, below the foot."""
    font, y, wide = ImageFont.load_default(14), size[1] + FOOT + 4, 120
    for x in range(wide):
        share = _TINT * x / wide
        level = tuple(round(128 * (1 - share) + each * share) for each in colour)
        draw.line([(30 + x, y), (30 + x, y + 16)], fill=level)
    draw.text((10, y), "0", fill=_INK, font=font)
    draw.text((38 + wide, y), f"{largest:.3g}, the largest of this map. {_NO_OUTLINE}", fill=_INK, font=font)


def _edges(draw: ImageDraw.ImageDraw, size: tuple[int, int], towards: tuple[str, str]) -> None:
    right, bottom = towards
    font = ImageFont.load_default(22)
    for text, place, anchor in (
        (right, (size[0] - 8, size[1] // 2), "rm"), (opposite(right), (8, size[1] // 2), "lm"),
        (bottom, (size[0] // 2, size[1] - 8), "mb"), (opposite(bottom), (size[0] // 2, 8), "mt"),
    ):
        # A dark rim: bone is as bright as the letters.
        draw.text(place, text, fill=_INK, font=font, anchor=anchor, stroke_width=2, stroke_fill=_PAPER)


def _foot(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], shown: Shown, window: str, qualification: str
) -> None:
    font = ImageFont.load_default(14)
    x, y = 10, size[1] + 8
    for colour, label in shown.labels:
        wide = 26 + int(font.getlength(label)) + 14
        if x + wide > size[0]:
            break
        draw.rectangle((x, y + 2, x + 14, y + 16), fill=colour)
        draw.text((x + 20, y), label, fill=_INK, font=font)
        x += wide
    notice = _UNVERIFIED if qualification == "PRODUCT" else f"{_NOTICE}. {_UNVERIFIED}"
    draw.text((10, size[1] + 30), f"{shown.place}; window {window}", fill=_INK, font=font)
    draw.text((size[0] - 10, size[1] + 30), notice, fill=_INK, font=font, anchor="ra")


def _page(writing: Writing) -> Image.Image:
    """What was found, in words."""
    findings = writing.findings
    labels = {segment.key: segment.label for segment in findings.segments}
    labels |= {detection.key: detection.label for detection in findings.detections}
    title = f"AI result: {writing.provenance.manifest.title}"
    said = [title, f"{_UNVERIFIED}.", f"{summary_of(findings).meaning}.", ""]
    said += [f"{labels.get(each.of, each.of)}: {each.name.meaning} {each.value:.6g} {each.unit.meaning}"
             for each in findings.measurements]
    said += [f"{each.name.meaning}: {each.value.meaning}" for each in findings.classifications]
    said += ["", *sentences(writing)]
    if writing.provenance.order.content_qualification != "PRODUCT":
        said.insert(1, _NOTICE)
    lines = [line for each in said for line in textwrap.wrap(each, 112) or [""]]
    sheet = Image.new("RGB", (_PAGE_WIDTH, max(400, 40 + _LINE * len(lines))), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        draw.text((20, 20 + number * _LINE), line, fill=_INK, font=ImageFont.load_default(15))
    return sheet


def _instance(writing: Writing, picture: Image.Image, number: int, shown: Shown | None) -> Dataset:
    result = base(writing, SecondaryCaptureImageStorage, "OT", number=number, own_series=False)
    result.ConversionType = "WSD"
    result.InstanceNumber = number
    result.ImageType = ["DERIVED", "SECONDARY"]
    result.ContentDate, result.ContentTime = result.SeriesDate, result.SeriesTime
    result.BurnedInAnnotation = "YES"
    result.Laterality = ""
    result.LossyImageCompression = "00"
    result.PatientOrientation = list(shown.towards) if shown and all(shown.towards) else ""
    burned = "Outlines of findings" if shown is None or shown.tint is None else "A map"
    result.DerivationDescription = f"{burned} burned in; scaled, not for measuring"
    if shown is not None:
        image = shown.image
        result.SourceImageSequence = [reference(image.sop_class_uid, image.sop_instance_uid, image.frame_number)]
        result.ImageComments = "; ".join(label for _, label in shown.labels)[:10240]
    pixels = np.asarray(picture)
    result.SamplesPerPixel, result.PhotometricInterpretation, result.PlanarConfiguration = 3, "RGB", 0
    result.Rows, result.Columns = pixels.shape[:2]
    result.BitsAllocated = result.BitsStored = 8
    result.HighBit, result.PixelRepresentation = 7, 0
    content = pixels.tobytes()
    result.PixelData = content + b"\0" * (len(content) % 2)
    result["PixelData"].VR = "OB"
    return result
