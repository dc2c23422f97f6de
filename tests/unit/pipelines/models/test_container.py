"""A container gets voxels and gives labels: what its engine is asked, and what of its answer is taken."""

from __future__ import annotations

import itertools
import json
import os
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ruamel.yaml import YAML
from support import described
from support.chest import write_chest
from support.volumes import chest_volume

from radnode.pipelines.contract import RunContext, RunFailed, StudyImages
from radnode.pipelines.models.container import ContainerPipeline, command

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume

IMAGE = f"registry.example/spleen@sha256:{'ab' * 32}"

# Stands for podman: does what an image would, in the folders that would be mounted.
_ENGINE = """#!{python}
import json, pathlib, sys
import nibabel, numpy as np
pathlib.Path({said!r}).write_text(json.dumps(sys.argv[1:]))
mounted = dict(reversed(each.split(":")[:2]) for each in sys.argv if each.endswith((":ro", ":rw")))
output = pathlib.Path(mounted["/output"]) / "labels.nii.gz"
image = nibabel.load(pathlib.Path(mounted["/input"]) / "image.nii.gz")
above = (np.asarray(image.dataobj) > -300).astype(np.uint8) * 3
{then}
"""
_WRITES = "nibabel.save(nibabel.Nifti1Image(above[::-1], image.affine @ np.array(" \
          "[[-1, 0, 0, image.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])), output)"


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return chest_volume(write_chest(tmp_path_factory.mktemp("ct"), slices=8, size=24))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "boxed"
    folder.mkdir()
    said = {**described.description("container"), "image": IMAGE,
            "output": {"answer": "labels", "labels": {3: "spleen"}}}
    del said["input"]
    with (folder / "model.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(said, file)
    return folder


def run(model: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch, then: str | None) -> tuple[Findings, list[str]]:
    programs = model.parent / "programs"
    programs.mkdir()
    said = model.parent / "said.json"
    if then is not None:
        engine = programs / "podman"
        engine.write_text(_ENGINE.format(python=sys.executable, said=str(said), then=then))
        engine.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    found = ContainerPipeline(model).run(StudyImages(volume=volume, modality="CT", excluded={}),
                                         RunContext(device="cpu", stage=lambda _: None))
    return found, json.loads(said.read_text())


def test_the_labels_of_a_container_lie_where_its_file_says(
    model: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, line = run(model, volume, monkeypatch, _WRITES)
    (segment,) = found.segments
    assert segment.label == "spleen"
    np.testing.assert_array_equal(segment.mask, volume.voxels > -300)
    assert line[-1] == IMAGE


def test_a_container_is_started_with_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    line = command("podman", IMAGE, tmp_path / "in", tmp_path / "out", device="cpu")
    pairs = set(itertools.pairwise(line))
    assert {("--network", "none"), ("--cap-drop", "ALL"), ("--security-opt", "no-new-privileges"),
            ("--pull", "never")} <= pairs
    assert {"--read-only", "--memory", "--pids-limit", "--ulimit"} <= set(line)
    assert ("--user", "0:0") not in pairs
    assert ("--user", f"{os.getuid() or 65534}:{os.getuid() or 65534}") in pairs
    assert [each for each in line if each.endswith(":rw")] == [f"{tmp_path / 'out'}:/output:rw"]
    assert not any("--device" in each for each in line)
    on_gpu = command("podman", IMAGE, tmp_path, tmp_path, device="cuda:1")
    assert ("--device", "nvidia.com/gpu=1") in set(itertools.pairwise(on_gpu))


@pytest.mark.parametrize(("then", "said"), [
    (None, "no container engine is installed"),
    ("sys.exit(125)", "could not start registry.example/spleen.*pull the image"),
    ("sys.exit(3)", "ended with status 3"),
    ("", "wrote no /output/labels.nii.gz"),
    ("output.symlink_to('/etc/hostname')", "something else than a file"),
    ("output.write_bytes(b'no image')", "is no NIfTI file"),
    ("nibabel.save(nibabel.Nifti1Image(above * 0.5, image.affine), output)", "no label numbers"),
    ("nibabel.save(nibabel.Nifti1Image(above[..., None], image.affine), output)", "right would be one volume"),
    ("nibabel.save(nibabel.Nifti1Image(above + 1, image.affine), output)", r"labels \[1, 4\]"),
])
def test_whatever_else_a_container_does_is_refused_by_what_it_is(
    model: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch, then: str | None, said: str
) -> None:
    with pytest.raises(RunFailed, match=f"model boxed: .*{said}"):
        run(model, volume, monkeypatch, then)
