"""What the driver says of GPUs is shown as it says it, and where it says nothing, that it is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from radnode.node.overview.machine import MIB, Gpu, gpus, parse

if TYPE_CHECKING:
    from pathlib import Path


def program(folder: Path, does: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `nvidia-smi` that does this, alone on the path but for the shell."""
    made = folder / "nvidia-smi"
    made.write_text(f"#!/bin/sh\n{does}\n")
    made.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_memory_load_and_temperature_are_read_for_each_gpu() -> None:
    assert parse("0, NVIDIA H200, 1024, 143771, 37, 41\n1, NVIDIA T4, 0, 15360, [N/A], [Not Supported]\n") == (
        Gpu(index=0, name="NVIDIA H200", used=1024 * MIB, total=143771 * MIB, busy=37, celsius=41),
        Gpu(index=1, name="NVIDIA T4", used=0, total=15360 * MIB, busy=None, celsius=None),
    )


def test_no_worker_on_a_gpu_asks_nobody() -> None:
    assert gpus(wanted=False).known == "none"


@pytest.mark.parametrize("does", ["exit 9", "echo No devices were found", "echo 0, short"])
def test_a_driver_that_does_not_answer_leaves_it_unknown(
    does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, does, monkeypatch)
    assert gpus(wanted=True).known == "silent"


def test_a_machine_without_a_driver_leaves_it_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus(wanted=True).known == "silent"


def test_a_driver_that_answers_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo '0, NVIDIA L4, 512, 23034, 5, 38'", monkeypatch)
    told = gpus(wanted=True)
    assert (told.known, [each.name for each in told.found]) == ("told", ["NVIDIA L4"])
