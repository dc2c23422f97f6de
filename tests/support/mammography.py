"""Phantoms of a screening mammography as a pipeline and a job see them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pydicom

from radnode.pipelines import registry, runner
from radnode.pipelines.contract import InputInstance, RunContext, RunReport, StudyImages
from radnode.pipelines.forms import plan
from radnode.pipelines.geometry import Projection, SourceFrame
from radnode.pipelines.sources.headers import read_instances
from radnode.pipelines.sources.images import read_projections
from radnode.pipelines.sources.screening import select_screening
from support import result_samples as samples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydicom.uid import UID

    from radnode.pipelines.mg_cad.phantom import Screening, View

CONTEXT = RunContext(device="cpu", stage=lambda _stage: None)
MG: UID = pydicom.uid.DigitalMammographyXRayImageStorageForPresentation


def projection(phantom: Screening, place: tuple[str, str]) -> Projection:
    """One view as a pipeline sees it."""
    side, view = place
    return Projection(
        source=SourceFrame(sop_class_uid=str(MG), sop_instance_uid=f"2.25.{hash_of(side + view)}"),
        series_instance_uid="2.25.1", pixels=phantom.views[place].pixels.astype(np.float32),
        spacing_mm=(phantom.pixel_mm, phantom.pixel_mm), laterality=side, view=view,
        orientation=("A" if side == "L" else "P", ("F" if view == "MLO" else "") + ("R" if side == "L" else "L")),
    )


def hash_of(text: str) -> int:
    """A number that names a text."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


def study(phantom: Screening) -> StudyImages:
    """All four views."""
    return StudyImages(
        modality="MG", excluded={}, projections=tuple(projection(phantom, each) for each in phantom.views)
    )


def selected(files: Sequence[Path]) -> StudyImages:
    """What is read of these files. Raises NotProcessed."""
    manifest = registry.installed().manifests["mg-cad"]
    return read_projections(select_screening(read_instances(files), manifest), manifest)


def run_job(files: Sequence[Path], folder: Path, forms: Sequence[str]) -> RunReport:
    """A whole job in this process, from files to result objects that passed the gate."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    instances = tuple(
        InputInstance(sop_instance_uid=str(header.SOPInstanceUID), series_instance_uid=str(header.SeriesInstanceUID),
                      digest=hashlib.sha256(path.read_bytes()).hexdigest(), path=str(path))
        for header, path in zip(headers, files, strict=True)
    )
    order = samples.order(headers, pipeline="mg-cad", instances=instances, output_folder=str(folder), forms=plan(forms))
    return runner.run(order, runner.Warm(registry.installed), lambda _: None)


def hits(view: View, kind: str, centers: Sequence[tuple[float, float]], pixel_mm: float) -> tuple[set[int], int]:
    """(numbers of the lesions of this kind that a mark lies on, number of marks that lie on none).

    A mark lies on a lesion when it is nearer than its radius, or 5 mm for a smaller one.
    """
    lesions = [each for each in view.truth if (each.kind == "mass") == (kind == "mass")]
    found: set[int] = set()
    false = 0
    for center in centers:
        on = {each.number for each in lesions
              if np.hypot(center[0] - each.center[0], center[1] - each.center[1]) * pixel_mm <= max(each.radius_mm, 5)}
        found |= on
        false += not on
    return found, false
