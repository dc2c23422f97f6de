"""A TensorFlow.js layers model (`model.json` and its weight files) as torch operators.

The format: a Keras topology, a graph of named layers with their options, and a manifest that says where in the weight
files each array lies (tensorflow/tfjs, tfjs-layers, `loadLayersModel`). Built from a fixed list of layers; one that is
not in it is refused by name, and so is an option that would compute something else than it says here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Weights = Mapping[str, torch.Tensor]
    Operator = Callable[[list[torch.Tensor]], torch.Tensor]

_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda x: x, "relu": torch.relu, "elu": functional.elu, "selu": functional.selu, "tanh": torch.tanh,
    "sigmoid": torch.sigmoid, "softmax": lambda x: torch.softmax(x, dim=1), "gelu": functional.gelu,
}


@dataclass(frozen=True, slots=True)
class _Layer:
    name: str
    inputs: tuple[str, ...]
    operator: Operator


class LayersModel:
    """A graph of known layers with one input and one output, channels last in the file and first here."""

    def __init__(self, path: Path, device: str) -> None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            topology = content["modelTopology"]
            config = topology.get("model_config", topology)
            weights = _weights(path.parent, content["weightsManifest"], device)
            layers = [_layer(each, before, weights) for each, before in _ordered(config)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunFailed(f"{path.name} is no TensorFlow.js layers model, or its weight files are not beside it "
                            f"({type(error).__name__}: {str(error)[:100]})") from error
        self._first, *self._layers = layers
        self._last_use = {name: number for number, layer in enumerate(self._layers) for name in layer.inputs}

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """See :class:`~radnode.pipelines.models.runtimes.Network`."""
        known = {self._first.name: batch}
        for number, layer in enumerate(self._layers):
            inputs = [known[name] for name in layer.inputs]
            for name in layer.inputs:
                if self._last_use[name] == number:
                    known.pop(name, None)
            known[layer.name] = layer.operator(inputs)
        return known[self._layers[-1].name]


def _weights(folder: Path, manifest: Sequence[Mapping[str, Any]], device: str) -> Weights:
    found: dict[str, torch.Tensor] = {}
    for group in manifest:
        if any("/" in name or "\\" in name or name in ("", ".", "..") for name in group["paths"]):
            raise RunFailed("its weights lie outside its folder; put the files beside model.json")
        content = b"".join((folder / name).read_bytes() for name in group["paths"])
        at = 0
        for each in group["weights"]:
            if each["dtype"] != "float32" or "quantization" in each:
                raise RunFailed(f"weight {each['name']!a} is not plain float32; convert the model without quantisation")
            count = int(np.prod(each["shape"], dtype=np.int64))
            if at + 4 * count > len(content):
                raise RunFailed("its weight files are shorter than model.json says; download them again")
            values = np.frombuffer(content, "<f4", count, at).reshape(each["shape"])
            found[each["name"]] = torch.from_numpy(values.copy()).to(device)
            at += 4 * count
        if at != len(content):
            raise RunFailed("its weight files are longer than model.json says; download them again")
    return found


def _ordered(config: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], tuple[str, ...]]]:
    """Each layer with the names of those before it; in the order of the file, in which Keras writes them."""
    inside = config["config"]
    layers = inside["layers"] if isinstance(inside, dict) else inside
    if config["class_name"] == "Sequential":
        if layers[0]["class_name"] != "InputLayer":
            layers = [{"class_name": "InputLayer", "config": {"name": "input", **layers[0]["config"]}}, *layers]
        names = ["input" if number == 0 else each["config"]["name"] for number, each in enumerate(layers)]
        return [(each, () if number == 0 else (names[number - 1],)) for number, each in enumerate(layers)]
    known: set[str] = set()
    found = []
    for each in layers:
        nodes = each["inbound_nodes"]
        if len(nodes) > 1:
            raise RunFailed(f"layer {each['config']['name']!a} is used more than once, which is not supported")
        before = tuple(str(node[0]) for node in nodes[0]) if nodes else ()
        if not known.issuperset(before) or bool(before) == (each is layers[0]):
            raise RunFailed("its layers are no graph from one input on, each after those that it reads")
        known.add(each["config"]["name"])
        found.append((each, before))
    if [str(each[0]) for each in inside["output_layers"]] != [layers[-1]["config"]["name"]]:
        raise RunFailed("it has several outputs, or another than its last layer")
    return found


def _layer(said: Mapping[str, Any], before: tuple[str, ...], weights: Weights) -> _Layer:
    kind, config = said["class_name"], said["config"]
    if kind not in _LAYERS:
        raise RunFailed(f"its layer {kind!a} is not known; known are {', '.join(_LAYERS)}. Export the model as ONNX")
    if config.get("data_format", "channels_last") != "channels_last":
        raise RunFailed(f"its layer {config['name']!a} has its channels first; export the model with channels last")
    return _Layer(config["name"] if before else config.get("name", "input"), before, _LAYERS[kind](config, weights))


def _input(config: Mapping[str, Any], _: Weights) -> Operator:
    shape = config["batch_input_shape"]
    if len(shape) != 5 or shape[-1] != 1:
        raise RunFailed(f"its input has the shape {shape}; readable are volumes of one channel")
    return lambda inputs: inputs[0]


def _convolution(config: Mapping[str, Any], weights: Weights) -> Operator:
    kernel = weights[f"{config['name']}/kernel"].permute(4, 3, 0, 1, 2).contiguous()
    bias = weights[f"{config['name']}/bias"] if config["use_bias"] else None
    strides, dilation = config["strides"], config["dilation_rate"]
    if config.get("groups", 1) != 1:
        raise RunFailed(f"its layer {config['name']!a} has groups, which is not supported")
    activate = _activation(config, weights)

    def operator(inputs: list[torch.Tensor]) -> torch.Tensor:
        (image,) = inputs
        around: list[int] = []
        if config["padding"] == "same":
            around = _same(image.shape[2:], kernel.shape[2:], strides, dilation)
        even = around[::2] == around[1::2]
        if not even:
            image = functional.pad(image, around)
        padding = around[::-2] if around and even else 0
        return activate([functional.conv3d(image, kernel, bias, strides, padding, dilation)])

    return operator


def _same(sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """TensorFlow's SAME: as for torch.nn.functional.pad, last axis first; the odd one goes behind."""
    around: list[int] = []
    for size, width, stride, apart in reversed(list(zip(sizes, kernel, strides, dilation, strict=True))):
        whole = max((-(-size // stride) - 1) * stride + (width - 1) * apart + 1 - size, 0)
        around += [whole // 2, whole - whole // 2]
    return around


def _activation(config: Mapping[str, Any], _: Weights) -> Operator:
    name = config.get("activation", "linear")
    if name not in _ACTIVATIONS:
        raise RunFailed(f"its activation {name!a} is not known; known are {', '.join(_ACTIVATIONS)}")
    return lambda inputs: _ACTIVATIONS[name](inputs[0])


def _normalisation(config: Mapping[str, Any], weights: Weights) -> Operator:
    name = config["name"]
    axis = config.get("axis", -1)
    if (axis[0] if isinstance(axis, list) else axis) not in (-1, 4):
        raise RunFailed(f"its layer {name!a} normalises along another axis than the channels")
    mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
    scale, shift = weights.get(f"{name}/gamma"), weights.get(f"{name}/beta")
    return lambda inputs: functional.batch_norm(inputs[0], mean, variance, scale, shift, eps=config["epsilon"])


def _pooling(config: Mapping[str, Any], _: Weights) -> Operator:
    if config["padding"] != "valid":
        raise RunFailed(f"its layer {config['name']!a} pools with padding, which is not supported")
    return lambda inputs: functional.max_pool3d(inputs[0], config["pool_size"], config["strides"])


def _enlarging(config: Mapping[str, Any], _: Weights) -> Operator:
    return lambda inputs: functional.interpolate(inputs[0], scale_factor=[float(each) for each in config["size"]])


def _concatenation(config: Mapping[str, Any], _: Weights) -> Operator:
    if config.get("axis", -1) not in (-1, 4):
        raise RunFailed(f"its layer {config['name']!a} joins along another axis than the channels")
    return lambda inputs: torch.cat(inputs, dim=1)


def _sum(_: Mapping[str, Any], __: Weights) -> Operator:
    return lambda inputs: torch.stack(inputs).sum(dim=0) if len(inputs) > 2 else inputs[0] + inputs[1]


def _nothing(_: Mapping[str, Any], __: Weights) -> Operator:
    """What has an effect in training alone."""
    return lambda inputs: inputs[0]


_LAYERS: dict[str, Callable[[Mapping[str, Any], Weights], Operator]] = {
    "InputLayer": _input, "Conv3D": _convolution, "Activation": _activation, "BatchNormalization": _normalisation,
    "MaxPooling3D": _pooling, "UpSampling3D": _enlarging, "Concatenate": _concatenation, "Add": _sum,
    "Dropout": _nothing, "SpatialDropout3D": _nothing,
}
