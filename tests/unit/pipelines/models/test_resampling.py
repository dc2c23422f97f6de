"""Resampling axis by axis gives what MONAI gives, and leaves alone what it cannot do."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.networks.layers.spatial_transforms import AffineTransform
from monai.transforms.spatial.array import Spacing

from radnode.pipelines.models import resampling
from radnode.pipelines.models.resampling import axis_by_axis

MODES = list(itertools.product(("bilinear", "nearest"), ("border", "zeros"), (False, True)))


def _image() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).uniform(-1000, 1000, (1, 2, 11, 9, 7)))


@pytest.mark.parametrize(("mode", "padding", "align"), MODES)
def test_between_parallel_grids_every_voxel_is_monais(
    monkeypatch: pytest.MonkeyPatch, mode: str, padding: str, align: bool
) -> None:
    theta = torch.diag(torch.tensor([0.613, 1.47, 1.0, 1.0], dtype=torch.float64))
    theta[:3, 3] = torch.tensor([-1.3, 0.21, 2.0])
    options = {"normalized": False, "mode": mode, "padding_mode": padding, "align_corners": align,
               "reverse_indexing": True}  # fmt: skip
    wanted = AffineTransform(**options)(_image(), theta, (17, 6, 7))
    monkeypatch.setattr(AffineTransform, "forward", lambda *_: pytest.fail("left to MONAI"))
    found = resampling._AxisByAxis(**options)(_image(), theta, (17, 6, 7))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("turned", [False, True])
def test_a_change_of_spacing_and_its_inversion_are_monais_also_where_grids_are_not_parallel(turned: bool) -> None:
    affine = torch.diag(torch.tensor([0.7, 0.8, 2.5, 1.0], dtype=torch.float64))
    if turned:
        affine[0, 1] = 0.3
    image = MetaTensor(_image()[0].float(), affine=affine)
    spacing = Spacing(pixdim=(1.5, 1.5, 2.0), mode="bilinear")
    wanted = spacing(image)
    back = spacing.inverse(wanted.clone())
    with axis_by_axis():
        found = spacing(image)
        torch.testing.assert_close(found.as_tensor(), wanted.as_tensor(), rtol=0, atol=1e-3)
        torch.testing.assert_close(spacing.inverse(found).as_tensor(), back.as_tensor(), rtol=0, atol=1e-3)
    assert found.shape == wanted.shape
