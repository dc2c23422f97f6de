from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support import bundles
from support.volumes import volume

from radnode.pipelines.contract import NotProcessed, RunContext, RunFailed, StudyImages
from radnode.pipelines.models.bundle import BundlePipeline
from radnode.pipelines.models.terms import PRIVATE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume

AXCODES = ["".join(letters) for order in itertools.permutations(("LR", "PA", "IS"))
           for letters in itertools.product(*order)]


def run(folder: Path, of: Volume | None = None) -> Findings:
    images = StudyImages(volume=of or volume(), modality="CT", excluded={})
    return BundlePipeline(folder).run(images, RunContext(device="cpu", stage=lambda _: None))


def only_mask(findings: Findings) -> NDArray[np.bool_]:
    (segment,) = findings.segments
    return segment.mask


@pytest.mark.parametrize("axcodes", AXCODES)
def test_a_threshold_comes_back_voxel_for_voxel_through_every_orientation(tmp_path: Path, axcodes: str) -> None:
    source = volume()
    folder = bundles.write_bundle(tmp_path / "bundle", config=bundles.inference(axcodes=axcodes))
    np.testing.assert_array_equal(only_mask(run(folder, source)), source.voxels > bundles.THRESHOLD_HU)


@pytest.mark.parametrize("pixdim", [[3.0, 1.5, 2.0], [1.5, 0.75, 1.0], [0.5, 0.5, 1.0]])
def test_a_threshold_comes_back_through_a_finer_grid(tmp_path: Path, pixdim: list[float]) -> None:
    source = volume(oblique=False)
    spacing = {"_target_": "Spacingd", "keys": "@image_key", "pixdim": pixdim, "mode": "nearest"}
    config = bundles.inference(transforms=[spacing])
    config["postprocessing"]["transforms"][1]["nearest_interp"] = True
    folder = bundles.write_bundle(tmp_path / "bundle", config=config)
    np.testing.assert_array_equal(only_mask(run(folder, source)), source.voxels > bundles.THRESHOLD_HU)


def test_an_answer_that_stays_on_the_networks_grid_is_brought_back_by_where_it_lies(tmp_path: Path) -> None:
    source = volume()
    config = bundles.inference(axcodes="PIL")
    del config["postprocessing"]["transforms"][1]
    folder = bundles.write_bundle(tmp_path / "bundle", config=config)
    np.testing.assert_array_equal(only_mask(run(folder, source)), source.voxels > bundles.THRESHOLD_HU)


@pytest.mark.parametrize(("yaml", "safe"), [(False, False), (True, False), (False, True)])
def test_json_yaml_pt_and_safetensors_are_read_alike(tmp_path: Path, yaml: bool, safe: bool) -> None:
    source = volume()
    folder = bundles.write_bundle(tmp_path / "bundle", yaml=yaml, safe=safe)
    np.testing.assert_array_equal(only_mask(run(folder, source)), source.voxels > bundles.THRESHOLD_HU)


def test_a_second_study_is_read_by_the_same_network_without_loading_it_again(tmp_path: Path) -> None:
    folder = bundles.write_bundle(tmp_path / "bundle")
    pipeline = BundlePipeline(folder)
    stages: list[str] = []
    context = RunContext(device="cpu", stage=stages.append)
    for shape in ((9, 14, 11), (5, 8, 8)):
        source = volume(shape)
        found = pipeline.run(StudyImages(volume=source, modality="CT", excluded={}), context)
        np.testing.assert_array_equal(only_mask(found), source.voxels > bundles.THRESHOLD_HU)
    assert stages.count("loading") == 1


def test_nothing_is_written_into_the_folder_of_the_bundle(tmp_path: Path) -> None:
    folder = bundles.write_bundle(tmp_path / "bundle")
    before = {path for path in folder.rglob("*") if "__pycache__" not in path.parts}
    run(folder)
    assert {path for path in folder.rglob("*") if "__pycache__" not in path.parts} == before


def test_two_bundles_with_modules_of_one_name_each_use_their_own(tmp_path: Path) -> None:
    source = volume()
    one = BundlePipeline(bundles.write_bundle(tmp_path / "one"))
    other = BundlePipeline(bundles.write_bundle(
        tmp_path / "two", network=bundles._NETWORK.replace("self.conv(x)", "-self.conv(x)")))
    context = RunContext(device="cpu", stage=lambda _: None)
    images = StudyImages(volume=source, modality="CT", excluded={})
    above = source.voxels > bundles.THRESHOLD_HU
    for _ in range(2):
        np.testing.assert_array_equal(only_mask(one.run(images, context)), above)
        np.testing.assert_array_equal(only_mask(other.run(images, context)), ~above)


def test_a_multi_label_answer_may_overlap(tmp_path: Path) -> None:
    said = bundles.metadata()
    said["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "liver", "1": "neoplasm"}
    config = bundles.inference()
    config["postprocessing"]["transforms"][0] = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
    config["postprocessing"]["transforms"][2] = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}
    state = {"conv.weight": torch.ones(2, 1, 1, 1, 1), "conv.bias": torch.tensor([300.0, 100.0])}
    source = volume()
    found = run(bundles.write_bundle(tmp_path / "bundle", said=said, config=config, state=state), source)
    masks = {segment.type.meaning: segment.mask for segment in found.segments}
    np.testing.assert_array_equal(masks["Liver"], source.voxels >= -300)
    np.testing.assert_array_equal(masks["Neoplasm"], source.voxels >= -100)


def test_probabilities_that_the_bundle_leaves_are_decided_and_that_is_said(tmp_path: Path) -> None:
    config = bundles.inference()
    del config["postprocessing"]["transforms"][2]
    source = volume()
    found = run(bundles.write_bundle(tmp_path / "bundle", config=config), source)
    np.testing.assert_array_equal(only_mask(found), source.voxels > bundles.THRESHOLD_HU)
    assert found.remarks == ("The most probable class of each voxel was taken.",)


