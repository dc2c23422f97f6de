"""mr-brain around models whose answers are known: sides, posture, what is missing and what must be said."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import brain

from radnode.pipelines import mr_brain, registry
from radnode.pipelines.contract import NotProcessed, RunContext, RunFailed, StudyImages
from radnode.pipelines.ct_lung.measures import LEFT, RIGHT
from radnode.pipelines.inputs import Content, Input
from radnode.pipelines.mr_brain.pipeline import MrBrain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume

BRATS = tuple(Input(name=name, modality="MR", content=content) for name, content in (
    ("T1-gd", Content.T1C), ("T1-native", Content.T1), ("T2-w", Content.T2), ("Flair-3d", Content.FLAIR)))
REGIONS = {0: "background", 1: "Whole tumor", 2: "Enhancing tumor"}


@pytest.fixture(scope="module")
def head() -> Volume:
    return brain.grid()


def run(volume: Volume, labels: NDArray[np.uint8] | None = None, names: Mapping[int, str] = brain.NAMES,
        **changes: Any) -> Findings:
    labels = brain.truth(volume.affine, volume.voxels.shape) if labels is None else labels
    images = StudyImages(volume=volume, modality="MR", excluded={}, **changes)
    model = brain.in_slot(brain.Answers(labels=labels, names=names))
    return MrBrain({"structures": model}).run(images, RunContext(device="cpu", stage=lambda _: None))


@pytest.mark.parametrize("volume", [brain.grid(plane="axial"), brain.grid(plane="sagittal", tilt_degrees=15),
                                    brain.grid(plane="coronal")], ids=["axial", "sagittal, turned", "coronal"])
def test_a_model_without_sides_gets_them_from_the_patients_coordinates(volume: Volume) -> None:
    found = run(volume)
    by_key = {each.key: each for each in found.segments}
    points = np.argwhere(by_key["left-putamen"].mask) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    np.testing.assert_allclose(points.mean(axis=0), (28, -4, -2), atol=1.5)
    assert (by_key["left-putamen"].laterality, by_key["right-putamen"].laterality) == (LEFT, RIGHT)
    assert by_key["brain-stem"].laterality is None
    ml = {each.of: each.value for each in found.measurements}
    assert ml["left-thalamus"] == pytest.approx(4 / 3 * np.pi * 9 * 13 * 9 / 1000, rel=0.12)
    assert ml["left-thalamus"] + ml["right-thalamus"] == pytest.approx(
        np.count_nonzero(brain.truth(volume.affine, volume.voxels.shape) == 6) * volume.voxel_volume_mm3 / 1000,
        abs=0.02)


@pytest.mark.parametrize("turn", [(-1, 1, -1), (-1, -1, 1), (1, -1, -1)])
def test_a_head_that_was_registered_in_a_wrong_posture_is_refused(head: Volume, turn: tuple[int, int, int]) -> None:
    turned = replace(head, affine=np.diag([*turn, 1.0]) @ head.affine)
    labels = brain.truth(head.affine, head.voxels.shape)
    with pytest.raises(NotProcessed, match="contradicts the declared orientation"):
        run(turned, labels)


def test_a_model_that_exchanges_the_sides_fails(head: Volume) -> None:
    labels = brain.truth(head.affine, head.voxels.shape)
    index = np.argwhere(labels == 6)
    left = index[index @ head.affine[0, :3] + head.affine[0, 3] > 0]
    labels[tuple(left.T)] = 10
    sided = {**brain.NAMES, 6: "Left-Thalamus", 10: "Right-Thalamus"}
    with pytest.raises(RunFailed, match="exchanges the sides"):
        run(head, labels, sided)
    right = {**brain.NAMES, 6: "Right-Thalamus", 10: "Left-Thalamus"}
    assert {"left-thalamus", "right-thalamus"} <= {each.key for each in run(head, labels, right).segments}


def test_sides_that_no_plane_parts_are_not_named(head: Volume) -> None:
    labels = brain.truth(head.affine, head.voxels.shape)
    for number in (6, 7):
        labels[labels == number] = 2
    found = run(head, labels)
    assert not any(each.laterality for each in found.segments)
    assert any("Left and right were not told apart" in each for each in found.remarks)


def test_what_lies_apart_from_the_brain_is_left_out_and_said(head: Volume) -> None:
    labels = brain.truth(head.affine, head.voxels.shape)
    whole = np.count_nonzero(labels)
    labels[0:2, 0:3, 0:3] = 1
    found = run(head, labels)
    assert np.count_nonzero(found.segments[0].voxels) == whole
    assert "1.2 ml that the model named lie apart" in " ".join(found.remarks)


def test_images_of_no_brain_are_refused(head: Volume) -> None:
    labels = brain.truth(head.affine, head.voxels.shape)
    labels[np.isin(labels, (1, 2))] = 0
    with pytest.raises(NotProcessed, match="less than the 300 ml"):
        run(head, labels)
    with pytest.raises(NotProcessed, match="show no head"):
        run(head, acquisition={"BodyPartExamined": "LSPINE"})


def test_a_brain_that_the_images_cut_off_has_lower_bounds(head: Volume) -> None:
    cut = replace(head, voxels=head.voxels[:30], valid=head.valid[:30], frames=head.frames[:30])
    assert any("upper border" in each and "lower bounds" in each for each in run(cut).remarks)
    assert not any("lower bounds" in each for each in run(head).remarks)


@pytest.mark.parametrize(("changes", "said"), [
    ({"PatientAge": "003Y"}, "no adult"), ({"PatientAge": "045Y"}, ""), ({"RecognizableVisualFeatures": "NO"}, "face"),
    ({"SliceThickness": "3"}, "gaps of 1.0 mm"), ({"PatientPosition": "HFP"}, "left and right are exchanged"),
])
def test_what_the_headers_say_against_the_volumes_is_said(head: Volume, changes: dict[str, str], said: str) -> None:
    plain, remarks = run(head).remarks, run(head, acquisition=changes).remarks
    assert said in " ".join(remarks)
    assert bool(said) == (set(remarks) != set(plain))


def test_shading_coarse_voxels_and_unknown_contrast_are_said(head: Volume) -> None:
    said = " ".join(run(head).remarks)
    assert "measure 4 x 4 x 4 mm" in said
    assert "Nothing says whether contrast medium had been given" in said
    assert "bias field" not in said
    slope = np.linspace(0.4, 1.6, head.voxels.shape[1], dtype=np.float32)[np.newaxis, :, np.newaxis]
    assert "bias field" in " ".join(run(replace(head, voxels=head.voxels * slope)).remarks)
    known = run(head, notes=("Read as t1: t1 without contrast (28 slices).",))
    assert "contrast medium" not in " ".join(known.remarks)


def test_a_tumour_model_gets_each_sequence_under_its_own_name_and_its_regions_are_measured(head: Volume) -> None:
    labels = np.zeros(head.voxels.shape, np.uint8)
    labels[20:24, 20:24, 20:24], labels[21:23, 21:23, 21:23] = 1, 2
    model = brain.Answers(labels=labels, names=REGIONS)
    others = {name: replace(head, voxels=head.voxels + place) for place, name in enumerate(("t1c", "t2", "flair"), 1)}
    images = StudyImages(volume=head, modality="MR", excluded={}, others=others)
    found = MrBrain({"tumour": brain.in_slot(model, BRATS)}).run(
        images, RunContext(device="cpu", stage=lambda _: None))
    (asked,) = model.asked
    assert asked.volume is others["t1c"]
    assert {name: each.voxels[0, 0, 0] for name, each in asked.others.items()} == {
        "T1-native": 0, "T2-w": 2, "Flair-3d": 3}
    assert {each.of: each.value for each in found.measurements} == {
        "tumour-whole-tumor": 3.58, "tumour-enhancing-tumor": 0.51}


def test_a_tumour_is_not_looked_for_where_a_sequence_is_missing_and_structures_are(head: Volume) -> None:
    model = brain.Answers(labels=np.zeros(head.voxels.shape, np.uint8), names=REGIONS)
    structures = brain.Answers(labels=brain.truth(head.affine, head.voxels.shape))
    images = StudyImages(volume=head, modality="MR", excluded={}, others={"t1c": head, "t2": head},
                         lacking={"flair": "input flair (MR, FLAIR) is missing"})
    found = MrBrain({"structures": brain.in_slot(structures), "tumour": brain.in_slot(model, BRATS)}).run(
        images, RunContext(device="cpu", stage=lambda _: None))
    (failure,) = found.failures
    assert "input flair (MR, FLAIR) is missing" in failure.reason
    assert "no statement about the presence of a tumour" in failure.reason
    assert not model.asked
    assert any(each.key == "left-thalamus" for each in found.segments)


def test_where_no_model_can_be_asked_the_study_is_not_processed(head: Volume) -> None:
    images = StudyImages(volume=head, modality="MR", excluded={})
    context = RunContext(device="cpu", stage=lambda _: None)
    with pytest.raises(NotProcessed, match="no model is in the slots"):
        MrBrain({}).run(images, context)
    model = brain.in_slot(brain.Answers(labels=np.zeros(head.voxels.shape, np.uint8), names=REGIONS), BRATS)
    with pytest.raises(NotProcessed, match="reads images that this study lacks"):
        MrBrain({"tumour": model}).run(images, context)


def test_the_manifest_names_the_code_that_makes_the_findings() -> None:
    folder = Path(str(mr_brain.__file__)).parent
    algorithm = sorted(folder.glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in algorithm)).hexdigest()
    assert registry.installed().manifests["mr-brain"].model_digest == digest, (
        f"the algorithm changed: write model_digest: {digest}, raise the version")
