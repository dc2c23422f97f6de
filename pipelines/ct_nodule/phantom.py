"""A chest phantom with nodules of known place, size and kind, and the same chest some months later.

    python -m radnode.pipelines.ct_nodule.phantom FOLDER
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from radnode.pipelines.ct_lung.phantom import BLOOD, Phantom, chest_phantom, write_series
from radnode.pipelines.geometry import to_index, to_patient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine

NOISE_HU = 30.0
"""Of a low-dose scan with a smooth kernel: about 22 HU after the blur of the phantom's scanner."""

SOLID_HU, GROUND_GLASS_HU = 40.0, -600.0
_RAMP_MM = 1.2  # width of a border, as a scanner blurs it
_APART_MM = 30.0
_HILA = np.array([[-36.0, 22.0, -10.0], [42.0, 26.0, -14.0]])


class Place(StrEnum):
    """What a nodule touches."""

    SOLITARY = "solitary"
    PLEURAL = "juxta-pleural"
    VASCULAR = "juxta-vascular"


class Kind(StrEnum):
    """What a nodule is made of."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground-glass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodule:
    """One nodule: an ellipsoid.

    center_lps: millimetres. diameters_mm: along its own three axes. axes: (3, 3), whose columns they are, in LPS.
    core_mm: diameter of the solid sphere in the middle of a part-solid one.
    """

    center_lps: tuple[float, float, float]
    diameters_mm: tuple[float, float, float]
    axes: NDArray[np.float64]
    place: Place
    kind: Kind
    core_mm: float = 0.0

    @property
    def diameter_mm(self) -> float:
        """Of the sphere of the same volume."""
        return float(np.prod(self.diameters_mm) ** (1 / 3))

    @property
    def volume_mm3(self) -> float:
        """Of the whole ellipsoid, also of the part of it that is beyond the pleura."""
        return float(np.pi / 6 * np.prod(self.diameters_mm))

    def grown(self, factor: float) -> Nodule:
        """The same nodule with diameters larger by a factor."""
        first, second, third = (each * factor for each in self.diameters_mm)
        return replace(self, diameters_mm=(first, second, third), core_mm=self.core_mm * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodulePhantom:
    """A chest and the nodules in it."""

    chest: Phantom
    nodules: tuple[Nodule, ...]


def nodule_phantom(
    *, seed: int = 0, count: int = 6, nodules: Sequence[Nodule] | None = None, slices: int = 214, size: int = 384,
    spacing_mm: tuple[float, float] | None = None, noise_hu: float = NOISE_HU,
) -> NodulePhantom:
    """A chest with `count` nodules of 4 to 20 mm, or with these `nodules`.

    The same seed is the same chest; grid and spacing as in :func:`chest_phantom`.
    """
    placed: list[Nodule] = list(nodules or ())

    def paint(hu: NDArray[np.float32], affine: Affine, lungs: NDArray[np.bool_]) -> None:
        if nodules is None:
            placed.extend(_placed(hu, affine, lungs, count, np.random.default_rng([seed, 1])))
        for each in placed:
            _paint(hu, affine, each)

    chest = chest_phantom(slices=slices, size=size, spacing_mm=spacing_mm, seed=seed, noise_hu=noise_hu, lesions=paint)
    return NodulePhantom(chest=chest, nodules=tuple(placed))


def ball(
    center_lps: tuple[float, float, float], diameter_mm: float, *, kind: Kind = Kind.SOLID,
    place: Place = Place.SOLITARY, core_mm: float = 0.0
) -> Nodule:
    """A round nodule."""
    return Nodule(center_lps=center_lps, diameters_mm=(diameter_mm,) * 3, axes=np.eye(3), place=place, kind=kind,
                  core_mm=core_mm)


def _placed(
    hu: NDArray[np.float32], affine: Affine, lungs: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> list[Nodule]:
    """Nodules in the lungs, apart from each other; two fifths at the pleura, a third at vessels."""
    step = tuple(max(1, round(3.0 / each)) for each in np.linalg.norm(affine[:3, :3], axis=0))
    thin = tuple(slice(None, None, each) for each in step)
    coarse = affine.copy()
    coarse[:3, :3] = affine[:3, :3] * np.array(step)
    spacing = np.linalg.norm(coarse[:3, :3], axis=0)
    depth = ndimage.distance_transform_edt(lungs[thin], spacing)
    vessel = (hu[thin] == BLOOD) & lungs[thin]
    to_vessel = ndimage.distance_transform_edt(~vessel, spacing)
    found: list[Nodule] = []
    for _ in range(count * 200):
        if len(found) == count:
            break
        place = (Place.SOLITARY, Place.PLEURAL, Place.VASCULAR)[rng.integers(3)]
        nodule = _drawn(place, rng)
        radius = nodule.diameter_mm / 2
        if place is Place.PLEURAL:
            fits = (depth > 0.3 * radius) & (depth < 0.9 * radius)
        elif place is Place.VASCULAR:
            fits = vessel & (depth > 2 * radius)
        else:
            fits = (depth > radius + 4) & (to_vessel > radius + 1)
        candidates = np.argwhere(fits)
        if not len(candidates):
            continue
        center = to_patient(coarse, candidates[rng.integers(len(candidates))][np.newaxis].astype(np.float64))[0]
        if place is Place.VASCULAR:
            direction = rng.normal(size=3)
            center = center + direction / np.linalg.norm(direction) * radius
        others = [np.linalg.norm(center - np.array(each.center_lps)) for each in found]
        if min(others, default=np.inf) < _APART_MM or np.linalg.norm(_HILA - center, axis=1).min() < 30:
            continue
        found.append(replace(nodule, center_lps=(float(center[0]), float(center[1]), float(center[2]))))
    return found


def _drawn(place: Place, rng: np.random.Generator) -> Nodule:
    """A nodule somewhere: small ones are more frequent, as in patients."""
    diameter = float(np.exp(rng.uniform(np.log(4), np.log(20))))
    kind = rng.choice([Kind.SOLID, Kind.PART_SOLID, Kind.GROUND_GLASS], p=[0.7, 0.1, 0.2])
    stretched = np.exp(rng.normal(0, 0.12, 3))
    stretched *= diameter / np.prod(stretched) ** (1 / 3)
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    first, second, third = (float(each) for each in stretched)
    return Nodule(center_lps=(0.0, 0.0, 0.0), diameters_mm=(first, second, third), axes=axes, place=place,
                  kind=Kind(kind), core_mm=0.5 * diameter if kind == Kind.PART_SOLID else 0.0)


def _paint(hu: NDArray[np.float32], affine: Affine, nodule: Nodule) -> None:
    """Blend a nodule in; what is denser already stays."""
    reach = max(nodule.diameters_mm) / 2 + _RAMP_MM
    middle = to_index(affine, np.array([nodule.center_lps]))[0]
    half = np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1) * reach
    low = np.clip(np.floor(middle - half), 0, hu.shape).astype(int)
    high = np.clip(np.ceil(middle + half) + 1, 0, hu.shape).astype(int)
    box = tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
    index = np.stack(np.meshgrid(*(np.arange(each.start, each.stop) for each in box), indexing="ij"), -1)
    offset = to_patient(affine, index.reshape(-1, 3).astype(np.float64)) - np.array(nodule.center_lps)
    shape = index.shape[:-1]
    scaled = np.linalg.norm(offset @ nodule.axes / (np.array(nodule.diameters_mm) / 2), axis=1)
    layers = [(scaled - 1) * nodule.diameter_mm / 2]
    values = [SOLID_HU if nodule.kind is Kind.SOLID else GROUND_GLASS_HU]
    if nodule.core_mm:
        layers.append(np.linalg.norm(offset, axis=1) - nodule.core_mm / 2)
        values.append(SOLID_HU)
    for beyond, value in zip(layers, values, strict=True):
        share = np.clip(0.5 - beyond / _RAMP_MM, 0, 1).reshape(shape)
        hu[box] += share * (np.maximum(value, hu[box]) - hu[box])


def main() -> None:
    """Write a chest with nodules, made coarser, into the folder that the command line names."""
    arguments = argparse.ArgumentParser(description=main.__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--seed", type=int, default=7)
    given = arguments.parse_args()
    write_series(nodule_phantom(seed=given.seed, slices=160, size=256).chest, given.folder)


if __name__ == "__main__":
    main()
