"""What the gate demands of burned-in pictures: every image with a finding, its outlines in place, its sides right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from radnode.pipelines.results import placing
from radnode.pipelines.results.secondary_capture import MARK, letters, maps_over_radiographs, scale_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from radnode.pipelines.findings import Findings, Map
    from radnode.pipelines.results.writing import Writing

Fault = tuple[str, str]

# Of the border of a mask so much must have a line beside it, and of a line so much a border: lines cross and cover
# each other, and the letters lie over them.
_AGREEMENT = 0.9
# Difference between a pixel's colours from which it is tinted; share of a map's largest value below which it is not.
_COLOURED, _NOTHING = 24, 0.02


def faults(results: Sequence[Dataset], writing: Writing) -> Iterator[Fault]:
    """(check, what is wrong) for everything that is."""
    findings = writing.findings
    expected, maps = _expected(findings), maps_over_radiographs(findings)
    if len(results) != 1 + len(expected) + len(maps):
        yield "missing", f"{len(results)} pictures, expected a page and {len(expected) + len(maps)} images"
        return
    for number, result in enumerate(results, 1):
        if result.get("BurnedInAnnotation") != "YES" or list(result.ImageType)[:2] != ["DERIVED", "SECONDARY"]:
            yield "markings", "a picture does not say that it is derived and has burned-in text"
        if int(result.InstanceNumber) != number or "PixelSpacing" in result:
            yield "markings", "a picture is out of order, or invites to measure in it"
    keys = [*expected, *((str(each.on), None) for each in maps)]
    for result, key in zip(results[1:], keys, strict=True):
        source = result.get("SourceImageSequence") or []
        named = [(str(each.ReferencedSOPInstanceUID), each.get("ReferencedFrameNumber")) for each in source]
        if named != [key]:
            yield "reference", "a picture does not name the image it shows"
            return
        yield from _orientation(result, writing, key[0])
    for result, (key, masks) in zip(results[1:], expected.items(), strict=False):
        yield from _lines(result, findings, key, masks)
    for result, each in zip(results[1 + len(expected):], maps, strict=True):
        yield from _tint(result, findings, each)


def _expected(
    findings: Findings,
) -> dict[tuple[str, int | None], list[tuple[tuple[int, int, int], NDArray[np.bool_]]]]:
    """Image -> (colour, what is drawn on it as a mask), in the order of the images."""
    frames = findings.volume.frames if findings.volume is not None else [each.source for each in findings.projections]
    found: dict[tuple[str, int | None], list[tuple[tuple[int, int, int], NDArray[np.bool_]]]] = {}
    drawn = {(detected.image.sop_instance_uid, detected.image.frame_number)
             for detected in (placing.place(each, findings) for each in findings.detections)}
    for index, frame in enumerate(frames):
        key = (frame.sop_instance_uid, frame.frame_number)
        masks = []
        for segment in findings.segments:
            if segment.on not in (None, frame.sop_instance_uid):
                continue
            place = index if segment.on is None else (frame.frame_number or 1) - 1
            plane = segment.voxels if segment.voxels.ndim == 2 else segment.voxels[place]
            mask = np.asarray(plane if plane.dtype == np.bool_ else plane == segment.value, dtype=np.bool_)
            if mask.any():
                masks.append((segment.rgb, mask))
        if masks or key in drawn:
            found[key] = masks
    return found


def _orientation(result: Dataset, writing: Writing, uid: str) -> Iterator[Fault]:
    """The sides of the picture are those of the image as it was received."""
    said = result.get("PatientOrientation") or []
    if writing.findings.volume is not None:
        affine = writing.findings.grid.affine
        meant = [letters(affine[:3, 2]), letters(affine[:3, 1])]
    else:
        meant = list(writing.source.header(uid).get("PatientOrientation") or [])
    if list(said) != meant:
        yield "laterality", "the sides of a picture are not those of its image"


def _lines(
    result: Dataset,
    findings: Findings,
    key: tuple[str, int | None],
    masks: Sequence[tuple[tuple[int, int, int], NDArray[np.bool_]]],
) -> Iterator[Fault]:
    picture = _numbered(_picture(result))
    colours = {colour for colour, _ in masks} | {MARK}
    lined = np.zeros(picture.shape, dtype=np.bool_)
    for colour in colours:
        lined |= picture == _number(colour)
    for colour, mask in masks:
        spacing = findings.grid.spacing_mm[1:] if findings.volume is not None else \
            findings.projection(*key).spacing_mm or (1.0, 1.0)
        across, down = scale_of((mask.shape[0], mask.shape[1]), spacing)
        reach = 2 * int(max(across, down) + 2) + 1
        beside = ndimage.maximum_filter(lined, size=reach)
        rows, columns = np.nonzero(_border(mask))
        share = beside[((rows + 0.5) * down).astype(int), ((columns + 0.5) * across).astype(int)].mean()
        own_rows, own_columns = np.nonzero(picture == _number(colour))
        inside = own_rows < round(mask.shape[0] * down)
        edges = ndimage.maximum_filter(mask, size=5) & ~ndimage.minimum_filter(mask, size=5, mode="constant")
        at = edges[_index(own_rows[inside] / down, mask.shape[0]), _index(own_columns[inside] / across, mask.shape[1])]
        if share < _AGREEMENT or (at.size and at.mean() < _AGREEMENT):
            yield "voxels", "the lines of a picture do not lie around the findings"
            return


def _tint(result: Dataset, findings: Findings, shown: Map) -> Iterator[Fault]:
    """Where a map is large the picture has a colour, where it is nothing the picture is grey."""
    spacing = findings.projection(str(shown.on)).spacing_mm or (1.0, 1.0)
    across, down = scale_of((shown.values.shape[0], shown.values.shape[1]), spacing)
    rows, columns = (((np.arange(size) + 0.5) * scale).astype(int)
                     for size, scale in zip(shown.values.shape, (down, across), strict=True))
    coloured = np.ptp(_picture(result)[rows[:, np.newaxis], columns], axis=-1) > _COLOURED
    share = shown.values / max(float(shown.values.max()), 1e-12)
    if ((share > 0.5).any() and coloured[share > 0.5].mean() < _AGREEMENT) or (
        (share < _NOTHING).any() and coloured[share < _NOTHING].mean() > 1 - _AGREEMENT
    ):
        yield "voxels", "the tint of a picture does not lie where its map is large"


def _picture(result: Dataset) -> NDArray[np.uint8]:
    pixels = np.frombuffer(result.PixelData, dtype=np.uint8)[: int(result.Rows) * int(result.Columns) * 3]
    return pixels.reshape(int(result.Rows), int(result.Columns), 3)


def _numbered(picture: NDArray[np.uint8]) -> NDArray[np.integer[Any]]:
    """Each pixel's colour as one number: to compare three is dear."""
    red, green, blue = (picture[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _number(colour: tuple[int, int, int]) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _index(places: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    return np.clip(places.astype(np.int64), 0, limit - 1)


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask with a neighbour outside it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
