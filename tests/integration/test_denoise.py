"""A CT by way of an Orthanc into a node that denoises: the derived series stands beside the acquired one there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import validators
from support.network import free_port
from support.node import NodeProcess, archive, modality
from support.orthanc import Orthanc, Target
from support.phantoms import small
from support.waiting import eventually

from radnode.pipelines.ct_lung.phantom import write_series

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "quieter", "when": {"modality": "CT"}, "run": ["ct-denoise"], "send": ["PACS"]}
SLICES = 12


def test_orthanc_keeps_a_derived_series_that_lies_on_the_acquired_one(tmp_path: Path) -> None:
    target = Target(ae_title="RADNODE", port=free_port())
    phantom = small(SLICES, 96, spacing_mm=(5.0, 0.8), noise_hu=30.0)
    files = write_series(phantom, tmp_path / "ct")
    study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    with (
        Orthanc(tmp_path / "orthanc", node=target, forward="foreign", unknown_classes=False) as orthanc,
        NodeProcess(tmp_path / "node", port=target.port, routes=[ROUTE], peers=[
            archive(orthanc.port, ae_title="ORTHANC", result_forms=["IMAGES"]), modality()]) as node,
    ):
        orthanc.send(files)
        eventually(lambda: len(orthanc.instances(study)) == 2 * SLICES, within=200, why=lambda: f"twice\n{node.log()}")
        held = orthanc.datasets(study)
        assert [job["state"] for job in node.jobs()] == ["PRODUCED"]
    series = str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
    acquired = {tuple(each.ImagePositionPatient): each for each in held if each.SeriesInstanceUID == series}
    derived = [each for each in held if each.SeriesInstanceUID != series]
    assert len(acquired) == len(derived) == SLICES
    for number, image in enumerate(derived):
        source = acquired[tuple(image.ImagePositionPatient)]
        assert list(image.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
        before, after = (each.pixel_array * float(each.RescaleSlope) + float(each.RescaleIntercept)
                         for each in (source, image))
        assert np.abs(np.diff(after)).sum() < 0.9 * np.abs(np.diff(before)).sum()
        path = tmp_path / f"{number}.dcm"
        image.save_as(path, enforce_file_format=True)
        validators.dciodvfy(path)
