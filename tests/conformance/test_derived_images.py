"""Derived image series: the model's numbers on the source's grid, accepted by others, and never taken for acquired."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.uid import MRImageStorage
from support import result_samples as samples
from support import validators

from radnode.node.own_results import is_own_result
from radnode.pipelines import findings_file
from radnode.pipelines.findings import Code, DerivedImage, Findings
from radnode.pipelines.results.gate import GateRefused, check
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pydicom import Dataset

UNITY = Code("1", "UCUM", "no units")
FRACTIONS, WHOLE = "fractions", "whole numbers"


def _sample(
    modality: str = "CT", numbers: str = FRACTIONS, orientation: Sequence[float] = samples.AXIAL
) -> samples.Sample:
    headers = samples.stack(orientation=orientation)
    for header in headers:
        if modality == "MR":
            header.Modality, header.SOPClassUID = "MR", MRImageStorage
            header.ScanningSequence, header.SequenceVariant = ["GR"], ["SP", "MP"]
            header.MRAcquisitionType, header.EchoTime, header.RepetitionTime = "3D", 2.5, 8.0
            for keyword in ("RescaleIntercept", "RescaleSlope", "RescaleType", "KVP"):
                delattr(header, keyword)
    volume = samples.volume_of(headers)
    values = np.random.default_rng(1).normal(-200, 500, volume.voxels.shape).astype(np.float32)
    made = DerivedImage(key="smooth", label="Smoothed", unit=UNITY, derivation="Noise was reduced by a network.",
                        values=np.rint(values).astype(np.float32) if numbers == WHOLE else values)
    return samples.sample(headers, Findings(volume=volume, derived=made), forms=("IMAGES",))


def _written(sample: samples.Sample, folder: Path) -> list[Path]:
    paths = []
    for result in write(sample.findings, sample.source, sample.provenance, ("IMAGES",)):
        paths.append(folder / f"IMAGES-{result.number}.dcm")
        result.dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _values(image: Dataset) -> np.ndarray:
    if "RealWorldValueMappingSequence" in image:
        mapping = image.RealWorldValueMappingSequence[0]
        return image.pixel_array * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
    return image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)


@pytest.mark.peer
@pytest.mark.parametrize(("modality", "orientation"),
                         [("CT", samples.AXIAL), ("CT", samples.OBLIQUE), ("MR", samples.AXIAL)])
def test_an_enhanced_image_is_accepted_as_a_series_of_its_own(
    modality: str, orientation: Sequence[float], tmp_path: Path
) -> None:
    sample = _sample(modality, orientation=orientation)
    paths = _written(sample, tmp_path)
    check({"IMAGES": paths}, sample.findings, sample.source, sample.provenance)
    images = [pydicom.dcmread(path) for path in paths]
    assert len(images) == len(sample.headers)
    assert len({each.SeriesInstanceUID for each in images} | {samples.SERIES}) == 2
    for path, image, header in zip(paths, images, sample.headers, strict=True):
        validators.validate(path, "IMAGES")
        assert list(image.ImageType)[:2] == ["DERIVED", "SECONDARY"]
        assert image.ImagePositionPatient == header.ImagePositionPatient
        assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
        assert image.ContentQualification == "RESEARCH"


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize(("numbers", "nearness"), [(WHOLE, 0.0), (FRACTIONS, 0.05)])
def test_whole_numbers_are_kept_and_fractions_to_half_a_stated_step(
    modality: str, numbers: str, nearness: float, tmp_path: Path
) -> None:
    sample = _sample(modality, numbers)
    derived = sample.findings.derived
    assert derived is not None
    for path, wanted in zip(_written(sample, tmp_path), derived.values, strict=True):
        image = pydicom.dcmread(path)
        assert np.abs(_values(image) - wanted).max() <= nearness
        assert ("as they are" if numbers == WHOLE else "in steps of 0.0") in image.DerivationDescription


def test_a_derived_image_that_comes_back_is_known_as_our_own(tmp_path: Path) -> None:
    image = pydicom.dcmread(_written(_sample(), tmp_path)[0])
    assert is_own_result({"Manufacturer": image.Manufacturer})


def test_a_derived_image_outlives_its_findings_file(tmp_path: Path) -> None:
    findings = _sample().findings
    findings_file.save(findings, tmp_path / "findings.zip")
    again = findings_file.load(tmp_path / "findings.zip", findings.volume).derived
    assert again is not None
    assert findings.derived is not None
    np.testing.assert_array_equal(again.values, findings.derived.values)
    assert replace(again, values=findings.derived.values) == findings.derived


def _flipped(image: Dataset) -> None:
    image.PixelData = np.ascontiguousarray(image.pixel_array[:, ::-1]).tobytes()


def _moved(image: Dataset) -> None:
    image.ImagePositionPatient[0] += 1.0


def _original(image: Dataset) -> None:
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]


def _rescaled(image: Dataset) -> None:
    image.RescaleIntercept = float(image.RescaleIntercept) + 1


def _of_the_source(image: Dataset) -> None:
    image.SeriesInstanceUID = samples.SERIES


def _of_another_slice(image: Dataset) -> None:
    image.SourceImageSequence[0].ReferencedSOPInstanceUID = f"{samples.SERIES}.4"


@pytest.mark.parametrize("harm", [_flipped, _moved, _original, _rescaled, _of_the_source, _of_another_slice])
def test_the_gate_refuses_a_derived_image_that_is_not_what_the_model_made(
    harm: Callable[[Dataset], None], tmp_path: Path
) -> None:
    sample = _sample()
    paths = _written(sample, tmp_path)
    image = pydicom.dcmread(paths[1])
    harm(image)
    image.save_as(paths[1], enforce_file_format=True)
    with pytest.raises(GateRefused):
        check({"IMAGES": paths}, sample.findings, sample.source, sample.provenance)
