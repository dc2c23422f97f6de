"""The lungs of the phantom against its truth, and every case in which an honest answer is not two lungs."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.phantoms import dice, volume_of

from radnode.pipelines.contract import NotProcessed
from radnode.pipelines.ct_lung.lungs import Lungs, segment_lungs
from radnode.pipelines.ct_lung.phantom import Phantom, chest_phantom
from radnode.pipelines.geometry import Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOOD = 0.97


@lru_cache(maxsize=1)
def _chest() -> Phantom:
    return chest_phantom(slices=100, size=128)


def _segment(volume: Volume) -> Lungs:
    return segment_lungs(volume, "cpu", lambda _stage: None)


def _agreement(found: Lungs, left: NDArray[np.bool_], right: NDArray[np.bool_]) -> float:
    assert found.left is not None
    assert found.right is not None
    assert not (found.left & found.right).any()
    return min(dice(found.left, left), dice(found.right, right))


@pytest.mark.parametrize(("slices", "size"), [(40, 64), (33, 256), (160, 96)])
def test_both_lungs_agree_with_the_truth(slices: int, size: int) -> None:
    phantom = chest_phantom(slices=slices, size=size)
    found = _segment(volume_of(phantom))
    assert found.airways_found
    assert _agreement(found, phantom.left_mask, phantom.right_mask) >= GOOD


@pytest.mark.catalogue("G14")
@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_sides_are_the_patients_in_all_48_orientations(axes: tuple[int, ...]) -> None:
    for signs in product((1, -1), repeat=3):
        directions = np.zeros((3, 3))
        for column, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
            directions[axis, column] = sign
        phantom = chest_phantom(slices=64, size=64, spacing_mm=(6.0, 6.0), axes=directions)
        found = _segment(volume_of(phantom))
        assert _agreement(found, phantom.left_mask, phantom.right_mask) >= GOOD


@pytest.mark.parametrize("angles", [(20, 0, 0), (0, 25, 0), (15, -10, 20), (35, 20, -30)])
def test_oblique_stacks_are_read(angles: tuple[int, int, int]) -> None:
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    phantom = chest_phantom(slices=130, size=130, spacing_mm=(3.2, 3.2), axes=turn @ np.eye(3)[:, ::-1])
    found = _segment(volume_of(phantom))
    assert _agreement(found, phantom.left_mask, phantom.right_mask) >= GOOD


def test_noise_of_a_sharp_kernel_is_borne() -> None:
    phantom = _chest()
    noise = np.random.default_rng(1).normal(0, 60, phantom.hu.shape)
    found = _segment(volume_of(phantom, phantom.hu + noise))
    assert _agreement(found, phantom.left_mask, phantom.right_mask) >= GOOD


def test_padding_around_the_field_of_view_is_outside() -> None:
    phantom = _chest()
    rows, columns = np.mgrid[: phantom.hu.shape[1], : phantom.hu.shape[2]]
    outside = (rows - 63.5) ** 2 + (columns - 63.5) ** 2 > 63**2
    hu = phantom.hu.copy()
    hu[:, outside] = -2000
    plain = volume_of(phantom, hu)
    valid = np.broadcast_to(~outside, hu.shape).copy()
    volume = Volume(
        voxels=plain.voxels,
        affine=plain.affine,
        frames=plain.frames,
        valid=valid,
        series_instance_uid="2.25.1",
        frame_of_reference_uid="2.25.2",
    )
    assert _agreement(_segment(volume), phantom.left_mask, phantom.right_mask) >= GOOD


def test_lungs_that_touch_in_front_of_the_heart_are_parted() -> None:
    phantom = _chest()
    hu = phantom.hu.copy()
    hu[40:80, 32:40, 57:71] = -850
    found = _segment(volume_of(phantom, hu))
    assert _agreement(found, phantom.left_mask, phantom.right_mask) >= GOOD


def test_an_airless_lung_is_not_found_and_the_other_one_keeps_its_name() -> None:
    phantom = _chest()
    hu = phantom.hu.copy()
    hu[phantom.left_mask] = 20
    found = _segment(volume_of(phantom, hu))
    assert found.left is None
    assert found.right is not None
    assert dice(found.right, phantom.right_mask) >= GOOD


def test_the_liver_below_the_dome_of_the_diaphragm_is_no_lung() -> None:
    phantom = _chest()
    found = _segment(volume_of(phantom))
    assert found.right is not None
    liver = ~phantom.right_mask & (phantom.hu > 20)
    liver[40:] = False
    assert (found.right & liver).sum() < 0.01 * phantom.right_mask.sum()


def test_trachea_and_main_bronchi_are_no_lung() -> None:
    phantom = _chest()
    found = _segment(volume_of(phantom))
    assert found.left is not None
    assert found.right is not None
    airways = (phantom.hu < -900) & ~phantom.left_mask & ~phantom.right_mask
    columns = np.abs(np.arange(128) - 63.5) < 10
    airways &= columns
    airways[:, 90:] = False  # behind the patient
    airways[:, :35] = False
    assert airways.sum() > 500
    assert ((found.left | found.right) & airways).sum() < 0.1 * airways.sum()


def test_a_body_without_lungs_has_none() -> None:
    phantom = _chest()
    hu = phantom.hu.copy()
    hu[phantom.left_mask | phantom.right_mask] = 30
    found = _segment(volume_of(phantom, hu))
    assert found.left is None
    assert found.right is None


def test_gas_in_the_bowel_is_no_lung() -> None:
    phantom = _chest()
    hu = phantom.hu.copy()
    hu[phantom.left_mask | phantom.right_mask] = 30
    z, y, x = np.indices(hu.shape)
    hu[((z - 30) * 3.2) ** 2 + ((y - 60) * 3) ** 2 + ((x - 90) * 3) ** 2 < 40**2] = -1000
    assert _segment(volume_of(phantom, hu)).left is None


def test_a_field_of_view_that_cuts_the_back_keeps_the_lungs() -> None:
    phantom = _chest()
    rows = slice(0, 88)
    cut = volume_of(phantom, phantom.hu)
    volume = Volume(
        voxels=np.ascontiguousarray(cut.voxels[:, rows]),
        affine=cut.affine,
        frames=cut.frames,
        valid=np.ascontiguousarray(cut.valid[:, rows]),
        series_instance_uid="2.25.1",
        frame_of_reference_uid="2.25.2",
    )
    found = _segment(volume)
    assert _agreement(found, phantom.left_mask[:, rows], phantom.right_mask[:, rows]) >= GOOD


@pytest.mark.catalogue("G14")
@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ((-1, -1, 1), "spine lies in front"),
        ((1, -1, -1), "towards the feet"),
        ((-1, 1, -1), "towards the feet"),
    ],
)
def test_a_posture_that_the_anatomy_contradicts_is_refused(turn: tuple[int, int, int], said: str) -> None:
    phantom = _chest()
    plain = volume_of(phantom)
    volume = Volume(
        voxels=plain.voxels,
        affine=np.diag([*turn, 1.0]) @ plain.affine,
        frames=plain.frames,
        valid=plain.valid,
        series_instance_uid="2.25.1",
        frame_of_reference_uid="2.25.2",
    )
    with pytest.raises(NotProcessed, match=said):
        _segment(volume)


def test_one_region_across_the_midline_that_cannot_be_parted_is_refused() -> None:
    phantom = _chest()
    hu: NDArray[Any] = phantom.hu.copy()
    hu[phantom.left_mask | phantom.right_mask] = 30
    z, y, x = np.indices(hu.shape)
    ball = ((z - 50) * 3.2) ** 2 + ((y - 64) * 3) ** 2 + ((x - 63.5) * 3) ** 2 < 70**2
    hu[ball] = -850
    with pytest.raises(NotProcessed, match="left"):
        _segment(volume_of(phantom, hu))
