"""An ONNX graph, by ONNX Runtime, which reads external weights from the model's folder alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from radnode.pipelines.contract import RunFailed

if TYPE_CHECKING:
    from pathlib import Path

_ERRORS_ONLY = 3


class OnnxSession:
    """One graph of one input and one output. Raises RunFailed for another one, and without ONNX Runtime."""

    def __init__(self, path: Path, device: str) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise RunFailed("ONNX Runtime is not installed: pip install 'radnode[onnx]'") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session: Any = onnxruntime.InferenceSession(path, options, providers=_providers(onnxruntime, device))
        except RunFailed:
            raise
        except Exception as error:  # its errors have no class of their own but Exception
            raise RunFailed(f"{path.name} is no graph that ONNX Runtime {onnxruntime.__version__} reads: "
                            f"{' '.join(str(error).split())[:200]}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise RunFailed(f"{path.name} has {len(inputs)} inputs and {len(outputs)} outputs; export it with one each")
        self._input = inputs[0].name

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """See :class:`~radnode.pipelines.models.runtimes.Network`."""
        try:
            (answer,) = self._session.run(None, {self._input: batch.cpu().numpy()})
        except Exception as error:
            raise RunFailed(f"the graph failed: {' '.join(str(error).split())[:200]}") from error
        return torch.from_numpy(answer).to(batch.device)


def _providers(onnxruntime: Any, device: str) -> list[Any]:
    """Where it computes. A worker of a GPU does not silently compute on the processor."""
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise RunFailed(f"this ONNX Runtime computes on the processor alone and the worker's device is {device}: "
                        "pip install onnxruntime-gpu in place of onnxruntime, or give the model a cpu worker")
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]
