"""Bundles in the zoo's layouts for pictures, with networks so simple that their answers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from support import bundle_kinds, bundles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Channel 1 is how much greener than red; of a grey image, how bright. A 1 x 1 convolution; for classes, its mean.
NETWORK = """\
import torch

class Greener(torch.nn.Module):
    def __init__(self, channels=3, classes=False):
        super().__init__()
        self.conv, self.classes = torch.nn.Conv2d(channels, 2, 1), classes

    def forward(self, x):
        answer = self.conv(x)
        return answer.mean(dim=(2, 3)) if self.classes else answer
"""


def weights(channels: int) -> dict[str, torch.Tensor]:
    """Channel 1 wins where green is well above red, or grey bright."""
    row = [-1.0, 1.0, 0.0] if channels == 3 else [1.0]
    answer = torch.tensor([[-each for each in row], row]).reshape(2, channels, 1, 1)
    cut = 100 / 255 if channels == 3 else 180 / 255
    return {"conv.weight": answer, "conv.bias": torch.tensor([cut, -cut])}


def metadata(channels: int, kind: str, modality: str) -> dict[str, Any]:
    """As the zoo writes it of pictures. kind: segmentation or classes."""
    colours = {"format": "RGB", "channel_def": {"0": "R", "1": "G", "2": "B"}}
    grey = {"format": "magnitude", "channel_def": {"0": "image"}}
    output = {"type": "image", "format": "segmentation", "num_channels": 2,
              "channel_def": {"0": "background", "1": "tools"}}
    if kind == "classes":
        output = {"type": "probabilities", "format": "classes", "num_channels": 2, "spatial_shape": [1, 2],
                  "channel_def": {"0": "in body", "1": "out body"}}
    return bundles.metadata(name="Endoscopic tools" if channels == 3 else "Marks", network_data_format={
        "inputs": {"image": {"type": "magnitude", "modality": modality, "num_channels": channels,
                             "spatial_shape": [24, 32], **(colours if channels == 3 else grey)}},
        "outputs": {"pred": output},
    })


def inference(channels: int, kind: str, size: Sequence[int] | None, *, inverted: bool = True) -> dict[str, Any]:
    """As the zoo's endoscopic_tool_segmentation and endoscopic_inbody_classification have it."""
    config = bundles.inference(network={"_target_": "scripts.net.Greener", "channels": channels,
                                        "classes": kind == "classes"})
    channel_first = {"_target_": "EnsureChannelFirstd", "keys": "@image_key"}
    if channels == 3:
        channel_first["channel_dim"] = -1  # type: ignore[assignment]
    config["preprocessing"]["transforms"] = [
        {"_target_": "LoadImaged", "keys": "@image_key", "image_only": False}, channel_first,
        *([{"_target_": "Resized", "keys": ["@image_key"], "spatial_size": size, "mode": ["nearest"]}] if size else []),
        {"_target_": "ScaleIntensityRanged", "keys": "@image_key", "a_min": 0, "a_max": 255, "b_min": 0, "b_max": 1},
    ]
    config["inferer"] = {"_target_": "SimpleInferer"}
    invert = {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "@image_key",
              "meta_key_postfix": "meta_dict", "nearest_interp": True, "to_tensor": True}
    decide = {"_target_": "AsDiscreted", "argmax": True, "to_onehot": 2, "keys": ["pred"]}
    config["postprocessing"]["transforms"] = {
        "segmentation": [*([invert] if inverted else []), decide,
                         {"_target_": "Lambdad", "keys": ["pred"], "func": "$lambda x : x[1:]"},
                         {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"}],
        "classes": [{"_target_": "Activationsd", "keys": "pred", "softmax": True}],
    }[kind]
    return config


def bundle(folder: Path, channels: int, kind: str = "segmentation", *, modality: str = "regular",
           size: Sequence[int] | None = None, **options: Any) -> Path:
    """Its folder. size: to which it resizes what it reads. options: of :func:`inference`."""
    return bundles.write_bundle(folder, config=inference(channels, kind, size, **options), network=NETWORK,
                                said=metadata(channels, kind, modality), state=weights(channels))


# The mean over a window as large as the mark is 1 in its middle alone; the anchors are the boxes,
# half a pixel larger on each side: MONAI rounds the halves of odd ones.
_DETECTOR = (bundle_kinds.DETECTOR.replace("(1, 1, 1), 1, 1, 3", "(1, 1), 1, 1, 2").replace("Conv3d", "Conv2d")
             .replace("avg_pool3d(x, 5, stride=1, padding=2)", "avg_pool2d(x, (9, 5), stride=1, padding=(4, 2))")
             .replace("x.shape[0], 6,", "x.shape[0], 4,"))
# Where it is bright: as a point, or as a heat map.
_MARKER = """\
import torch

class Marker(torch.nn.Module):
    def __init__(self, heat=False):
        super().__init__()
        self.conv, self.heat = torch.nn.Conv2d(1, 1, 1), heat

    def forward(self, x):
        bright = torch.relu(self.conv(x))
        if self.heat:
            mean = torch.nn.functional.avg_pool2d(bright, (9, 5), stride=1, padding=(4, 2))
            return mean / mean.max()
        columns, rows = torch.nonzero(bright[0, 0] > 0).float().mean(dim=0)
        return torch.stack([columns, rows]).reshape(1, 2, 1)
"""


def detector(folder: Path, *, mode: str = "xyxy", size: Sequence[int] | None = None, world: bool = False) -> Path:
    """A bundle that draws a box around the mark of :mod:`support.flat_images`, in the layout of the zoo's detectors.

    mode: how it writes its boxes. world: it brings them into the patient, where these images have no place.
    """
    config = bundle_kinds.detection(mode=mode, world=world)
    config["preprocessing"] = inference(1, "segmentation", size)["preprocessing"]
    config["anchor_generator"]["base_anchor_shapes"] = [[10, 6]]
    config["detector"] |= {"spatial_dims": 2, "size_divisible": [1, 1]}
    for each in config["postprocessing"]["transforms"]:
        if each["_target_"] == "ConvertBoxModed":
            each["src_mode"] = "xyxy"
    said = metadata(1, "segmentation", "Mammogram")
    said["task"] = "Mass detection"
    said["network_data_format"]["outputs"] = {"pred": {"type": "object", "format": "dict", "num_channels": 1}}
    state = {"conv.weight": torch.full((1, 1, 1, 1), 40.0), "conv.bias": torch.tensor([-38.0])}
    return bundles.write_bundle(folder, config=config, said=said, network=_DETECTOR, state=state)


def marker(folder: Path, *, heat: bool, size: Sequence[int] | None = None) -> Path:
    """A bundle that gives the middle of the mark as a point or as a heat map."""
    config = inference(1, "segmentation", size)
    config["network_def"] = {"_target_": "scripts.net.Marker", "heat": heat}
    config["postprocessing"]["transforms"] = [{"_target_": "ToTensord", "keys": "pred"}]
    said = metadata(1, "segmentation", "Mammogram")
    said["network_data_format"]["outputs"] = {"pred": {
        "type": "image" if heat else "tuples", "format": "heatmap" if heat else "points", "num_channels": 1,
        "channel_def": {"0": "nipple"}}}
    state = {"conv.weight": torch.ones(1, 1, 1, 1), "conv.bias": torch.tensor([-0.9])}
    return bundles.write_bundle(folder, config=config, said=said, network=_MARKER, state=state)
