"""What the gate demands of the picture in a one-page report: the image, its outlines and its sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pypdf.generic import ContentStream
from scipy import ndimage

from radnode.pipelines.results.pdf_picture import key_image, plane_on
from radnode.pipelines.results.secondary_capture import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from pypdf import PageObject

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.results.pdf_picture import KeyImage

Fault = tuple[str, str]

# Pixels under a line differ from the image; of a border so much has a line beside it, of a line so much a border.
_SAME_IMAGE, _AGREEMENT = 0.98, 0.9
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "H": "F", "F": "H"}


def faults(page: PageObject, findings: Findings) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    key = key_image(findings)
    images = list(page.images)
    if len(images) != (key is not None):
        yield "voxels", f"{len(images)} pictures on the page"
        return
    if key is None:
        return
    shown = np.asarray(images[0].image.convert("RGB"))  # type: ignore[union-attr]
    yield from _same_image(shown, key)
    yield from _lines(shown, key, findings)
    yield from _sides(page, key)


def _same_image(shown: NDArray[np.uint8], key: KeyImage) -> Iterator[Fault]:
    """Where the picture is grey it follows the image, pixel by pixel; a mirrored one does not."""
    if key.pixels.ndim == 3:
        yield from _same_colours(shown, _sampled(key.pixels, shown.shape))
        return
    values = _sampled(key.pixels, shown.shape)
    if values.dtype != np.uint8:
        values = np.clip(values, *np.percentile(key.pixels, [1, 99]))
    grey = (shown[..., 0] == shown[..., 1]) & (shown[..., 1] == shown[..., 2])
    there, meant = shown[..., 0][grey].astype(np.float64), values[grey]
    if there.size < 0.5 * grey.size:
        yield "voxels", "the picture is hidden by lines"
    elif meant.std() < 1e-6:
        if there.std() > 1:
            yield "voxels", "the picture is not the image that was read"
    elif there.std() == 0 or np.corrcoef(there, meant)[0, 1] < _SAME_IMAGE:
        yield "voxels", "the picture is not the image that was read"


def _same_colours(shown: NDArray[np.uint8], meant: NDArray[np.uint8]) -> Iterator[Fault]:
    """A colour image is shown as it is, but for the lines."""
    same = (shown == meant).all(axis=-1)
    if same.mean() < 0.5:
        yield "voxels", "the picture is not the image that was read"


def _sampled(plane: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """An image at the pixels of its picture, by the nearest at or before."""
    rows = np.arange(shape[0]) * plane.shape[0] // shape[0]
    columns = np.arange(shape[1]) * plane.shape[1] // shape[1]
    return np.asarray(plane[rows[:, np.newaxis], columns])


def _lines(shown: NDArray[np.uint8], key: KeyImage, findings: Findings) -> Iterator[Fault]:
    """As many borders have a line beside them, and lines a border, as crossings leave."""
    detections = [each for each in findings.detections if each.rendering.value != "not shown"]
    planes = [(each, plane) for each in findings.segments if (plane := plane_on(each, key)) is not None]
    every = np.zeros(shown.shape[:2], dtype=np.bool_)
    for colour in {each.rgb for each, _ in planes} | {MARK}:
        every |= (shown == np.array(colour, dtype=np.uint8)).all(axis=-1)
    if detections and not (shown == np.array(MARK, dtype=np.uint8)).all(axis=-1).any():
        yield "voxels", "no detection is marked in the picture"
    up = max(shown.shape[0] / key.pixels.shape[0], 1.0)
    reach = 2 * int(up + max(2, shown.shape[1] // 250)) + 3
    borders: dict[tuple[int, int, int], NDArray[np.bool_]] = {}
    for segment, plane in planes:
        mask = _sampled(plane, shown.shape)
        border = ndimage.maximum_filter(mask, size=3) & ~ndimage.minimum_filter(mask, size=3, mode="constant")
        borders[segment.rgb] = borders.get(segment.rgb, np.zeros_like(border)) | border
    beside = ndimage.maximum_filter(every, size=reach)
    for colour, border in borders.items():
        own = (shown == np.array(colour, dtype=np.uint8)).all(axis=-1)
        near = ndimage.maximum_filter(border, size=reach)
        if (border.any() and beside[border].mean() < _AGREEMENT) or (
            own.any() and colour != MARK and near[own].mean() < _AGREEMENT
        ):
            yield "voxels", "the lines of the picture do not lie around the findings"
            return


def _sides(page: PageObject, key: KeyImage) -> Iterator[Fault]:
    """The letters beside the picture say where its edges lie in the patient."""
    left, bottom, right, top = _box(page)
    middle, centre = (bottom + top) / 2, (left + right) / 2
    edges: dict[str, str] = {}

    def visit(text: str, _cm: Any, matrix: Any, _font: Any, _size: Any) -> None:
        word, x, y = text.strip(), float(matrix[4]), float(matrix[5])
        if not word or set(word) - set(_OPPOSITE):
            return
        if abs(y - middle) < 12:
            edges["left" if x < left else "right" if x >= right else "over"] = word
        elif abs(x - centre) < 20 and bottom - 20 < y < top + 20:
            edges["top" if y >= top else "bottom" if y < bottom else "over"] = word

    page.extract_text(visitor_text=visit)
    towards_right, towards_bottom = key.towards
    meant = {"right": towards_right, "bottom": towards_bottom, "left": _other(towards_right),
             "top": _other(towards_bottom)}
    if edges != {edge: word for edge, word in meant.items() if word}:
        yield "laterality", "the letters beside the picture are not the sides of its image"


def _other(towards: str) -> str:
    return "".join(_OPPOSITE[letter] for letter in towards)


def _box(page: PageObject) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of the picture on the page, in points; upright, or it is refused."""
    contents = page.get_contents()
    matrix: list[float] = []
    for operands, operator in ContentStream(contents, page.pdf).operations if contents is not None else ():
        if operator == b"cm":
            matrix = [float(value) for value in operands]
        if operator == b"Do":
            break
    width, skew, skewed, height, x, y = matrix
    if width <= 0 or height <= 0 or skew or skewed:
        raise ValueError("the picture is turned")
    return x, y, x + width, y + height
