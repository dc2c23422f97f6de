"""Bundles of other kinds than segmentation, in the Model Zoo's layouts, with networks whose answers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from support import bundles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Bright balls: the mean over a cube of five voxels is highest in the middle of one. The anchors are the boxes.
DETECTOR = """\
import torch
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer


class Balls(torch.nn.Module):
    size_divisible, num_classes, num_anchors, spatial_dims = (1, 1, 1), 1, 1, 3
    cls_key, box_reg_key = "classification", "box_regression"

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 1, 1)

    def forward(self, x):
        mean = torch.nn.functional.avg_pool3d(x, 5, stride=1, padding=2)
        none = torch.zeros((x.shape[0], 6, *x.shape[2:]), dtype=x.dtype, device=x.device)
        return {self.cls_key: [self.conv(mean)], self.box_reg_key: [none]}


class DetectorInferer(Inferer):
    def __init__(self, detector):
        super().__init__()
        self.detector = detector

    def __call__(self, inputs, network, *args, **kwargs):
        self.detector.network = network
        self.detector.training = network.training
        return self.detector(inputs, *args, use_inferer=False, **kwargs)


class DetectionEvaluator(SupervisedEvaluator):
    def _register_decollate(self):
        @self.on(IterationEvents.MODEL_COMPLETED)
        def _decollate(engine):
            output = engine.state.output
            engine.state.output = [{key: output[key][place] for key in ("image", "pred")}
                                   for place in range(len(output["image"]))]


class DetectionSaver:
    def __init__(self, **options):
        raise RuntimeError("a node saves nothing")
"""


def detection(*, axcodes: str = "RAS", world: bool = True, lps: bool = True, mode: str = "cccwhd") -> dict[str, Any]:
    """inference.json in the layout of the zoo's lung nodule detection: the detector in `_requires_`, boxes in a saver.

    world: whether boxes are brought into the patient, and then whether to LPS or RAS; mode: their order of numbers.
    """
    config = bundles.inference(axcodes=axcodes, network={"_target_": "scripts.net.Balls"})
    config["preprocessing"]["transforms"].insert(-1, {
        "_target_": "ScaleIntensityRanged", "keys": "@image_key", "a_min": -1000.0, "a_max": 0.0, "b_min": 0.0,
        "b_max": 1.0, "clip": True})
    to_world = {"_target_": "AffineBoxToWorldCoordinated", "box_keys": "box", "box_ref_image_keys": "@image_key",
                "affine_lps_to_ras": lps}
    config |= {
        "amp": True,
        "anchor_generator": {
            "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
            "feature_map_scales": [1], "base_anchor_shapes": [[6, 6, 6]]},
        "detector": {"_target_": "RetinaNetDetector", "network": "@network", "anchor_generator": "@anchor_generator",
                     "debug": False, "spatial_dims": 3, "num_classes": 1, "size_divisible": [1, 1, 1]},
        "detector_ops": [
            "$@detector.set_target_keys(box_key='box', label_key='label')",
            "$@detector.set_box_selector_parameters(score_thresh=0.3,topk_candidates_per_level=200,nms_thresh=0.05,"
            "detections_per_img=30)"],
        "inferer": {"_target_": "scripts.net.DetectorInferer", "detector": "@detector"},
        "postprocessing": {"_target_": "Compose", "transforms": [
            {"_target_": "ClipBoxToImaged", "box_keys": "box", "label_keys": "label",
             "box_ref_image_keys": "@image_key", "remove_empty": True},
            *([to_world] if world else []),
            {"_target_": "ConvertBoxModed", "box_keys": "box", "src_mode": "xyzxyz", "dst_mode": mode},
            *([{"_target_": "DeleteItemsd", "keys": ["@image_key"]}] if world else []),
        ]},
        "handlers": [
            {"_target_": "StatsHandler", "iteration_log": False},
            {"_target_": "scripts.net.DetectionSaver", "output_dir": "@output_dir", "filename": "result.json",
             "batch_transform": "$lambda x: [xx['image'].meta for xx in x]",
             "output_transform": "$lambda x: [@postprocessing({**xx['pred'],'image':xx['image']}) for xx in x]",
             "pred_box_key": "box"}],
        "evaluator": {"_target_": "scripts.net.DetectionEvaluator", "_requires_": "@detector_ops", "device": "@device",
                      "val_data_loader": "@dataloader", "network": "@network", "inferer": "@inferer",
                      "prepare_batch": "$lambda batch, device, non_blocking, **_: "
                                       "([each['image'].to(device) for each in batch], None)",
                      "val_handlers": "@handlers", "amp": "@amp"},
        "checkpointloader": {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/model.pt'",
                             "load_dict": {"model": "@network"}},
        "initialize": ["$setattr(torch.backends.cudnn, 'benchmark', True)", "$@checkpointloader(@evaluator)"],
    }
    config["dataloader"]["collate_fn"] = "$monai.data.utils.no_collation"
    return config


def write_detection(folder: Path, **options: Any) -> Path:
    """A bundle that finds bright balls of five voxels or more across in dark surroundings."""
    said = bundles.metadata(name="Ball detection", task="CT lung nodule detection")
    said["network_data_format"]["outputs"] = {"pred": {
        "type": "object", "format": "dict", "dtype": "float16", "num_channels": 1, "spatial_shape": ["n", "n", "n"],
        "value_range": [-10000, 10000]}}
    # A certainty of one half where three quarters of the cube are bright.
    state = {"conv.weight": torch.full((1, 1, 1, 1, 1), 12.0), "conv.bias": torch.tensor([-9.0])}
    return bundles.write_bundle(folder, config=detection(**options), said=said, network=DETECTOR, state=state)


# The share of bright voxels, against three quarters of it and a constant: which is largest is known.
_CLASSIFIER = """\
import torch

