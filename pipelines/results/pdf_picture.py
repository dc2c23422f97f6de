"""The small picture of the one-page report: the image that shows most of the findings, with their outlines.

A certain detection says more than a large organ, so the image of the most certain one is shown where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from radnode.pipelines.findings import Rendering
from radnode.pipelines.results import placing
from radnode.pipelines.results.contours import outlines
from radnode.pipelines.results.secondary_capture import MARK, as_seen, in_grey_or_colour, letters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.findings import Detection, Findings, Segment
    from radnode.pipelines.geometry import SourceFrame
    from radnode.pipelines.results.secondary_capture import Seen

# The longer side of the picture has at most, and about, so many pixels.
_SIDE = 640


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyImage:
    """The image to show. pixels: as a reader sees them. towards: where its right and its bottom edge lead in the
    patient, "" if unknown. spacing: between rows, between columns. index: its place in the volume, or the projections.
    """

    image: SourceFrame
    index: int
    pixels: Seen
    towards: tuple[str, str]
    spacing: tuple[float, float]


def shown_detections(findings: Findings) -> tuple[Detection, ...]:
    """Those that a workstation may show, the most certain first."""
    shown = [each for each in findings.detections if each.rendering is not Rendering.NOT_SHOWN]
    return tuple(sorted(shown, key=lambda each: -1.0 if each.certainty is None else each.certainty, reverse=True))


def key_image(findings: Findings) -> KeyImage | None:
    """The image with most of the findings; None where nothing has a place."""
    sources = [each.source for each in findings.projections] if findings.volume is None else findings.volume.frames
    if detections := shown_detections(findings):
        index = list(sources).index(placing.place(detections[0], findings).image)
    elif findings.segments:
        index = int(np.argmax(_areas(findings)))
    else:
        return None
    if findings.volume is None:
        read = findings.projections[index]
        return KeyImage(image=read.source, index=index, pixels=as_seen(read), towards=read.orientation or ("", ""),
                        spacing=read.spacing_mm or (1.0, 1.0))
    volume = findings.volume
    towards = letters(volume.affine[:3, 2]), letters(volume.affine[:3, 1])
    return KeyImage(image=volume.frames[index], index=index, pixels=volume.voxels[index], towards=towards,
                    spacing=volume.spacing_mm[1:])


def _areas(findings: Findings) -> NDArray[np.int64]:
    """Pixels of segments on each image; several segments share one label map."""
    if findings.volume is None:
        return np.array([
            sum(np.count_nonzero(plane) for segment in findings.segments
                for frame, plane in findings.planes_of(segment) if frame == projection.source)
            for projection in findings.projections
        ])
    stacks = {id(segment.voxels): segment.voxels for segment in findings.segments}
    return np.asarray(np.sum([np.count_nonzero(stack, axis=(1, 2)) for stack in stacks.values()], axis=0))


def reduced(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Every so many rows and columns of an image that is larger than the picture."""
    step = step_of(array.shape)
    return array[::step, ::step]


def step_of(shape: tuple[int, ...]) -> int:
    """How many image pixels lie between two that are shown."""
    return -(-max(shape[:2]) // _SIDE)


def enlargement(shape: tuple[int, ...]) -> int:
    """How many picture pixels, along each side, one shown pixel has."""
    return max(1, _SIDE // -(-max(shape[:2]) // step_of(shape)))


def picture(key: KeyImage, findings: Findings) -> Image.Image:
    """The image as it is seen, outlined; its pixels are not square where the image's are not."""
    grey = reduced(in_grey_or_colour(key.pixels)[0])
    up, step = enlargement(key.pixels.shape), step_of(key.pixels.shape)
    sheet = Image.fromarray(grey.repeat(up, axis=0).repeat(up, axis=1)).convert("RGB")
    draw = ImageDraw.Draw(sheet)
    width = max(2, sheet.width // 250)
    for colour, ring in _rings(key, findings):
        points = [(x / step * up, y / step * up) for x, y in ring.tolist()]
        if len(points) == 1:
            (x, y), arm = points[0], 5 * width
            draw.line([(x - arm, y), (x + arm, y)], fill=colour, width=width)
            draw.line([(x, y - arm), (x, y + arm)], fill=colour, width=width)
        else:
            draw.line([*points, points[0]], fill=colour, width=width)
    return sheet


def plane_on(segment: Segment, key: KeyImage) -> NDArray[np.bool_] | None:
    """The segment on the image, bool (rows, columns); None if it is on another."""
    if segment.on not in (None, key.image.sop_instance_uid):
        return None
    place = key.index if segment.on is None else (key.image.frame_number or 1) - 1
    plane = segment.voxels if segment.voxels.ndim == 2 else segment.voxels[place]
    return np.asarray(plane if plane.dtype == np.bool_ else plane == segment.value, dtype=np.bool_)


def _rings(key: KeyImage, findings: Findings) -> list[tuple[tuple[int, int, int], NDArray[np.float64]]]:
    rings = []
    for segment in findings.segments:
        mask = plane_on(segment, key)
        rings += [] if mask is None else [(segment.rgb, ring) for ring in outlines(mask)]
    for detection in shown_detections(findings):
        placed = placing.place(detection, findings)
        if placed.image == key.image:
            rings.append((MARK, placed.points))
    return rings
