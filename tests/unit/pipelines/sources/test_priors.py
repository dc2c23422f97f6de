"""The worker compares once more whose images it is given, and an earlier study never makes a run fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
import pytest
from support import chest
from support.volumes import volume

from radnode.pipelines import registry
from radnode.pipelines.contract import StudyImages
from radnode.pipelines.sources.headers import read_instances
from radnode.pipelines.sources.priors import EarlierSeries, with_priors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

MANIFEST = registry.installed().manifests["ct-lung"]
IMAGES = StudyImages(volume=volume(), modality="CT", excluded={}, acquisition={"ConvolutionKernel": "B70f"})


def earlier(folder: Path, change: Callable[[Dataset], None] = lambda _: None, *, drop: int = -1) -> EarlierSeries:
    series = chest.write_chest(folder, slices=24, size=16, patient_id="CANARY-1")
    for path in series.files:
        dataset = pydicom.dcmread(path)
        dataset.StudyDate = "20250303"
        change(dataset)
        dataset.save_as(path)
    kept = [path for number, path in enumerate(series.files) if number != drop]
    return EarlierSeries(study_date="20250303", study_instance_uid=series.study_instance_uid,
                         instances=tuple(read_instances(kept)))


def now(**said: str) -> Dataset:
    header = pydicom.Dataset()
    for keyword, value in {"PatientID": "CANARY-1", "PatientBirthDate": "19600101", "StudyDate": "20260102",
                           **said}.items():
        setattr(header, keyword, value)
    return header


def test_an_earlier_study_is_read_with_its_date(tmp_path: Path) -> None:
    images = with_priors(IMAGES, now(), [earlier(tmp_path)], ["said by the node"], MANIFEST)
    (prior,) = images.priors
    assert (prior.study_date.isoformat(), prior.volume.voxels.shape) == ("2025-03-03", (24, 16, 16))
    assert str(images.study_date) == "2026-01-02"
    assert images.notes == ("said by the node",)


@pytest.mark.parametrize(
    ("said", "change", "reason"),
    [
        ({"PatientID": "CANARY-2"}, {}, "it has another PatientID"),
        ({"PatientID": ""}, {}, "these images have no Patient ID"),
        ({"IssuerOfPatientID": "HOSPITAL"}, {}, "it has another IssuerOfPatientID"),
        ({}, {"IssuerOfPatientID": "HOSPITAL"}, "it has another IssuerOfPatientID"),
        ({"PatientBirthDate": "19600102"}, {}, "it has another PatientBirthDate"),
        ({}, {"StudyDate": "20250304"}, "its images do not agree about its date"),
    ],
)  # fmt: skip
def test_images_of_another_patient_or_date_are_not_given(
    tmp_path: Path, said: dict[str, str], change: dict[str, str], reason: str
) -> None:
    def alter(dataset: Dataset) -> None:
        if dataset.InstanceNumber == 7:  # one image is enough
            for keyword, value in change.items():
                setattr(dataset, keyword, value)

    images = with_priors(IMAGES, now(**said), [earlier(tmp_path, alter)], [], MANIFEST)
    assert images.priors == ()
    assert images.notes == (f"The earlier study of 2025-03-03 was not compared: {reason}.",)


def test_one_that_cannot_be_read_or_is_not_earlier_is_said_and_the_run_goes_on(tmp_path: Path) -> None:
    gap = with_priors(IMAGES, now(), [earlier(tmp_path / "gap", drop=11)], [], MANIFEST)
    assert gap.priors == ()
    assert "The earlier study of 2025-03-03 was not compared" in gap.notes[0]
    same = with_priors(IMAGES, now(StudyDate="20250303"), [earlier(tmp_path / "same")], [], MANIFEST)
    assert (same.priors, same.notes) == ((), ("An earlier study was not compared: it is not of an earlier day.",))


def test_of_several_series_the_one_that_was_made_most_alike_is_read(tmp_path: Path) -> None:
    def kernel(name: str) -> Callable[[Dataset], None]:
        def change(dataset: Dataset) -> None:
            dataset.ConvolutionKernel = name
            dataset.SeriesInstanceUID = f"2.25.{len(name)}"

        return change

    series = [earlier(tmp_path / name, kernel(name)) for name in ("B30", "B70f")]
    (prior,) = with_priors(IMAGES, now(), series, [], MANIFEST).priors
    assert prior.acquisition["ConvolutionKernel"] == "B70f"
