"""mr-brain through the node: four series, a model of the store in its slot, segments and volumes in the PACS."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import bundles, dcmtk, mr_study, validators
from support.mr_study import BRATS, T1_SERIES
from support.network import free_port
from support.node import RADNODE, archive, modality
from support.orthanc import Target
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pydicom
    from numpy.typing import NDArray
    from support.node import NodeProcess, PeerEntry
    from support.orthanc import Orthanc
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "head", "when": {"modality": "MR", "body_part": "HEAD"}, "run": ["mr-brain"], "send": ["PACS"]}


def with_tumour_model(start_node: Callable[..., NodeProcess], pacs: PeerEntry, folder: Path, **how: Any) -> NodeProcess:
    """A node whose model store has a tumour model, and the route to mr-brain."""
    node = start_node(peers=[pacs, modality()], routes=[], **how)
    added = subprocess.run(
        [RADNODE, "models", "add", bundles.write_brats(folder / "brats"), "--name", "mr-brain-tumour", "--config",
         node.config], capture_output=True, text=True, timeout=120, check=False)
    assert added.returncode == 0, added.stderr
    node.configure(peers=[pacs, modality()], routes=[ROUTE])
    eventually(lambda: "routes=1" in node.log(), within=20, why=node.log)
    return node


def middle_of(seg: pydicom.Dataset, number: int) -> NDArray[np.float64]:
    """Of the voxels of a segment, LPS mm."""
    places = []
    spacing = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    along = np.array(seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient, float)
    for frame, plane in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        if int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber) == number:
            origin = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
            rows, columns = np.nonzero(plane)
            places.append(origin + np.outer(columns * float(spacing[1]), along[:3])
                          + np.outer(rows * float(spacing[0]), along[3:]))
    return np.asarray(np.concatenate(places).mean(axis=0))


def test_a_head_that_orthanc_forwards_has_its_tumour_at_its_place_and_volumes_in_orthanc_again(
    start_node: Callable[..., NodeProcess], start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    target = Target(ae_title="RADNODE", port=free_port())
    orthanc = start_orthanc(node=target, forward="foreign", unknown_classes=False)
    node = with_tumour_model(
        start_node, archive(orthanc.port, ae_title="ORTHANC", answers_find=True), tmp_path, port=target.port)

    orthanc.send(mr_study.write(tmp_path / "mr", *BRATS))

    eventually(lambda: {"SEG", "SR"} <= {str(each.Modality) for each in orthanc.datasets(mr_study.STUDY)}, within=240,
               why=lambda: f"segments and report of {node.jobs()}\n{node.log()}\n{orthanc.log()}")
    (seg,), (report,) = (orthanc.datasets(mr_study.STUDY, Modality=each) for each in ("SEG", "SR"))
    for name, result in (("SEG", seg), ("SR", report)):
        result.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
        validators.validate(tmp_path / f"{name}.dcm", name)
    images = set(orthanc.instances(mr_study.STUDY, Modality="MR"))
    used = {str(each.ReferencedSOPInstanceUID) for each in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    assert used
    assert used <= images
    for segment in seg.SegmentSequence:
        assert np.abs(middle_of(seg, int(segment.SegmentNumber)) - mr_study.TUMOUR_MM).max() < 3
    assert str(seg.SOPInstanceUID) in report.to_json()
    assert seg.StudyInstanceUID == report.StudyInstanceUID == mr_study.STUDY


def test_a_model_in_the_slot_tumour_gets_all_sequences_and_its_regions_arrive_with_volumes(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = with_tumour_model(start_node, archive(pacs.port), tmp_path)

    dcmtk.dcmsend(node.port, mr_study.write(tmp_path / "mr", *BRATS), called=node.ae_title)

    eventually(lambda: len(pacs.stored()) == 2, within=120, why=lambda: f"two results of {node.jobs()}\n{node.log()}")
    results = {str(each.Modality): each for each in pacs.stored()}
    assert results["SEG"].ReferencedSeriesSequence[0].SeriesInstanceUID == T1_SERIES.uid
    for name, result in results.items():
        result.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
        validators.validate(tmp_path / f"{name}.dcm", name)
    (job,) = node.jobs()
    ml = {each["label"]: each["value"] for each in job["report"]["measurements"]}
    sphere = 4 / 3 * np.pi * mr_study.TUMOUR_RADIUS_MM**3 / 1000
    assert set(ml) == set(bundles.BRATS_LABELS)
    assert all(0.5 * sphere < each < 1.5 * sphere for each in ml.values())  # a threshold after linear interpolation
    said = " ".join(job["report"]["remarks"])
    assert "Segmented by the model mr-brain-tumour" in said
    assert "flair (voxels of 5 x 4 x 4 mm) was resampled onto the grid of t1" in said
