"""Muscle, fat, outline and bone of real patients beside published label maps; run with -s for the figures."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.phantoms import dice, manifest
from support.published import with_uids
from support.volumes import placed

from radnode.pipelines.contract import NotProcessed, RunContext, StudyImages
from radnode.pipelines.ct_organs.pipeline import CtOrgans
from radnode.pipelines.geometry import orientation_of
from radnode.pipelines.rt_oar import outline
from radnode.pipelines.rt_oar.pipeline import thorax
from radnode.pipelines.sources.select import read_instances, select_stack
from radnode.pipelines.sources.volume import read_images

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    RealData = Callable[[str], Path]

# Class numbers of the published maps (TotalSegmentator, version 2).
MUSCLES, BONES, ARMS = [86, 87, 88, 89], [*range(25, 51), 69, 70, *range(92, 117)], [69, 70]
NO_ORGANS = [0, 79, *MUSCLES, *BONES, 117]
CONTEXT = RunContext(device="cpu", stage=lambda _: None)


def nifti(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Voxels (slice, row, column) and their affine to LPS."""
    nibabel = pytest.importorskip("nibabel")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = nibabel.load(path)
        return np.asarray(image.dataobj).transpose(2, 1, 0), (np.diag([-1.0, -1, 1, 1]) @ image.affine)[:, [2, 1, 0, 3]]


def test_muscle_of_a_real_abdomen_holds_the_labelled_muscles_and_hardly_an_organ(real_data: RealData) -> None:
    voxels, affine = nifti(real_data("ct-abdomen/example_ct.nii.gz"))
    labels, _ = nifti(real_data("ct-abdomen/example_seg.nii.gz"))
    found = CtOrgans().run(
        StudyImages(volume=placed(voxels.astype(np.float32), affine), modality="CT", excluded={}), CONTEXT)
    assert {each.label for each in found.segments} >= {"Skeletal muscle, above iliac crests"}
    upper = affine.copy()
    upper[:3, 3] += affine[:3, 0] * (len(voxels) - len(labels))  # the labels are of the uppermost slices
    cut = np.ascontiguousarray(voxels[-len(labels) :][:6].astype(np.float32))
    part = CtOrgans().run(StudyImages(volume=placed(cut, upper), modality="CT", excluded={}), CONTEXT)
    muscle = next(each.mask for each in part.segments if each.key == "skeletal-muscle")
    (plane,) = np.flatnonzero(muscle.any(axis=(1, 2)))
    reference, organs = np.isin(labels[plane], MUSCLES), ~np.isin(labels[plane], NO_ORGANS)
    recall = (muscle[plane] & reference).sum() / reference.sum()
    within_organs = (muscle[plane] & organs).sum() / muscle[plane].sum()
    print(f"\nlabelled muscle found: {recall:.3f}; of the muscle found in labelled organs: {within_organs:.3f}")
    assert recall > 0.95
    assert within_organs < 0.05


def test_the_outline_of_a_real_patient_holds_both_arms_and_no_couch(real_data: RealData, tmp_path: Path) -> None:
    instances = read_instances(with_uids(real_data("ct-abdomen/dicom"), tmp_path / "ct"))
    volume = read_images(select_stack(instances, manifest()), "CT").volume
    labels = nifti(real_data("ct-abdomen/example_seg_dicom.nii.gz"))[0][:, ::-1]  # its rows run forwards
    body = outline.body(volume, orientation_of(volume.affine), "cpu")
    bone, reference = outline.bones(volume, body), np.isin(labels, BONES)
    print(f"\nlabelled voxels inside: {(body & (labels > 0)).sum() / (labels > 0).sum():.4f}; bone: Dice "
          f"{dice(bone, reference):.2f}, found {(bone & reference).sum() / reference.sum():.2f}, labelled "
          f"{(bone & reference).sum() / bone.sum():.2f}")
    assert body[np.isin(labels, ARMS)].all()
    assert body[labels > 0].all()
    lowest = np.flatnonzero((labels > 0).any(axis=(0, 2)))[-1]
    assert not body[:, lowest + round(60 / volume.spacing_mm[1]) :].any(), "the couch lies 6 cm behind the ribs"


def test_a_real_chest_that_the_field_of_view_cuts_off_is_no_planning_ct(real_data: RealData) -> None:
    selection = select_stack(read_instances(sorted(real_data("ct-chest").iterdir())), manifest())
    with pytest.raises(NotProcessed, match="cut off by the field of view on 99 of 99 slices"):
        thorax({}).run(read_images(selection, "CT"), CONTEXT)
