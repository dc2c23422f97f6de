"""Pipelines of a third party, installed as pip would leave them: a package, its manifest, its entry point."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = """\
name: {name}
version: 1.2.3
title: Sample of a pipeline
entry: {package}.code:Sample
modality: CT
sheared: false
min_slices: 3
intended_use: Tests alone.
licence: Apache-2.0
device_memory_mb: 0
algorithm_family: Morphological Operations
model_digest: {digest}
series_number: 9200
"""

# Two boxes by index; what a test adds runs before.
_CODE = """\
import os, sys
import numpy as np
from radnode.pipelines.contract import NotProcessed, RunFailed
from radnode.pipelines.findings import Code, Findings, Measurement, Segment

LUNG = Code("39607008", "SCT", "Lung")
ANATOMY = Code("91723000", "SCT", "Anatomical Structure")
VOLUME = Code("118565006", "SCT", "Volume")
CUBIC_MM = Code("mm3", "UCUM", "cubic millimeter")


class Sample:
    def run(self, images, context):
        context.stage("boxes")
        volume = images.volume
{extra}
        mask = np.zeros(volume.voxels.shape, dtype=bool)
        mask[1:4, 3:15, 2:9] = True
        segment = Segment(key="box", label="Box", category=ANATOMY, type=LUNG, voxels=mask, rgb=(90, 160, 220))
        size = float(mask.sum()) * volume.voxel_volume_mm3
        measured = Measurement(of="box", name=VOLUME, unit=CUBIC_MM, value=size)
        remarks = ("A box is no organ.",)
        return Findings(volume=volume, segments=(segment,), measurements=(measured,), remarks=remarks)
"""

NEVER_IMPORTED = "never imported"
NOTHING = "return Findings(volume=volume, segments=(), measurements=(), remarks=('Nothing to see.',))"


def manifest_text(name: str = "sample", package: str = "sample_pipeline") -> str:
    """The text of a valid `pipeline.yaml`."""
    return MANIFEST.format(name=name, package=package, digest="ab" * 32)


def install(
    folder: Path,
    *,
    name: str = "sample",
    package: str = "sample_pipeline",
    manifest: str | None = None,
    extra: str = "",
) -> Path:
    """Make `folder` a place for PYTHONPATH in which one pipeline is installed. extra: lines at the start of
    its run.
    """
    code = folder / package
    code.mkdir(parents=True)
    start = "raise AssertionError('a manifest is read without this')\n" if extra == NEVER_IMPORTED else ""
    (code / "__init__.py").write_text(start, encoding="utf-8")
    (code / "pipeline.yaml").write_text(
        manifest_text(name, package) if manifest is None else manifest, encoding="utf-8"
    )
    body = "\n".join(" " * 8 + line for line in dedent(extra).splitlines())
    (code / "code.py").write_text(_CODE.format(extra=body), encoding="utf-8")
    info = folder / f"{package}-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2.3\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(f"[radnode.pipelines]\n{name} = {package}\n", encoding="utf-8")
    return folder
