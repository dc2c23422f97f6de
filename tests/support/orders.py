"""Work orders over files, as the node would give them, and the workers that take them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pydicom

from radnode.node.execution.worker_process import WorkerProcess
from radnode.pipelines.contract import InputInstance, WorkOrder
from radnode.pipelines.forms import plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

GENEROUS_BYTES = 8_000_000_000


def order_over(
    files: Iterable[Path], output: Path, *, pipeline: str = "ct-lung", key: str = "0" * 64,
    forms: Sequence[str] = ("SEG", "TID1500"),
) -> WorkOrder:
    """To read these files, for results of these forms."""
    output.mkdir(parents=True, exist_ok=True)
    return WorkOrder(
        job_key=key, pipeline=pipeline, revision=1, instances=tuple(_instance(path) for path in files),
        input_digest="0" * 64, configuration_digest="0" * 64, forms=plan(tuple(forms)),
        content_qualification="RESEARCH", output_folder=str(output), device="cpu", node_version="0",
    )  # fmt: skip


class Workers:
    """Calling it makes a worker on the CPU; all of them are stopped in the end."""

    def __init__(self) -> None:
        self._made: list[WorkerProcess] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._made:
            each.stop()

    def __call__(self, *, memory: int = GENEROUS_BYTES, seconds: float = 300) -> WorkerProcess:
        self._made.append(WorkerProcess(device="cpu", memory_limit_bytes=memory, time_limit_s=seconds))
        return self._made[-1]


def _instance(path: Path) -> InputInstance:
    header = pydicom.dcmread(path, stop_before_pixels=True)
    return InputInstance(
        sop_instance_uid=header.SOPInstanceUID, series_instance_uid=header.SeriesInstanceUID,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(), path=str(path),
    )  # fmt: skip
