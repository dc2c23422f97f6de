"""Less noise, borders where they were, and a derived series that nobody takes for an acquired one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from scipy import ndimage
from support import validators
from support.orders import order_over
from support.phantoms import volume_of

from radnode.pipelines import denoising, registry, runner
from radnode.pipelines.contract import NotProcessed, RunContext, RunState, StudyImages
from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series
from radnode.pipelines.denoise import pipeline
from radnode.pipelines.denoise.pipeline import Denoise
from radnode.pipelines.denoising import denoised, noise_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISE, EDGE_MM, MM = 20.0, 45.0, 0.7
SHAPE = (24, 96, 128)
CONTEXT = RunContext(device="cpu", stage=lambda _stage: None)


def step() -> NDArray[np.float32]:
    """0 and 100 HU, with a border as a scanner blurs it, 45 mm along the rows."""
    x = np.arange(SHAPE[2]) * MM
    sharp = np.broadcast_to(np.where(x > EDGE_MM, 100.0, 0.0), SHAPE)
    return ndimage.gaussian_filter1d(sharp, 0.8, axis=2).astype(np.float32)


def noisy() -> NDArray[np.float32]:
    return (step() + np.random.default_rng(0).normal(0, NOISE, SHAPE)).astype(np.float32)


def crossing(values: NDArray[np.float32], level: float) -> float:
    """Where the mean profile passes a level, mm."""
    return float(np.interp(level, values.mean((0, 1)), np.arange(SHAPE[2]) * MM))


def test_the_noise_of_even_tissue_is_told() -> None:
    assert noise_of(noisy(), np.ones(SHAPE, np.bool_)) == pytest.approx(NOISE, rel=0.15)
    assert noise_of(noisy(), np.zeros(SHAPE, np.bool_)) == 0


@pytest.mark.parametrize("slice_mm", [1.0, 5.0])
def test_less_than_a_third_of_the_noise_is_left_and_the_border_stays_where_it_was(slice_mm: float) -> None:
    found = denoised(noisy(), (slice_mm, MM, MM), NOISE)
    even = found[:, 10:-10, 10:50]
    assert even.std() < NOISE / 3
    assert even.mean() == pytest.approx(0, abs=0.5)
    assert crossing(found, 50) == pytest.approx(crossing(step(), 50), abs=0.1)
    width = crossing(found, 90) - crossing(found, 10)
    assert width < 1.8 * (crossing(step(), 90) - crossing(step(), 10))


def test_an_image_without_noise_is_left_as_it_is() -> None:
    np.testing.assert_array_equal(denoised(step(), (1.0, MM, MM), 0.0), step())


def test_slabs_meet_without_a_seam() -> None:
    long = np.concatenate([noisy()] * 3)
    whole = denoised(long, (1.0, MM, MM), NOISE)
    np.testing.assert_allclose(whole[20:30], denoised(long[14:36], (1.0, MM, MM), NOISE)[6:16], atol=0.05)


def test_images_without_even_tissue_are_not_processed() -> None:
    images = StudyImages(volume=volume_of(chest_phantom(slices=4, size=24)), modality="CT", excluded={})
    with pytest.raises(NotProcessed, match="too little even tissue"):
        Denoise().run(images, CONTEXT)


@pytest.mark.peer
def test_a_ct_comes_back_as_a_derived_series_that_says_what_it_is(tmp_path: Path) -> None:
    files = write_series(chest_phantom(slices=12, size=160, spacing_mm=(2.5, 2.4), noise_hu=30.0), tmp_path / "in")
    order = order_over(files, tmp_path / "out", pipeline="ct-denoise", forms=("IMAGES",))
    report = runner.run(order, runner.Warm(registry.installed), lambda _: None)
    assert (report.state, report.reason) == (RunState.FINDINGS, "")
    assert len(report.objects) == len(files)
    made = [pydicom.dcmread(each.path) for each in report.objects]
    validators.dciodvfy(Path(report.objects[0].path))
    before = {str(each.ImagePositionPatient): each for each in map(pydicom.dcmread, files)}
    for each in made:
        assert list(each.ImageType)[:2] == ["DERIVED", "SECONDARY"]
        assert "no trained model" in each.DerivationDescription
        source = before[str(each.ImagePositionPatient)]
        hu, was = (one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in (each, source))
        liver = np.s_[85:100, 50:65]
        assert abs(hu[liver].mean() - was[liver].mean()) < 3
    assert any(sentence.startswith("Noise in even tissue: ") for sentence in report.remarks)
    assert any("measure on those" in sentence for sentence in report.remarks)


@pytest.mark.parametrize("name", ["ct-denoise", "mr-denoise"])
def test_the_manifests_name_the_modules_that_make_the_images(name: str) -> None:
    paths = [Path(str(each.__file__)) for each in (pipeline, denoising)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
    said = registry.installed().manifests[name].model_digest
    assert said == digest, f"the algorithm changed: write model_digest: {digest}, raise the version"
