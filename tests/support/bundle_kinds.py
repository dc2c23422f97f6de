"""Bundles of other kinds than segmentation, in the Model Zoo's layouts, with networks whose answers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from support import bundles

if TYPE_CHECKING:
    from pathlib import Path

BOX_MM = 6.0

# Bright balls: the mean over a cube of five voxels is highest in the middle of one. The anchors are the boxes.
_DETECTOR = """\
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
    return bundles.write_bundle(folder, config=detection(**options), said=said, network=_DETECTOR, state=state)
