"""A bundle's inference configuration, pointed at images in memory and at this node's device. Pure: data in, data out.

Nothing of what the model computes is changed. What is changed, and why:

- LoadImage(d) gives the image that was read from DICOM; one whose result is turned round over four axes gets slices as
  nibabel gives images over time: (columns, rows, 1, slices);
- what saves files is left out: findings are written as DICOM, by the node. Where it is the saver that brings the answer
  into its last form (`output_transform`, in an evaluator without postprocessing), that is done all the same;
- CheckpointLoader is left out: weights are loaded once, without pickles, not at every run;
- the data set is one item in memory, read in this process (`num_workers` 0, batches of one);
- there is no truth to compare with: metrics are left out, and what is done to the label besides the image is done to
  the image alone;
- `device` is this worker's, also where the configuration says cuda itself; mixed precision (`amp`) is CUDA's alone;
- labels that were decided before they are brought back to the images' grid are brought back by nearest neighbour:
  halfway between nothing and label 2 lies no label 1; and Invertd's nearest neighbour is the nearest one;
- resampling between grids whose axes run alike, and the largest of several channels, are computed otherwise, to the
  same numbers (:mod:`~radnode.pipelines.models.resampling`, :mod:`~radnode.pipelines.models.deciding`);
- boxes are brought into the patient by :class:`~radnode.pipelines.models.boxes.BoxToPatientd`, which is MONAI's
  transform where images lie straight, and right where they lie askew;
- a `Lambda` that merges channels decided one by one into numbers of its own (4 for enhancing tumour) is left out:
  `channel_def` names channels, not those numbers;
- `pretrained` weights are not fetched from anywhere: the bundle's own are loaded over all of them. What such a network
  does otherwise because it was pretrained, it does (`_PRETRAINED`);
- a `Spacing` that the configuration switches off, since its authors resampled their images beforehand, is on: images
  come as they were acquired;
- arguments that MONAI has withdrawn since are left out (`WITHDRAWN`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ITEMS, DEVICE = "radnode_items", "radnode_device"
"""Names under which the configuration finds the one item to read, and the device."""
WEIGHTS, START_UP, LAST_FORM = "radnode_weights", "radnode_start_up", "radnode_last_form"
"""Where the adapted configuration keeps what its CheckpointLoaders would load, the other parts of `initialize`, and
what its savers would do to the answer before they write it.
"""
PATCH = "radnode_patch"
"""Where it keeps the size of the patches that its data set would cut out of slides, (rows, columns); else None."""

_REPLACED = {
    "LoadImage": "received.Received", "LoadImaged": "received.Receivedd", "LoadImageD": "received.Receivedd",
    "LoadImageDict": "received.Receivedd", "AffineBoxToWorldCoordinated": "boxes.BoxToPatientd",
    "AffineBoxToWorldCoordinateD": "boxes.BoxToPatientd", "AffineBoxToWorldCoordinateDict": "boxes.BoxToPatientd",
    "AsDiscrete": "deciding.Discrete", "AsDiscreted": "deciding.Discreted", "AsDiscreteD": "deciding.Discreted",
    "AsDiscreteDict": "deciding.Discreted",
    "Invertd": "inverting.Inverted", "InvertD": "inverting.Inverted", "InvertDict": "inverting.Inverted",
}
_KEPT_OF_LOADERS = {"_target_", "_disabled_", "keys", "allow_missing_keys", "dtype", "ensure_channel_first",
                    "image_only"}
_DECIDES = ("AsDiscrete", "Discrete")
_WEIGHTS = "CheckpointLoader"
_TRUTH = {"label", "labels", "@label", "@label_key", "@labels"}
_METRICS = ("key_val_metric", "additional_metrics", "metric_cmp_fn")
# MONAI 1.6: SwinUNETR takes any size whose sides its windows divide, and no longer asks for one.
WITHDRAWN = {"SwinUNETR": ("img_size",)}
# torchvision 0.28, inception.py and googlenet.py: what weights="DEFAULT" sets besides the weights.
_PRETRAINED: dict[str, dict[str, Any]] = {
    "inception_v3": {"transform_input": True, "init_weights": False},
    "googlenet": {"transform_input": True, "aux_logits": False, "init_weights": False},
}
_CUDA = re.compile(r"torch\.device\((?:[^()]|\([^()]*\))*?cuda(?:[^()]|\([^()]*\))*\)")
_PLAIN_CUDA = re.compile(r"cuda(:\d+)?")


@dataclass(slots=True)
class _Found:
    """What was left out and is done elsewhere: weights to load, and savers."""

    weights: list[dict[str, Any]] = field(default_factory=list)
    savers: list[dict[str, Any]] = field(default_factory=list)


def adapt(config: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The adapted configuration of the bundle in that folder.

    A bundle without a CheckpointLoader gets the weights that bundles keep by convention, models/model.pt.
    """
    found = _Found()
    adapted: dict[str, Any] = {key: _walk(value, found) for key, value in config.items()}
    adapted[PATCH] = None
    if isinstance(adapted.get("dataset"), dict):
        adapted[PATCH] = adapted["dataset"].get("patch_size") if "WSI" in _class(adapted["dataset"]) else None
        adapted["dataset"] = {"_target_": "Dataset", "data": f"${ITEMS}",
                              "transform": adapted["dataset"].get("transform", "@preprocessing")}
    for key, value in adapted.items():
        if isinstance(value, dict) and _class(value).endswith("DataLoader"):
            collated = {"collate_fn": value["collate_fn"]} if "collate_fn" in value else {}
            adapted[key] = {"_target_": "DataLoader", "dataset": value.get("dataset", "@dataset"), "batch_size": 1,
                            "num_workers": 0, **collated}
    if all(str(each.get("strict", True)) == "True" for each in found.weights):
        adapted = _untrained(adapted)
    adapted["bundle_root"] = folder
    adapted["device"] = f"${DEVICE}"
    adapted[WEIGHTS] = [
        {"path": each.get("load_path"), "into": each.get("load_dict"), "strict": each.get("strict", True)}
        for each in found.weights
        or [{"load_path": "$@bundle_root + '/models/model.pt'", "load_dict": {"model": "@network"}}]
    ]
    initialize = config.get("initialize", [])
    adapted[START_UP] = [each for each in initialize if isinstance(each, str) and "checkpoint" not in each.lower()]
    evaluator = config.get("evaluator")
    unprocessed = isinstance(evaluator, Mapping) and not evaluator.get("postprocessing")
    adapted[LAST_FORM] = [each["output_transform"] for each in found.savers
                          if unprocessed and each.get("output_transform")]
    return adapted


