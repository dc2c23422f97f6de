"""What a bundle says of a voxel comes back to that voxel, however its preprocessing turns, cuts and resamples.

The bundle answers "is it above a threshold", the images are noise: one voxel out of place and the masks differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import ndimage
from support import bundles, grids

from radnode.pipelines.contract import RunContext
from radnode.pipelines.models.bundle import BundlePipeline

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.contract import StudyImages

Transforms = list[dict[str, Any]]


def step(name: str, **options: Any) -> dict[str, Any]:
    return {"_target_": name, "keys": "@image_key", **options}


def spacing(*pixdim: float, mode: str = "nearest", **options: Any) -> dict[str, Any]:
    return step("Spacingd", pixdim=list(pixdim), mode=mode, **options)


def foreground(select: str) -> dict[str, Any]:
    return step("CropForegroundd", source_key="@image_key", select_fn=select, margin=1, allow_smaller=True)


# No grid that these make is coarser, along any axis, than the finest of grids.GRIDS (0.75 mm).
EXACT: dict[str, tuple[str, Transforms]] = {
    "Orientationd alone": ("PIR", []),
    "Spacingd to the spacing it has": ("RAS", [spacing(-1, -1, -1)]),
    "Spacingd to a whole part": ("RAS", [spacing(0.375, 0.375, 0.375)]),
    "Spacingd to a part that is not whole": ("ASL", [spacing(0.47, 0.47, 0.49)]),
    "Spacingd between corners": ("SRA", [spacing(0.47, 0.5, 0.49, align_corners=True)]),
    "Spacingd of the whole extent": ("RAS", [spacing(0.47, 0.47, 0.49, scale_extent=True, align_corners=True)]),
    "Flipd of one axis": ("RAS", [step("Flipd", spatial_axis=[0])]),
    "Flipd of all axes": ("LPI", [step("Flipd", spatial_axis=None)]),
    "Rotate90d": ("RAS", [step("Rotate90d", k=1, spatial_axes=[0, 1])]),
    "Rotate90d, backwards, about another axis": ("ASL", [step("Rotate90d", k=3, spatial_axes=[1, 2])]),
    "SpatialPadd on both sides": ("RAS", [step("SpatialPadd", spatial_size=[21, 20, 19])]),
    "SpatialPadd at the end": ("LAS", [step("SpatialPadd", spatial_size=[21, 20, 19], method="end")]),
    "DivisiblePadd": ("RAS", [step("DivisiblePadd", k=8)]),
    "BorderPadd": ("RSA", [step("BorderPadd", spatial_border=[1, 2, 3])]),
    "ResizeWithPadOrCropd to more": ("RAS", [step("ResizeWithPadOrCropd", spatial_size=[23, 22, 21])]),
    "CropForegroundd that keeps all": ("RAS", [foreground("$lambda x: x > -2000")]),
    "Zoomd": ("RAS", [step("Zoomd", zoom=2.0, keep_size=False, mode="nearest")]),
    "Resized to more": ("RAS", [step("Resized", spatial_size=[40, 41, 43], mode="nearest-exact")]),
    "Resized to more by torch's other nearest": ("RAS", [step("Resized", spatial_size=[40, 41, 43], mode="nearest")]),
    "many": ("RAS", [spacing(0.5, 0.5, 0.5), step("Flipd", spatial_axis=[1]),
                     step("Rotate90d", k=1, spatial_axes=[0, 2]), step("DivisiblePadd", k=4)]),
}


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StudyImages]:
    folder = tmp_path_factory.mktemp("grids")
    return {name: grids.read(grids.write(grid, folder / str(number)))
            for number, (name, grid) in enumerate(grids.GRIDS.items())}


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StudyImages]:
    folder = tmp_path_factory.mktemp("bodies")
    return {name: grids.read(grids.write(grid, folder / str(number), grids.body(grid)))
            for number, (name, grid) in enumerate(grids.GRIDS.items())}


def bundle(
    folder: Path, axcodes: str, transforms: Transforms, *, inverted: bool, threshold: float = bundles.THRESHOLD_HU
) -> BundlePipeline:
    config = bundles.inference(axcodes=axcodes, transforms=transforms)
    config["postprocessing"]["transforms"][1]["nearest_interp"] = True
    if not inverted:
        del config["postprocessing"]["transforms"][1]
    return BundlePipeline(bundles.write_bundle(folder, config=config, state=bundles.weights(threshold)))


def mask(pipeline: BundlePipeline, images: StudyImages) -> NDArray[np.bool_]:
    found = pipeline.run(images, RunContext(device="cpu", stage=lambda _: None))
    return found.segments[0].mask if found.segments else np.zeros(images.volume.voxels.shape, np.bool_)


def above(images: StudyImages) -> NDArray[np.bool_]:
    wanted: NDArray[np.bool_] = images.volume.voxels > bundles.THRESHOLD_HU
    return wanted


@pytest.mark.parametrize("inverted", [True, False], ids=["with Invertd", "by where it lies"])
@pytest.mark.parametrize("transforms", EXACT)
def test_every_voxel_comes_back_to_its_place(
    tmp_path: Path, noise: dict[str, StudyImages], transforms: str, *, inverted: bool
) -> None:
    pipeline = bundle(tmp_path / "bundle", *EXACT[transforms], inverted=inverted)
    assert misplaced(pipeline, noise) == {}


@pytest.mark.parametrize("inverted", [True, False], ids=["with Invertd", "by where it lies"])
def test_every_voxel_comes_back_from_a_grid_that_linear_interpolation_made(
    tmp_path: Path, noise: dict[str, StudyImages], *, inverted: bool
) -> None:
    """It is exact where the finer grid holds the places of the coarser, as it does unless the stack is sheared."""
    pipeline = bundle(tmp_path / "bundle", "LPS", [spacing(0.375, 0.375, 0.375, mode="bilinear")], inverted=inverted)
    assert misplaced(pipeline, {name: each for name, each in noise.items() if not grids.GRIDS[name].tilt_mm}) == {}


@pytest.mark.parametrize("inverted", [True, False], ids=["with Invertd", "by where it lies"])
def test_what_a_crop_left_out_is_background_and_the_rest_is_in_its_place(
    tmp_path: Path, noise: dict[str, StudyImages], *, inverted: bool
) -> None:
    crop = [step("CenterSpatialCropd", roi_size=[4, 4, 4])]
    pipeline = bundle(tmp_path / "bundle", "RAS", crop, inverted=inverted)
    everywhere = bundle(tmp_path / "all", "RAS", crop, inverted=inverted, threshold=-5000)
    for name, images in noise.items():
        kept = mask(everywhere, images)
        for axis, size in enumerate(kept.shape):
            along = np.flatnonzero(kept.any(axis=tuple({0, 1, 2} - {axis})))
            assert len(along) == min(size, 4), name
            assert abs(along.mean() - (size - 1) / 2) <= 0.5, name
        assert kept.sum() == np.prod(np.minimum(kept.shape, 4)), name
        np.testing.assert_array_equal(mask(pipeline, images), above(images) & kept, err_msg=name)


@pytest.mark.parametrize("inverted", [True, False], ids=["with Invertd", "by where it lies"])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("coarse_mm", [1.1, 2.0, 3.7])
def test_a_border_on_a_coarser_grid_comes_back_within_half_a_voxel_of_either_grid(
    tmp_path: Path, bodies: dict[str, StudyImages], coarse_mm: float, mode: str, *, inverted: bool
) -> None:
    """A coarse voxel holds what lay within half a fine voxel of its centre (linear: within one), and is given to what
    lies within half a coarse one: so far, and no farther, a border moves along any axis.
    """
    steps = [spacing(coarse_mm, coarse_mm, coarse_mm, mode=mode)]
    pipeline = bundle(tmp_path / "bundle", "RAS", steps, inverted=inverted)
    for name, images in bodies.items():
        found, wanted = mask(pipeline, images), above(images)
        seen = 0.5 if mode == "nearest" else 0.999
        reach = [int(coarse_mm / mm / 2 + seen) for mm in images.volume.spacing_mm]
        box = np.ones([2 * each + 1 for each in reach], np.bool_)
        assert not (found & ~ndimage.binary_dilation(wanted, box)).any(), name
        assert not (ndimage.binary_erosion(wanted, box) & ~found).any(), name


def misplaced(pipeline: BundlePipeline, noise: dict[str, StudyImages]) -> dict[str, str]:
    """Of each series with wrong voxels, how many."""
    wrong = {}
    for name, images in noise.items():
        differ = mask(pipeline, images) != above(images)
        if grids.GRIDS[name].tilt_mm:  # MONAI's straight grids do not reach the border of a sheared stack
            differ = differ[1:-1, 1:-1]
        if differ.any():
            wrong[name] = f"{differ.sum()} of {differ.size}"
    return wrong
