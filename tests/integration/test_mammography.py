"""A screening mammography into a running node: its Mammography CAD SR out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import dcmtk, validators
from support.network import free_port
from support.node import NodeProcess, archive, modality
from support.orthanc import Orthanc, Target
from support.waiting import eventually

from radnode.pipelines.mg_cad.phantom import screening, write_screening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

ROUTE = {"name": "screening", "when": {"modality": "MG"}, "run": ["mg-cad"], "send": ["PACS"]}
SEED = 6


def walk(item: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    for child in item.get("ContentSequence", []):
        yield child
        yield from walk(child)


def centers(report: pydicom.Dataset) -> dict[str, list[tuple[float, float]]]:
    """SOP Instance UID -> centres of the marks on that image."""
    library = next(each for each in report.ContentSequence if each.get("ConceptNameCodeSequence")
                   and each.ConceptNameCodeSequence[0].CodeValue == "111028")
    uids = [str(each.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for each in library.ContentSequence]
    found: dict[str, list[tuple[float, float]]] = {uid: [] for uid in uids}
    for item in walk(report):
        if item.get("GraphicType") == "POINT":
            on = uids[int(item.ContentSequence[0].ReferencedContentItemIdentifier[-1]) - 1]
            found[on].append((float(item.GraphicData[0]), float(item.GraphicData[1])))
    return found


@pytest.mark.catalogue("M1", "M15")
def test_four_views_in_series_of_their_own_come_back_as_one_mammography_cad_report_with_marks_on_the_lesions(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port, profile="mammography-workstation"), modality()], routes=[ROUTE])
    phantom = screening(SEED, pixel_mm=0.2)
    files = write_screening(phantom, tmp_path / "mg")
    dcmtk.dcmsend(node.port, files[::-1], called=node.ae_title)
    eventually(lambda: pacs.stored(), within=120, why=lambda: f"a report\n{node.log()}")
    node.wait_for_states(PROCESSED=4, within=60)

    (report,) = pacs.stored()
    assert report.SOPClassUID == pydicom.uid.MammographyCADSRStorage
    assert [job["state"] for job in node.jobs()] == ["PRODUCED"]
    assert "FrameOfReferenceUID" not in report
    marks = centers(report)
    lesions = 0
    for place, path in zip(phantom.views, files, strict=True):
        view = phantom.views[place]
        on_image = marks[str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)]
        for truth in view.truth:
            lesions += 1
            assert min(np.hypot(truth.center[0] - x, truth.center[1] - y) for x, y in on_image) * 0.2 < 6
    assert lesions >= 4, "a phantom without lesions proves nothing"
    path = tmp_path / "report.dcm"
    report.save_as(path, enforce_file_format=True)
    validators.dciodvfy(path)
    assert "Mammography CAD Report" in validators.dsrdump(path)


def test_orthanc_keeps_the_report_on_a_screening_that_it_forwarded(tmp_path: Path) -> None:
    target = Target(ae_title="RADNODE", port=free_port())
    files = write_screening(screening(SEED, pixel_mm=0.2), tmp_path / "mg")
    study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    with (
        Orthanc(tmp_path / "orthanc", node=target, forward="foreign", unknown_classes=False) as orthanc,
        NodeProcess(tmp_path / "node", port=target.port, routes=[ROUTE], peers=[
            archive(orthanc.port, ae_title="ORTHANC", profile="mammography-workstation"), modality()]) as node,
    ):
        orthanc.send(files)
        eventually(lambda: len(orthanc.instances(study)) == 5, within=120, why=lambda: f"a report\n{node.log()}")
        (report,) = [each for each in orthanc.datasets(study) if each.Modality == "SR"]
    assert report.SOPClassUID == pydicom.uid.MammographyCADSRStorage
    assert sum(map(len, centers(report).values())) > 0
