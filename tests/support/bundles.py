"""MONAI bundles in the Model Zoo's layouts, with networks so simple that their answers are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from ruamel.yaml import YAML
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

THRESHOLD_HU = -300.0

# Two channels: is it above the threshold, or not. A 1 x 1 x 1 convolution, so that weights are really loaded.
_NETWORK = """\
import torch

class Threshold(torch.nn.Module):
    def __init__(self, channels=2):
        super().__init__()
        self.conv = torch.nn.Conv3d(1, channels, 1)

    def forward(self, x):
        return self.conv(x)
"""


def weights(threshold: float = THRESHOLD_HU) -> dict[str, torch.Tensor]:
    """Channel 1 wins above the threshold."""
    return {
        "conv.weight": torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1, 1),
        "conv.bias": torch.tensor([threshold, -threshold]),
    }


def metadata(**more: Any) -> dict[str, Any]:
    """As the zoo writes it, shortened."""
    return {
        "version": "0.1.0", "monai_version": "1.4.0", "pytorch_version": "2.4.0", "name": "Threshold",
        "task": "Tests", "description": "Above a threshold.", "intended_use": "Tests alone.",
        "network_data_format": {
            "inputs": {"image": {"type": "image", "format": "hounsfield", "modality": "CT", "num_channels": 1,
                                 "spatial_shape": [32, 32, 32], "channel_def": {"0": "image"}}},
            "outputs": {"pred": {"type": "image", "format": "segmentation", "num_channels": 2,
                                 "channel_def": {"0": "background", "1": "spleen"}}},
        },
        **more,
    }


def inference(
    *, axcodes: str = "RAS", transforms: Sequence[Mapping[str, Any]] = (), network: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """inference.json in the layout of the zoo's segmentations (MONAI 1.0 to 1.6)."""
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "image_key": "image",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "/workspace/data/Task09_Spleen",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
        "device": "$torch.device('cuda:0')",
        "network_def": network or {"_target_": "scripts.net.Threshold", "channels": 2},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": [
            {"_target_": "LoadImaged", "keys": "@image_key", "reader": "NibabelReader"},
            {"_target_": "EnsureChannelFirstd", "keys": "@image_key"},
            {"_target_": "Orientationd", "keys": "@image_key", "axcodes": axcodes, "labels": None},
            *transforms,
            {"_target_": "EnsureTyped", "keys": "@image_key"},
        ]},
        "dataset": {"_target_": "CacheDataset", "data": "$[{'image': i} for i in @datalist]",
                    "transform": "@preprocessing", "cache_rate": 1.0},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": False,
                       "num_workers": 4},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "sw_batch_size": 2, "overlap": 0.25},
        "postprocessing": {"_target_": "Compose", "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "@image_key",
             "nearest_interp": False, "to_tensor": True},
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
        ]},
        "handlers": [{"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/model.pt'",
                      "load_dict": {"model": "@network"}},
                     {"_target_": "StatsHandler", "iteration_log": False}],
        "evaluator": {"_target_": "SupervisedEvaluator", "device": "@device", "val_data_loader": "@dataloader",
                      "network": "@network", "inferer": "@inferer", "postprocessing": "@postprocessing",
                      "val_handlers": "@handlers", "amp": False},
        "initialize": ["$monai.utils.set_determinism(seed=123)"],
        "run": ["$@evaluator.run()"],
    }


def write_bundle(
    folder: Path,
    *,
    config: Mapping[str, Any] | None = None,
    said: Mapping[str, Any] | None = None,
    network: str = _NETWORK,
    state: Mapping[str, torch.Tensor] | None = None,
    yaml: bool = False,
    safe: bool = False,
) -> Path:
    """A bundle's folder. yaml: inference.yaml instead of inference.json. safe: weights as safetensors."""
    for part in ("configs", "models", "scripts", "docs"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "LICENSE").write_text("Apache License 2.0\n")
    (folder / "configs" / "metadata.json").write_text(json.dumps(said or metadata()))
    content = dict(config or inference())
    if yaml:
        writer = YAML(typ="safe", pure=True)
        with (folder / "configs" / "inference.yaml").open("w") as file:
            writer.dump(content, file)
    else:
        (folder / "configs" / "inference.json").write_text(json.dumps(content))
    (folder / "scripts" / "__init__.py").write_text("")
    (folder / "scripts" / "net.py").write_text(network)
    state = dict(state or weights())
    if safe:
        save_file(state, folder / "models" / "model.safetensors")
    else:
        torch.save({"model": state}, folder / "models" / "model.pt")
    return folder


# The Model Zoo's layout of a model for four MR series; each class looks at one channel, so that their order shows.
BRATS_LABELS = {"Tumor core": "t1c", "Whole tumor": "t2", "Enhancing tumor": "flair"}
BRATS_CHANNELS = ("t1c", "t1", "t2", "flair")
BRATS_THRESHOLD = 500.0
_FOUR = _NETWORK.replace("Conv3d(1, channels, 1)", "Conv3d(4, channels, 1)")


def brats_metadata() -> dict[str, Any]:
    """As the zoo writes it, shortened."""
    return metadata(name="Four series", network_data_format={
        "inputs": {"image": {"type": "image", "format": "magnitude", "modality": "MR", "num_channels": 4,
                             "channel_def": {"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"}}},
        "outputs": {"pred": {"type": "image", "format": "segmentation", "num_channels": 3,
                             "channel_def": dict(zip("012", BRATS_LABELS, strict=True))}},
    })


def brats() -> dict[str, Any]:
    """inference.json: channels decided one by one, then merged into numbers that the metadata does not name."""
    config = inference(network={"_target_": "scripts.net.Threshold", "channels": 3})
    config["preprocessing"]["transforms"] = [{"_target_": "LoadImaged", "keys": "@image_key", "image_only": False}]
    config["postprocessing"]["transforms"] = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "@image_key",
         "nearest_interp": False, "to_tensor": True},
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
        {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: torch.where(x[[2]] > 0, 4, "
                                                        "torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))"},
        {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
    ]
    return config


def write_brats(
    folder: Path, *, said: Mapping[str, Any] | None = None, config: Mapping[str, Any] | None = None,
    state: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """A bundle whose class is where its own channel is above BRATS_THRESHOLD."""
    weight = torch.zeros(3, 4, 1, 1, 1)
    for place, name in enumerate(BRATS_LABELS.values()):
        weight[place, BRATS_CHANNELS.index(name)] = 1.0
    own = {"conv.weight": weight, "conv.bias": torch.full((3,), -BRATS_THRESHOLD)}
    return write_bundle(folder, config=config or brats(), said=said or brats_metadata(), network=_FOUR,
                        state=state or own)
