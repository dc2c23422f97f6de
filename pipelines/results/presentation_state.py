"""Outlines and names over the original images, as a Grayscale Softcopy Presentation State (PS3.3 A.33.1).

For viewers that draw no report coordinates and show no segmentation. A viewer applies the whole state, its window as
well, so that is a sensible one. Each segment and each kind of mark has a layer of its own in its colour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from highdicom import pr
from highdicom.color import CIELabColor

from radnode.pipelines.findings import Segment
from radnode.pipelines.results import placing
from radnode.pipelines.results.contours import outlines
from radnode.pipelines.results.secondary_capture import MARK, window_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Detection, Findings
    from radnode.pipelines.geometry import SourceFrame
    from radnode.pipelines.results.writing import Writing


def write(writing: Writing) -> tuple[Dataset, ...]:
    """One state for all images with findings; none when nothing was found."""
    findings = writing.findings
    shown: list[Segment | Detection] = [*findings.segments, *findings.detections]
    if not shown:
        return ()
    layers = [_layer(number, each) for number, each in enumerate(shown, 1)]
    annotations, images = [], {}
    for layer, each in zip(layers, shown, strict=True):
        for image, rings in drawn(each, findings):
            header = writing.source.header(image.sop_instance_uid)
            images[image.sop_instance_uid] = header
            annotations.append(pr.GraphicAnnotation(
                referenced_images=[header],
                graphic_layer=layer,
                referenced_frame_number=image.frame_number,
                graphic_objects=[_graphic(ring) for ring in rings],
                text_objects=[_text(each.label, rings[0])],
            ))
    center, width = window_of(writing)
    common = {name: value for name, value in writing.common().items() if name not in ("content_date", "content_time")}
    result = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=list(images.values()),
        graphic_layers=layers,
        graphic_annotations=annotations,
        voi_lut_transformations=[pr.SoftcopyVOILUTTransformation(window_center=center, window_width=width)],
        content_label="AI_FINDINGS",
        content_description=writing.provenance.series_description("PR"),
        content_creator_name=f"AI^{writing.provenance.manifest.name}",
        **common,
    )
    writing.finish(result)
    result.Laterality = ""
    result.PresentationCreationDate, result.PresentationCreationTime = result.SeriesDate, result.SeriesTime
    return (result,)


def drawn(
    shown: Segment | Detection, findings: Findings
) -> Iterator[tuple[SourceFrame, list[NDArray[np.float64]]]]:
    """(image, closed outlines or one point) in pixel coordinates, in the order of the images."""
    if not isinstance(shown, Segment):
        placed = placing.place(shown, findings)
        yield placed.image, [placed.points]
        return
    mask = shown.mask
    if shown.on is not None:
        yield findings.projection(shown.on).source, list(outlines(mask))
        return
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        yield findings.grid.frames[index], list(outlines(mask[index]))


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
