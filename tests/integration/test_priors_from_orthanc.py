"""A pipeline that compares gets the earlier study of the same patient from Orthanc, and nothing else happens to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from support import chest, dcmtk, sample_pipelines
from support.network import free_port
from support.node import PeerEntry, modality
from support.orthanc import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.chest import Series
    from support.node import NodeProcess
    from support.orthanc import Orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]

SLICES = 10
SAYS = """
        said = tuple(f"Prior of {each.study_date}: {each.volume.voxels.shape}" for each in images.priors)
        return Findings(volume=volume, segments=(), measurements=(), remarks=(*said, f"Now {images.study_date}"))
"""


def study(folder: Path, day: str, *, issuer: str = "HOSPITAL", patient_id: str = "CANARY-1", born: str = "") -> Series:
    series = chest.write_chest(folder / f"{day}{issuer}{patient_id}", name=day + issuer, slices=SLICES,
                               patient_id=patient_id)
    for path in series.files:
        dataset = pydicom.dcmread(path)
        dataset.StudyDate, dataset.IssuerOfPatientID = day, issuer
        dataset.AccessionNumber = f"A{day}"
        dataset.PatientBirthDate = born or dataset.PatientBirthDate
        dataset.save_as(path)
    return series


def remarks(node: NodeProcess, series: Series) -> list[str]:
    job = node.wait_for_job(series.series_instance_uid, "PRODUCED")
    return list(job["report"]["remarks"])


def states(node: NodeProcess, series: Series) -> list[Any]:
    return [(each["state"], each["revision"]) for each in node.timeline(series.study_instance_uid)["series"]]


def test_the_earlier_study_of_the_same_patient_is_given_and_not_read_itself(
    start_node: Callable[..., NodeProcess], start_orthanc: Callable[..., Orthanc], tmp_path: Path
) -> None:
    port = free_port()
    orthanc = start_orthanc(node=Target(ae_title="RADNODE", port=port))
    now = study(tmp_path, "20260102")
    prior, older = study(tmp_path, "20250303"), study(tmp_path, "20240303")
    others = [study(tmp_path, "20251111", issuer="ELSEWHERE"), study(tmp_path, "20251212", born="19800101"),
              study(tmp_path, "20251010", patient_id="CANARY-2"), study(tmp_path, "20260303")]
    orthanc.send([file for each in (now, prior, older, *others) for file in each.files])
    site = sample_pipelines.install(
        tmp_path / "site", extra=SAYS, manifest=sample_pipelines.manifest_text() + "priors: true\n")
    route = {"name": "chest", "when": {"modality": "CT"}, "run": ["sample"], "send": ["PACS"],
             "priors": {"from": "PACS", "wait": "40 s"}}
    pacs = PeerEntry(name="PACS", ae_title="ORTHANC", port=orthanc.port, more={"sends": True, "receives": True})
    node = start_node(port=port, routes=[route], peers=[pacs, modality()], more={"archives": {"PACS": {}}},
                      environment={"PYTHONPATH": str(site)})
    dcmtk.dcmsend(node.port, list(now.files), called=node.ae_title)
    said = remarks(node, now)
    assert "Prior of 2025-03-03: (10, 64, 64)" in said
    assert "Now 2026-01-02" in said
    assert not [each for each in said if "2024" in each or "2025-1" in each]
    assert any("2 earlier studies at PACS have this Patient ID, but another issuer" in each for each in said)
    assert states(node, prior) == [("CLOSED", 1)]
    assert len(node.jobs()) == 1
    assert "fetched as a prior" in node.command(
        "routes", "explain", prior.study_instance_uid, "--config", node.config).stdout
    # The archive forwards the earlier study after all: now it is one to be read, with its own prior.
    dcmtk.dcmsend(node.port, list(prior.files), called=node.ae_title)
    assert "Prior of 2024-03-03: (10, 64, 64)" in remarks(node, prior)
    # One without an earlier study says so.
    dcmtk.dcmsend(node.port, list(others[2].files), called=node.ae_title)
    assert any(each.startswith("No earlier study to compare with was found at PACS (CT, CHEST)")
               for each in remarks(node, others[2]))
