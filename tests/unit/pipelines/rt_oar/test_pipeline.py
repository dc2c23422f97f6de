"""Structures of a protocol on a drawn abdomen: by a model, by thresholds, and what is no planning CT."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.phantoms import dice, manifest, volume_of

from radnode.pipelines import registry, rt_oar
from radnode.pipelines.contract import NotProcessed, RunContext, SlotModel, StudyImages
from radnode.pipelines.ct_organs.phantom import Abdomen, abdomen_phantom
from radnode.pipelines.findings import Findings
from radnode.pipelines.models.answers import named
from radnode.pipelines.results.structure_names import description, structure_names
from radnode.pipelines.rt_oar.pipeline import RtOar, head_neck, pelvis, thorax
from radnode.pipelines.rt_oar.protocol import drawn, read
from radnode.pipelines.slot import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Volume

FOLDER = Path(str(rt_oar.__file__)).parent
PROTOCOLS = ("head_neck", "thorax", "pelvis")


@lru_cache
def abdomen() -> Abdomen:
    return abdomen_phantom(slices=16, size=96, spacing_mm=(5.0, 4.0))


def volume() -> Volume:
    return volume_of(abdomen().scan)


class Answers:
    """A model that always gives these labels."""

    def __init__(self, labels: NDArray[np.uint8], names: Mapping[int, str]) -> None:
        self._labels, self._names = labels, names

    def run(self, images: StudyImages, _context: RunContext) -> Findings:
        return Findings(volume=images.volume, segments=tuple(named(self._labels[np.newaxis], self._names)))


def model(labels: NDArray[np.uint8], *names: str) -> dict[str, SlotModel]:
    known = {0: "background", **dict(enumerate(names, 1))}
    return {LABELS: SlotModel(manifest=manifest(name="rt-oar-labels"), pipeline=Answers(labels, known))}


def run(of: Volume, pipeline: RtOar, **acquisition: str) -> Findings:
    images = StudyImages(volume=of, modality="CT", excluded={}, acquisition=acquisition)
    return pipeline.run(images, RunContext(device="cpu", stage=lambda _: None))


def blocks(count: int) -> NDArray[np.uint8]:
    """A cube for each of so many labels, inside the body, from the patient's right to the left."""
    labels = np.zeros(volume().voxels.shape, np.uint8)
    for value in range(1, count + 1):
        labels[4:9, 40:44, 25 + 6 * value : 29 + 6 * value] = value
    return labels


def test_the_outline_is_the_drawn_body_without_the_couch_and_bone_lies_in_the_drawn_bone() -> None:
    found = run(volume(), pelvis({}))
    masks = {each.label: each.mask for each in found.segments}
    assert dice(masks["External"], abdomen().body) > 0.995
    assert not (masks["Bone"] & ~abdomen().bone).any()
    assert dice(masks["Bone"], abdomen().bone) > 0.8


def test_arms_beside_the_trunk_belong_to_the_outline() -> None:
    whole = volume()
    x = whole.affine[0, 3] + whole.affine[0, 2] * np.arange(96)
    y = whole.affine[1, 3] + whole.affine[1, 1] * np.arange(96)
    arm = np.broadcast_to((np.hypot(x[None, :] - 189, y[:, None] - 60) < 20), whole.voxels.shape)
    wide = replace(whole, voxels=np.where(arm, np.float32(40), whole.voxels), affine=whole.affine)
    assert not (arm & abdomen().body).any()
    (external, *_) = run(padded(wide), pelvis({})).segments
    assert dice(external.mask[:, :, 10:-10], abdomen().body | arm) > 0.98


def padded(of: Volume) -> Volume:
    """The same with ten columns of air on both sides."""
    voxels = np.pad(of.voxels, ((0, 0), (0, 0), (10, 10)), constant_values=-1000)
    affine = of.affine.copy()
    affine[:3, 3] -= 10 * affine[:3, 2]
    return replace(of, voxels=voxels, valid=np.ones(voxels.shape, np.bool_), affine=affine)


