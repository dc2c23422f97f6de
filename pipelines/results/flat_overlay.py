"""A picture of segments over a radiograph or a colour image, as it is seen: never turned, its sides at the edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.results.contours import outlines
from radnode.pipelines.results.decoding import planes, read_frames
from radnode.pipelines.results.overlay import draw_bar, legend
from radnode.pipelines.results.secondary_capture import as_seen, in_grey_or_colour, opposite, scale_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.geometry import ColourImage, Projection

    Colour = tuple[int, int, int]

_INK, _PAPER = (235, 235, 235), (12, 12, 12)


def flat_overlay_png(
    segmentation: Dataset, images: Sequence[Projection | ColourImage], colours: Mapping[int, Colour], target: Path
) -> None:
    """The image, or the frame, with the largest part of what was found; read from the object, not from findings.

    colours: of each segment, by its number. Raises RunFailed if its image is not among `images`.
    """
    frames = read_frames(segmentation)
    drawn: dict[tuple[str, int | None], list[tuple[int, NDArray[np.bool_]]]] = {}
    for plane, source, number in zip(planes(segmentation), frames.sources, frames.segment.tolist(), strict=True):
        shown = [(number, plane.astype(np.bool_))] if number else [
            (int(value), plane == value) for value in np.unique(plane) if value
        ]
        drawn.setdefault(source, []).extend(shown)
    largest = max(drawn, key=lambda source: sum(int(mask.sum()) for _, mask in drawn[source]))
    image = next((each for each in images
                  if (each.source.sop_instance_uid, each.source.frame_number) == largest), None)
    if image is None:
        raise RunFailed("the image that the segmentation lies on is not in the folder")
    across, down = scale_of(image.shape, image.spacing_mm or (1.0, 1.0))
    size = round(image.shape[1] * across), round(image.shape[0] * down)
    labels = {int(item.SegmentNumber): str(item.SegmentLabel) for item in segmentation.SegmentSequence}
    named = {labels[number]: colours[number] for number, _ in drawn[largest]}
    frame = f"frame {largest[1]}" if largest[1] is not None else ""
    foot = legend(list(named.items()), " ".join(word for word in (image.laterality, image.view, frame) if word),
                  size[0])
    sheet = Image.new("RGB", (size[0], size[1] + foot.height), _PAPER)
    sheet.paste(foot, (0, size[1]))
    seen = Image.fromarray(in_grey_or_colour(as_seen(image))[0]).convert("RGB")
    sheet.paste(seen.resize(size, Image.Resampling.BILINEAR), (0, 0))
    draw = ImageDraw.Draw(sheet)
    for number, mask in drawn[largest]:
        for ring in outlines(mask):
            points = [(x * across, y * down) for x, y in ring.tolist()]
            draw.line([*points, points[0]], fill=colours[number], width=2)
    font = ImageFont.load_default(18)
    right, bottom = image.orientation or ("", "")
    for text, place, anchor in (
        (right, (size[0] - 8, size[1] // 2), "rm"), (opposite(right), (8, size[1] // 2), "lm"),
        (bottom, (size[0] // 2, size[1] - 8), "mb"), (opposite(bottom), (size[0] // 2, 8), "mt"),
    ):
        draw.text(place, text, fill=_INK, font=font, anchor=anchor, stroke_width=2, stroke_fill=_PAPER)
    if spacing := image.spacing_in_patient_mm or image.spacing_mm:
        of = "mm" if image.spacing_in_patient_mm else "mm at the detector"
        draw_bar(draw, (10, size[1] - 12), across / spacing[1], size[0] / 4, of)
    sheet.save(target, format="PNG")
