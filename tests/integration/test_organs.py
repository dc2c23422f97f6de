"""Organs and structures for planning: a drawn abdomen into a running node, with and without a model in the slot."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pydicom
import pytest
from support import bundles, dcmtk, validators
from support.network import free_port
from support.node import RADNODE, NodeProcess, archive, modality
from support.orthanc import Orthanc, Target
from support.phantoms import dice
from support.waiting import eventually

from radnode.pipelines.ct_lung.phantom import write_series
from radnode.pipelines.ct_organs.phantom import abdomen_phantom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

FORMS = ["SEG", "TID1500", "RTSTRUCT"]
TITLES = ("Organs and body composition", "Organs at risk, pelvis")
ROUTE = {"name": "trunk", "when": {"modality": "CT"}, "run": ["ct-organs", "rt-oar-pelvis"], "send": ["PACS"]}
BLADDER = {"0": "background", "1": "urinary_bladder"}


def models(node: NodeProcess, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RADNODE, "models", *map(str, words), "--config", str(node.config)], capture_output=True,
                          text=True, timeout=300, check=False)


def bladder(folder: Path) -> Path:
    """A model to which all that is denser than fat and air is bladder."""
    said = bundles.metadata()
    said["network_data_format"]["outputs"]["pred"]["channel_def"] = BLADDER
    return bundles.write_bundle(folder, said=said)


def usable(node: NodeProcess) -> str:
    """The pipelines that the node named when it last looked at its models; not those that it refused."""
    said = [line for line in node.log().splitlines() if "models.loaded" in line]
    return said[-1].partition("refused=")[0] if said else ""


def made_by(results: list[Dataset], title: str) -> dict[str, Dataset]:
    """Modality -> the result of the pipeline with that title."""
    return {str(each.Modality): each for each in results if title in str(each.SeriesDescription)}


def names(structure_set: Dataset) -> list[str]:
    return [str(each.ROIName) for each in structure_set.StructureSetROISequence]


def validated(results: dict[str, Dataset], folder: Path) -> dict[str, Path]:
    paths = {}
    folder.mkdir()
    for name, result in results.items():
        paths[name] = folder / f"{name}.dcm"
        result.save_as(paths[name], enforce_file_format=True)
        validators.dciodvfy(paths[name])
    return paths


def test_models_in_the_slots_give_volumes_and_a_structure_set_that_names_what_is_missing(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port, result_forms=FORMS), modality()], routes=[ROUTE])
    slots = ("ct-organs-labels", "rt-oar-pelvis-labels")
    for name in slots:
        added = models(node, "add", bladder(tmp_path / name), "--name", name)
        assert added.returncode == 0, added.stderr
    eventually(lambda: all(f"'{name}'" in usable(node) for name in slots), within=60, why=node.log)
    phantom = abdomen_phantom(slices=12, size=64, spacing_mm=(5.0, 6.0))
    files = write_series(phantom.scan, tmp_path / "ct")

    dcmtk.dcmsend(node.port, files, called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 6, within=400, why=lambda: f"six results\n{node.log()}")

    organs, structures = (made_by(pacs.stored(), title) for title in TITLES)
    assert organs["SEG"].SegmentSequence[0].SegmentLabel == "urinary bladder"
    assert "Segmented by the model ct-organs-labels 0.1.0" in organs["SR"].to_json()
    structure_set = structures["RTSTRUCT"]
    assert names(structure_set) == ["External", "Bladder"]
    assert [each.RTROIInterpretedType for each in structure_set.RTROIObservationsSequence] == ["EXTERNAL", "ORGAN"]
    for missing in ("Rectum", "Femur_Head_L", "Femur_Head_R"):
        said = f"{missing} is required by the protocol pelvis and is missing."
        assert said in structure_set.StructureSetDescription
        assert said in structures["SR"].to_json()
    validated(organs, tmp_path / "organs")
    paths = validated(structures, tmp_path / "structures")
    masks = validators.plastimatch(paths["RTSTRUCT"], tmp_path / "ct", tmp_path)
    assert dice(masks["External"], phantom.body) > 0.99
    kept = models(node, "remove", "ct-organs-labels")
    assert kept.returncode == 1
    assert "named by the route trunk" in " ".join((kept.stderr + kept.stdout).split())


def test_without_models_an_archive_gets_body_composition_the_outline_and_bone(tmp_path: Path) -> None:
    target = Target(ae_title="RADNODE", port=free_port())
    phantom = abdomen_phantom(slices=20, size=96, spacing_mm=(5.0, 4.0), top_mm=50.0)
    files = write_series(phantom.scan, tmp_path / "ct")
    with Orthanc(tmp_path / "orthanc", node=target, forward="foreign", unknown_classes=False) as orthanc, NodeProcess(
        tmp_path / "node", port=target.port, routes=[ROUTE],
        peers=[archive(orthanc.port, ae_title="ORTHANC", result_forms=FORMS), modality()],
    ) as node:
        dcmtk.dcmsend(node.port, files, called=node.ae_title)
        study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
        eventually(lambda: len(orthanc.datasets(study)) == 6, within=400, why=lambda: f"six results\n{node.log()}")
        held = orthanc.datasets(study)
    organs, structures = (made_by(held, title) for title in TITLES)
    assert [str(each.SegmentLabel).split(",")[0] for each in organs["SEG"].SegmentSequence] == [
        "Skeletal muscle", "Subcutaneous fat", "Visceral fat"]
    assert names(structures["RTSTRUCT"]) == ["External", "Bone"]
    validated(organs, tmp_path / "organs")
    paths = validated(structures, tmp_path / "structures")
    masks = validators.plastimatch(paths["RTSTRUCT"], tmp_path / "ct", tmp_path)
    assert not (masks["Bone"] & ~phantom.bone).any()
