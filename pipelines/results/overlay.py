"""A picture of segments over their images, for a reader who has no viewer at hand.

Radiological convention: the patient's right is on the left of the picture, the front at the top of an axial
plane, the head at the top of a coronal one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from radnode.pipelines.geometry import orientation_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

NOTICE = "RESEARCH - not for diagnosis"
LUNG_WINDOW = (-500.0, 1500.0)
_PANEL, _COLUMNS, _AXIAL_PANELS = 320, 4, 11
_FOOT = 34
_FILL = 0.22
_INK, _PAPER = (235, 235, 235), (12, 12, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What is drawn: a bool mask on the volume's grid, its name and its colour (0-255 each)."""

    label: str
    mask: NDArray[np.bool_]
    rgb: tuple[int, int, int]


def overlay_png(
    volume: Volume,
    outlines: Sequence[Outline],
    path: Path,
    *,
    title: str = "",
    window: tuple[float, float] = LUNG_WINDOW,
) -> None:
    """Write a montage of axial planes and one coronal plane.

    window: (centre, width) in modality units. Planes are spread over the segments, or over the whole volume
    if there is none.
    """
    orientation = orientation_of(volume.affine)
    hu = orientation.view(volume.voxels)
    masks = [orientation.view(outline.mask) for outline in outlines]
    spacing = tuple(float(each) for each in np.linalg.norm(orientation.affine(volume)[:3, :3], axis=0))
    colours = [outline.rgb for outline in outlines]
    planes, coronal = _planes(hu.shape, masks)
    panels = [
        _panel(
            hu[z],
            [mask[z] for mask in masks],
            colours,
            (spacing[1], spacing[2]),
            window,
            f"{z + 1}/{len(hu)}",
        )
        for z in planes
    ]
    panels.append(
        _panel(
            hu[::-1, coronal],
            [mask[::-1, coronal] for mask in masks],
            colours,
            (spacing[0], spacing[2]),
            window,
            "coronal",
        )
    )
    sheet = _montage(panels)
    _legend(sheet, outlines, title)
    sheet.save(path, format="PNG")


def _montage(panels: Sequence[Image.Image]) -> Image.Image:
    rows = -(-len(panels) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _PANEL, rows * _PANEL + _FOOT), _PAPER)
    for place, panel in enumerate(panels):
        sheet.paste(panel, (place % _COLUMNS * _PANEL, place // _COLUMNS * _PANEL))
    return sheet


def _planes(shape: tuple[int, ...], masks: Sequence[NDArray[np.bool_]]) -> tuple[list[int], int]:
    """Axial planes from foot to head, and the coronal plane that shows most of the segments."""
    first, last, coronal = 0, shape[0] - 1, shape[1] // 2
    if masks:
        along = np.sum([mask.any(axis=(1, 2)) for mask in masks], axis=0)
        found = np.flatnonzero(along)
        if found.size:
            first, last = int(found[0]), int(found[-1])
            coronal = int(np.argmax(np.sum([mask.sum(axis=(0, 2)) for mask in masks], axis=0)))
    chosen = np.linspace(first, last, min(_AXIAL_PANELS, last - first + 1)).round().astype(int)
    return [int(each) for each in chosen[::-1]], coronal


def _panel(
    plane: NDArray[np.float32],
    masks: Sequence[NDArray[np.bool_]],
    colours: Sequence[tuple[int, int, int]],
    spacing: tuple[float, float],
    window: tuple[float, float],
    text: str,
) -> Image.Image:
    """One plane at its true proportions, centred on a square."""
    low = window[0] - window[1] / 2
    grey = np.clip((plane - low) / window[1] * 255, 0, 255).astype(np.uint8)
    extent = plane.shape[0] * spacing[0], plane.shape[1] * spacing[1]
    scale = _PANEL / max(extent)
    size = max(1, round(extent[1] * scale)), max(1, round(extent[0] * scale))
    picture = np.stack(
        [np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR), np.float32)] * 3, -1
    )
    for mask, colour in zip(masks, colours, strict=True):
        shown = (
            np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST))
            > 0
        )
        ink = np.array(colour, np.float32)
        picture[shown] = (1 - _FILL) * picture[shown] + _FILL * ink
        picture[_border(shown)] = ink
    panel = Image.new("RGB", (_PANEL, _PANEL), _PAPER)
    panel.paste(Image.fromarray(picture.astype(np.uint8)), ((_PANEL - size[0]) // 2, (_PANEL - size[1]) // 2))
    draw = ImageDraw.Draw(panel)
    middle = _PANEL // 2
    for place, words, size_px in (((6, middle), "R", 16), ((_PANEL - 16, middle), "L", 16), ((6, 4), text, 11)):
        # A dark rim: bone and soft tissue are as bright as the letters.
        font = ImageFont.load_default(size_px)
        draw.text(place, words, fill=_INK, font=font, stroke_width=2, stroke_fill=_PAPER)
    return panel


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask that have a neighbour outside it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _legend(sheet: Image.Image, outlines: Sequence[Outline], title: str) -> None:
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    x, y = 10, sheet.height - _FOOT + 8
    for outline in outlines:
        draw.rectangle((x, y + 2, x + 14, y + 16), fill=outline.rgb)
        draw.text((x + 20, y), outline.label, fill=_INK, font=font)
        x += 40 + int(font.getlength(outline.label))
    draw.text((x + 10, y), title, fill=_INK, font=font)
    draw.text((sheet.width - 10 - font.getlength(NOTICE), y), NOTICE, fill=_INK, font=font)
