"""Bundles of every kind, in the zoo's layouts, give the known finding at the known place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support import bundle_kinds, bundles, volumes

from radnode.pipelines.contract import NotProcessed, RunContext, RunFailed, StudyImages
from radnode.pipelines.findings import InPatient
from radnode.pipelines.geometry import to_patient
from radnode.pipelines.models import description
from radnode.pipelines.models.bundle import BundlePipeline
from radnode.pipelines.models.store import Pin, StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.pipelines.findings import Findings
    from radnode.pipelines.geometry import Volume

BALLS = ((9, 12, 10), (20, 8, 18))


def volume(*, oblique: bool, balls: tuple[tuple[int, int, int], ...] = BALLS) -> Volume:
    """Dark, with bright cubes of five voxels around the given (slice, row, column)."""
    shape = (28, 24, 26)
    voxels = np.full(shape, -1000, np.float32)
    for ball in balls:
        voxels[tuple(slice(each - 2, each + 3) for each in ball)] = 0
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1.5], [0, 2.0, 0], [3.0, 0, 0]])
    affine = volumes.askew(affine) if oblique else affine
    affine[:3, 3] = (-31.0, 12.5, 400.25)
    return volumes.placed(voxels, affine)


def run(folder: Path, of: Volume) -> Findings:
    images = StudyImages(volume=of, modality="CT", excluded={})
    return BundlePipeline(folder).run(images, RunContext(device="cpu", stage=lambda _: None))


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # MONAI of numpy 1
@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize(
    "written",
    [
        {"axcodes": "RAS", "world": True, "lps": True, "mode": "cccwhd"},
        {"axcodes": "PIL", "world": True, "lps": False, "mode": "xyzwhd"},
        {"axcodes": "LPS", "world": False, "mode": "xxyyzz"},
    ],
    ids=["lps", "ras", "indices"],
)
def test_a_detector_marks_what_it_finds_at_its_place_in_the_patient(
    tmp_path: Path, oblique: bool, written: dict[str, object]
) -> None:
    source = volume(oblique=oblique)
    found = run(bundle_kinds.write_detection(tmp_path / "balls", **written), source).detections
    assert len(found) == len(BALLS)
    places = to_patient(source.affine, np.array(BALLS))
    for detection in found:
        assert isinstance(detection.at, InPatient)
        distances = np.linalg.norm(places - np.array(detection.at.center_lps), axis=1)
        assert distances.min() < 0.01
        assert (detection.type.meaning, detection.site.meaning) == ("Nodule", "Lung")
        assert detection.certainty == pytest.approx(1 / (1 + np.exp(-3)), abs=0.01)
        # The anchor is six voxels long each way; askew, the box along the patient's axes that holds it is larger.
        expected = np.abs(source.affine[:3, :3]) @ np.full(3, 6.0)
        np.testing.assert_allclose(detection.at.extent_mm, expected, atol=0.01)


@pytest.mark.parametrize(
    ("post", "certainty"),
    [("softmax", np.exp(3) / (1 + np.exp(3) + np.exp(1))), ("argmax", None), ("index", None), ("none", None)],
)
def test_a_classifier_answers_in_codes_with_the_probability_it_gives(
    tmp_path: Path, post: str, certainty: float | None
) -> None:
    found = run(bundle_kinds.write_classification(tmp_path / "bright", post=post), volume(oblique=False))
    (answer,) = found.classifications
    assert (answer.name.meaning, answer.value.meaning, answer.of) == ("Finding", "Nodule", "study")
    assert answer.certainty == (None if certainty is None else pytest.approx(certainty, abs=1e-5))
    assert bool(found.remarks) == (post == "none")


def test_a_classifier_with_a_sigmoid_answers_each_class_for_itself(tmp_path: Path) -> None:
    found = run(bundle_kinds.write_classification(tmp_path / "bright", post="sigmoid"), volume(oblique=False))
    assert {each.name.meaning: each.value.meaning for each in found.classifications} == {
        "Normal": "Undetermined", "Nodule": "Present", "pneumonia": "Present"}
    assert found.classifications[1].certainty == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-5)


def test_the_four_letters_of_breast_density_are_the_standards_compositions(tmp_path: Path) -> None:
    folder = bundle_kinds.write_classification(
        tmp_path / "density", names=("A", "B", "C", "D"), task="Breast Density Classification")
    (answer,) = run(folder, volume(oblique=False)).classifications
    assert (answer.name.meaning, answer.value.meaning) == ("Breast composition", "Scattered fibroglandular densities")


def test_one_probability_says_whether_it_is_present(tmp_path: Path) -> None:
    folder = bundle_kinds.write_classification(tmp_path / "one", names=("metastasis",), post="sigmoid")
    (answer,) = run(folder, volume(oblique=False)).classifications
    assert (answer.name.meaning, answer.value.meaning, answer.certainty) == ("Neoplasm, Secondary", "Present", 0.5)


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("given", [{"points": True}, {"points": False}, {"points": False, "back": True}],
                         ids=["points", "heat maps", "heat maps brought back"])
def test_landmarks_lie_where_the_network_saw_them(tmp_path: Path, oblique: bool, given: dict[str, bool]) -> None:
    source = volume(oblique=oblique, balls=())
    places = dict(zip(bundle_kinds.LANDMARK_HU, BALLS, strict=True))
    for name, place in places.items():
        source.voxels[place] = bundle_kinds.LANDMARK_HU[name]
    found = run(bundle_kinds.write_landmarks(tmp_path / "marks", **given), source).detections
    assert [each.label for each in found] == list(places)
    for each in found:
        assert isinstance(each.at, InPatient)
        assert each.at.extent_mm is None
        expected = to_patient(source.affine, np.array([places[each.label]]))[0]
        np.testing.assert_allclose(each.at.center_lps, expected, atol=1e-3)
    assert [each.type.meaning for each in found] == ["Mitral Valve", "Tricuspid valve"]


@pytest.mark.parametrize("oblique", [False, True])
def test_an_image_made_of_the_images_lies_on_their_grid(tmp_path: Path, oblique: bool) -> None:
    source = volume(oblique=oblique)
    found = run(bundle_kinds.write_enhancement(tmp_path / "halve"), source)
    assert found.derived is not None
    np.testing.assert_allclose(found.derived.values, source.voxels / 2 + 100, atol=1e-3)
    assert found.derived.unit.value == "[hnsf'U]"
    assert "no scanner" in " ".join(found.remarks)


def test_an_image_of_another_kind_of_scanner_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(NotProcessed, match="makes MR images of CT images"):
        run(bundle_kinds.write_enhancement(tmp_path / "halve", modality="MR"), volume(oblique=False))


@pytest.mark.parametrize("noise", [{"type": "noise", "format": "image"}, {"type": "tuples", "format": "latent"}])
def test_a_bundle_that_invents_images_is_refused_when_it_is_added(tmp_path: Path, noise: dict[str, str]) -> None:
    said = bundles.metadata()
    said["network_data_format"]["inputs"] = {"latent": {**noise, "num_channels": 1}}
    folder = bundles.write_bundle(tmp_path / "generator", said=said)
    with pytest.raises(StoreError, match="nobody took"):
        description.manifest(folder, Pin(name="generator", folder="generator", sha256="0" * 64, series_number=1))


def test_a_package_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    net = "import flurbvision\n"
    with pytest.raises(RunFailed, match=r"needs the package flurbvision.*install the build of it"):
        run(bundles.write_bundle(tmp_path / "balls", network=net), volume(oblique=False))


def test_an_answer_of_no_known_kind_is_refused_with_the_kinds_that_are_read(tmp_path: Path) -> None:
    said = bundles.metadata()
    said["network_data_format"]["outputs"] = {"pred": {"type": "feature", "format": "embedding"}}
    with pytest.raises(NotProcessed, match="gives feature/embedding; readable are segmentation, detection"):
        run(bundles.write_bundle(tmp_path / "embedding", said=said), volume(oblique=False))


def test_names_that_numpy_has_withdrawn_are_there_while_a_bundle_works_and_gone_after(tmp_path: Path) -> None:
    net = "import numpy as np\n" + bundles._NETWORK.replace("Conv3d(1, channels, 1)",
                                                            "Conv3d(1, int(np.product([1, channels])), 1)")
    assert run(bundles.write_bundle(tmp_path / "older", network=net), volume(oblique=False)).segments
    assert not hasattr(np, "product")


def test_what_a_transform_says_is_the_reason(tmp_path: Path) -> None:
    config = bundles.inference(transforms=[{"_target_": "Lambdad", "keys": "image", "func": "$lambda x: x.flurb"}])
    with pytest.raises(RunFailed, match=r"bundle words failed on these images: AttributeError: .*flurb"):
        run(bundles.write_bundle(tmp_path / "words", config=config), volume(oblique=False))
