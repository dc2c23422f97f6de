"""What a classifier says of several findings at once, and where on the image the map of its reasons lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.visualize.class_activation_maps import GradCAM
from support import disc_bundles as discs
from support import flat_images as flat
from support import projection_samples
from support.phantoms import manifest

from radnode.pipelines.contract import RunContext, RunFailed, StudyImages
from radnode.pipelines.models import classes, saliency
from radnode.pipelines.models.bundle import BundlePipeline
from radnode.pipelines.sources.headers import read_instances
from radnode.pipelines.sources.images import read_projections
from radnode.pipelines.sources.projections import select_projections

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CONTEXT = RunContext(device="cpu", stage=lambda _: None)
FOURTEEN = {str(number): name for number, name in enumerate((
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"))}
SAID = {"format": "classes", "channel_def": FOURTEEN}


def images(folder: Path, pixels: NDArray[np.uint8]) -> StudyImages:
    wanted = manifest(modality="DX", reads="projection", min_slices=1)
    (header,) = projection_samples.chest_radiograph()
    path = flat.write_grey(folder, header, pixels.astype(np.uint16), WindowCenter=128, WindowWidth=256)
    return read_projections(select_projections(read_instances([path]), wanted), wanted)


@pytest.mark.parametrize("flip", [False, True], ids=["resized", "resized and turned over"])
@pytest.mark.parametrize(("row", "column", "label"), [(38.0, 20.0, "Mass"), (11.0, 62.0, "Pleural effusion")])
def test_the_map_of_a_finding_has_its_maximum_on_the_finding_in_the_image(
    tmp_path: Path, row: float, column: float, label: str, *, flip: bool
) -> None:
    """The network sees the image squeezed to another shape, and transposed as MONAI reads pictures."""
    found = BundlePipeline(discs.bundle(tmp_path / "bundle", flip=flip)).explained(
        images(tmp_path / "in", discs.picture((row, column), seed=99)), CONTEXT)
    answers = {each.name.meaning: each.value.meaning for each in found.classifications}
    assert answers == {"Mass": "Absent", "Pleural effusion": "Absent"} | {label: "Present"}
    (shown,) = found.maps
    assert (shown.type.meaning, shown.values.shape) == (label, (discs.ROWS, discs.COLUMNS))
    assert shown.values.max() == pytest.approx(1, abs=0.05)
    y, x = np.unravel_index(int(shown.values.argmax()), shown.values.shape)
    assert np.hypot(y - row, x - column) <= discs.RADIUS
    assert saliency.WHAT_IT_IS in found.remarks


def test_two_findings_have_a_map_each_and_a_run_without_maps_says_the_same(tmp_path: Path) -> None:
    pipeline = BundlePipeline(discs.bundle(tmp_path / "bundle"))
    both = images(tmp_path / "in", discs.picture((38.0, 20.0), (11.0, 62.0), seed=99))
    found, alone = pipeline.explained(both, CONTEXT), pipeline.run(both, CONTEXT)
    assert alone.classifications == found.classifications
    assert alone.maps == ()
    places = {each.type.meaning: np.unravel_index(int(each.values.argmax()), each.values.shape) for each in found.maps}
    assert places["Mass"][1] < discs.COLUMNS / 2 < places["Pleural effusion"][1]
    assert not any(each._forward_hooks for each in pipeline._evaluator.network.features)


def test_the_map_is_that_of_monai() -> None:
    torch.manual_seed(3)
    network, picture = discs.network(), torch.rand(1, 1, 24, 16)
    for channel in (0, 1):
        ours = saliency.grad_cam(network, picture, channel)
        cam = GradCAM(network, "features.3", postprocessing=lambda each: each)
        theirs = torch.as_tensor(cam(picture.clone().requires_grad_(), class_idx=channel))[0, 0].detach()
        if theirs.max() > 0:
            torch.testing.assert_close(ours, theirs / theirs.max())
        else:
            assert ours.max() == 0


def test_a_network_without_a_layer_that_answers_with_a_picture_has_no_map() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    with pytest.raises(saliency.NoMap, match="no layer"):
        saliency.grad_cam(network, torch.rand(1, 1, 4, 4), 0)


def test_a_picture_that_has_lost_its_place_has_no_map(tmp_path: Path) -> None:
    (image,) = images(tmp_path, discs.picture((20.0, 20.0))).projections
    lost = MetaTensor(torch.zeros(1, 1, *discs.SEEN))
    for seen in (lost, lost.as_tensor()):
        with pytest.raises(saliency.NoMap, match="where on the image"):
            saliency.to_source(torch.ones(*discs.SEEN), seen, image)


def test_each_finding_is_present_absent_or_undecided_with_its_probability_and_its_code() -> None:
    shares = np.full(14, 0.05)
    shares[[1, 7, 8]] = 0.9, 0.6, 0.5
    found = classes.answered(shares, SAID, "Findings of the chest", apart=True)
    said = {each.name.meaning: (each.name.scheme, each.value.meaning, each.certainty) for each in found.answers}
    assert len(said) == 14
    assert said["Cardiomegaly"] == ("SCT", "Present", pytest.approx(0.9))
    assert said["Pneumothorax"] == ("SCT", "Present", pytest.approx(0.6))
    assert said["Consolidation"] == ("99RADNODE", "Undetermined", None)
    assert said["Infiltrate"] == ("DCM", "Absent", pytest.approx(0.95))
    assert set(found.held) == {1, 7}
    assert "Consolidation 50%" in found.remarks[0]
    assert "present from 60%" in found.remarks[0]


def test_an_effusion_is_of_the_pleura_where_the_model_is_of_the_chest_alone() -> None:
    said = {"channel_def": {"0": "Effusion", "1": "Fracture"}}
    knee = classes.answered(np.array([0.9, 0.1]), said, "Findings of the knee", apart=True)
    assert knee.answers[0].name.scheme == "99RADNODE"


@pytest.mark.parametrize(("shares", "apart"), [([0.9, 0.8], False), ([0.9, 1.3], True), ([0.9], True)])
def test_numbers_of_which_it_is_not_clear_what_they_are_become_no_answer(shares: list[float], *, apart: bool) -> None:
    said = {"channel_def": {"0": "Mass", "1": "Effusion"}}
    with pytest.raises(RunFailed, match=r"add up|were announced"):
        classes.answered(np.array(shares), said, "chest", apart=apart)
