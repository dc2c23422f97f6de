"""The lungs of real patients: both found and the right way round, or an honest answer why not."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.phantoms import dice, manifest

from radnode.pipelines.contract import NotProcessed, RunContext, StudyImages
from radnode.pipelines.ct_lung.pipeline import CtLung
from radnode.pipelines.geometry import SourceFrame, Volume
from radnode.pipelines.sources.select import read_instances, select_stack
from radnode.pipelines.sources.volume import read_images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Findings

    RealData = Callable[[str], Path]


def _run(images: StudyImages) -> Findings:
    return CtLung().run(images, RunContext(device="cpu", stage=lambda _stage: None))


def _chest(real_data: RealData) -> StudyImages:
    selection = select_stack(read_instances(sorted(real_data("ct-chest").iterdir())), manifest())
    return read_images(selection, "CT")


def _crop(images: StudyImages, *cut: slice) -> StudyImages:
    volume = images.volume
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [each.start or 0 for each in cut]
    return StudyImages(
        volume=Volume(
            voxels=volume.voxels[cut], affine=affine, frames=volume.frames[cut[0]], valid=volume.valid[cut],
            series_instance_uid="2.25.1", frame_of_reference_uid="2.25.2",
        ),
        modality="CT", excluded={}, acquisition=images.acquisition,
    )  # fmt: skip


def _mask(findings: Findings, key: str) -> NDArray[np.bool_]:
    return next(each.mask for each in findings.segments if each.key == key)


@pytest.fixture(scope="module")
def chest(real_data: RealData) -> tuple[StudyImages, Findings]:
    images = _chest(real_data)
    return images, _run(images)


def test_both_lungs_of_a_real_chest_are_plausible(chest: tuple[StudyImages, Findings]) -> None:
    _, found = chest
    values = {(each.of, each.name.value): each.value for each in found.measurements}
    assert 1600 < values["left-lung", "118565006"] < 2200
    assert 2300 < values["right-lung", "118565006"] < 3000
    for side in ("left-lung", "right-lung"):
        assert -870 < values[side, "112031"] < -760
    assert not (_mask(found, "left-lung") & _mask(found, "right-lung")).any()


def test_the_right_lung_is_on_the_side_of_the_liver(chest: tuple[StudyImages, Findings]) -> None:
    images, found = chest
    low = slice(0, 18)  # through liver and upper abdomen
    voxels = images.volume.voxels[low]
    soft = (voxels > 70) & (voxels < 170)
    columns = np.arange(voxels.shape[2])
    liver_column = np.average(columns, weights=soft[:, :250].sum(axis=(0, 1)))
    lung_column = {
        side: np.average(columns, weights=_mask(found, side).sum(axis=(0, 1)))
        for side in ("left-lung", "right-lung")
    }
    assert abs(lung_column["right-lung"] - liver_column) < abs(lung_column["left-lung"] - liver_column)


def test_a_sharp_kernel_and_thick_slices_are_said(chest: tuple[StudyImages, Findings]) -> None:
    said = " ".join(chest[1].remarks)
    assert "B70f" in said
    assert "3.0 mm" in said


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ((slice(49, 99), slice(0, 512), slice(0, 512)), "lower border"),
        ((slice(0, 60), slice(0, 512), slice(0, 512)), "upper border"),
        ((slice(0, 99), slice(0, 512), slice(60, 512)), "right border"),
        ((slice(0, 99), slice(70, 430), slice(0, 512)), "back border"),
    ],
)
def test_a_part_of_the_chest_gives_the_part_of_the_lungs_and_says_so(
    chest: tuple[StudyImages, Findings], cut: tuple[slice, slice, slice], said: str
) -> None:
    images, whole = chest
    part = _run(_crop(images, *cut))
    for key in ("left-lung", "right-lung"):
        assert dice(_mask(part, key), _mask(whole, key)[cut]) > 0.98
    assert any(said in remark for remark in part.remarks)


def test_a_chest_registered_feet_first_by_mistake_is_refused(chest: tuple[StudyImages, Findings]) -> None:
    images, _ = chest
    volume = images.volume
    turned = Volume(
        voxels=volume.voxels, affine=np.diag([-1.0, 1, -1, 1]) @ volume.affine, frames=volume.frames,
        valid=volume.valid, series_instance_uid="2.25.1", frame_of_reference_uid="2.25.2",
    )  # fmt: skip
    with pytest.raises(NotProcessed, match="contradict"):
        _run(StudyImages(volume=turned, modality="CT", excluded={}))


def test_an_abdomen_in_jpeg_2000_has_no_lungs(real_data: RealData) -> None:
    instances = read_instances(sorted(real_data("ct-abdomen/dicom").iterdir()))
    for instance in instances:  # these files were published with empty UIDs
        meta = instance.dataset.file_meta
        instance.dataset.SOPClassUID = meta.MediaStorageSOPClassUID
        instance.dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        instance.dataset.SeriesInstanceUID = "2.25.1"
        instance.dataset.Modality = "CT"
    images = read_images(select_stack(instances, manifest()), "CT")
    assert images.volume.voxels.shape == (20, 512, 512)
    found = _run(images)
    assert found.nothing_found
    assert "No air-filled lung" in found.remarks[0]


def test_a_trunk_with_only_lung_bases_and_bowel_gas_has_no_lungs_to_measure(real_data: RealData) -> None:
    nibabel = pytest.importorskip("nibabel")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = nibabel.load(real_data("ct-abdomen/example_ct.nii.gz"))
        voxels = np.asarray(image.dataobj, np.float32).transpose(2, 1, 0)
    affine = (np.diag([-1.0, -1, 1, 1]) @ image.affine)[:, [2, 1, 0, 3]]
    frames = tuple(
        SourceFrame(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid=f"2.25.{index}")
        for index in range(len(voxels))
    )
    volume = Volume(
        voxels=voxels, affine=affine, frames=frames, valid=np.ones(voxels.shape, np.bool_),
        series_instance_uid="2.25.1", frame_of_reference_uid="2.25.2",
    )  # fmt: skip
    assert _run(StudyImages(volume=volume, modality="CT", excluded={})).nothing_found
