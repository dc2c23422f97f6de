"""What is computed otherwise than MONAI does it is what MONAI computes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.networks.layers.spatial_transforms import AffineTransform
from monai.transforms.post.array import AsDiscrete
from monai.transforms.spatial.array import Orientation, Spacing, SpatialResample

from radnode.pipelines.models.deciding import Discrete, largest
from radnode.pipelines.models.resampling import AxisAligned, axis_by_axis

if TYPE_CHECKING:
    from collections.abc import Callable

OLD, NEW = (9, 14, 6), (15, 8, 11)
ROUNDED = 2.0**-23
"""Of values below 1: one step of float32. Sums in another order differ in float64's last bits, which seldom shows."""


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def between(old: tuple[int, ...], new: tuple[int, ...], shift: float) -> torch.Tensor:
    theta = torch.eye(4, dtype=torch.float64)
    for axis in range(3):
        theta[axis, axis] = (old[axis] + 0.4321) / new[axis]
        theta[axis, 3] = shift * (axis - 1.1)
    return theta


def both(theta: torch.Tensor, image: torch.Tensor, new: tuple[int, ...] = NEW, **how: Any) -> tuple[Any, Any]:
    how = {"mode": "bilinear", "padding_mode": "border", "align_corners": False, "reverse_indexing": True, **how}
    return AffineTransform(normalized=False, **how)(image, theta, new), AxisAligned(normalized=False, **how)(
        image, theta, new)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_between_spacings_the_numbers_are_those_of_monai(mode: str, padding: str, *, align_corners: bool) -> None:
    for old, new, shift in itertools.product((OLD, NEW), (OLD, NEW, (31, 29, 2)), (0.0, 0.37, -2.9)):
        theirs, ours = both(between(old, new, shift), noise(1, 3, *old), new, mode=mode, padding_mode=padding,
                            align_corners=align_corners)
        assert ours.dtype == torch.float32  # so it was not left to MONAI
        assert float((theirs - ours).abs().max()) < ROUNDED, (old, new, shift)


@pytest.mark.parametrize("what", ["a rotation", "reflection", "float32", "ties", "one slice"])
def test_what_is_not_covered_is_monais_own(what: str) -> None:
    theta, image, how, new = between(OLD, NEW, 0.2), noise(1, 1, *OLD), {}, NEW
    if what == "a rotation":
        theta[0, 1] = 0.01
    elif what == "reflection":
        how["padding_mode"] = "reflection"
    elif what == "float32":
        theta, image = theta.float(), image.float()
    elif what == "one slice":
        new = (15, 8, 1)
    else:
        theta, how["mode"] = torch.diag(torch.tensor([0.5, 0.5, 0.5, 1.0], dtype=torch.float64)), "nearest"
    theirs, ours = both(theta, image, new, **how)
    assert ours.dtype == image.dtype
    assert torch.equal(theirs, ours)


def oblique() -> MetaTensor:
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)) + 3 * np.eye(3))
    affine = np.eye(4)
    affine[:3, :3] = turn * np.array([0.71, 0.71, 2.5])
    affine[:3, 3] = [-120.3, 88.1, 1033.7]
    return MetaTensor(noise(2, *OLD).float(), affine=torch.from_numpy(affine))


@pytest.mark.parametrize("steps", [
    lambda: Spacing((1.0, 0.4, 1.1), mode="bilinear"),
    lambda: Spacing((1.0, 0.4, 1.1), mode="nearest", padding_mode="zeros"),
    lambda: Spacing((0.5, 1.0, 3.0), mode="bilinear", align_corners=True),
    lambda: Spacing((0.5, 1.0, 3.0), mode="bilinear", dtype=np.float32),
    lambda: SpatialResample(mode="bilinear"),
])  # fmt: skip
def test_a_transform_and_its_inverse_give_what_they_give_in_monai(steps: Callable[[], Any]) -> None:
    def there_and_back() -> tuple[MetaTensor, MetaTensor]:
        step, image = steps(), Orientation("RAS", labels=None)(oblique())
        straight = {"dst_affine": torch.eye(4), "spatial_size": NEW} if isinstance(step, SpatialResample) else {}
        there = step(image, **straight)
        return there, step.inverse(there)

    theirs = there_and_back()
    with axis_by_axis():
        ours = there_and_back()
    for one, other in zip(theirs, ours, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one.affine, other.affine, rtol=0, atol=0)
        assert float((one - other).abs().max()) < ROUNDED


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_the_largest_class_is_that_of_torch_ties_and_what_is_no_number_included(channels: int) -> None:
    values = (noise(channels, *OLD) * 4).round().float()
    assert torch.equal(largest(values).long(), values.argmax(dim=0, keepdim=True))
    values[-1, 0, 0, 0] = torch.nan
    assert torch.equal(largest(values).long(), values.argmax(dim=0, keepdim=True))


@pytest.mark.parametrize("how", [{}, {"to_onehot": 3}, {"threshold": 1.0}, {"keepdim": False}, {"dim": 1},
                                 {"dtype": torch.uint8}])  # fmt: skip
def test_an_answer_is_decided_as_monai_decides_it(how: dict[str, Any]) -> None:
    given = MetaTensor(noise(3, *OLD).float(), affine=torch.diag(torch.tensor([2.0, 3, 4, 1])))
    theirs, ours = AsDiscrete(argmax=True, **how)(given), Discrete(argmax=True, **how)(given)
    assert torch.equal(theirs, ours)
    assert (type(theirs), theirs.dtype) == (type(ours), ours.dtype)
    assert torch.equal(theirs.affine, ours.affine)
