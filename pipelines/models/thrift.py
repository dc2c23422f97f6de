"""A MONAI evaluator on a lower rung of the ladder, for one run; afterwards it is as it was."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from monai.inferers.inferer import SlidingWindowInferer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.pipelines.ladder import Rung


def windows(inferer: Any) -> int | None:
    """How many windows an inferer computes at once; None for one without a sliding window."""
    return int(inferer.sw_batch_size) if isinstance(inferer, SlidingWindowInferer) else None


def sizes(inferer: Any) -> tuple[int, ...]:
    """Of a window, in voxels; empty where they depend on the image."""
    said = getattr(inferer, "roi_size", ())
    found = tuple(said) if isinstance(said, list | tuple) else ()
    return tuple(map(int, found)) if all(each and each > 0 for each in found) else ()


@contextmanager
def stepped_down(evaluator: Any, way: Rung | None, device: str) -> Iterator[None]:
    """Within, the evaluator runs this way. None: as its bundle has it.

    Half precision is MONAI's own: autocast around the inferer, as an evaluator with `amp` does it (float16 on CUDA,
    bfloat16 on the CPU). Windows that are put together on the CPU: `SlidingWindowInferer.device`, while the network
    stays on `sw_device`.
    """
    inferer = getattr(evaluator, "inferer", None)
    if way is None or inferer is None:
        yield
        return
    kept = dict(vars(inferer))
    try:
        if way.windows is not None:
            inferer.sw_batch_size = way.windows
        if way.stitched_on_cpu:
            inferer.device, inferer.sw_device = torch.device("cpu"), torch.device(device)
        if way.half:
            evaluator.inferer = _Half(inferer, torch.device(device).type, evaluator.amp_kwargs)
        yield
    finally:
        vars(inferer).update(kept)
        evaluator.inferer = inferer


class _Half:
    """An inferer in half precision whose answer is single precision again."""

    def __init__(self, inferer: Any, device_type: str, options: dict[str, Any]) -> None:
        self._inferer = inferer
        self._device_type = device_type
        self._options = options

    def __call__(self, inputs: torch.Tensor, network: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(self._device_type, **self._options):
            answer = self._inferer(inputs, network, *args, **kwargs)
        return answer.float() if isinstance(answer, torch.Tensor) else answer
