"""Bundles that read pictures in other ways than MONAI's LoadImage: loaders of their own, and patches of slides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import bundles
from support import flat_images as flat
from support.flat_bundles import NETWORK, inference, metadata, weights
from support.phantoms import manifest

from radnode.pipelines.contract import NotProcessed, RunContext, RunFailed, StudyImages
from radnode.pipelines.models import description
from radnode.pipelines.models.adapting import adapt
from radnode.pipelines.models.bundle import BundlePipeline
from radnode.pipelines.models.presenting import as_patch
from radnode.pipelines.models.store import Pin, StoreError, add
from radnode.pipelines.sources.headers import read_instances
from radnode.pipelines.sources.images import read_projections
from radnode.pipelines.sources.projections import select_projections

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.pipelines.findings import Findings

# As vista2d has it: a picture file in rows and columns, and objects that are numbered, without a channel.
_OWN = NETWORK + """\

import numpy as np
from PIL import Image
from monai.transforms import MapTransform

class LoadPicture(MapTransform):
    def __call__(self, data):
        picture = np.array(Image.open(data["image"]), dtype=np.float32)
        return {"image": torch.as_tensor(picture)%s}

class Numbered(MapTransform):
    def __call__(self, data):
        found = (data["pred"].argmax(0).numpy() * 7).astype(np.uint16)
        return {**data, "pred": found + (np.arange(found.shape[1]) > 24) * (found > 0)}
