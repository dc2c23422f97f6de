"""Enhanced PET: each frame in the scale of its own mapping, and SUV from what the image says of dose and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import EnhancedPETImageStorage
from support import bundles, mr_study, pet
from support.phantoms import select

from radnode.pipelines import inspection
from radnode.pipelines.contract import NotProcessed, RunState
from radnode.pipelines.models import store
from radnode.pipelines.sources.uptake import check_activity, suvbw_factor
from radnode.pipelines.sources.volume import read_volume

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

STEP = 18_000 / 30_000
"""Bq/ml, the largest step of a slice's scale."""


def image(drug: dict[str, Any] | None = None, units: str = "Bq/ml", **changes: Any) -> Dataset:
    dataset = pet.enhanced_header()
    dataset.SOPClassUID = EnhancedPETImageStorage
    frame = pydicom.Dataset()
    frame.RealWorldValueMappingSequence = [pet.mapping(units, 1.0)]
    dataset.PerFrameFunctionalGroupsSequence = [frame]
    for target, values in ((dataset, changes), (dataset.RadiopharmaceuticalInformationSequence[0], drug or {})):
        for keyword, value in values.items():
            setattr(target, keyword, value)
    return dataset


def test_frames_are_activity_in_the_scale_of_their_own_mapping(tmp_path: Path) -> None:
    volume = read_volume(select([pet.write_enhanced(tmp_path)], modality="PT"))
    np.testing.assert_allclose(volume.affine, pet.PET.affine, atol=1e-4)
    np.testing.assert_allclose(volume.voxels, pet.activity(), atol=STEP)
    assert [each.frame_number for each in volume.frames] == list(range(len(volume.frames), 0, -1))


def test_the_factor_is_that_of_the_same_series_in_single_images() -> None:
    factor, said = suvbw_factor([image()])
    assert factor == pytest.approx(pet.FACTOR, rel=1e-6)
    assert "70 kg, 370.0 MBq, decayed for 60 min" in said
    assert suvbw_factor([image(DecayCorrectionDateTime="20260301100000")])[0] == pytest.approx(70_000 / 370e6)
    assert suvbw_factor([image(units="{SUVbw}g/ml", PatientWeight=None)])[0] == 1.0


@pytest.mark.parametrize(("wrong", "why"), [
    (image(units="{counts}"), "no Real World Value Mapping to one unit, Bq/ml or SUVbw"),
    (image(AttenuationCorrected="NO"), "not corrected for attenuation"),
    (image(DecayCorrected="NO"), "not corrected for decay"),
    (image(PatientWeight=None), "no usable Patient's Weight"),
    (image({"RadionuclideTotalDose": 370_000_000}), "370000000|3.7e\\+08 MBq, which nobody injects"),
    (image({"RadionuclideTotalDose": None}), "no usable Radionuclide Total Dose"),
    (image({"RadionuclideHalfLife": None}), "no usable Radionuclide Half Life"),
    (image({"RadiopharmaceuticalStartDateTime": ""}), "no usable Radiopharmaceutical Start DateTime"),
    (image(DecayCorrectionDateTime=""), "no usable Decay Correction DateTime"),
    (image({"RadiopharmaceuticalStartDateTime": "20260301113000"}), "given at 2026-03-01 11:30"),
    (image(RadiopharmaceuticalInformationSequence=[]), "names 0 radiopharmaceuticals"),
])  # fmt: skip
def test_what_is_missing_or_contradicts_itself_is_refused_by_name(wrong: Dataset, why: str) -> None:
    with pytest.raises(NotProcessed, match=why):
        suvbw_factor([wrong])


def test_a_model_of_activity_gets_no_suv_and_two_images_that_disagree_no_factor() -> None:
    check_activity([image()])
    with pytest.raises(NotProcessed, match="Units are GML, not BQML"):
        check_activity([image(units="{SUVbw}g/ml")])
    with pytest.raises(NotProcessed, match="disagree"):
        suvbw_factor([image(SOPInstanceUID="1.2.1"), image(SOPInstanceUID="1.2.2", PatientWeight=71)])


@pytest.mark.filterwarnings("ignore")  # of MONAI and torch
def test_a_model_of_suv_marks_the_frames_that_are_hot(tmp_path: Path) -> None:
    pet.write_enhanced(tmp_path / "pet")
    said = bundles.metadata()
    said["network_data_format"]["inputs"] = {
        "image": {"type": "image", "modality": "PT", "num_channels": 1, "unit": "SUVbw", "channel_def": {"0": "image"}}}
    store.add(tmp_path / "models", bundles.write_bundle(tmp_path / "hot", said=said, state=bundles.weights(2.5)),
              name="hot")
    report = inspection.try_pipeline("hot", tmp_path / "pet", ["SEG"], tmp_path / "out", models=tmp_path / "models",
                                     device="cpu")
    assert report.state == RunState.FINDINGS, report.reason
    assert "PET is in SUVbw: 70 kg, 370.0 MBq" in " ".join(report.remarks)
    hot, found = pet.activity() * pet.FACTOR > 2.5, np.zeros(pet.PET.shape, bool)
    segmentation = pydicom.dcmread(tmp_path / "out" / "SEG-1.dcm")
    for group, plane in zip(segmentation.PerFrameFunctionalGroupsSequence, segmentation.pixel_array, strict=True):
        (item,) = group.DerivationImageSequence[0].SourceImageSequence
        found[len(mr_study.headers(pet.PET)) - int(item.ReferencedFrameNumber)] = plane > 0
    assert hot.any()
    np.testing.assert_array_equal(found, hot)
