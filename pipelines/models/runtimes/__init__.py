"""Runtimes: each opens one kind of file as a :class:`Network`, a tensor in and a tensor out, and knows nothing else.

    torchscript   an archive of torch.jit
    exported      a program of torch.export (.pt2)
    onnx_session  an ONNX graph, by ONNX Runtime
    tfjs          a TensorFlow.js layers model
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from pathlib import Path

    import torch


class Network(Protocol):
    """float32 (batch, channels, *grid) in, float32 (batch, channels, *grid) out, on one device."""

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Raises RuntimeError or RunFailed for a batch that it cannot take."""
        ...


_CLASSES = {
    "torchscript": "torchscript:TorchScript", "torch-export": "exported:Exported", "onnx": "onnx_session:OnnxSession",
    "tensorflow.js": "tfjs:LayersModel",
}


def open_network(runtime: str, path: Path, device: str) -> Network:
    """The network in a file, on a torch device. Raises RunFailed: what is wrong with the file, and the cure."""
    if not path.is_file():
        raise RunFailed(f"{path.name} is not in its folder; download it with the model and add it anew, or name the "
                        "right file in model.yaml")
    module, _, name = _CLASSES[runtime].partition(":")
    return cast("Network", getattr(import_module(f"{__name__}.{module}"), name)(path, device))