"""


def _microscopy(tmp_path: Path) -> StudyImages:
    wanted = manifest(modality="GM", reads="colour", min_slices=1)
    path = flat.write_colour(tmp_path / "in", Modality="GM")
    return read_projections(select_projections(read_instances([path]), wanted), wanted)


def _said(kind: str, **output: Any) -> dict[str, Any]:
    said = {**metadata(3, kind, "regular"), "task": "cell image segmentation"}
    said["network_data_format"]["outputs"]["pred"] |= output
    return said


def _run(folder: Path, images: StudyImages) -> Findings:
    return BundlePipeline(folder).run(images, RunContext(device="cpu", stage=lambda _: None))


def _own(folder: Path, turned: str) -> Path:
    config = inference(3, "segmentation", None, inverted=False)
    config["preprocessing"]["transforms"][:2] = [{"_target_": "scripts.net.LoadPicture", "keys": "@image_key"}]
    config["postprocessing"]["transforms"] = [{"_target_": "scripts.net.Numbered", "keys": "pred"}]
    return bundles.write_bundle(folder, config=config, network=_OWN % turned, state=weights(3),
                                said=_said("segmentation", channel_def=None))


def test_a_loader_of_the_bundles_own_gets_a_file_and_what_it_finds_lies_where_it_was(tmp_path: Path) -> None:
    images = _microscopy(tmp_path)
    found = _run(_own(tmp_path / "bundle", ".permute(2, 0, 1)"), images)
    (segment,) = found.segments
    assert segment.label == "cell"
    np.testing.assert_array_equal(segment.mask, flat.marked())
    assert "The model tells 2 objects apart; they are shown as one region." in found.remarks


def test_a_loader_that_makes_something_else_of_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"own loader makes \(3, 2, 2\) of a picture of 4 rows and 5 columns"):
        _run(_own(tmp_path / "bundle", ".permute(2, 0, 1)[:, ::2, ::3]"), _microscopy(tmp_path))


def test_a_patch_of_a_slide_is_judged_as_its_readers_cut_it_and_no_other_image_is(tmp_path: Path) -> None:
    (image,) = _microscopy(tmp_path).projections
    np.testing.assert_array_equal(as_patch(image, image.shape).numpy(), np.moveaxis(flat.colours(), -1, 0))
    config = inference(3, "classes", None)
    del config["preprocessing"]["transforms"][:2]
    config["handlers"].append({"_target_": "monai.handlers.ProbMapProducer", "output_dir": "@output_dir"})
    for patch in ([flat.ROWS, flat.COLUMNS], [224, 224]):
        config["dataset"] = {"_target_": "MaskedPatchWSIDataset", "data": "@datalist", "patch_size": patch,
                             "transform": "@preprocessing", "reader": "cuCIM"}
        folder = bundles.write_bundle(tmp_path / str(patch[0]), config=config, network=NETWORK, state=weights(3),
                                      said=_said("classes"))
        if patch[0] == flat.ROWS:
            found = _run(folder, _microscopy(tmp_path))
            assert [each.value.meaning for each in found.classifications] == ["in body"]
            assert "its scale was not compared with that of the training." in found.remarks[-1]
        else:
            with pytest.raises(NotProcessed, match=r"judges patches of 224x224 pixels in colour, .* has 24x32"):
                _run(folder, _microscopy(tmp_path))


def test_an_answer_of_several_parts_lies_where_it_was(tmp_path: Path) -> None:
    parts = NETWORK.replace("return answer.mean(dim=(2, 3)) if self.classes else answer",
                            'return {"found": answer, "beside": answer}')
    config = inference(3, "segmentation", None, inverted=False)
    config["postprocessing"]["transforms"] = [
        {"_target_": "FlattenSubKeysd", "keys": "pred", "sub_keys": ["found", "beside"], "delete_keys": True}]
    said = _said("segmentation")
    outputs = said["network_data_format"]["outputs"]
    outputs["found"] = outputs.pop("pred")
    folder = bundles.write_bundle(tmp_path / "bundle", config=config, network=parts, state=weights(3), said=said)
    (segment,) = _run(folder, _microscopy(tmp_path)).segments
    np.testing.assert_array_equal(segment.mask, flat.marked())


@pytest.mark.parametrize(("strict", "made"), [
    (True, {"pretrained": False, "transform_input": True, "init_weights": False}), (False, {"pretrained": True}),
])
def test_a_pretrained_network_fetches_nothing_where_the_bundle_brings_all_its_weights(strict: bool, made: Any) -> None:
    network = {"_target_": "TorchVisionFCModel", "model_name": "inception_v3", "pretrained": True}
    config = bundles.inference(network=network)
    config["handlers"][0]["strict"] = strict
    adapted = adapt(config, "folder")
    assert adapted["network_def"] == {**network, **made}


def test_images_are_brought_to_the_spacing_of_the_training_also_where_the_authors_had_done_it_before() -> None:
    spacing = {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [0.7, 0.7, 1.25]}
    config = bundles.inference(transforms=[{**spacing, "_disabled_": "@whether_resampled"}])
    assert spacing in adapt(config, "folder")["preprocessing"]["transforms"]
    either = [{**spacing, "_disabled_": "@fine"}, {**spacing, "_disabled_": "$not @fine"}]
    config = bundles.inference(transforms=either)
    assert [each for each in adapt(config, "folder")["preprocessing"]["transforms"] if each in either] == either


@pytest.mark.parametrize(("words", "said"), [
    ("Pathology metastasis detection", {"format": "magnitude", "modality": None}),
    ("cell image segmentation", {"format": "RGB", "modality": None, "channel_def": {"0": "image"}}),
    ("Nuclei in histology images", {"format": "magnitude", "modality": None, "channel_def": {"0": "image"}}),
])
def test_what_a_bundle_says_in_words_of_microscopy_is_read_from_microscopes(
    tmp_path: Path, words: str, said: Any
) -> None:
    written = {**metadata(3, "segmentation", "regular"), "name": "A model", "description": words}
    written["network_data_format"]["inputs"]["image"] |= said
    folder = bundles.write_bundle(tmp_path / "bundle", said=written)
    found = description.manifest(folder, Pin(name="b", folder="bundle", sha256="ab" * 32, series_number=9300))
    assert (found.modality, found.reads) == ("GM", "colour")


def test_a_modality_that_the_authors_left_out_is_said_when_the_model_is_added(tmp_path: Path) -> None:
    pin = Pin(name="b", folder="bundle", sha256="ab" * 32, series_number=9300)
    folder = bundles.write_bundle(tmp_path / "bundle", said=metadata(1, "segmentation", "none"))
    with pytest.raises(StoreError, match=r"modality 'none'; readable are .*; if .*, add it with --modality"):
        description.manifest(folder, pin)
    description.say_modality(folder, "MR")
    assert description.manifest(folder, pin).modality == "MR"
    with pytest.raises(StoreError, match="says itself that it reads MR; leave out --modality"):
        description.say_modality(folder, "CT")


def test_a_folder_in_the_store_is_pinned_as_it_is(tmp_path: Path) -> None:
    folder = bundles.write_bundle(tmp_path / "bundle")
    with pytest.raises(StoreError, match="is pinned as it is"):
        add(tmp_path, folder, name="b", examine=lambda brought: (brought / "LICENSE").write_text("other"))