def test_a_model_draws_what_the_protocol_wants_under_its_names_and_what_is_missing_is_said() -> None:
    labels = blocks(4)
    found = run(volume(), pelvis(model(labels, "urinary_bladder", "femoral_head_right", "femoral_head_left", "spleen")))
    assert [each.label for each in found.segments] == ["External", "Bladder", "Femur_Head_L", "Femur_Head_R"]
    assert structure_names(found.segments) == ("External", "Bladder", "Femur_Head_L", "Femur_Head_R")
    assert [each.reason for each in found.failures] == ["Rectum is required by the protocol pelvis and is missing."]
    assert found.failures[0].reason in found.remarks
    assert found.failures[0].reason in description(found)
    assert any(remark.endswith("does not want it: spleen.") for remark in found.remarks)


def test_a_lung_is_drawn_from_its_lobes_only_when_all_of_them_are_there() -> None:
    lobes = ("lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_lower_lobe_right")
    labels = blocks(4)[:, :, ::-1].copy()  # columns grow to the left: the left lobes first
    found = run(volume(), thorax(model(labels, *lobes)))
    assert [each.label for each in found.segments] == ["External", "Lung_L"]
    np.testing.assert_array_equal(found.segments[1].mask, (labels == 1) | (labels == 2))
    assert "Lung_R is required by the protocol thorax and is missing." in found.remarks


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_structure_of_a_protocol_gets_its_own_name_in_a_structure_set(protocol: str) -> None:
    wanted = read(FOLDER / protocol / "protocol.yaml").structures
    for structure in wanted:
        for called in structure.called:
            segment = replace(
                run_once().segments[0], type=called.type, laterality=called.laterality, label=called.label)
            found, others = drawn(read(FOLDER / protocol / "protocol.yaml"), [segment])
            assert structure_names(found) == (structure.name,)
            assert others == []
    assert any(each.required for each in wanted)


@lru_cache
def run_once() -> Findings:
    return run(volume(), pelvis({}))


@pytest.mark.parametrize(
    ("text", "says"),
    [("- {name: A, called: [heart], colour: [1, 2, 3], colur: 1}", "unknown key"),
     ("- {name: A, colour: [1, 2, 3]}", "wants `name`, `called`"),
     ("- {name: A, called: [heart], colour: [1, 2, 3]}\n- {name: A, called: [lung], colour: [1, 2, 3]}", "twice: A")],
)
def test_a_mistake_in_a_protocol_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "protocol.yaml"
    path.write_text(f"title: own\nstructures:\n{text}\n")
    with pytest.raises(ValueError, match=says):
        read(path)


def test_what_is_no_planning_ct_is_refused_with_the_reason() -> None:
    whole = volume()
    with pytest.raises(NotProcessed, match=r"slices of 7\.5 mm"):
        run(whole, pelvis({}), SliceThickness="7.5")
    tilted = whole.affine.copy()
    tilted[:3, :3] = np.array([[1, 0, 0], [0, 0.9, -0.436], [0, 0.436, 0.9]]) @ tilted[:3, :3]
    with pytest.raises(NotProcessed, match="not axial"):
        run(replace(whole, affine=tilted), pelvis({}))
    narrow = replace(whole, voxels=whole.voxels[:, :, 20:-20], valid=whole.valid[:, :, 20:-20])
    with pytest.raises(NotProcessed, match="cut off by the field of view on 16 of 16 slices"):
        run(narrow, pelvis({}))
    with pytest.raises(NotProcessed, match="empty"):
        run(replace(whole, voxels=np.full_like(whole.voxels, -1000)), pelvis({}))


def test_contrast_medium_and_a_posture_other_than_supine_are_said() -> None:
    said = " ".join(run(volume(), head_neck({}), ContrastBolusAgent="Iohexol", PatientPosition="HFP").remarks)
    assert "contrast medium" in said
    assert "left and right are exchanged" in said


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_manifests_are_installed_and_name_the_code_that_makes_the_findings(protocol: str) -> None:
    name = f"rt-oar-{protocol.replace('_', '-')}"
    known = registry.installed().manifests[name]
    assert isinstance(registry.load(registry.installed(), name), RtOar)
    algorithm = [*sorted(FOLDER.glob("*.py")), FOLDER / protocol / "protocol.yaml"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in algorithm)).hexdigest()
    assert known.model_digest == digest, f"the algorithm changed: write model_digest: {digest}, raise the version"
