"""Models with a model.yaml: where their answer lies, what it means, and what is wrong with a broken one."""

from __future__ import annotations

import itertools
import json
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support import described
from support.volumes import volume

from radnode.pipelines.contract import RunContext, RunFailed, StudyImages
from radnode.pipelines.models.described import DescribedPipeline
from radnode.pipelines.models.runtimes import open_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume

THRESHOLD = -300.0
AXCODES = ["".join(letters) for order in itertools.permutations(("LR", "PA", "IS"))
           for letters in itertools.product(*order)]
AS_THEY_ARE: dict[str, Any] = {"patch": None, "intensity": None}


class Above(torch.nn.Module):
    """Two classes: is it above the threshold, or not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([-300.0 - x, x + 300.0], dim=1)


class Labels(torch.nn.Module):
    """Label 7 above the threshold."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 7.0 * (x > -300.0).float()


class Regions(torch.nn.Module):
    """Probabilities of two regions, one inside the other."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([(x > -300.0).float(), (x > 0.0).float()], dim=1)


class NotANumber(torch.nn.Module):
    """What a network with damaged weights answers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, x, x], dim=1) * float("nan")


def run(folder: Path, of: Volume | None = None) -> Findings:
    images = StudyImages(volume=of or volume(), modality="CT", excluded={})
    return DescribedPipeline(folder).run(images, RunContext(device="cpu", stage=lambda _: None))


def above(folder: Path, network: torch.nn.Module | None = None, output: dict[str, Any] | None = None,
          **shown: Any) -> Path:
    said = {"answer": "classes", "activation": "none", "labels": {0: "background", 1: "spleen"}, **(output or {})}
    return described.write_model(folder, network=network or Above(), input={**AS_THEY_ARE, **shown}, output=said)


@pytest.mark.parametrize("axcodes", AXCODES)
def test_a_threshold_comes_back_voxel_for_voxel_through_every_orientation(tmp_path: Path, axcodes: str) -> None:
    source = volume()
    (segment,) = run(above(tmp_path / "above", orientation=axcodes), source).segments
    np.testing.assert_array_equal(segment.mask, source.voxels > THRESHOLD)


@pytest.mark.parametrize("shown", [
    {"size": [16, 16, 16]}, {"patch": [8, 8, 8]}, {"spacing": [3.0, 1.5, 2.0]}, {"spacing": [1.5, 0.75, 1.0]},
    {"orientation": "LIA", "spacing": [0.5, 1.0, 0.75]},
], ids=str)
def test_a_threshold_comes_back_voxel_for_voxel_from_another_grid(tmp_path: Path, shown: dict[str, Any]) -> None:
    source = volume()
    (segment,) = run(above(tmp_path / "above", **shown), source).segments
    np.testing.assert_array_equal(segment.mask, source.voxels > THRESHOLD)


def test_where_the_model_was_shown_nothing_it_found_nothing(tmp_path: Path) -> None:
    source = volume()
    source.voxels[:] = -1000
    source.voxels[2:5, 3:9, 4:8] = 100
    (segment,) = run(above(tmp_path / "above", crop_above=0), source).segments
    np.testing.assert_array_equal(segment.mask, source.voxels > THRESHOLD)


def test_an_image_that_is_cut_to_the_models_size_is_not_said_to_be_read_whole(tmp_path: Path) -> None:
    found = run(above(tmp_path / "above", size=[8, 8, 8]))
    assert "outer parts were not looked at" in found.remarks[0]
    assert not found.segments[0].mask[:, 0].any()


def test_label_numbers_keep_their_meaning(tmp_path: Path) -> None:
    source = volume()
    folder = above(tmp_path / "labels", Labels(), {"answer": "labels", "labels": {7: "liver", 9: "spleen"}})
    (segment,) = run(folder, source).segments
    assert segment.label == "liver"
    np.testing.assert_array_equal(segment.mask, source.voxels > THRESHOLD)


def test_regions_may_overlap(tmp_path: Path) -> None:
    source = volume()
    folder = above(tmp_path / "regions", Regions(), {"answer": "regions", "labels": {0: "liver", 1: "liver tumor"}})
    found = {segment.label: segment.mask for segment in run(folder, source).segments}
    np.testing.assert_array_equal(found["liver"], source.voxels > THRESHOLD)
    np.testing.assert_array_equal(found["liver tumor"], source.voxels > 0)


def without_the_file(folder: Path) -> None:
    (folder / "model.pt").unlink()


def not_an_archive(folder: Path) -> None:
    (folder / "model.pt").write_bytes(b"no archive")


def of_another_digest(folder: Path) -> None:
    described.write_model(folder, sha256="ab" * 32)


def with_two_channels(folder: Path) -> None:
    network = described.Tiny()
    network.first = torch.nn.Conv3d(2, 4, 3, padding=1)
    described.write_model(folder, network=network)


def with_other_labels(folder: Path) -> None:
    described.write_model(folder, output={"labels": {0: "background", 1: "spleen"}})


def of_another_size(folder: Path) -> None:
    network = torch.nn.Conv3d(1, 3, 3)
    described.write_model(folder, network=network)


def that_is_not_a_number(folder: Path) -> None:
    described.write_model(folder, network=NotANumber())


def that_gives_no_probabilities(folder: Path) -> None:
    described.write_model(folder, output={"answer": "regions", "activation": "none"})