class Bright(torch.nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.linear = torch.nn.Linear(1, classes)

    def forward(self, x):
        return self.linear(x.mean(dim=(1, 2, 3, 4)).unsqueeze(1))
"""


def write_classification(
    folder: Path, *, names: tuple[str, ...] = ("normal", "lung nodule", "pneumonia"), post: str = "softmax", **more: Any
) -> Path:
    """A bundle that answers with class 1. post: softmax, sigmoid, argmax (one 1 among zeros), index or none."""
    said = bundles.metadata(**more)
    said["network_data_format"]["outputs"] = {"pred": {
        "type": "probabilities", "format": "classes", "num_channels": len(names), "spatial_shape": [1, len(names)],
        "channel_def": {str(number): name for number, name in enumerate(names)}}}
    config = bundles.inference(network={"_target_": "scripts.net.Bright", "classes": len(names)})
    config["label"] = "$monai.utils.CommonKeys.LABEL"
    decided = [{"_target_": "AsDiscreted", "keys": ["pred", "@label"], "argmax": [True, False],
                **({"to_onehot": len(names)} if post == "argmax" else {})}]
    config["postprocessing"]["transforms"] = {
        "softmax": [{"_target_": "Activationsd", "keys": "pred", "softmax": True}],
        "sigmoid": [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}],
        "argmax": decided, "index": decided, "none": [],
    }[post] + [{"_target_": "SaveClassificationd", "keys": "pred", "output_dir": "@output_dir"}]
    config["inferer"] = {"_target_": "SimpleInferer"}
    config["evaluator"]["key_val_metric"] = {"accuracy": {
        "_target_": "ignite.metrics.Accuracy", "output_transform": "$monai.handlers.from_engine(['pred', 'label'])"}}
    biases = [0.0, 3.0, 1.0] + [0.0] * len(names)
    state = {"linear.weight": torch.zeros(len(names), 1), "linear.bias": torch.tensor(biases[: len(names)])}
    return bundles.write_bundle(folder, config=config, said=said, network=_CLASSIFIER, state=state)


# A channel shows where the image has this brightness; the points are where the channels are highest.
_LANDMARKS = """\
import torch

class Marks(torch.nn.Module):
    def __init__(self, points=False):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 2, 1)
        self.points = points

    def forward(self, x):
        heat = torch.exp(-self.conv(x).abs())
        if not self.points:
            return heat
        flat = heat.flatten(2).argmax(dim=2)
        rows, columns = x.shape[3], x.shape[4]
        return torch.stack([flat // (rows * columns), flat // columns % rows, flat % columns], dim=1).float()
"""
LANDMARK_HU = {"mitral valve": 100.0, "tricuspid valve": 300.0}


def write_landmarks(folder: Path, *, points: bool, axcodes: str = "PIL", back: bool = False) -> Path:
    """A bundle that marks the voxels of two brightnesses, by heat maps or points; `back`: heat maps are inverted."""
    said = bundles.metadata()
    said["network_data_format"]["outputs"] = {"pred": {
        "type": "tuples" if points else "image", "format": "points" if points else "heatmap", "num_channels": 2,
        "channel_def": dict(enumerate(LANDMARK_HU))}}
    if points:
        said["network_data_format"]["outputs"]["pred"]["spatial_shape"] = [3, 2]
    config = bundles.inference(axcodes=axcodes, network={"_target_": "scripts.net.Marks", "points": points})
    config["inferer"] = {"_target_": "SimpleInferer"}
    config["postprocessing"]["transforms"] = [
        {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "@image_key",
         "nearest_interp": False}] if back else [{"_target_": "ToTensord", "keys": "pred"}]
    state = {"conv.weight": torch.ones(2, 1, 1, 1, 1), "conv.bias": -torch.tensor(list(LANDMARK_HU.values()))}
    return bundles.write_bundle(folder, config=config, said=said, network=_LANDMARKS, state=state)


# Moves everything by the distance of the centres of mass: it knows nothing of orientations and millimetres.
_MOVER = """\
import torch

class Mover(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 1, 1)

    def forward(self, x):
        axes = [torch.arange(size, dtype=x.dtype) for size in x.shape[2:]]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        bright = torch.relu(self.conv(x[0].unsqueeze(1))[:, 0])
        moving, fixed = ((grid * each).sum(dim=(1, 2, 3)) / each.sum() for each in bright)
        field = (moving - fixed).reshape(1, 3, 1, 1, 1).expand(1, 3, *x.shape[2:]) + 0 * x[:, :1]
        return ALTERED
"""


def write_registration(
    folder: Path, *, names: Sequence[str] = ("moving T2", "fixed T1"), axcodes: str = "PIL", least: float = 500.0,
    transforms: Sequence[dict[str, Any]] = (), post: Sequence[dict[str, Any]] = (), altered: str = "field",
    **output: Any,
) -> Path:
    """A bundle that moves what is brighter than `least` onto the same of another image, in the layout of the zoo's
    mednist_reg: both are channels of one key. altered: what the network gives instead, in Python.
    """
    said = bundles.metadata(name="Mover", task="MR registration")
    said["network_data_format"]["inputs"] = {"image": {
        "type": "image", "format": "magnitude", "modality": "MR", "num_channels": 2,
        "channel_def": dict(zip("01", names, strict=True))}}
    said["network_data_format"]["outputs"] = {
        "image": {"type": "image", "format": "magnitude", "num_channels": 1},
        "pred": {"type": "image", "format": "displacement", "num_channels": 3, **output}}
    config = bundles.inference(axcodes=axcodes, network={"_target_": "scripts.net.Mover"}, transforms=transforms)
    config["inferer"] = {"_target_": "SimpleInferer"}
    config["postprocessing"]["transforms"] = [*post, {"_target_": "SaveImaged", "keys": "pred"}]
    state = {"conv.weight": torch.ones(1, 1, 1, 1, 1), "conv.bias": torch.tensor([-least])}
    network = _MOVER.replace("ALTERED", altered)
    return bundles.write_bundle(folder, config=config, said=said, network=network, state=state)


# Half as bright, plus a hundred.
_ENHANCER = """\
import torch

class Halve(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, 1, 1)

    def forward(self, x):
        return self.conv(x)
"""


def write_enhancement(folder: Path, *, axcodes: str = "PIL", form: str = "hounsfield", **output: Any) -> Path:
    """A bundle that answers with an image: half of each number, plus a hundred."""
    said = bundles.metadata(name="Halving", task="CT noise reduction")
    said["network_data_format"]["outputs"] = {"pred": {"type": "image", "format": form, "num_channels": 1, **output,
                                                       "channel_def": {"0": "image"}}}
    config = bundles.inference(axcodes=axcodes, network={"_target_": "scripts.net.Halve"})
    invert = config["postprocessing"]["transforms"][1]
    config["postprocessing"]["transforms"] = [invert, {"_target_": "SaveImaged", "keys": "pred"}]
    state = {"conv.weight": torch.full((1, 1, 1, 1, 1), 0.5), "conv.bias": torch.tensor([100.0])}
    return bundles.write_bundle(folder, config=config, said=said, network=_ENHANCER, state=state)
