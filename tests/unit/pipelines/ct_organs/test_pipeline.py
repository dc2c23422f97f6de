"""Organs by a model in the slot, and body composition of a drawn abdomen whose tissues are known."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.phantoms import dice, manifest, volume_of

from radnode.pipelines import ct_organs, registry
from radnode.pipelines.contract import RunContext, RunFailed, SlotModel, StudyImages
from radnode.pipelines.ct_organs.phantom import CREST_Z, DISC_MM, VERTEBRA_MM, Abdomen, abdomen_phantom
from radnode.pipelines.ct_organs.pipeline import NO_ABDOMEN, NO_MODEL, NOT_AXIAL, CtOrgans
from radnode.pipelines.findings import Findings
from radnode.pipelines.models.answers import named
from radnode.pipelines.slot import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

TISSUES = ("skeletal-muscle", "subcutaneous-fat", "visceral-fat")
AREA, VOLUME = "42798000", "118565006"


@lru_cache
def abdomen() -> Abdomen:
    return abdomen_phantom()


def volume() -> Volume:
    return volume_of(abdomen().scan)


class Answers:
    """A model that always gives these labels."""

    def __init__(self, labels: NDArray[np.uint8], names: Mapping[int, str]) -> None:
        self._labels, self._names = labels, names

    def run(self, images: StudyImages, _context: RunContext) -> Findings:
        return Findings(volume=images.volume, segments=tuple(named(self._labels[np.newaxis], self._names)))


def model(labels: NDArray[np.uint8], names: Mapping[int, str], modality: str = "CT") -> dict[str, SlotModel]:
    return {LABELS: SlotModel(manifest=manifest(name="ct-organs-labels", modality=modality),
                              pipeline=Answers(labels, {0: "background", **names}))}


def run(of: Volume, models: dict[str, SlotModel] | None = None) -> Findings:
    images = StudyImages(volume=of, modality="CT", excluded={})
    return CtOrgans(models).run(images, RunContext(device="cpu", stage=lambda _: None))


def value(found: Findings, of: str, code: str) -> float:
    return next(each.value for each in found.measurements if (each.of, each.name.value) == (of, code))


def only_plane(found: Findings, key: str) -> tuple[int, NDArray[np.bool_]]:
    mask = next(each.mask for each in found.segments if each.key == key)
    (plane,) = np.flatnonzero(mask.any(axis=(1, 2)))
    return int(plane), mask[plane]


def cut(of: Volume, planes: slice) -> Volume:
    affine = of.affine.copy()
    affine[:3, 3] += affine[:3, 0] * planes.start
    return replace(of, voxels=of.voxels[planes], valid=of.valid[planes], frames=of.frames[planes], affine=affine)


def test_muscle_and_both_fats_of_a_drawn_abdomen_are_found_and_measured() -> None:
    found, truth = run(volume()), abdomen()
    for key, known in zip(TISSUES, (truth.muscle, truth.subcutaneous, truth.visceral), strict=True):
        plane, mask = only_plane(found, key)
        assert dice(mask, known[plane]) > 0.97, key
        assert value(found, key, AREA) == pytest.approx(known[plane].sum() * 0.09, rel=0.03)
    assert value(found, "visceral-fat", "VAT_SAT") == pytest.approx(
        value(found, "visceral-fat", AREA) / value(found, "subcutaneous-fat", AREA), abs=0.006)


def test_without_a_model_the_slice_lies_above_the_iliac_crests_and_no_vertebra_is_named() -> None:
    found = run(volume())
    plane, _ = only_plane(found, "skeletal-muscle")
    z = found.grid.affine[2, 3] + plane * found.grid.affine[2, 0]
    assert CREST_Z - 4 <= z <= CREST_Z + 20
    assert {each.label for each in found.segments} == {
        f"{tissue}, above iliac crests" for tissue in ("Skeletal muscle", "Subcutaneous fat", "Visceral fat")}
    assert NO_MODEL in found.remarks
    assert any("it is not said to be L3" in remark for remark in found.remarks)


def test_without_iliac_crests_the_level_is_called_unknown() -> None:
    planes = slice(int(np.flatnonzero(abdomen().l3.any(axis=(1, 2)))[0]) - 5, 60)
    found = run(cut(volume(), planes))
    assert all(each.label.endswith("level unknown") for each in found.segments)
    assert any("which vertebra lies there is unknown" in remark for remark in found.remarks)


def test_a_model_that_knows_l3_says_where_the_slice_is_and_its_organs_are_no_muscle() -> None:
    truth = abdomen()
    labels = np.zeros(truth.scan.hu.shape, np.uint8)
    labels[truth.bowel], labels[truth.l3] = 1, 2
    found = run(volume(), model(labels, {1: "colon", 2: "vertebrae_L3"}))
    plane, muscle = only_plane(found, "skeletal-muscle")
    z = found.grid.affine[2, 3] + plane * found.grid.affine[2, 0]
    assert z == pytest.approx(VERTEBRA_MM + DISC_MM, abs=4)
    assert not (muscle & truth.bowel[plane]).any()
    assert "Skeletal muscle, at L3" in {each.label for each in found.segments}
    assert value(found, "colon", VOLUME) == pytest.approx(truth.bowel.sum() * 36 / 1000, abs=0.1)
    assert found.remarks[0].startswith("Segmented by the model ct-organs-labels 1.0.0")


def test_a_vertebra_that_the_images_cut_off_does_not_tell_the_level() -> None:
    truth = abdomen()
    labels = np.zeros(truth.scan.hu.shape, np.uint8)
    labels[truth.l3] = 1
    last = int(np.flatnonzero(truth.l3.any(axis=(1, 2))).mean())
    found = run(cut(volume(), slice(0, last)), model(labels[:last], {1: "vertebrae_L3"}))
    assert not any("at L3" in each.label for each in found.segments)
    assert any("Cut off at the upper border" in remark for remark in found.remarks)


def test_a_model_that_exchanges_the_kidneys_gives_no_result() -> None:
    labels = np.zeros(abdomen().scan.hu.shape, np.uint8)
    labels[20:30, 60:70, 20:30], labels[20:30, 60:70, 90:100] = 1, 2  # columns grow to the patient's left
    assert run(volume(), model(labels, {1: "kidney_right", 2: "kidney_left"})).segments
    with pytest.raises(RunFailed, match="exchanges left and right"):
        run(volume(), model(labels, {1: "kidney_left", 2: "kidney_right"}))


def test_a_model_of_another_modality_in_the_slot_is_refused() -> None:
    labels = np.ones(abdomen().scan.hu.shape, np.uint8)
    with pytest.raises(RunFailed, match="does not read one series of CT slices"):
        run(volume(), model(labels, {1: "liver"}, modality="MR"))


def test_fat_that_the_field_of_view_cuts_off_is_not_measured() -> None:
    whole = volume()
    narrow = replace(whole, voxels=np.ascontiguousarray(whole.voxels[:, :, 15:]), valid=whole.valid[:, :, 15:],
                     affine=whole.affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 15], [0, 0, 0, 1.0]]))
    found = run(narrow)
    assert {each.key for each in found.segments} == {"skeletal-muscle", "visceral-fat"}
    assert any("cut off by the field of view" in remark for remark in found.remarks)


def test_muscle_is_not_measured_where_no_fat_shows_the_inner_side_of_the_wall() -> None:
    whole, truth = volume(), abdomen()
    full = replace(whole, voxels=np.where(truth.visceral | truth.bowel, np.float32(45), whole.voxels))
    found = run(full)
    assert {each.key for each in found.segments} == {"subcutaneous-fat"}
    assert any("fat shows the inner side of the abdominal wall on" in remark for remark in found.remarks)


def test_pixels_too_large_to_tell_the_skin_from_muscle_give_no_areas() -> None:
    coarse = volume_of(abdomen_phantom(slices=12, size=64, spacing_mm=(5.0, 6.0)).scan)
    found = run(coarse)
    assert found.nothing_found
    assert any("pixels are larger than 4.0 mm" in remark for remark in found.remarks)


def test_slices_that_are_not_axial_are_not_measured() -> None:
    whole = volume()
    coronal = replace(
        whole, affine=whole.affine[:, [1, 0, 2, 3]], valid=whole.valid.transpose(1, 0, 2)[30:90],
        voxels=np.ascontiguousarray(whole.voxels.transpose(1, 0, 2))[30:90],
    )
    found = run(coronal)
    assert NOT_AXIAL in found.remarks
    assert found.nothing_found


def test_a_chest_has_no_level_for_body_composition() -> None:
    whole, truth = volume(), abdomen()
    lungs = replace(cut(whole, slice(40, 60)),
                    voxels=np.where(truth.visceral, np.float32(-850), whole.voxels)[40:60])
    found = run(lungs)
    assert NO_ABDOMEN in found.remarks
    assert found.nothing_found


def test_the_manifest_is_installed_and_names_the_code_that_makes_the_findings() -> None:
    known = registry.installed().manifests["ct-organs"]
    assert isinstance(registry.load(registry.installed(), known.name), CtOrgans)
    folder = Path(str(ct_organs.__file__)).parent
    algorithm = sorted(path for path in folder.glob("*.py") if path.name != "phantom.py")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in algorithm)).hexdigest()
    assert known.model_digest == digest, f"the algorithm changed: write model_digest: {digest}, raise the version"
