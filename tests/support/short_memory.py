"""A device that is not there: its memory is what a test says, its work is done on the CPU."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from radnode.pipelines.models.bundle import BundlePipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from radnode.pipelines.contract import RunContext, StudyImages
    from radnode.pipelines.findings import Findings

DEVICE = "cuda:0"
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 1.00 GiB."


@dataclass(slots=True)
class PretendedMeter:
    """A :class:`~radnode.pipelines.metering.Meter` of figures. in_use: what the process holds now, in bytes."""

    room: int = 0
    in_use: Callable[[], int] = lambda: 0
    peak: int = 0
    released: list[str] = field(default_factory=list)

    def usable(self, _device: str) -> int:
        return self.room

    def held(self, _device: str) -> int:
        return self.in_use()

    def restart(self, _device: str) -> None:
        return

    def highest(self, _device: str) -> int:
        return self.peak + self.in_use()

    def release(self, device: str) -> None:
        self.released.append(device)


def pretend_device(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[[BundlePipeline, torch.Tensor], bool], *, amp: bool = False
) -> None:
    """Bundles on :data:`DEVICE` compute on the CPU. fails: whether memory runs out for these windows.

    amp: whether they ask for half precision, which on the CPU they would not get.
    """
    load, run = BundlePipeline.load, BundlePipeline.run
    watched: set[int] = set()

    def load_here(self: BundlePipeline, _device: str) -> None:
        load(self, "cpu")
        self._evaluator.amp = amp
        network = self._evaluator.network
        if id(network) not in watched:
            watched.add(id(network))
            network.register_forward_pre_hook(lambda _module, inputs: check(self, inputs[0]))

    def check(pipeline: BundlePipeline, windows: torch.Tensor) -> None:
        if fails(pipeline, windows):
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)

    def run_here(self: BundlePipeline, images: StudyImages, context: RunContext) -> Findings:
        self.on_device = context.device == DEVICE
        return run(self, images, replace(context, device="cpu"))

    monkeypatch.setattr(BundlePipeline, "load", load_here)
    monkeypatch.setattr(BundlePipeline, "run", run_here)
    monkeypatch.setattr(BundlePipeline, "on_device", True, raising=False)
