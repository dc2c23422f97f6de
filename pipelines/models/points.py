"""Landmarks that a network gives as points or heat maps, as detections in the patient (LPS millimetres).

Points are indices of the network's image, voxel centres on whole numbers: (axes, points), or a row of them for each
slice where the network reads slices. A heat map has a channel for each landmark and its peak is the place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from monai.data.meta_tensor import MetaTensor

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Detection, Findings, InPatient
from radnode.pipelines.geometry import to_index
from radnode.pipelines.models import description
from radnode.pipelines.models.grids import ras_affine
from radnode.pipelines.models.terms import term

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
_FAINT = 0.1


def landmarks(answer: Any, said: Mapping[str, Any], image: Any, volume: Volume) -> Findings:
    """A detection for each landmark that lies in the images; which do not is said.

    answer: see above. said: its entry in the metadata. image: the network's, with its affine. Raises RunFailed for
    numbers that are none, and for more or fewer points than the bundle announces.
    """
    values = np.asarray(answer.detach().cpu().float().numpy() if hasattr(answer, "detach") else answer,
                        dtype=np.float64)
    if not np.isfinite(values).all():
        raise RunFailed("the model's landmarks hold values that are no numbers (NaN or infinite): its weights or the "
                        "images are not what it was made for")
    heat = "heat" in str(said.get("format", "")).lower() or values.ndim == 4
    place = answer if heat else image
    affine = place.affine.cpu().numpy().astype(np.float64) if isinstance(place, MetaTensor) else ras_affine(volume)
    names = _names(said, values, heat=heat)
    found: list[Detection] = []
    beside: list[str] = []
    for name, index, certainty in peaks(values, names) if heat else _points(values, names, volume):
        point = (affine[:3, :3] @ index + affine[:3, 3]) * _RAS_TO_LPS
        inside = to_index(volume.affine, point[np.newaxis])[0]
        if ((inside < -0.5) | (inside > np.array(volume.voxels.shape) - 0.5)).any():
            beside.append(name)
            continue
        meant = term(name)
        found.append(Detection(
            key=f"{meant.key}-{len(found) + 1}", label=meant.label[:64], type=meant.type, site=meant.site,
            laterality=meant.laterality, certainty=certainty, at=InPatient(center_lps=_triple(point)),
        ))
    searched = tuple(dict.fromkeys(term(name).type for name in names))
    missing = (f"Not in these images: {', '.join(dict.fromkeys(beside))}.",) if beside else ()
    return Findings(volume=volume, detections=tuple(found), looked_for=searched, remarks=missing)


def _names(said: Mapping[str, Any], values: NDArray[np.float64], *, heat: bool) -> list[str]:
    """Of the landmarks, in their order. Names of axes name no landmark; then they have numbers."""
    return names_of(said, values.shape[0] if heat else _count(values, said))


def names_of(said: Mapping[str, Any], count: int) -> list[str]:
    """What so many landmarks are called. Raises RunFailed where the bundle announces another number of them."""
    named = [name for _, name in sorted(description.names(said, required=False).items())]
    if named and not all("dimension" in name.lower() for name in named):
        if len(named) != count:
            raise RunFailed(f"the model gives {count} landmarks, the bundle announces {len(named)}")
        return named
    return [f"landmark {number}" for number in range(1, count + 1)]


def _count(values: NDArray[np.float64], said: Mapping[str, Any]) -> int:
    shape = [each for each in said.get("spatial_shape") or [] if isinstance(each, int)]
    if values.ndim < 2 or values.shape[-2] not in (2, 3) or (len(shape) == 2 and tuple(shape) != values.shape[-2:]):
        raise RunFailed(f"the model's landmarks have the shape {values.shape}; announced are "
                        f"{tuple(shape) or '(axes, points)'}, or such a row for each slice")
    return int(values.shape[-1])


def _points(
    values: NDArray[np.float64], names: list[str], volume: Volume
) -> Iterator[tuple[str, NDArray[np.float64], float | None]]:
    """(name, index in the network's image, None)."""
    if values.shape[-2] == 3:
        yield from ((name, point, None) for name, point in zip(names, values.reshape(3, -1).T, strict=True))
        return
    rows = values.reshape(-1, 2, len(names))
    if len(rows) != volume.voxels.shape[0]:
        raise RunFailed(f"the model gives points of {len(rows)} slices, the images have {volume.voxels.shape[0]}")
    for number, row in enumerate(rows):
        for name, point in zip(names, row.T, strict=True):
            # Networks of points put what is not in an image at its first corner.
            if (np.abs(point) >= 1).any():
                yield name, np.array([*point, number]), None


def peaks(
    values: NDArray[np.float64], names: list[str]
) -> Iterator[tuple[str, NDArray[np.float64], float | None]]:
    """(name, index of the highest value, that value if it is a share); none for a map that is faint everywhere."""
    for name, heat in zip(names, values, strict=True):
        peak = float(heat.max())
        scaled = float(heat.min()) >= 0 and peak <= 1
        if scaled and peak < _FAINT:
            continue
        yield name, np.array(np.unravel_index(int(heat.argmax()), heat.shape), np.float64), peak if scaled else None


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    first, second, third = (float(each) for each in values)
    return first, second, third
