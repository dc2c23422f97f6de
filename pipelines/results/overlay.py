"""A picture of segments over their images, for a reader who has no viewer at hand.

Radiological convention: the patient's right is on the left of the picture, the front at the top of an axial plane, the
head at the top of a coronal or sagittal one, the front on the left of a sagittal one. Letters at the edges say so; a
bar says how long some millimetres are. Every pixel of a panel is as wide as high, in millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from radnode.pipelines.geometry import Voxel, orientation_of, to_patient
from radnode.pipelines.results.secondary_capture import letters, opposite
from radnode.pipelines.results.window_presets import LUNG

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine, Volume
    from radnode.pipelines.results.window_presets import Window

    Colour = tuple[int, int, int]

NOTICE = "RESEARCH - not for diagnosis"
PANEL, _COLUMNS, _MOST_PANELS = 360, 4, 11
_LINE, _MARGIN = 22, 10
_FILL = 0.22
_THICK = 1.7
_INK, _PAPER = (235, 235, 235), (12, 12, 12)
# Of a canonical view (head, back, left): the axis that is cut, the axes of rows and columns, and the plane's name.
_PLANES = ((0, 1, 2, "axial"), (1, 0, 2, "coronal"), (2, 0, 1, "sagittal"))
_BARS_MM = (1000, 500, 200, 100, 50, 20, 10, 5, 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What is drawn: a bool mask on the volume's grid, its name and its colour (0-255 each)."""

    label: str
    mask: NDArray[np.bool_]
    rgb: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """Images and masks in canonical order: towards the head, backwards, to the left (affine: of that order)."""

    voxels: NDArray[np.float32]
    masks: tuple[NDArray[np.bool_], ...]
    colours: tuple[Colour, ...]
    affine: Affine
    window: Window


