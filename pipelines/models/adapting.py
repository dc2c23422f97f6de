"""A bundle's inference configuration, pointed at images in memory and at this node's device. Pure: data in, data out.

Nothing of what the model computes is changed. What is changed, and why:

- LoadImage(d) gives the image that was read from DICOM;
- what saves files is left out: findings are written as DICOM, by the node;
- CheckpointLoader is left out: weights are loaded once, without pickles, not at every run;
- the data set is one item in memory, read in this process (`num_workers` 0, batches of one);
- `device` is this worker's, also where an expression says `torch.device('cuda')`;
- labels that were decided before they are brought back to the images' grid are brought back by nearest neighbour:
  halfway between nothing and label 2 lies no label 1;
- a `Lambda` that merges channels decided one by one into numbers of its own (4 for enhancing tumour) is left out:
  `channel_def` names channels, not those numbers;
- arguments that MONAI has withdrawn since are left out (`WITHDRAWN`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ITEMS, DEVICE = "radnode_items", "radnode_device"
"""Names under which the configuration finds the one item to read, and the device."""
WEIGHTS, START_UP = "radnode_weights", "radnode_start_up"
"""Where the adapted configuration keeps what its CheckpointLoaders would load, and the other parts of `initialize`."""

_LOADERS = {"LoadImage": "Received", "LoadImaged": "Receivedd", "LoadImageD": "Receivedd", "LoadImageDict": "Receivedd"}
_KEPT_OF_LOADERS = {"_target_", "_disabled_", "keys", "allow_missing_keys", "dtype", "ensure_channel_first",
                    "image_only"}
_WEIGHTS = "CheckpointLoader"
# MONAI 1.6: SwinUNETR takes any size whose sides its windows divide, and no longer asks for one.
WITHDRAWN = {"SwinUNETR": ("img_size",)}
_CUDA = re.compile(r"torch\.device\(\s*(['\"])cuda(:\d+)?\1\s*\)")


def adapt(config: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The adapted configuration of the bundle in that folder.

    A bundle without a CheckpointLoader gets the weights that bundles keep by convention, models/model.pt.
    """
    weights: list[dict[str, Any]] = []
    adapted: dict[str, Any] = {key: _walk(value, weights) for key, value in config.items()}
    if isinstance(adapted.get("dataset"), dict):
        adapted["dataset"] = {"_target_": "Dataset", "data": f"${ITEMS}",
                              "transform": adapted["dataset"].get("transform", "@preprocessing")}
    for key, value in adapted.items():
        if isinstance(value, dict) and _class(value).endswith("DataLoader"):
            adapted[key] = {"_target_": "DataLoader", "dataset": value.get("dataset", "@dataset"), "batch_size": 1,
                            "num_workers": 0}
    adapted["bundle_root"] = folder
    adapted["device"] = f"${DEVICE}"
    adapted[WEIGHTS] = [
        {"path": each.get("load_path"), "into": each.get("load_dict"), "strict": each.get("strict", True)}
        for each in weights or [{"load_path": "$@bundle_root + '/models/model.pt'", "load_dict": {"model": "@network"}}]
    ]
    initialize = config.get("initialize", [])
    adapted[START_UP] = [each for each in initialize if isinstance(each, str) and "checkpoint" not in each.lower()]
    return adapted


def _walk(value: Any, weights: list[dict[str, Any]]) -> Any:
    if isinstance(value, list):
        kept = [each for each in value if not (isinstance(each, Mapping) and _leave(each, weights))]
        return _by_nearest_neighbour(_unmerged([_walk(each, weights) for each in kept]))
    if isinstance(value, Mapping):
        if (found := _class(value)) in _LOADERS:
            options = {key: each for key, each in value.items() if key in _KEPT_OF_LOADERS}
            return {**options, "_target_": f"radnode.pipelines.models.received.{_LOADERS[found]}"}
        if found == _WEIGHTS:
            weights.append(dict(value))
        dropped = WITHDRAWN.get(found, ())
        walked = {key: _walk(each, weights) for key, each in value.items() if key not in dropped}
        return {**walked, "_disabled_": True} if _is_left_out(found) else walked
    if isinstance(value, str) and value.startswith("$"):
        return _CUDA.sub(DEVICE, value)
    return value


def _by_nearest_neighbour(transforms: list[Any]) -> list[Any]:
    decided = False
    for each in transforms:
        name = _class(each) if isinstance(each, dict) else ""
        decided |= name.startswith("AsDiscrete")
        if decided and name.startswith("Invert"):
            each["nearest_interp"] = True
    return transforms


def _unmerged(transforms: list[Any]) -> list[Any]:
    one_by_one, kept = False, []
    for each in transforms:
        name = _class(each) if isinstance(each, dict) else ""
        one_by_one |= name.startswith("AsDiscrete") and each.get("threshold") is not None
        if not (one_by_one and name.startswith("Lambda")):
            kept.append(each)
    return kept


def _leave(value: Mapping[str, Any], weights: list[dict[str, Any]]) -> bool:
    if _class(value) == _WEIGHTS:
        weights.append(dict(value))
    return _is_left_out(_class(value))


def _is_left_out(name: str) -> bool:
    return name == _WEIGHTS or "Save" in name


def _class(value: Mapping[str, Any]) -> str:
    return str(value.get("_target_", "")).rpartition(".")[2]
