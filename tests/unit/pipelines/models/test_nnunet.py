"""A results folder of nnU-Net v2 gives nnU-Net's own answer, without unpickling and without foreign classes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support import nnunet
from support.chest import write_chest
from support.volumes import chest_volume

from radnode.pipelines.contract import RunContext, RunFailed, StudyImages
from radnode.pipelines.models import description, nnunet_folder
from radnode.pipelines.models.nnunet import NnunetPipeline
from radnode.pipelines.models.store import Pin, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume

pytest.importorskip("nnunetv2")


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return chest_volume(write_chest(tmp_path_factory.mktemp("ct"), slices=20, size=40))


def run(folder: Path, volume: Volume) -> Findings:
    return NnunetPipeline(folder).run(StudyImages(volume=volume, modality="CT", excluded={}),
                                      RunContext(device="cpu", stage=lambda _: None))


def by_nnunet_itself(folder: Path, volume: Volume, *, probabilities: bool = False) -> Any:
    """Its own predictor, from its own folder, on the volume in RAS as its reader would give it: (z, y, x)."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: PLC0415 - an extra

    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), use_folds=None)
    in_ras = volume.voxels[:, ::-1, ::-1].copy()
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    found = predictor.predict_single_npy_array(in_ras[None], {"spacing": list(map(float, spacing))},
                                               save_or_return_probabilities=probabilities)
    return found[1][:, :, ::-1, ::-1] if probabilities else found[:, ::-1, ::-1]


@pytest.mark.parametrize("folds", [1, 2])
def test_a_results_folder_gives_the_labels_that_nnunet_itself_gives(
    folds: int, volume: Volume, tmp_path: Path
) -> None:
    folder = nnunet.write_results(tmp_path / "tiny", folds=folds)
    wanted = by_nnunet_itself(folder, volume)

    found = run(folder, volume)

    assert {int(value) for value in np.unique(wanted)} == {0, 1, 2}
    for segment in found.segments:
        np.testing.assert_array_equal(segment.mask, wanted == nnunet.LABELS[segment.label])


def test_regions_that_overlap_are_segments_that_overlap(volume: Volume, tmp_path: Path) -> None:
    folder = nnunet.write_results(tmp_path / "tiny", labels={"background": 0, "liver": [1, 2], "liver tumor": [2]})
    wanted = by_nnunet_itself(folder, volume, probabilities=True)

    found = {segment.label: segment.mask for segment in run(folder, volume).segments}

    np.testing.assert_array_equal(found["liver"], wanted[0] >= 0.5)
    np.testing.assert_array_equal(found["liver tumor"], wanted[1] >= 0.5)


def test_a_folder_without_a_description_is_refused_with_what_it_should_say(tmp_path: Path) -> None:
    folder = nnunet.write_results(tmp_path / "tiny", model_yaml={})
    with pytest.raises(StoreError, match=r"in which orientation.*runtime: nnunet, modality, input: \{orientation"):
        description.manifest(folder, Pin(name="tiny", folder="tiny", sha256="0" * 64, series_number=1))


def test_a_folder_whose_plans_turn_images_to_ras_needs_no_description(tmp_path: Path) -> None:
    folder = nnunet.write_results(tmp_path / "tiny", model_yaml={})
    said = {**nnunet.plans(), "image_reader_writer": "NibabelIOWithReorient"}
    (folder / "plans.json").write_text(json.dumps(said))
    manifest = description.manifest(folder, Pin(name="tiny", folder="tiny", sha256="0" * 64, series_number=1))
    assert (manifest.modality, manifest.title) == ("CT", "Dataset001_Tiny")


def without_weights(folder: Path) -> None:
    (folder / "fold_0" / nnunet_folder.CHECKPOINT).unlink()


def with_an_object(folder: Path) -> None:
    torch.save({"network_weights": {}, "secret": nnunet.write_results}, folder / "fold_0" / nnunet_folder.CHECKPOINT)


def with_a_foreign_network(folder: Path) -> None:
    (folder / "plans.json").write_text(json.dumps(nnunet.plans(network_class_name="subprocess.Popen")))


def with_a_foreign_part(folder: Path) -> None:
    said = nnunet.plans()
    said["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["nonlin"] = "os.system"
    (folder / "plans.json").write_text(json.dumps(said))


def with_weights_that_are_no_numbers(folder: Path) -> None:
    path = folder / "fold_0" / nnunet_folder.CHECKPOINT
    saved = torch.load(path, weights_only=False)
    for tensor in saved["network_weights"].values():
        tensor.fill_(float("nan"))
    torch.save(saved, path)


def with_weights_of_another_network(folder: Path) -> None:
    path = folder / "fold_0" / nnunet_folder.CHECKPOINT
    saved = torch.load(path, weights_only=False)
    saved["network_weights"].popitem()
    torch.save(saved, path)


@pytest.mark.parametrize(("break_it", "said"), [
    (without_weights, "no fold_X/checkpoint_final.pth"),
    (with_an_object, "holds more than weights"),
    (with_a_foreign_network, r"names 'subprocess.Popen'; only networks of dynamic_network_architectures"),
    (with_a_foreign_part, r"os.system.*only networks of dynamic_network_architectures"),
    (with_weights_that_are_no_numbers, "no numbers"),
    (with_weights_of_another_network, "not those of one training"),
])
def test_a_broken_folder_is_refused_by_what_is_wrong_with_it(
    break_it: Callable[[Path], None], said: str, volume: Volume, tmp_path: Path
) -> None:
    folder = nnunet.write_results(tmp_path / "tiny")
    break_it(folder)
    with pytest.raises(RunFailed, match=f"model tiny: .*{said}"):
        run(folder, volume)
