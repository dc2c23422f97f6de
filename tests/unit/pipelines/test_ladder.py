"""The ways down when memory runs out, and which errors mean that it did."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from radnode.pipelines import ladder
from radnode.pipelines.ladder import Rung, climb, rungs


def test_a_device_first_gets_fewer_windows_then_half_precision_then_help_of_the_cpu() -> None:
    assert [str(each) for each in rungs("cuda:0", windows=4, half_asked=False)] == [
        "4 windows at once",
        "2 windows at once",
        "1 window at once",
        "1 window at once, in half precision",
        "1 window at once, put together on the CPU",
        "1 window at once, in half precision, put together on the CPU",
        "1 window at once, on the CPU",
    ]


def test_precision_is_not_lowered_where_the_model_lowers_it_itself_and_never_on_the_cpu() -> None:
    assert not any(each.half for each in rungs("cuda", windows=4, half_asked=True))
    assert not any(each.half for each in rungs("cpu", windows=4, half_asked=False))


def test_a_network_without_windows_runs_whole_or_on_the_cpu() -> None:
    assert [str(each) for each in rungs("cuda", windows=None, half_asked=False)] == [
        "as the model asks", "in half precision", "on the CPU"]  # fmt: skip


def test_only_lowered_precision_is_remarked() -> None:
    said = {each: ladder.remark(each) for each in rungs("cuda", windows=2, half_asked=False)}
    assert all(bool(remark) is way.half for way, remark in said.items())


def test_before_anything_is_lowered_others_make_room_and_only_once() -> None:
    asked: list[str] = []

    def attempt(way: Rung) -> str | None:
        asked.append(str(way))
        return "done" if way.windows == 1 else None

    def make_room() -> bool:
        asked.append("room")
        return True

    found = climb(rungs("cpu", windows=4, half_asked=False), attempt, make_room)
    assert found == ("done", Rung(windows=1))
    assert asked == ["4 windows at once", "room", "4 windows at once", "2 windows at once", "1 window at once"]


def test_a_way_is_not_tried_again_when_nothing_could_be_freed() -> None:
    asked: list[Rung] = []
    assert climb((Rung(),), asked.append, lambda: False) is None
    assert len(asked) == 1


def _wrapped(error: BaseException) -> BaseException:
    """As MONAI's Compose passes on what a transform said."""
    outer = RuntimeError("applying transform <Spacingd>")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(("error", "bytes_asked"), [
    (MemoryError(), 0),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.15 GiB"),
     20 * 2**20),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to "
                  "allocate 4398046511104 bytes. Error code 12 (Cannot allocate memory)"), 2**42),
    (RuntimeError("CUDA error: out of memory"), 0),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), 0),
    (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), 0),
    (_wrapped(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB.")), 3 * 2**29),
])  # fmt: skip
def test_lack_of_memory_is_known_in_all_its_words_and_is_no_lost_device(
    error: BaseException, bytes_asked: int
) -> None:
    assert ladder.is_out_of_memory(error)
    assert not ladder.is_device_lost(error)
    assert ladder.asked_for(error) == bytes_asked


def test_torchs_and_numpys_own_errors_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**62, dtype=torch.uint8)
    assert ladder.is_out_of_memory(caught.value)
    assert ladder.asked_for(caught.value) == 2**62
    with pytest.raises(MemoryError) as said:
        np.zeros(1 << 46, np.uint8)
    assert ladder.asked_for(said.value) == 2**46


@pytest.mark.parametrize("words", ["CUDA error: an illegal memory access was encountered",
                                   "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"])
def test_a_broken_device_is_no_lack_of_memory(words: str) -> None:
    assert ladder.is_device_lost(RuntimeError(words))


def test_why_it_failed_says_what_was_tried_and_what_would_have_been_needed() -> None:
    said = ladder.exhausted("infer", ["2 windows at once", "on the CPU"], 3_200_000_000, 2_000_000_000, "cuda:0")
    assert said == ("out of memory in the step infer; tried: 2 windows at once; on the CPU. At least 3.20 GB are "
                    "needed on cuda:0, it has 2.00 GB for this worker")
