"""Bundles that read several series of one study: which, under which keys, and what they answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support import bundles, volumes

from radnode.pipelines.contract import RunContext, RunFailed, StudyImages
from radnode.pipelines.inputs import Content
from radnode.pipelines.models import description
from radnode.pipelines.models.bundle import BundlePipeline
from radnode.pipelines.models.inputs import UnclearInput, reads
from radnode.pipelines.models.store import Pin, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume

# As in the zoo's own: LoadImaged alone has nothing to invert, and MONAI says so.
pytestmark = pytest.mark.filterwarnings("ignore:inverse has been called:UserWarning")
SHAPE = (9, 14, 11)


def volume(seed: int) -> Volume:
    voxels = np.random.default_rng(seed).uniform(0, 1000, SHAPE).astype(np.float32)
    affine = np.diag([3.0, 1.5, 2.0, 1.0])[:, [2, 1, 0, 3]]
    return volumes.placed(voxels, affine, sop_class_uid=volumes.MR, series_instance_uid=f"2.25.9{seed}")


VOLUMES = {"t1c": volume(1), "t1": volume(2), "t2": volume(3), "flair": volume(4)}


def run(folder: Path) -> Findings:
    others = {name: each for name, each in VOLUMES.items() if name != "t1c"}
    images = StudyImages(volume=VOLUMES["t1c"], modality="MR", excluded={}, others=others)
    return BundlePipeline(folder).run(images, RunContext(device="cpu", stage=lambda _: None))


def manifest_of(folder: Path) -> Any:
    pin = Pin(name="brats", folder=folder.name, sha256="ab" * 32, series_number=9300)
    return description.manifest(folder, pin)


def test_the_channels_of_one_key_are_the_inputs_in_their_order(tmp_path: Path) -> None:
    manifest = manifest_of(bundles.write_brats(tmp_path / "brats"))
    assert [(each.name, each.content) for each in manifest.inputs] == [
        ("t1c", Content.T1C), ("t1", Content.T1), ("t2", Content.T2), ("flair", Content.FLAIR)]
    assert (manifest.modality, manifest.registers) == ("MR", False)


def test_every_answer_lies_where_its_own_channel_says_so(tmp_path: Path) -> None:
    """Each class of this network looks at one channel alone: channels in another order would be seen."""
    findings = run(bundles.write_brats(tmp_path / "brats"))
    found = {segment.label: segment.mask for segment in findings.segments}
    for label, name in bundles.BRATS_LABELS.items():
        np.testing.assert_array_equal(found[label], VOLUMES[name].voxels > bundles.BRATS_THRESHOLD)


def test_several_keys_get_an_image_each_and_the_training_label_is_not_asked_for(tmp_path: Path) -> None:
    said, config = bundles.brats_metadata(), bundles.brats()
    said["network_data_format"]["inputs"]["image"]["channel_def"] = {"0": "image"}
    keys = ["t1c", "t1", "t2", "flair"]
    config["preprocessing"]["transforms"] = [
        {"_target_": "LoadImaged", "keys": [*keys, "label"], "image_only": False},
        {"_target_": "EnsureChannelFirstd", "keys": keys},
        {"_target_": "Orientationd", "keys": keys, "axcodes": "LPS", "labels": None},
        {"_target_": "ConcatItemsd", "keys": keys, "name": "image"},
    ]
    config["postprocessing"]["transforms"][1]["orig_keys"] = "t1c"
    findings = run(bundles.write_brats(tmp_path / "brats", said=said, config=config))
    found = {segment.label: segment.mask for segment in findings.segments}
    for label, name in bundles.BRATS_LABELS.items():
        np.testing.assert_array_equal(found[label], VOLUMES[name].voxels > bundles.BRATS_THRESHOLD)


def test_a_bundle_of_several_images_never_runs_on_one_series(tmp_path: Path) -> None:
    pipeline = BundlePipeline(bundles.write_brats(tmp_path / "brats"))
    with pytest.raises(RunFailed, match="reads t1, t2, flair as well; it got one series"):
        pipeline.run(StudyImages(volume=VOLUMES["t1c"], modality="MR", excluded={}),
                     RunContext(device="cpu", stage=lambda _: None))


def test_an_input_whose_name_says_nothing_is_refused_with_the_words_that_would(tmp_path: Path) -> None:
    said = bundles.brats_metadata()
    said["network_data_format"]["inputs"]["image"]["channel_def"]["2"] = "modality 3"
    with pytest.raises(StoreError, match=r"'modality 3' names no image of MR.*T1, T1c, T2, FLAIR"):
        manifest_of(bundles.write_brats(tmp_path / "brats", said=said))


IMAGE = {"type": "image", "modality": "CT", "num_channels": 1, "channel_def": {"0": "image"}}


def test_phases_are_inputs_by_the_keys_that_the_preprocessing_loads() -> None:
    load = {"_target_": "LoadImaged", "keys": ["artery", "vein", "excret", "label"]}
    found = reads({"image": {**IMAGE, "num_channels": 3}}, {"preprocessing": {"transforms": [load]}})
    assert [each.content for each in found.inputs] == [Content.ARTERIAL, Content.VENOUS, Content.DELAYED]
    assert found.keys == {"artery": ("artery",), "vein": ("vein",), "excret": ("excret",)}


@pytest.mark.parametrize(
    ("images", "modalities"),
    [
        ({"image": IMAGE}, []),
        ({"image": {**IMAGE, "num_channels": 3, "channel_def": {"0": "R", "1": "G", "2": "B"}}}, []),
        ({"t2w": {**IMAGE, "modality": "MRI"}, "adc": {**IMAGE, "modality": "MRI"},
          "hbv": {**IMAGE, "modality": "MRI"}}, [Content.T2, Content.ADC, Content.HIGH_B]),
        ({"image1": {**IMAGE, "modality": "MR", "channel_def": {"0": "T1 post contrast"}},
          "image2": {**IMAGE, "modality": "MR", "channel_def": {"0": "t2_flair"}}}, [Content.T1C, Content.FLAIR]),
    ],
)
def test_what_a_bundle_reads_follows_from_its_metadata(images: dict[str, Any], modalities: list[Content]) -> None:
    assert [each.content for each in reads(images, {}).inputs] == modalities


def test_pet_is_refused_because_its_unit_is_not_said() -> None:
    with pytest.raises(UnclearInput, match="SUV"):
        reads({"ct": IMAGE, "pet": {**IMAGE, "modality": "PT"}}, {})


def test_weights_for_other_channels_do_not_pass_for_these(tmp_path: Path) -> None:
    state = {"conv.weight": torch.zeros(3, 2, 1, 1, 1), "conv.bias": torch.zeros(3)}
    folder = bundles.write_brats(tmp_path / "brats", state=state)
    with pytest.raises(RunFailed, match="brats"):
        run(folder)


def test_the_reference_alone_decides_the_grid_of_the_answer(tmp_path: Path) -> None:
    findings = run(bundles.write_brats(tmp_path / "brats"))
    assert findings.volume is VOLUMES["t1c"]
    assert replace(findings, remarks=()).images_read == SHAPE[0]