def reads_plain_images(config: Mapping[str, Any]) -> bool:
    """Whether the preprocessing is of images themselves (LoadImage), not of dictionaries of images (LoadImaged)."""
    return "radnode.pipelines.models.received.Received'" in repr(config)


def _walk(value: Any, found: _Found) -> Any:
    if isinstance(value, list):
        kept = [each for each in value if not (isinstance(each, Mapping) and _leave(each, found))]
        return _by_nearest_neighbour(_unmerged(_over_time(_spaced([_walk(each, found) for each in kept]))))
    if isinstance(value, Mapping):
        return _component(value, found)
    if isinstance(value, str):
        if value.startswith("$"):
            return _CUDA.sub(DEVICE, value).replace(".cuda()", f".to({DEVICE})")
        if _PLAIN_CUDA.fullmatch(value):
            return f"${DEVICE}"
    return value


def _component(value: Mapping[str, Any], found: _Found) -> dict[str, Any]:
    name = _class(value)
    value = _without_truth(value)
    if name in _REPLACED:
        kept = _KEPT_OF_LOADERS if name.startswith("LoadImage") else set(value)
        options = {key: _walk(each, found) for key, each in value.items() if key in kept}
        return {**options, "_target_": f"radnode.pipelines.models.{_REPLACED[name]}"}
    if name == _WEIGHTS:
        found.weights.append(dict(value))
    dropped = (*WITHDRAWN.get(name, ()), *(_METRICS if name.endswith("Evaluator") else ()))
    walked = {key: _walk(each, found) for key, each in value.items() if key not in dropped}
    if name.endswith("Evaluator") and "amp" in walked:
        walked["amp"] = f"$bool({str(walked['amp']).removeprefix('$')}) and {DEVICE}.type == 'cuda'"
    return {**walked, "_disabled_": True} if _is_left_out(name) else walked


def _without_truth(component: Mapping[str, Any]) -> Mapping[str, Any]:
    """The component for its other keys alone; arguments that are lists have an item for each key."""
    keys = component.get("keys")
    if not isinstance(keys, list):
        return component
    kept = [place for place, key in enumerate(keys) if str(key) not in _TRUTH]
    if not kept:
        return component
    return {name: [value[place] for place in kept] if isinstance(value, list) and len(value) == len(keys) else value
            for name, value in component.items()}


def _by_nearest_neighbour(transforms: list[Any]) -> list[Any]:
    decided = False
    for each in transforms:
        name = _class(each) if isinstance(each, dict) else ""
        decided |= name.startswith(_DECIDES)
        if decided and name.startswith("Invert"):
            each["nearest_interp"] = True
    return transforms


def _spaced(transforms: list[Any]) -> list[Any]:
    spacings = [each for each in transforms if isinstance(each, dict) and _class(each).startswith("Spacing")]
    if len(spacings) == 1:
        spacings[0].pop("_disabled_", None)
    return transforms


def _untrained(value: Any) -> Any:
    """The configuration with networks that begin without weights."""
    if isinstance(value, list):
        return [_untrained(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    walked = {key: _untrained(each) for key, each in value.items()}
    if walked.get("pretrained") is not True or "_target_" not in walked:
        return walked
    return {**_PRETRAINED.get(str(walked.get("model_name")), {}), **walked, "pretrained": False}


def _over_time(transforms: list[Any]) -> list[Any]:
    turned = [each for each in transforms if isinstance(each, dict) and _class(each) == "Transpose"]
    for each in transforms:
        if isinstance(each, dict) and _class(each) == "Received" and turned and len(turned[0].get("indices", ())) == 4:
            each["over_time"] = True
    return transforms


def _leave(value: Mapping[str, Any], found: _Found) -> bool:
    name = _class(value)
    if name == _WEIGHTS:
        found.weights.append(dict(value))
    elif _is_left_out(name):
        found.savers.append(dict(value))
    return _is_left_out(name)


def _unmerged(transforms: list[Any]) -> list[Any]:
    one_by_one, kept = False, []
    for each in transforms:
        name = _class(each) if isinstance(each, dict) else ""
        one_by_one |= name.startswith(_DECIDES) and each.get("threshold") is not None
        if not (one_by_one and name.startswith("Lambda")):
            kept.append(each)
    return kept


def _is_left_out(name: str) -> bool:
    return name in (_WEIGHTS, "ProbMapProducer") or "Save" in name


def _class(value: Mapping[str, Any]) -> str:
    return str(value.get("_target_", "")).rpartition(".")[2]
