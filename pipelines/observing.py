"""A few plain numbers of what a run read and said, for watching how they change over months.

They are measured where pixels are decoded anyway, on a sample of them, and change nothing: neither the images nor the
findings nor how a run ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from radnode.pipelines.geometry import Projection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from radnode.pipelines.contract import StudyImages
    from radnode.pipelines.findings import Findings

PERCENTILES = (1, 25, 50, 75, 99)
MOST_PIXELS = 200_000
"""Looked at, of all images of a run together: a millisecond or two."""
MOST_PLANES = 8
_NORMAL = 0.6744898
"""Median of the absolute value of a standard normal variable."""


def of_images(images: StudyImages) -> dict[str, float]:
    """Size and spacing (mm) of the images, percentiles and noise of their values as the pipeline gets them (CT: HU).

    noise: the median absolute difference of neighbours in a row, scaled to the standard deviation of independent normal
    noise; edges move a median little. Colour images have a size alone, and so have images without finite values.
    """
    return {**_grid(images), **_values(images)}


def _grid(images: StudyImages) -> dict[str, float]:
    if images.projections:
        first = images.projections[0]
        found = {"images": float(len(images.projections)), "rows": float(first.shape[0]),
                 "columns": float(first.shape[1])}
        return found if first.spacing_mm is None else {**found, "pixel spacing": float(first.spacing_mm[0])}
    slices, rows, columns = images.volume.voxels.shape
    between, down, _ = images.volume.spacing_mm
    return {"images": float(slices), "rows": float(rows), "columns": float(columns), "slice spacing": round(between, 3),
            "pixel spacing": round(down, 4)}


def _values(images: StudyImages) -> dict[str, float]:
    planes = list(_planes(images))
    if not planes:
        return {}
    values = np.concatenate([each.ravel() for each in planes])
    steps = np.concatenate([np.diff(each, axis=-1).ravel() for each in planes])
    values, steps = values[np.isfinite(values)], steps[np.isfinite(steps)]
    if values.size < 2 or steps.size < 2:
        return {}
    found = {f"intensity p{share}": float(value)
             for share, value in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)}
    return {**found, "noise": float(np.median(np.abs(steps)) / _NORMAL / np.sqrt(2.0))}


def of_findings(findings: Findings) -> dict[str, float]:
    """How much was found, and how sure the model was of it at most (only where it says so)."""
    found = {"detections": float(len(findings.detections)),
             "segments": float(len(findings.segments))}
    said = [*(each.certainty for each in findings.detections), *(each.certainty for each in findings.segments),
            *(each.certainty for each in findings.classifications)]
    certain = [each for each in said if each is not None]
    return {**found, "certainty": max(certain)} if certain else found


def _planes(images: StudyImages) -> Iterator[NDArray[np.float64]]:
    """Planes spread evenly over what was read, as floats; what is padding is not a number."""
    if images.projections:
        grey = [each for each in images.projections if isinstance(each, Projection)]
        for place in _places(len(grey)):
            yield _thinned(grey[place].pixels, grey[place].valid)
        return
    volume = images.volume
    for place in _places(len(volume.voxels)):
        yield _thinned(volume.voxels[place], volume.valid[place])


def _thinned(plane: NDArray[np.float32], valid: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Some of its rows, whole: noise is seen between neighbours."""
    rows = slice(None, None, max(1, plane.size * MOST_PLANES // MOST_PIXELS))
    taken = plane[rows].astype(np.float64)
    if valid is not None:
        taken[~valid[rows]] = np.nan
    return taken


def _places(number: int) -> list[int]:
    """Some of so many, evenly spread, the first and the last among them."""
    return sorted({int(place) for place in np.linspace(0, number - 1, min(MOST_PLANES, number))})
