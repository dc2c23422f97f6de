"""Models with a `model.yaml`: one tiny network in every runtime's format, so that all must say the same."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import torch
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from pathlib import Path

RUNTIMES = ("torchscript", "torch-export", "onnx", "tensorflow.js")
PATCH = (32, 32, 16)


class Tiny(torch.nn.Module):
    """Two convolutions with fixed random weights: 1 channel in, 3 classes out, which all occur in a chest."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.first = torch.nn.Conv3d(1, 4, 3, padding=2, dilation=2)
        self.last = torch.nn.Conv3d(4, 3, 1)
        with torch.no_grad():
            for each in self.parameters():
                each.copy_(torch.randn(each.shape, generator=generator) * 0.5)
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.nn.functional.elu(self.first(x)))


def description(runtime: str = "torchscript", **changes: Any) -> dict[str, Any]:
    """The content of a model.yaml for :class:`Tiny`; `input` and `output` are changed key by key."""
    said: dict[str, Any] = {
        "name": "Tiny", "version": "1.2.3", "runtime": runtime, "modality": "CT",
        "input": {"orientation": "RAS", "intensity": {"window": [-1000, 400]}, "patch": list(PATCH)},
        "output": {"answer": "classes", "activation": "softmax",
                   "labels": {0: "background", 1: "lung_left", 2: "spleen"}},
        "licence": "MIT", "intended_use": "Tests alone.",
    }
    for key, value in changes.items():
        said[key] = {**said[key], **value} if isinstance(value, dict) else value
    return said


def write_model(folder: Path, runtime: str = "torchscript", network: torch.nn.Module | None = None,
                **changes: Any) -> Path:
    """A model's folder, with its network saved as this runtime reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "model.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(description(runtime, **changes), file)
    network = network or Tiny()
    example = torch.zeros(1, 1, *PATCH)
    if runtime == "torchscript":
        torch.jit.save(torch.jit.script(network), str(folder / "model.pt"))
    elif runtime == "torch-export":
        torch.export.save(torch.export.export(network, (example,)), folder / "model.pt2")
    elif runtime == "onnx":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch 2.13's exporter about itself
            target = str(folder / "model.onnx")
            torch.onnx.export(network.eval(), (example,), target, external_data=False, verbose=False)
    elif runtime == "tensorflow.js":
        _write_tensorflow_js(network, folder)
    return folder


def _write_tensorflow_js(network: torch.nn.Module, folder: Path) -> None:
    """As tensorflowjs's converter lays it out: a Keras topology, and weights in one file."""
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "name": "input", "inbound_nodes": [],
         "config": {"batch_input_shape": [None, None, None, None, 1], "dtype": "float32", "name": "input"}},
    ]
    weights, content = [], b""
    for name, convolution in network.named_children():
        before = layers[-1]["name"]
        layers.append({"class_name": "Conv3D", "name": name, "inbound_nodes": [[[before, 0, 0, {}]]], "config": {
            "name": name, "filters": convolution.out_channels, "kernel_size": list(convolution.kernel_size),
            "strides": [1, 1, 1], "padding": "same", "data_format": "channels_last",
            "dilation_rate": list(convolution.dilation), "activation": "linear", "use_bias": True}})
        for part, values in (("kernel", convolution.weight.permute(2, 3, 4, 1, 0)), ("bias", convolution.bias)):
            weights.append({"name": f"{name}/{part}", "shape": list(values.shape), "dtype": "float32"})
            content += values.contiguous().numpy().astype("<f4").tobytes()
        if name == "first":
            layers.append({"class_name": "Activation", "name": "elu", "inbound_nodes": [[[name, 0, 0, {}]]],
                           "config": {"name": "elu", "activation": "elu"}})
    graph = {"name": "model", "layers": layers, "input_layers": [["input", 0, 0]],
             "output_layers": [[layers[-1]["name"], 0, 0]]}
    topology = {"keras_version": "2.6.0", "backend": "tensorflow",
                "model_config": {"class_name": "Functional", "config": graph}}
    (folder / "group1-shard1of1.bin").write_bytes(content)
    (folder / "model.json").write_text(json.dumps({
        "format": "layers-model", "modelTopology": topology,
        "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": weights}],
    }))
