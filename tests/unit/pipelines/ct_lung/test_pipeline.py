"""What the pipeline says: numbers with codes, and the remarks that must be read with them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.sr.codedict import codes
from support.phantoms import volume_of

from radnode.pipelines import ct_lung, registry
from radnode.pipelines.contract import NotProcessed, RunContext, StudyImages
from radnode.pipelines.ct_lung import measures, remarks
from radnode.pipelines.ct_lung.phantom import Phantom, chest_phantom
from radnode.pipelines.ct_lung.pipeline import CtLung

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.sr.coding import Code as StandardCode

    from radnode.pipelines.findings import Code, Findings


@lru_cache(maxsize=1)
def _chest() -> Phantom:
    return chest_phantom(slices=100, size=128)


def _run(hu: NDArray[np.generic] | None = None, **acquisition: str) -> Findings:
    images = StudyImages(volume=volume_of(_chest(), hu), modality="CT", excluded={}, acquisition=acquisition)
    return CtLung().run(images, RunContext(device="cpu", stage=lambda _stage: None))


def _numbers(findings: Findings) -> dict[tuple[str, str], float]:
    return {(each.of, each.name.meaning): each.value for each in findings.measurements}


def test_volume_density_and_emphysema_index_agree_with_the_truth() -> None:
    phantom, found = _chest(), _numbers(_run())
    for side, mask in (("left-lung", phantom.left_mask), ("right-lung", phantom.right_mask)):
        millilitres = float(mask.sum() * np.prod(phantom.spacing_mm)) / 1000
        emphysema = 100 * float((phantom.hu[mask] < -950).mean())
        assert found[side, "Volume"] == pytest.approx(millilitres, rel=0.02)
        assert found[side, "Attenuation Coefficient"] == pytest.approx(float(phantom.hu[mask].mean()), abs=8)
        assert found[side, "Relative lung volume below -950 HU"] == pytest.approx(emphysema, abs=0.1)


def test_segments_are_coded_with_their_side() -> None:
    found = {each.key: each for each in _run().segments}
    assert found["left-lung"].type == found["right-lung"].type == measures.LUNG
    assert found["left-lung"].laterality == measures.LEFT
    assert found["right-lung"].laterality == measures.RIGHT


@pytest.mark.parametrize(
    ("ours", "standard"),
    [
        (measures.ANATOMY, codes.cid7150.AnatomicalStructure),
        (measures.LUNG, codes.SCT.Lung),
        (measures.LEFT, codes.cid244.Left),
        (measures.RIGHT, codes.cid244.Right),
        (measures.VOLUME, codes.SCT.Volume),
        (measures.ATTENUATION, codes.DCM.AttenuationCoefficient),
        (measures.MEAN, codes.cid7464.Mean),
        (measures.HOUNSFIELD, codes.UCUM.HounsfieldUnit),
        (measures.PERCENT, codes.UCUM.Percent),
    ],
)
def test_codes_are_those_of_the_standard(ours: Code, standard: StandardCode) -> None:
    assert (ours.value, ours.scheme, ours.meaning) == (
        standard.value, standard.scheme_designator, standard.meaning,
    )  # fmt: skip


def test_nothing_found_is_an_answer_with_a_reason() -> None:
    hu = _chest().hu.copy()
    hu[_chest().left_mask | _chest().right_mask] = 30
    found = _run(hu)
    assert found.nothing_found
    assert "No air-filled lung" in found.remarks[0]


def test_a_lung_that_is_not_there_is_said() -> None:
    hu = _chest().hu.copy()
    hu[_chest().left_mask] = 30
    found = _run(hu)
    assert [each.key for each in found.segments] == ["right-lung"]
    assert any("No left lung was found" in said for said in found.remarks)


def test_a_smaller_side_is_said_to_be_the_air_filled_part_only() -> None:
    hu = _chest().hu.copy()
    lower = _chest().left_mask.copy()
    lower[55:] = False
    hu[lower] = 30
    assert any("Left lung is much smaller" in said and "tumour" in said for said in _run(hu).remarks)


def test_a_dense_lung_is_said() -> None:
    hu = _chest().hu.astype(np.int32)
    hu[_chest().right_mask & (hu < -300)] += 330
    said = " ".join(_run(hu).remarks)
    assert "Right lung: mean density" in said
    assert "Right lung is denser than the other" in said


def test_lungs_cut_off_are_said_with_the_border_in_the_patient() -> None:
    phantom = chest_phantom(slices=60, size=128, spacing_mm=(2.0, 2.97))
    images = StudyImages(volume=volume_of(phantom), modality="CT", excluded={})
    said = CtLung().run(images, RunContext(device="cpu", stage=lambda _stage: None)).remarks
    for side in ("Left", "Right"):
        for border in ("upper", "lower"):
            assert any(f"{side} lung: cut off at the {border} border" in each for each in said)


def test_a_large_empty_space_is_said() -> None:
    hu = _chest().hu.copy()
    z, y, x = np.indices(hu.shape)
    bulla = ((z - 60) * 3.2) ** 2 + ((y - 64) * 3) ** 2 + ((x - 95) * 3) ** 2 < 35**2
    hu[bulla & _chest().left_mask] = -1000
    assert any("Left lung:" in said and "pneumothorax" in said for said in _run(hu).remarks)


@pytest.mark.parametrize(
    ("kernel", "sharp"),
    [("B70f", True), ("B31f", False), ("Br38f\\3", False), ("Bl57d", True), ("I70f", True), ("LUNG", True),
     ("STANDARD", False), ("BONEPLUS", True), ("FC51", True), ("FC08", False), ("YB", True), ("B", False)],
)  # fmt: skip
def test_sharp_kernels_are_known_by_name(kernel: str, sharp: bool) -> None:
    said = remarks.on_the_images({"ConvolutionKernel": kernel, "SliceThickness": "1"}, 1.0)
    assert bool(said) == sharp


@pytest.mark.parametrize(
    ("acquisition", "slice_mm", "said"),
    [
        ({}, 1.0, "kernel is not known"),
        ({"ConvolutionKernel": "B31f", "SliceThickness": "5"}, 1.0, "slices of 5.0 mm"),
        ({"ConvolutionKernel": "B31f", "SliceThickness": "1"}, 3.0, "slices of 3.0 mm"),
        ({"ConvolutionKernel": "B31f", "ContrastBolusAgent": "APPLIED"}, 1.0, "contrast medium"),
    ],
)
def test_images_that_spoil_the_emphysema_index_are_said(
    acquisition: dict[str, str], slice_mm: float, said: str
) -> None:
    (remark,) = remarks.on_the_images(acquisition, slice_mm)
    assert said in remark


@pytest.mark.parametrize(("posture", "count"), [("HFS", 0), ("FFS", 0), ("HFP", 1), ("FFDL", 1)])
def test_a_posture_other_than_supine_is_said(posture: str, count: int) -> None:
    acquisition = {"ConvolutionKernel": "B31f", "PatientPosition": posture}
    said = remarks.on_the_images(acquisition, 1.0)
    assert len(said) == count
    assert all(posture in each and "exchanged" in each for each in said)


@pytest.mark.parametrize(
    "change",
    [lambda hu: hu + 1024, lambda hu: (hu + 1024) / 16, lambda hu: hu * 0, lambda hu: hu.astype(float) * 10],
)
def test_values_that_are_not_hounsfield_units_of_a_patient_are_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(NotProcessed):
        _run(change(_chest().hu.astype(np.int32)))


def test_the_manifest_is_installed_and_names_the_code_that_makes_the_findings() -> None:
    manifest = registry.installed().manifests["ct-lung"]
    assert isinstance(registry.load(registry.installed(), manifest.name), CtLung)
    folder = Path(str(ct_lung.__file__)).parent
    algorithm = sorted(path for path in folder.glob("*.py") if path.name != "phantom.py")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in algorithm)).hexdigest()
    assert manifest.model_digest == digest, f"the algorithm changed: write model_digest: {digest}, raise the version"