def overlay_png(
    volume: Volume, outlines: Sequence[Outline], path: Path, *, title: str = "", window: Window = LUNG
) -> None:
    """Write a montage of planes, and one plane across them.

    Planes are axial; of slices much thicker than their pixels, those that were acquired. They are spread over the
    segments, or over the whole volume if there is none.
    """
    orientation = orientation_of(volume.affine)
    present = [outline for outline in outlines if outline.mask.any()]
    shown = _Shown(
        voxels=orientation.view(volume.voxels),
        masks=tuple(orientation.view(outline.mask) for outline in present),
        colours=tuple(outline.rgb for outline in present), affine=orientation.affine(volume), window=window,
    )
    spacing = volume.spacing_mm
    acquired = orientation.axes.index(0)
    cut = acquired if spacing[0] > _THICK * max(spacing[1:]) else 0
    across = 1 if cut == 0 else 0
    places = _places([_extent(mask, cut) for mask in shown.masks], shown.voxels.shape[cut])
    panels = [_panel(shown, cut, place) for place in (places[::-1] if cut == 0 else places)]
    fullest = np.sum([_extent(mask, across) for mask in shown.masks], axis=0)
    panels.append(_panel(shown, across, int(np.argmax(fullest)) if shown.masks else shown.voxels.shape[across] // 2))
    rows = -(-len(panels) // _COLUMNS)
    foot = legend([(outline.label, outline.rgb) for outline in outlines], f"{title}; {window.said}".lstrip("; "),
                  _COLUMNS * PANEL)
    sheet = Image.new("RGB", (_COLUMNS * PANEL, rows * PANEL + foot.height), _PAPER)
    for place, panel in enumerate(panels):
        sheet.paste(panel, (place % _COLUMNS * PANEL, place // _COLUMNS * PANEL))
    sheet.paste(foot, (0, rows * PANEL))
    sheet.save(path, format="PNG")


def _places(extents: Sequence[NDArray[np.float64]], count: int) -> list[int]:
    """The planes to show, in order. extents: of each segment, the share of it in each plane; count: of planes.

    The first and the last plane of all segments, the largest of each if there is room, and as many between as there is
    room for, where there is most to see.
    """
    if not extents:
        return sorted(set(np.linspace(0, count - 1, _MOST_PANELS).round().astype(int).tolist()))
    along = np.cumsum(np.sum(extents, axis=0)) / len(extents)
    present = np.flatnonzero(np.sum(extents, axis=0))
    spread = [int(np.searchsorted(along, share)) for share in np.linspace(0, 1, 10 * _MOST_PANELS)[1:-1]]
    chosen = {int(present[0]), int(present[-1])}
    if len(extents) <= _MOST_PANELS - len(chosen):
        chosen |= {int(np.argmax(each)) for each in extents}
    most = min(_MOST_PANELS, len(present))
    while len(chosen) < most and (left := [place for place in spread if place not in chosen]):
        chosen.add(max(left, key=lambda place: min(abs(along[place] - along[each]) for each in chosen)))
    return sorted(chosen)


def _extent(mask: NDArray[np.bool_], cut: int) -> NDArray[np.float64]:
    """The share of a mask in each plane of that cut."""
    rows, columns = (axis for axis in range(3) if axis != cut)
    voxels = np.count_nonzero(mask, axis=(rows, columns))
    return np.asarray(voxels / voxels.sum())


def _panel(shown: _Shown, cut: int, place: int) -> Image.Image:
    """One plane at its true proportions, centred on a square."""
    _, rows, columns, name = _PLANES[cut]
    down = slice(None, None, -1 if rows == 0 else 1)

    def plane(array: NDArray[Voxel]) -> NDArray[Voxel]:
        return np.asarray(np.take(array, place, axis=cut)[down])

    spacing = np.linalg.norm(shown.affine[:3, :3], axis=0)
    extent = shown.voxels.shape[rows] * spacing[rows], shown.voxels.shape[columns] * spacing[columns]
    scale = PANEL / max(extent)
    size = max(1, round(extent[1] * scale)), max(1, round(extent[0] * scale))
    grey = Image.fromarray(shown.window.grey(plane(shown.voxels)))
    picture = np.stack([np.asarray(grey.resize(size, Image.Resampling.BILINEAR), np.float32)] * 3, -1)
    for mask, colour in zip(shown.masks, shown.colours, strict=True):
        ink = np.array(colour, np.float32)
        drawn = Image.fromarray(plane(mask).astype(np.uint8) * 255)
        inside = np.asarray(drawn.resize(size, Image.Resampling.NEAREST)) > 0
        picture[inside] = (1 - _FILL) * picture[inside] + _FILL * ink
        picture[_border(inside)] = ink
    panel = Image.new("RGB", (PANEL, PANEL), _PAPER)
    panel.paste(Image.fromarray(picture.astype(np.uint8)), ((PANEL - size[0]) // 2, (PANEL - size[1]) // 2))
    middle = (np.array(shown.voxels.shape) - 1) / 2
    middle[cut] = place
    where = to_patient(shown.affine, middle[np.newaxis])[0]
    axis = int(np.argmax(np.abs(shown.affine[:3, cut])))
    text = f"{name} {abs(where[axis]):.1f} mm {'LPH'[axis] if where[axis] >= 0 else 'RAF'[axis]}"
    towards = letters(shown.affine[:3, columns]), letters(shown.affine[:3, rows] * (-1 if rows == 0 else 1))
    _words(ImageDraw.Draw(panel), text, towards, scale)
    return panel


def _words(draw: ImageDraw.ImageDraw, text: str, towards: tuple[str, str], scale: float) -> None:
    """The plane's place, letters at the edges, and a bar. scale: pixels of the panel for a millimetre."""
    right, bottom = towards
    for place, words, anchor, size in (
        ((8, PANEL // 2), opposite(right), "lm", 16), ((PANEL - 8, PANEL // 2), right, "rm", 16),
        ((PANEL // 2, 6), opposite(bottom), "ma", 16), ((PANEL // 2, PANEL - 6), bottom, "md", 16),
        ((8, 6), text, "la", 13),
    ):
        # A dark rim: bone and soft tissue are as bright as the letters.
        draw.text(place, words, fill=_INK, font=ImageFont.load_default(size), anchor=anchor, stroke_width=2,
                  stroke_fill=_PAPER)
    draw_bar(draw, (8, PANEL - 10), scale, PANEL / 3)


def draw_bar(draw: ImageDraw.ImageDraw, at: tuple[float, float], scale: float, room: float, of: str = "mm") -> None:
    """A bar of a round number of millimetres from `at` to the right, at most `room` pixels, with its length above.

    scale: pixels for a millimetre. of: the unit that is written, with what it is measured at.
    """
    bar = next((each for each in _BARS_MM if each * scale <= room), _BARS_MM[-1])
    left, y = at
    for width, colour in ((5, _PAPER), (1, _INK)):
        draw.line([(left, y), (left + bar * scale, y)], fill=colour, width=width)
        for x in (left, left + bar * scale):
            draw.line([(x, y - 4), (x, y + 4)], fill=colour, width=width)
    draw.text((left, y - 6), f"{bar} {of}", fill=_INK, font=ImageFont.load_default(13), anchor="ld", stroke_width=2,
              stroke_fill=_PAPER)


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask that have a neighbour outside it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def legend(named: Sequence[tuple[str, Colour]], said: str, width: int) -> Image.Image:
    """As many lines as the names with their colours need, then what is said and the notice; `width` pixels wide."""
    font = ImageFont.load_default(14)
    places, x, line = [], _MARGIN, 0
    for label, colour in named:
        wide = 20 + int(font.getlength(label)) + 22
        if x + wide > width and x > _MARGIN:
            x, line = _MARGIN, line + 1
        places.append((label, colour, x, _MARGIN + line * _LINE))
        x += wide
    foot = _MARGIN + (line + 1 if named else 0) * _LINE
    crowded = font.getlength(f"{said} {NOTICE}") + 3 * _MARGIN > width
    sheet = Image.new("RGB", (width, foot + (2 if crowded else 1) * _LINE + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for label, colour, left, top in places:
        draw.rectangle((left, top + 2, left + 14, top + 16), fill=colour)
        draw.text((left + 20, top), label, fill=_INK, font=font)
    draw.text((_MARGIN, foot), said, fill=_INK, font=font)
    draw.text((width - _MARGIN, foot + (_LINE if crowded else 0)), NOTICE, fill=_INK, font=font, anchor="ra")
    return sheet
