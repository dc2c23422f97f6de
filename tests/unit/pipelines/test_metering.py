"""What a worker knows of its device's memory and work; CUDA's own figures by a stand-in for torch.cuda."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support import bundles

from radnode.pipelines import benching
from radnode.pipelines.metering import ProcessMeter
from radnode.pipelines.models.adapting import DEVICE, adapt

MIB = 2**20


def stand_in(**answers: Any) -> SimpleNamespace:
    return SimpleNamespace(**{name: (lambda *_, value=value: value) for name, value in answers.items()})


def test_on_cuda_the_driver_says_what_is_free_and_torchs_allocator_what_is_taken(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[bool] = []
    cuda = stand_in(mem_get_info=(3 * MIB, 80 * MIB), memory_reserved=5 * MIB, memory_allocated=4 * MIB,
                    max_memory_allocated=9 * MIB, reset_peak_memory_stats=None)
    cuda.empty_cache = lambda: emptied.append(True)
    monkeypatch.setattr(torch, "cuda", cuda)
    meter = ProcessMeter(limit=7)
    meter.restart("cuda:0")
    assert (meter.usable("cuda:0"), meter.held("cuda:0"), meter.highest("cuda:0")) == (8 * MIB, 4 * MIB, 9 * MIB)
    meter.release("cuda:0")
    assert emptied == [True]
    assert meter.usable("cpu") == 7


def test_on_the_processor_the_most_that_was_held_counts_also_after_it_was_given_back() -> None:
    meter = ProcessMeter()
    meter.release("cpu")  # what earlier tests left free would be filled again without becoming more
    meter.restart("cpu")
    before = meter.held("cpu")
    filled = np.ones(64 * MIB, np.uint8)
    assert meter.held("cpu") >= before + 60 * MIB
    del filled
    assert meter.highest("cpu") >= before + 60 * MIB
    assert meter.usable("cpu") > meter.held("cpu")


def test_how_busy_a_device_was_is_sampled_and_without_nvml_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benching, "_LOOK_EVERY_S", 0.001)
    monkeypatch.setattr(torch, "cuda", stand_in(utilization=50))
    with benching.watched("cuda:0") as busy:
        while not busy.samples:
            time.sleep(0.001)
    assert (busy.share, busy.how) == (0.5, "NVML, sampled")

    def missing(_device: str) -> int:
        raise ModuleNotFoundError

    monkeypatch.setattr(torch, "cuda", SimpleNamespace(utilization=missing))
    with benching.watched("cuda:0") as busy:
        while not busy.how.startswith("not measured"):
            time.sleep(0.001)
    assert busy.share is None
    assert "install nvidia-ml-py" in busy.how


@pytest.mark.parametrize(("asked", "device", "half"), [
    (True, "cuda:0", True), (True, "cpu", False), (False, "cuda:0", False), ("$True", "cuda", True),
])  # fmt: skip
def test_mixed_precision_is_what_the_bundle_asks_for_and_cudas_alone(asked: object, device: str, half: bool) -> None:
    config = bundles.inference()
    config["evaluator"]["amp"] = asked
    said = adapt(config, "folder")["evaluator"]["amp"].removeprefix("$")
    assert eval(said, {DEVICE: torch.device(device)}) is half  # noqa: S307 - what MONAI does with it
