"""Sizes, kinds and outlines of nodules in a cube of lung: alone, on a vessel, on a wall, oblique to the images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from radnode.pipelines.ct_nodule.field import Field
from radnode.pipelines.ct_nodule.grids import around, sampled
from radnode.pipelines.ct_nodule.marks import Mark, marked
from radnode.pipelines.ct_nodule.measures import Kind, Nodule, measured, on_images
from radnode.pipelines.geometry import SourceFrame, Volume, to_index, to_patient

if TYPE_CHECKING:
    from numpy.typing import NDArray

LUNG, TISSUE, GLASS = -850.0, 40.0, -600.0
CENTER = np.array([12.0, -30.0, 55.0])
_TURN = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])


def cube(
    diameters: tuple[float, float, float], *, value: float = TISSUE, core: float = 0.0, vessel: float = 0.0,
    wall: bool = False, mm: tuple[float, float, float] = (1.0, 0.7, 0.7), turned: bool = False,
) -> Volume:
    """An ellipsoid in lung, axes along L, P, S. vessel: diameter of one through its middle. wall: tissue beside it."""
    shape = tuple(round(50 / each) for each in mm)
    affine = np.eye(4)
    affine[:3, :3] = (_TURN if turned else np.eye(3)) @ np.eye(3)[:, ::-1] * np.array(mm)
    affine[:3, 3] = CENTER - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    index = np.stack(np.meshgrid(*(np.arange(each) for each in shape), indexing="ij"), -1).reshape(-1, 3)
    offset = to_patient(affine, index.astype(np.float64)) - CENTER
    half = np.array(diameters) / 2
    hu = np.full(len(offset), LUNG)
    for beyond, inside in (
        ((np.linalg.norm(offset / half, axis=1) - 1) * half.min(), value),
        (np.linalg.norm(offset, axis=1) - core / 2, TISSUE if core else LUNG),
        (np.linalg.norm(offset[:, 1:], axis=1) - vessel / 2, TISSUE if vessel else LUNG),
        (0.6 * half[0] - offset[:, 0], TISSUE if wall else LUNG),
    ):
        hu = hu + np.clip(0.5 - beyond / 1.2, 0, 1) * (np.maximum(inside, hu) - hu)
    voxels = hu.reshape(shape).astype(np.float32)
    frames = tuple(SourceFrame(sop_class_uid="1.2", sop_instance_uid=f"2.25.{each}") for each in range(shape[0]))
    return Volume(voxels=voxels, affine=affine, frames=frames, valid=np.ones(shape, np.bool_),
                  series_instance_uid="2.25.1", frame_of_reference_uid="2.25.2")


def field(volume: Volume, *, wall_at: float | None = None) -> Field:
    """All of the cube is lung; with a wall, what lies beyond it is not."""
    grid = around(CENTER - 22, CENTER + 22, 1.0)
    inside = np.ones(grid.shape, np.bool_)
    if wall_at is not None:
        x = grid.points(np.argwhere(inside).astype(np.float64))[:, 0].reshape(grid.shape)
        inside = x - CENTER[0] < wall_at
    return Field(side="left", grid=grid, hu=sampled(volume.voxels, volume.affine, grid), inside=inside,
                 background_hu=LUNG)


def measure(volume: Volume, diameter: float, where: Field | None = None) -> Nodule:
    x, y, z = (float(each) for each in CENTER)
    mark = Mark(center_lps=(x, y, z), diameter_mm=diameter, certainty=1.0)
    found = measured(volume, where or field(volume), mark, "cpu")
    assert found is not None
    return found


@pytest.mark.parametrize("turned", [False, True], ids=["straight", "turned"])
def test_axes_are_the_longest_axial_diameter_and_the_width_at_right_angles(turned: bool) -> None:
    found = measure(cube((14.0, 8.0, 10.0), turned=turned), 10.0)
    assert found.long_mm == pytest.approx(14, abs=0.8)
    assert found.short_mm == pytest.approx(8, abs=0.8)
    along: NDArray[np.float64] = found.ends_lps[1] - found.ends_lps[0]
    assert abs(along[0]) / np.linalg.norm(along) > 0.98
    assert along[2] == 0


@pytest.mark.parametrize("diameter", [6.0, 12.0, 20.0])
def test_the_volume_of_a_ball_is_found(diameter: float) -> None:
    found = measure(cube((diameter,) * 3), diameter)
    assert found.volume_mm3 == pytest.approx(np.pi / 6 * diameter**3, rel=0.12)
    assert np.linalg.norm(np.array(found.center_lps) - CENTER) < 0.7


def test_a_vessel_through_a_nodule_is_cut_off() -> None:
    found = measure(cube((12.0, 12.0, 12.0), vessel=4.0), 12.0)
    assert found.volume_mm3 == pytest.approx(np.pi / 6 * 12**3, rel=0.25)


def test_the_wall_that_a_nodule_touches_is_cut_off() -> None:
    volume = cube((12.0, 12.0, 12.0), wall=True)
    found = measure(volume, 12.0, field(volume, wall_at=3.6))
    assert found.volume_mm3 < np.pi / 6 * 12**3
    assert found.volume_mm3 > 0.5 * np.pi / 6 * 12**3


@pytest.mark.parametrize(("value", "core", "diameter", "kind"), [
    (TISSUE, 0.0, 12.0, Kind.SOLID), (GLASS, 0.0, 12.0, Kind.GROUND_GLASS), (GLASS, 8.0, 18.0, Kind.PART_SOLID),
    (TISSUE, 0.0, 4.0, Kind.UNKNOWN), (-250.0, 0.0, 4.5, Kind.UNKNOWN),
])
def test_kinds_are_told_where_there_is_enough_of_a_nodule(
    value: float, core: float, diameter: float, kind: Kind
) -> None:
    found = measure(cube((diameter,) * 3, value=value, core=core), diameter)
    assert found.kind is kind
    if core:
        assert found.solid_mm == pytest.approx(core, abs=1.2)
        assert found.mean_mm == pytest.approx(diameter, abs=1.5)


def test_the_mask_on_the_images_lies_where_the_nodule_is() -> None:
    volume = cube((12.0, 12.0, 12.0), turned=True)
    box, mask = on_images(measure(volume, 12.0), volume)
    index = np.argwhere(mask) + [each.start for each in box]
    assert np.linalg.norm(to_patient(volume.affine, index.astype(np.float64)).mean(0) - CENTER) < 0.7
    assert mask.sum() * volume.voxel_volume_mm3 == pytest.approx(np.pi / 6 * 12**3, rel=0.12)


@pytest.mark.parametrize(("diameter", "value"), [(5.0, TISSUE), (9.0, GLASS), (16.0, TISSUE)])
def test_the_baseline_marks_a_ball_and_is_surer_of_it_than_of_a_vessel(diameter: float, value: float) -> None:
    (found, *_) = sorted(marked(field(cube((diameter,) * 3, value=value)), "cpu"), key=lambda each: -each.certainty)
    assert np.linalg.norm(np.array(found.center_lps) - CENTER) < 1.5
    alone = marked(field(cube((0.1, 0.1, 0.1), value=LUNG, vessel=diameter)), "cpu")
    assert all(each.certainty < found.certainty for each in alone)


@pytest.mark.parametrize("turned", [False, True], ids=["straight", "turned"])
def test_a_nodule_that_the_images_cut_ends_where_they_end(turned: bool) -> None:
    whole = cube((14.0, 14.0, 14.0), turned=turned)
    seen = whole.voxels.shape[0] // 2 + 3
    cut = replace(whole, voxels=whole.voxels[:seen], valid=whole.valid[:seen], frames=whole.frames[:seen])
    nodule = measure(cut, 14.0, field(whole))
    index = to_index(cut.affine, nodule.grid.points(np.argwhere(nodule.mask).astype(np.float64)))
    assert index[:, 0].max() < seen - 0.5
    assert index[:, 0].max() > seen - 1.5