def test_an_empty_answer_is_nothing_found(tmp_path: Path) -> None:
    assert run(bundles.write_bundle(tmp_path / "bundle", state=bundles.weights(5000.0))).nothing_found


def test_what_the_standard_does_not_know_is_said_in_the_authors_words(tmp_path: Path) -> None:
    said = bundles.metadata()
    said["network_data_format"]["outputs"]["pred"]["channel_def"]["1"] = "Left flurb"
    (segment,) = run(bundles.write_bundle(tmp_path / "bundle", said=said)).segments
    assert (segment.type.scheme, segment.type.meaning, segment.label) == (PRIVATE, "Left flurb", "Left flurb")



def _without_weights(folder: Path) -> None:
    (folder / "models" / "model.pt").unlink()


def _other_network(folder: Path) -> None:
    torch.save({"model": {"conv.weight": torch.ones(3, 1, 1, 1, 1)}}, folder / "models" / "model.pt")


def _a_pickle(folder: Path) -> None:
    torch.save({"model": test_an_empty_answer_is_nothing_found}, folder / "models" / "model.pt")


def _unknown_transform(folder: Path) -> None:
    config = bundles.inference(transforms=[{"_target_": "Flurbd", "keys": "image"}])
    bundles.write_bundle(folder, config=config)


def _wrong_channels(folder: Path) -> None:
    said = bundles.metadata()
    said["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "background", "1": "liver", "2": "spleen"}
    config = bundles.inference()
    del config["postprocessing"]["transforms"][2]
    bundles.write_bundle(folder, said=said, config=config)


def _not_a_number(folder: Path) -> None:
    config = bundles.inference()
    del config["postprocessing"]["transforms"][2]
    bundles.write_bundle(folder, config=config, state={key: each * float("nan")
                                                       for key, each in bundles.weights().items()})


def _not_a_number_before_argmax(folder: Path) -> None:
    """Of NaN the first class wins: without a look at the network's own answer that would be nothing found."""
    bundles.write_bundle(folder, state={key: each * float("nan") for key, each in bundles.weights().items()})


def _a_network_that_dials(folder: Path) -> None:
    dials = "        raise PermissionError(13, 'Permission denied')\n"  # what isolation answers to `socket`
    bundles.write_bundle(folder, network=bundles._NETWORK.replace("        return self.conv(x)\n", dials))


def _a_network_that_fills_the_disk(folder: Path) -> None:
    fills = "        raise OSError(28, 'No space left on device')\n"
    bundles.write_bundle(folder, network=bundles._NETWORK.replace("        return self.conv(x)\n", fills))


def _unannounced_labels(folder: Path) -> None:
    said = bundles.metadata()
    said["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "background", "2": "liver"}
    bundles.write_bundle(folder, said=said)


def _no_configuration(folder: Path) -> None:
    (folder / "configs" / "inference.json").unlink()


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (_without_weights, "has no weights: model.pt"),
        (_other_network, "weights of another network"),
        (_a_pickle, "holds more than weights"),
        (_unknown_transform, "Flurbd"),
        (_wrong_channels, "answers with 2 channels, the bundle announces 3"),
        (_not_a_number, "no numbers"),
        (_not_a_number_before_argmax, "no numbers"),
        (_a_network_that_dials, "models run without network"),
        (_a_network_that_fills_the_disk, "until the disk or its limit is full"),
        (_unannounced_labels, "labels [1]"),
        (_no_configuration, "no configs/inference.json"),
    ],
)
def test_a_broken_bundle_says_what_is_wrong(tmp_path: Path, breaks: Any, says: str) -> None:
    folder = bundles.write_bundle(tmp_path / "flurb-model")
    breaks(folder)
    with pytest.raises((RunFailed, NotProcessed)) as raised:
        run(folder)
    assert says in str(raised.value)


def test_labels_decided_before_they_are_brought_back_never_become_other_labels(tmp_path: Path) -> None:
    """Between background 0 and label 2, interpolation would find label 1."""
    said = bundles.metadata()
    said["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "background", "1": "liver", "2": "spleen"}
    spacing = {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [2.0, 2.0, 2.0], "mode": "bilinear"}
    config = bundles.inference(transforms=[spacing], network={"_target_": "scripts.net.Threshold", "channels": 3})
    activations, invert, decide, _save = config["postprocessing"]["transforms"]
    config["postprocessing"]["transforms"] = [activations, decide, invert]
    state = {"conv.weight": torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1, 1),
             "conv.bias": torch.tensor([-300.0, -1e6, 300.0])}
    found = run(bundles.write_bundle(tmp_path / "bundle", said=said, config=config, state=state))
    assert [segment.label for segment in found.segments] == ["spleen"]


def test_a_searched_architecture_kept_as_arrays_is_read_without_pickles(tmp_path: Path) -> None:
    """As DiNTS bundles do: `torch.load(path, map_location=torch.device('cuda'))` inside the configuration."""
    source = volume()
    folder = bundles.write_bundle(tmp_path / "bundle")
    torch.save({"arch": np.array([2, 2])}, folder / "models" / "search_code.pt")
    config = bundles.inference(network={"_target_": "scripts.net.Threshold", "channels": "$int(@arch['arch'][0])"})
    path = "@bundle_root + '/models/search_code.pt'"
    config["arch"] = f"$torch.load({path}, map_location=torch.device('cuda'))"
    bundles.write_bundle(folder, config=config)
    np.testing.assert_array_equal(only_mask(run(folder, source)), source.voxels > bundles.THRESHOLD_HU)
