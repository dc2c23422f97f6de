"""A radiograph with known truth: what is seen of the picture, what a model in the slot adds, and what is refused."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import disc_bundles, validators
from support import result_samples as samples

from radnode.pipelines import cr_chest, registry, runner
from radnode.pipelines.contract import InputInstance, NotProcessed, RunContext, RunState, StudyImages
from radnode.pipelines.cr_chest import remarks
from radnode.pipelines.cr_chest.phantom import Radiograph, radiograph, write_radiograph
from radnode.pipelines.cr_chest.pipeline import CrChest
from radnode.pipelines.cr_chest.quality import check
from radnode.pipelines.forms import plan
from radnode.pipelines.models import store
from radnode.pipelines.sources.headers import read_instances
from radnode.pipelines.sources.images import read_projections
from radnode.pipelines.sources.projections import select_projections

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.findings import Findings

CONTEXT = RunContext(device="cpu", stage=lambda _stage: None)


@lru_cache
def chest(turned: float = 0.0) -> Radiograph:
    return radiograph(turned=turned)


def seen(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    return (pixels >> 4).astype(np.uint8)


def read(*files: Path) -> StudyImages:
    manifest = registry.installed().manifests["cr-chest"]
    return read_projections(select_projections(read_instances(files), manifest), manifest)


def said(found: Findings) -> dict[str, str]:
    return {each.name.meaning: each.value.meaning for each in found.classifications}


@pytest.mark.parametrize("turned", [-15.0, 0.0, 10.0])
def test_an_upright_chest_has_its_heart_on_its_side_and_a_mirrored_one_on_the_other(turned: float) -> None:
    pixels = chest(turned).pixels
    for picture, side in ((pixels, "right"), (pixels[:, ::-1], "left")):
        quality = check(seen(picture))
        assert (quality.upright, quality.heart, quality.cut) == (True, side, ())


def test_a_picture_upside_down_on_its_side_or_with_exchanged_grey_is_told_from_an_upright_one() -> None:
    pixels = chest().pixels
    assert check(seen(pixels[::-1])).upright is False
    assert check(seen(pixels[::-1, ::-1])).upright is False
    assert check(seen(np.rot90(pixels))).lying
    assert check(seen(np.rot90(pixels, 3))).lying
    assert check(seen(4095 - pixels)).inverted
    assert not any(check(seen(each)).readable for each in (pixels[::-1], np.rot90(pixels), 4095 - pixels))


@pytest.mark.parametrize(("turned", "side"), [(-15.0, "right"), (10.0, "left")])
def test_a_turned_patient_has_the_spine_off_the_middle_on_the_side_that_it_moved_to(
    turned: float, side: str, tmp_path: Path
) -> None:
    pixels = chest(turned).pixels
    mirrored = {"left": "right", "right": "left"}[side]
    for picture, told in ((pixels, side), (pixels[:, 6:], side), (pixels[:, ::-1], mirrored)):
        off = check(seen(picture)).spine_off
        assert off is not None
        assert ("right" if off > 0 else "left") == told
    found = CrChest().run(read(write_radiograph(chest(turned), tmp_path)), CONTEXT)
    assert any(f"to the {side} of the middle, as the picture is shown" in each for each in found.remarks)
    assert "Quality Finding" in said(found)


@pytest.mark.parametrize("turned", [-3.0, 0.0, 3.0])
def test_a_patient_who_is_hardly_turned_gets_no_word_about_it(turned: float) -> None:
    picture = chest(turned).pixels
    assert check(seen(picture)).spine_off is None
    assert check(seen(picture[:, 6:])).spine_off is None


@pytest.mark.parametrize("edge", ["bottom", "right", "left"])
def test_a_lung_that_is_cut_off_reaches_that_edge(edge: str) -> None:
    picture = chest()
    crop = {"bottom": np.s_[:-11], "right": np.s_[:, :-14], "left": np.s_[:, 14:]}[edge]
    lungs = (picture.left | picture.right)[crop]
    assert {"bottom": lungs[-1], "right": lungs[:, -1], "left": lungs[:, 0]}[edge].any(), "the truth: it is cut"
    assert edge in check(seen(picture.pixels[crop])).cut


def test_what_is_no_chest_has_no_fields() -> None:
    for picture in (seen(chest().pixels[-16:]), seen(chest(90.0).pixels)):
        assert not check(picture).fields


def test_without_a_model_the_answers_are_about_the_picture_alone_and_never_that_nothing_was_found(
    tmp_path: Path,
) -> None:
    found = CrChest().run(read(write_radiograph(chest(), tmp_path)), CONTEXT)
    assert said(found) == {"Picture is upright": "Yes", "Heart on the patient's left, by Patient Orientation": "Yes"}
    assert found.remarks[0] == remarks.NOT_LOOKED_FOR
    assert not found.nothing_found
    assert found.looked_for == ()


def test_a_heart_on_the_wrong_side_is_a_remark_and_nothing_is_exchanged(tmp_path: Path) -> None:
    mirrored = np.ascontiguousarray(chest().pixels[:, ::-1])
    found = CrChest().run(read(write_radiograph(chest(), tmp_path / "1", pixels=mirrored)), CONTEXT)
    assert said(found)["Heart on the patient's left, by Patient Orientation"] == "No"
    assert any("exchanged sides or situs inversus" in each for each in found.remarks)
    by_its_tags = write_radiograph(chest(), tmp_path / "2", pixels=mirrored, PatientOrientation=["R", "F"])
    right = said(CrChest().run(read(by_its_tags), CONTEXT))
    assert right["Heart on the patient's left, by Patient Orientation"] == "Yes"
    unknown = write_radiograph(chest(), tmp_path / "3", PatientOrientation="")
    assert "Undetermined" in said(CrChest().run(read(unknown), CONTEXT)).values()


@pytest.mark.parametrize(("changes", "reason"), [
    ({"ViewPosition": "LL"}, "View Position is LL"), ({"BodyPartExamined": "HAND"}, "Body Part Examined is HAND"),
    ({"ViewPosition": "", "BodyPartExamined": ""}, "two lung fields were not found"),
])
def test_what_is_no_frontal_chest_is_not_processed(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    pixels = chest().pixels if changes["ViewPosition" if "ViewPosition" in changes else "BodyPartExamined"] else \
        np.ascontiguousarray(chest().pixels[-16:])
    with pytest.raises(NotProcessed, match=reason):
        CrChest().run(read(write_radiograph(chest(), tmp_path, pixels=pixels, **changes)), CONTEXT)


def test_monochrome1_is_the_same_picture(tmp_path: Path) -> None:
    negative = write_radiograph(
        chest(), tmp_path, pixels=4095 - chest().pixels, PhotometricInterpretation="MONOCHROME1")
    assert said(CrChest().run(read(negative), CONTEXT))["Picture is upright"] == "Yes"


@pytest.mark.peer
def test_a_radiograph_comes_back_with_the_findings_of_the_model_in_the_slot_and_where_they_were_seen(
    tmp_path: Path,
) -> None:
    """A bright disc on the left of the picture, which the classifier was made for."""
    picture = chest()
    pixels = (picture.pixels // 4).astype(np.uint16)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    pixels[(y - 40) ** 2 + (x - 28) ** 2 <= 49] = 4095
    path = write_radiograph(picture, tmp_path / "in", pixels=pixels)
    models = tmp_path / "models"
    store.add(models, disc_bundles.bundle(tmp_path / "bundle"), name="cr-chest-findings")
    header = pydicom.dcmread(path, stop_before_pixels=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    instance = InputInstance(sop_instance_uid=str(header.SOPInstanceUID), digest=digest, path=str(path),
                             series_instance_uid=str(header.SeriesInstanceUID))
    order = samples.order([header], pipeline="cr-chest", instances=(instance,), output_folder=str(tmp_path / "out"),
                          forms=plan(("TID1500", "SC", "CHEST-CAD")))
    report = runner.run(order, runner.Warm(lambda: registry.installed(models=models)), lambda _: None)

    assert (report.state, report.reason) == (RunState.FINDINGS, "")
    text = " ".join(report.remarks)
    assert "Findings by the model cr-chest-findings" in text
    assert remarks.NOT_LOOKED_FOR not in text
    pictures = []
    for each in report.objects:
        validators.dciodvfy(Path(each.path))
        if each.form == "TID1500":
            dumped = validators.dsrdump(Path(each.path))
            assert dumped.count('"Present"') == 1
            assert 'SCT,"Mass")=(52101004,SCT,"Present")' in dumped
        if each.form == "SC":
            pictures.append(pydicom.dcmread(each.path))
    assert len(pictures) == 2
    tinted = pictures[1].pixel_array[: round(768 * 80 / 95)].astype(int)
    warm = np.ptp(tinted, axis=-1)
    row, column = np.unravel_index(int(warm.argmax()), warm.shape)
    scale = tinted.shape[1] / pixels.shape[1]
    assert np.hypot(row / scale - 40, column / scale - 28) <= 8


def test_a_picture_upside_down_is_not_shown_to_the_model(tmp_path: Path) -> None:
    turned = np.ascontiguousarray(chest().pixels[::-1])
    found = CrChest().run(read(write_radiograph(chest(), tmp_path, pixels=turned)), CONTEXT)
    assert said(found)["Picture is upright"] == "No"
    assert "upside down" in found.failures[0].reason


def test_the_same_phantom_is_the_same_picture() -> None:
    np.testing.assert_array_equal(radiograph().pixels, chest().pixels)


def test_the_manifest_names_the_modules_that_make_the_findings() -> None:
    folder = Path(str(cr_chest.__file__)).parent
    algorithm = sorted(path for path in folder.glob("*.py") if path.name != "phantom.py")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in algorithm)).hexdigest()
    manifest = registry.installed().manifests["cr-chest"]
    assert manifest.model_digest == digest, f"the algorithm changed: write model_digest: {digest}, raise the version"
