"""Outlines and names over the original images, as a Grayscale Softcopy Presentation State (PS3.3 A.33.1); over colour
images as a Color Softcopy Presentation State (A.33.2).

For viewers that draw no report coordinates and show no segmentation. A viewer applies the whole state, its window as
well, so that is a sensible one. Each segment and each kind of mark has a layer of its own in its colour.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
from highdicom import PresentationLUTTransformation, ReferencedImageSequence, pr
from highdicom.color import CIELabColor
from highdicom.enum import PresentationLUTShapeValues
from PIL import ImageCms

from radnode.pipelines.findings import Segment
from radnode.pipelines.geometry import Projection
from radnode.pipelines.results import placing
from radnode.pipelines.results.contours import outlines
from radnode.pipelines.results.secondary_capture import MARK, window_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Detection, Findings
    from radnode.pipelines.geometry import SourceFrame
    from radnode.pipelines.results.writing import Writing

    Drawn = tuple[int, Segment | Detection, SourceFrame, list[NDArray[np.float64]]]
    """What is drawn, with its place among the findings, on one image."""


def write(writing: Writing) -> tuple[Dataset, ...]:
    """One state for all images with findings that one state may show; none when nothing was found."""
    findings = writing.findings
    shown: list[Segment | Detection] = [*findings.segments, *findings.detections]
    kinds: dict[tuple[str, ...], list[Drawn]] = {}
    for number, each in enumerate(shown, 1):
        for image, rings in drawn(each, findings):
            kind = _kind(writing.source.header(image.sop_instance_uid))
            kinds.setdefault(kind, []).append((number, each, image, rings))
    return tuple(_state(writing, kind[0], kinds[kind], number) for number, kind in enumerate(sorted(kinds), 1))


def _kind(header: Dataset) -> tuple[str, ...]:
    """What the images of one state share: their polarity or that they have colours, size, modality values, profile."""
    photometric = str(header.get("PhotometricInterpretation", ""))
    shared = (header.get(each, "") for each in (
        "Rows", "Columns", "RescaleSlope", "RescaleIntercept", "RescaleType", "ICCProfile"
    ))
    return photometric if "MONOCHROME" in photometric else "colour", *(str(each) for each in shared)


def _state(
    writing: Writing, kind: str, shown: Sequence[Drawn], number: int
) -> Dataset:
    layers = {order: _layer(place, each) for place, (order, each) in enumerate(
        {order: each for order, each, _, _ in shown}.items(), 1)}
    images = {image.sop_instance_uid: writing.source.header(image.sop_instance_uid) for _, _, image, _ in shown}
    common = {name: value for name, value in writing.common(number).items()
              if name not in ("content_date", "content_time")}
    common |= {
        "referenced_images": list(images.values()),
        "graphic_layers": list(layers.values()),
        "graphic_annotations": [
            pr.GraphicAnnotation(
                referenced_images=[images[image.sop_instance_uid]],
                graphic_layer=layers[order],
                referenced_frame_number=image.frame_number,
                graphic_objects=[_graphic(ring) for ring in rings],
                text_objects=[_text(each.label, rings[0])],
            )
            for order, each, image, rings in shown
        ],
        "content_label": "AI_FINDINGS",
        "content_description": writing.provenance.series_description("PR"),
        "content_creator_name": f"AI^{writing.provenance.manifest.name}",
    }
    if kind == "colour":
        profile = _profile(next(iter(images.values())).get("ICCProfile"))
        result: Dataset = pr.ColorSoftcopyPresentationState(icc_profile=profile, **common)
    else:
        # A state's own polarity stands in place of the image's: MONOCHROME1 would be shown as a negative.
        polarity = PresentationLUTShapeValues.INVERSE if kind == "MONOCHROME1" else PresentationLUTShapeValues.IDENTITY
        result = pr.GrayscaleSoftcopyPresentationState(
            voi_lut_transformations=_windows(writing, images),
            presentation_lut_transformation=PresentationLUTTransformation(presentation_lut_shape=polarity),
            **common,
        )
    writing.finish(result)
    result.Laterality = ""
    result.PresentationCreationDate, result.PresentationCreationTime = result.SeriesDate, result.SeriesTime
    return result


def _profile(own: bytes | None) -> bytes:
    """The image's, or sRGB as a viewer takes it anyway, as that of an input device (PS3.3 C.11.15).

    ICC.1:2010 7.2: bytes 12 to 15 are the class, 16 to 19 the colours, and 24 to 35 the time of making, which would
    make a state that is written again another one.
    """
    if own is not None and own[12:20] in (b"scnrRGB ", b"spacRGB ", b"mntrRGB "):
        return own[:12] + b"scnr" + own[16:]
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:12] + b"scnr" + profile[16:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + profile[36:]


def _windows(writing: Writing, images: Mapping[str, Dataset]) -> list[pr.SoftcopyVOILUTTransformation]:
    """In the units of the file: one window for a volume, one for each radiograph."""
    if writing.findings.volume is not None:
        center, width = window_of(writing)
        return [pr.SoftcopyVOILUTTransformation(window_center=center, window_width=width)]
    windows = []
    for image in writing.findings.projections:
        header = images.get(image.source.sop_instance_uid)
        if header is None or not isinstance(image, Projection):
            continue
        low, high = (float(value) for value in np.percentile(image.pixels, [1, 99]))
        center = (low + high) / 2 if image.mirror is None else image.mirror - (low + high) / 2
        windows.append(pr.SoftcopyVOILUTTransformation(
            window_center=center, window_width=max(high - low, 1.0), referenced_images=ReferencedImageSequence([header])
        ))
    return windows


def drawn(
    shown: Segment | Detection, findings: Findings
) -> Iterator[tuple[SourceFrame, list[NDArray[np.float64]]]]:
    """(image, closed outlines or one point) in pixel coordinates, in the order of the images."""
    if not isinstance(shown, Segment):
        placed = placing.place(shown, findings)
        yield placed.image, [placed.points]
        return
    for image, plane in findings.planes_of(shown):
        yield image, list(outlines(plane))


def _layer(order: int, shown: Segment | Detection) -> pr.GraphicLayer:
    rgb = shown.rgb if isinstance(shown, Segment) else MARK
    return pr.GraphicLayer(
        layer_name=f"AI{order}", order=order, description=shown.label[:64],
        display_color=CIELabColor.from_rgb(*rgb),
    )


def _graphic(ring: NDArray[np.float64]) -> pr.GraphicObject:
    """A point, or a closed outline that repeats its first point (PS3.3 C.10.5.1.2)."""
    if len(ring) == 1:
        return pr.GraphicObject(graphic_type=pr.GraphicTypeValues.POINT, graphic_data=ring, units="PIXEL")
    closed = ring if np.array_equal(ring[0], ring[-1]) else np.vstack([ring, ring[:1]])
    return pr.GraphicObject(graphic_type=pr.GraphicTypeValues.POLYLINE, graphic_data=closed, units="PIXEL")


def _text(label: str, ring: NDArray[np.float64]) -> pr.TextObject:
    """The name, anchored at the topmost point."""
    x, y = ring[int(np.argmin(ring[:, 1]))]
    return pr.TextObject(text_value=label, anchor_point=(float(x), float(y)), units="PIXEL")
