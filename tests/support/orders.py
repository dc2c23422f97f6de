"""Work orders over files, as the node would give them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pydicom

from radnode.pipelines.contract import InputInstance, WorkOrder
from radnode.pipelines.forms import plan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def order_over(files: Iterable[Path], output: Path, *, pipeline: str = "ct-lung", key: str = "0" * 64) -> WorkOrder:
    """To read these files, for a segmentation and a report."""
    output.mkdir(parents=True, exist_ok=True)
    return WorkOrder(
        job_key=key, pipeline=pipeline, revision=1, instances=tuple(_instance(path) for path in files),
        input_digest="0" * 64, configuration_digest="0" * 64, forms=plan(("SEG", "TID1500")),
        content_qualification="RESEARCH", output_folder=str(output), device="cpu", node_version="0",
    )  # fmt: skip


def _instance(path: Path) -> InputInstance:
    header = pydicom.dcmread(path, stop_before_pixels=True)
    return InputInstance(
        sop_instance_uid=header.SOPInstanceUID, series_instance_uid=header.SeriesInstanceUID,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(), path=str(path),
    )  # fmt: skip