def shown_nothing(folder: Path) -> None:
    described.write_model(folder, input={"crop_above": 2})


@pytest.mark.parametrize(("break_it", "said"), [
    (without_the_file, "model.pt is not in its folder; download it"),
    (not_an_archive, "model.pt is no TorchScript archive"),
    (of_another_digest, "model.yaml says abababababab: it is damaged or another version"),
    (with_two_channels, "expected input.*to have 2 channels"),
    (with_other_labels, "answers with 3 channels, model.yaml names 2; correct output.labels"),
    (of_another_size, "right would be one tensor"),
    (that_is_not_a_number, "no numbers"),
    (that_gives_no_probabilities, "no probabilities; `activation: sigmoid`"),
    (shown_nothing, "no voxel of these images lies above crop_above, 2"),
])
def test_a_broken_model_is_named_with_what_is_wrong(
    break_it: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    folder = described.write_model(tmp_path / "tiny")
    break_it(folder)
    with pytest.raises(RunFailed, match=f"model tiny: .*{said}"):
        run(folder)


def test_an_exported_program_is_refused_before_it_is_unpickled(tmp_path: Path) -> None:
    folder = described.write_model(tmp_path / "tiny", "torch-export")
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (trap.touch, ())

    source = folder / "model.pt2"
    for name, says in (("data/constants/opaque_obj_0", "opaque_obj_0"), ("data/sample_inputs/model.pt", "unpickling")):
        spoiled = tmp_path / "spoiled.pt2"
        with zipfile.ZipFile(source) as read, zipfile.ZipFile(spoiled, "w", zipfile.ZIP_STORED) as write:
            top = read.namelist()[0].partition("/")[0]
            for each in read.infolist():
                if each.filename != f"{top}/{name}":
                    write.writestr(each, read.read(each))
            write.writestr(f"{top}/{name}", pickle.dumps(Trap()))
        with pytest.raises(RunFailed, match=says):
            open_network("torch-export", spoiled, "cpu")
    assert not trap.exists()


@pytest.mark.parametrize("where", ["../weights.bin", "/etc/hostname"])
def test_an_onnx_graph_reads_no_weights_outside_its_folder(where: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    folder = described.write_model(tmp_path / "tiny", "onnx")
    (tmp_path / "weights.bin").write_bytes(bytes(4096))
    graph = onnx.load(folder / "model.onnx")
    for tensor in graph.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=where)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(RunFailed, match=r"is no graph that ONNX Runtime .* reads"):
        open_network("onnx", folder / "model.onnx", "cpu")


def spoil(folder: Path, change: Callable[[dict[str, Any], list[dict[str, Any]]], None]) -> Path:
    path = folder / "model.json"
    content = json.loads(path.read_text())
    change(content, content["modelTopology"]["model_config"]["config"]["layers"])
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(("change", "said"), [
    (lambda _, layers: layers[2].update(class_name="Lambda"), "its layer 'Lambda' is not known; known are InputLayer"),
    (lambda _, layers: layers[2]["config"].update(activation="swish2"), "activation 'swish2' is not known"),
    (lambda _, layers: layers[1]["config"].update(data_format="channels_first"), "channels first"),
    (lambda _, layers: layers[3].update(inbound_nodes=[[["elsewhere", 0, 0, {}]]]), "no graph from one input on"),
    (lambda all_, _: all_["weightsManifest"][0]["paths"].append("../secret"), "lie outside its folder"),
    (lambda all_, _: all_["weightsManifest"][0]["weights"].pop(), "longer than model.json says"),
    (lambda all_, _: all_["weightsManifest"][0]["weights"][0].update(shape=[9, 9, 9, 1, 4]), "shorter than model.json"),
    (lambda all_, _: all_["weightsManifest"][0]["weights"][0].update(dtype="uint8"), "not plain float32"),
    (lambda all_, _: all_.pop("modelTopology"), "is no TensorFlow.js layers model"),
])
def test_a_layers_model_that_would_compute_something_else_is_refused(
    change: Callable[[dict[str, Any], list[dict[str, Any]]], None], said: str, tmp_path: Path
) -> None:
    path = spoil(described.write_model(tmp_path / "tiny", "tensorflow.js"), change)
    with pytest.raises(RunFailed, match=said):
        open_network("tensorflow.js", path, "cpu")


def test_the_published_brain_model_sees_ventricles_darker_than_white_matter(
    real_data: Callable[[str], Path]
) -> None:
    """Real weights on the middle of the T1 volume they were published with (LIA, 1 mm, 0 to 255)."""
    import nibabel  # noqa: PLC0415 - only here

    network = open_network("tensorflow.js", real_data("brain-mr-model") / "model.json", "cpu")
    head = np.asarray(nibabel.load(real_data("brain-mr-model") / "t1_crop.nii.gz").dataobj, np.float32) / 255
    middle = tuple(slice(size // 2 - 32, size // 2 + 32) for size in head.shape)
    with torch.inference_mode():
        classes = network(torch.from_numpy(head[middle].copy())[None, None])[0].argmax(dim=0).numpy()
    white_matter, ventricle = 1, 3
    assert np.count_nonzero(np.bincount(classes.ravel(), minlength=18) > 100) >= 8
    assert head[middle][classes == ventricle].mean() < 0.6 * head[middle][classes == white_matter].mean()
