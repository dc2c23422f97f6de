"""A published network on a real head: its structures lie where they belong, the right way round, in plausible sizes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ruamel.yaml import YAML

from radnode.pipelines import registry
from radnode.pipelines.contract import RunContext
from radnode.pipelines.geometry import to_index, to_patient
from radnode.pipelines.models import store
from radnode.pipelines.sources.select import read_instances
from radnode.pipelines.sources.study import read_study, select_study

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from radnode.pipelines.contract import StudyImages

NAMES = ("background", "Cerebral-White-Matter", "Cerebral-Cortex", "Lateral-Ventricle", "Inferior-Lateral-Ventricle",
         "Cerebellum-White-Matter", "Cerebellum-Cortex", "Thalamus", "Caudate", "Putamen", "Pallidum", "3rd-Ventricle",
         "4th-Ventricle", "Brain-Stem", "Hippocampus", "Amygdala", "Accumbens-area", "VentralDC")
# The middle of this head and half the sides of a box around its deep structures and cerebellum, LPS mm.
MIDDLE, HALF = (-1.0, 35.0, 22.0), (48.0, 60.0, 40.0)


def added(folder: Path, published: Path) -> Path:
    """The published network in a model store, described as docs/models.md does, in the slot of mr-brain."""
    source = folder / "meshnet"
    source.mkdir()
    for name in ("model.json", "model.bin"):
        shutil.copyfile(published / name, source / name)
    said = {"name": "MeshNet", "version": "1.0.0", "runtime": "tensorflow.js", "modality": "MR",
            "input": {"orientation": "LIA", "spacing": [1, 1, 1], "intensity": {"percentiles": [0, 99.9]}},
            "output": {"answer": "classes", "labels": dict(enumerate(NAMES))},
            "licence": "MIT", "intended_use": "T1-weighted MR of the head, research only."}
    with (source / "model.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(said, file)
    store.add(folder / "store", source, name="mr-brain-structures")
    return folder / "store"


def boxed(images: StudyImages) -> StudyImages:
    """A box of the images, to spare the rest of the suite the time that a whole head takes."""
    volume = images.volume
    signs = np.array([(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
    corners = to_index(volume.affine, np.array(MIDDLE) + signs * np.array(HALF))
    first, last = corners.min(axis=0).astype(int).clip(0), corners.max(axis=0).astype(int)
    cut = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    affine = volume.affine.copy()
    affine[:3, 3] = to_patient(volume.affine, first[np.newaxis].astype(float))[0]
    return replace(images, volume=replace(volume, voxels=volume.voxels[cut].copy(), valid=volume.valid[cut].copy(),
                                          affine=affine, frames=volume.frames[cut[0]]))


@pytest.mark.slow
def test_deep_structures_of_a_real_head_lie_on_their_sides_and_have_plausible_volumes(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    found = registry.installed(models=added(tmp_path, real_data("brain-mr-model")))
    manifest = found.manifests["mr-brain"]
    instances = read_instances(sorted(real_data("mr-brain").glob("*.dcm")))
    images = boxed(read_study(select_study(instances, manifest), manifest))

    findings = registry.load(found, "mr-brain").run(images, RunContext(device="cpu", stage=lambda _stage: None))

    middles = {each.key: to_patient(images.volume.affine, np.argwhere(each.mask).mean(axis=0)[np.newaxis])[0]
               for each in findings.segments}
    ml = {each.of: each.value for each in findings.measurements}
    # Both sides of children and adults: thalamus 5-9 ml each, putamen 3.5-7, caudate 2.5-5.5, hippocampus 2.5-5.5.
    for name, low, high in (("thalamus", 5, 10), ("putamen", 3.5, 7.5), ("caudate", 2.5, 5.5), ("hippocampus", 2.5, 6)):
        left, right = middles[f"left-{name}"], middles[f"right-{name}"]
        assert left[0] - right[0] > 12  # towards the patient's left
        assert abs(left[1] - right[1]) < 6
        assert abs(left[2] - right[2]) < 6
        assert low < ml[f"left-{name}"] < high
        assert 0.8 < ml[f"left-{name}"] / ml[f"right-{name}"] < 1.25
    assert middles["left-putamen"][0] > middles["left-thalamus"][0]
    assert middles["cerebellum-cortex"][2] < middles["brain-stem"][2] + 10 < middles["left-thalamus"][2]
    assert middles["cerebellum-cortex"][1] > middles["brain-stem"][1] > middles["left-putamen"][1]
    assert abs(middles["3rd-ventricle"][0] - (middles["left-thalamus"][0] + middles["right-thalamus"][0]) / 2) < 3
    said = " ".join(findings.remarks)
    assert "lower bounds" in said  # the box cuts the brain
    assert "The patient is no adult" in said
    assert f"SHA-256 {found.manifests['mr-brain-structures'].model_digest[:12]}" in said
