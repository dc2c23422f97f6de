"""PET is read in the unit that a model was trained on, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from support import bundles, mr_study, pet

from radnode.pipelines import inspection
from radnode.pipelines.contract import NotProcessed, RunState
from radnode.pipelines.inputs import Content
from radnode.pipelines.models import store
from radnode.pipelines.models.inputs import UnclearInput, reads
from radnode.pipelines.sources.uptake import suvbw_factor

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

IMAGE = {"type": "image", "modality": "PT", "num_channels": 1, "channel_def": {"0": "PET"}}


def changed(of_drug: dict[str, Any] | None = None, **changes: Any) -> Dataset:
    header = pet.header()
    for target, values in ((header, changes), (header.RadiopharmaceuticalInformationSequence[0], of_drug or {})):
        for keyword, value in values.items():
            if value is None:
                delattr(target, keyword)
            else:
                setattr(target, keyword, value)
    return header


def test_activity_becomes_the_uptake_that_a_pocket_calculator_gives() -> None:
    factor, said = suvbw_factor([pet.header()])
    assert factor == pytest.approx(pet.FACTOR, rel=1e-5)
    assert "70 kg, 370.0 MBq, decayed for 60 min" in said


@pytest.mark.parametrize(("header", "factor"), [
    (changed(DecayCorrection="ADMIN"), 70_000 / 370e6),
    (changed({"RadiopharmaceuticalStartDateTime": "20260301100000.000+0100"}), pet.FACTOR),
    (changed({"RadiopharmaceuticalStartTime": "233000"}, SeriesTime="003000", AcquisitionTime="003001"), pet.FACTOR),
    (changed(Units="GML", SUVType="BW"), 1.0), (changed(Units="GML", PatientWeight=None), 1.0),
], ids=["corrected to the injection", "with a date", "over midnight", "already SUV", "already SUV, no weight needed"])
def test_whatever_the_images_are_corrected_to_is_taken_into_account(header: Dataset, factor: float) -> None:
    assert suvbw_factor([header])[0] == pytest.approx(factor, rel=1e-5)


@pytest.mark.parametrize(("header", "why"), [
    (changed(PatientWeight=None), "PatientWeight is missing"), (changed(PatientWeight=0), "no usable Patient's Weight"),
    (changed(PatientWeight=70_000), "70000 kg"), (changed(Units="CNTS"), "Units are CNTS, neither BQML nor GML"),
    (changed(Units="GML", SUVType="LBM"), "of the type LBM"),
    (changed(DecayCorrection="NONE"), "Decay Correction is NONE, neither START nor ADMIN"),
    (changed(DecayCorrection=None), "DecayCorrection is missing"),
    (changed(CorrectedImage=["DECY"]), "not corrected for attenuation"),
    (changed(CorrectedImage="ATTN"), "not corrected for decay"),
    (changed({"RadionuclideTotalDose": None}), "no usable Radionuclide Total Dose"),
    (changed({"RadionuclideTotalDose": 370}), "entered in MBq"),
    (changed({"RadionuclideHalfLife": None}), "no usable Radionuclide Half Life"),
    (changed({"RadiopharmaceuticalStartTime": None}), "no usable Radiopharmaceutical Start Time"),
    (changed({"RadiopharmaceuticalStartTime": "110500"}), "given at 2026-02-28 11:05"),
    (changed({"RadiopharmaceuticalStartDateTime": "20260301113000"}), "given at 2026-03-01 11:30"),
    (changed({"RadiopharmaceuticalStartDateTime": "20260228100000"}), "decayed for 25.0 hours"),
    (changed(SeriesTime="120000"), "Series Time is after the acquisition"),
    (changed(RadiopharmaceuticalInformationSequence=None), "names 0 radiopharmaceuticals"),
])
def test_what_is_missing_or_contradicts_itself_is_refused_by_name(header: Dataset, why: str) -> None:
    with pytest.raises(NotProcessed, match=why):
        suvbw_factor([header])


def test_images_that_disagree_are_refused() -> None:
    with pytest.raises(NotProcessed, match="PatientWeight differs from image to image"):
        suvbw_factor([pet.header(), changed(PatientWeight=71)])


@pytest.mark.parametrize(("said", "content"), [
    ({"format": "suv"}, Content.SUV), ({"unit": "SUVbw"}, Content.SUV),
    ({"channel_def": {"0": "PET SUV"}}, Content.SUV),
    ({"unit": "BQML"}, Content.ACTIVITY), ({"unit": "Bq/ml"}, Content.ACTIVITY),
])
def test_a_bundle_of_pet_gets_the_unit_that_its_metadata_names(said: dict[str, Any], content: Content) -> None:
    (found,) = reads({"image": {**IMAGE, **said}}, {}).inputs
    assert (found.modality, found.content) == ("PT", content)


def test_a_bundle_of_pet_that_names_no_unit_is_refused_with_what_to_write() -> None:
    with pytest.raises(UnclearInput, match="SUVbw"):
        reads({"image": IMAGE}, {})


def tried(folder: Path, unit: str, **changes: Any) -> tuple[Any, Path]:
    """A model that marks what is above 2.5 SUV, or above the same activity, over a PET series."""
    pet.write(folder / "pet", **changes)
    said = bundles.metadata()
    said["network_data_format"]["inputs"] = {"image": {**IMAGE, "unit": unit}}
    threshold = 2.5 if unit == "SUVbw" else 2.5 / pet.FACTOR
    bundle = bundles.write_bundle(folder / "hot", said=said, state=bundles.weights(threshold))
    store.add(folder / "models", bundle, name="hot")
    return inspection.try_pipeline("hot", folder / "pet", ["SEG"], folder / "out", models=folder / "models",
                                   device="cpu"), folder / "out" / "SEG-1.dcm"


@pytest.mark.filterwarnings("ignore")  # of MONAI and torch
@pytest.mark.parametrize("unit", ["SUVbw", "BQML"])
def test_a_model_of_pet_finds_what_is_hot_in_the_unit_it_was_trained_on(tmp_path: Path, unit: str) -> None:
    report, path = tried(tmp_path, unit)
    assert report.state == RunState.FINDINGS, report.reason
    hot = pet.activity() * pet.FACTOR > 2.5
    segmentation = pydicom.dcmread(path)
    headers = {str(each.SOPInstanceUID): index for index, each in enumerate(mr_study.headers(pet.PET))}
    found = np.zeros(pet.PET.shape, bool)
    for group, plane in zip(segmentation.PerFrameFunctionalGroupsSequence, segmentation.pixel_array, strict=True):
        (item,) = group.DerivationImageSequence[0].SourceImageSequence
        found[headers[str(item.ReferencedSOPInstanceUID)]] = plane > 0
    assert hot.any()
    np.testing.assert_array_equal(found, hot)
    assert ("PET is in SUVbw: 70 kg, 370.0 MBq" in " ".join(report.remarks)) == (unit == "SUVbw")


@pytest.mark.filterwarnings("ignore")
def test_pet_without_a_weight_is_not_processed_and_the_reason_names_it(tmp_path: Path) -> None:
    report, _ = tried(tmp_path, "SUVbw", PatientWeight=None)
    assert (report.state, report.reason) == (
        RunState.NOT_PROCESSED, "input pet: PatientWeight is missing: its values cannot be read")
