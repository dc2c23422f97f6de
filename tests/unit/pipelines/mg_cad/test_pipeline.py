"""What the pipeline says of phantoms: marks where the lesions are, and words where it cannot say anything."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import mammography as mammo
from support import validators

from radnode.pipelines import mg_cad, registry
from radnode.pipelines.contract import NotProcessed, RunState, StudyImages
from radnode.pipelines.findings import Rendering
from radnode.pipelines.mg_cad import pipeline
from radnode.pipelines.mg_cad.breast import Breast, Unreadable, find_breast
from radnode.pipelines.mg_cad.clusters import Clusters
from radnode.pipelines.mg_cad.density import ThresholdDensity
from radnode.pipelines.mg_cad.marks import CLUSTER, MASS, Mark
from radnode.pipelines.mg_cad.phantom import VIEWS, Screening, screening, write_screening
from radnode.pipelines.mg_cad.pipeline import OPERATING_POINT, MgCad

if TYPE_CHECKING:
    from radnode.pipelines.findings import Findings

PIXEL_MM = 0.2
# A mass and a cluster in the right breast, a cluster in the left one.
SEED = 6


@lru_cache(maxsize=1)
def phantom() -> Screening:
    return screening(SEED, pixel_mm=PIXEL_MM)


@lru_cache(maxsize=1)
def findings() -> Findings:
    return MgCad().run(mammo.study(phantom()), mammo.CONTEXT)


def centers(found: Findings, place: tuple[str, str], kind: str) -> list[tuple[float, float]]:
    """Of the marks that must be shown on one view, column and row."""
    uid = mammo.projection(phantom(), place).source.sop_instance_uid
    return [each.at.center for each in found.detections if each.type == pipeline.TYPES[kind]
            and each.at.sop_instance_uid == uid and each.rendering is Rendering.REQUIRED]


def with_view(place: tuple[str, str], **changes: object) -> StudyImages:
    """The two views of a breast, one of them changed."""
    images = mammo.study(phantom())
    return replace(images, projections=tuple(
        replace(each, **changes) if each.view == place[1] else each
        for each in images.projections if each.laterality == place[0]
    ))


@pytest.mark.parametrize("kind", [MASS, CLUSTER])
@pytest.mark.parametrize("place", VIEWS)
def test_every_lesion_of_every_view_has_a_mark_on_it(place: tuple[str, str], kind: str) -> None:
    view = phantom().views[place]
    assert sum(len(each.truth) for each in phantom().views.values()) >= 6, "a phantom without lesions proves nothing"
    found, false = mammo.hits(view, kind, centers(findings(), place, kind), PIXEL_MM)
    assert found == {each.number for each in view.truth if (each.kind == "mass") == (kind == MASS)}
    assert false <= 3


def test_what_both_views_show_is_one_lesion() -> None:
    found = findings()
    number = {}
    for place in VIEWS:
        uid = mammo.projection(phantom(), place).source.sop_instance_uid
        for each in found.detections:
            if each.at.sop_instance_uid == uid:
                kind = MASS if each.type == pipeline.TYPES[MASS] else CLUSTER
                on, _ = mammo.hits(phantom().views[place], kind, [each.at.center], PIXEL_MM)
                number[each.key] = (place[0], *on)
    paired = {tuple(number[member] for member in each.members) for each in found.composites}
    for side in ("R", "L"):
        for truth in phantom().views[side, "CC"].truth:
            assert ((side, truth.number), (side, truth.number)) in paired


def test_marks_say_how_sure_they_are_and_only_those_above_the_operating_point_must_be_shown() -> None:
    for each in findings().detections:
        assert each.certainty is not None
        assert each.certainty >= pipeline.SHOWN_AT_ALL
        assert (each.rendering is Rendering.REQUIRED) == (each.certainty >= pipeline.OPERATING_POINT)


@pytest.mark.catalogue("M5", "M10")
@pytest.mark.parametrize("place", VIEWS)
def test_a_picture_that_is_turned_over_against_its_tags_gets_no_mark(place: tuple[str, str]) -> None:
    turned = mammo.projection(phantom(), place)
    found = MgCad().run(with_view(place, pixels=np.ascontiguousarray(turned.pixels[:, ::-1])), mammo.CONTEXT)
    assert not [each for each in found.detections if each.at.sop_instance_uid == turned.source.sop_instance_uid]
    assert {each.on for each in found.failures} == {turned.source.sop_instance_uid}
    assert len(found.failures) == 2
    assert all("chest wall at the other side" in each.reason for each in found.failures)
    other = mammo.projection(phantom(), (place[0], {"CC": "MLO", "MLO": "CC"}[place[1]])).source.sop_instance_uid
    as_ever = [each.key for each in findings().detections if each.at.sop_instance_uid == other]
    assert [each.key for each in found.detections] == as_ever
    assert as_ever


@pytest.mark.catalogue("M5")
def test_four_pictures_turned_over_are_not_processed() -> None:
    images = mammo.study(phantom())
    turned = tuple(replace(each, pixels=np.ascontiguousarray(each.pixels[:, ::-1])) for each in images.projections)
    with pytest.raises(NotProcessed, match="Right CC: the picture shows the chest wall at the other side"):
        MgCad().run(replace(images, projections=turned), mammo.CONTEXT)


@pytest.mark.catalogue("M5")
def test_an_oblique_view_upside_down_against_its_tags_is_not_read() -> None:
    image = mammo.projection(screening(SEED, pixel_mm=0.4), ("R", "MLO"))
    with pytest.raises(Unreadable, match="upside down"):
        find_breast(replace(image, pixels=np.ascontiguousarray(image.pixels[::-1])))


@pytest.mark.catalogue("M10")
def test_pictures_turned_over_with_their_tags_get_the_same_marks_turned_over() -> None:
    image = mammo.projection(phantom(), ("R", "CC"))
    found = MgCad().run(with_view(("R", "CC"), pixels=np.ascontiguousarray(image.pixels[:, ::-1]),
                                  orientation=("A", "L")), mammo.CONTEXT)
    width = image.shape[1]
    for kind in (MASS, CLUSTER):
        turned = [(width - column, row) for column, row in centers(found, ("R", "CC"), kind)]
        np.testing.assert_allclose(turned, centers(findings(), ("R", "CC"), kind), atol=1e-6)


@pytest.mark.catalogue("M10")
def test_inverted_and_padded_images_get_the_same_marks_as_plain_ones(tmp_path: Path) -> None:
    files = write_screening(phantom(), tmp_path)
    for path in files[:2]:
        dataset = pydicom.dcmread(path)
        dataset.PixelData = (4095 - dataset.pixel_array).astype("<u2").tobytes()
        dataset.PhotometricInterpretation, dataset.PresentationLUTShape = "MONOCHROME1", "INVERSE"
        dataset.save_as(path)
    padded = pydicom.dcmread(files[2])
    pixels = padded.pixel_array.copy()
    pixels[-20:] = 4095
    padded.PixelData, padded.PixelPaddingValue = pixels.astype("<u2").tobytes(), 4095
    padded["PixelPaddingValue"].VR = "US"
    padded.save_as(files[2])
    images = mammo.selected(files)
    found = MgCad().run(images, mammo.CONTEXT)
    plain = [np.array(each.at.center) for each in findings().detections]
    assert len(found.detections) == len(plain)
    moved = [np.abs(np.array(each.at.center) - at).max() for each, at in zip(found.detections, plain, strict=True)]
    assert max(moved) < 1


@pytest.mark.catalogue("M13")
def test_a_device_that_nobody_measured_on_is_said() -> None:
    named = replace(mammo.study(phantom()), acquisition={
        "Manufacturer": "Phantom", "ManufacturerModelName": "Mammography phantom"})
    other = replace(mammo.study(phantom()), acquisition={
        "Manufacturer": "Others <script>", "ManufacturerModelName": "M-7", "DetectorType": "STORAGE"})
    known, unknown = (_remarks(each) for each in (named, other))
    assert not any("Outside the validated range" in each for each in known)
    assert sum("Outside the validated range" in each for each in unknown) == 2
    assert any("(Others  script M-7)" in each for each in unknown)


def _remarks(images: StudyImages) -> tuple[str, ...]:
    """Of a run that looks for nothing, so that it is quick."""
    return MgCad(detectors=()).run(images, mammo.CONTEXT).remarks


@pytest.mark.parametrize("pixel_mm", [0.05, 0.07, 0.1, 0.2])
def test_a_cluster_is_found_whatever_the_size_of_the_pixels(pixel_mm: float) -> None:
    (mark,) = (each for each in Clusters()(_even_breast(pixel_mm, specks=6)) if each.certainty >= OPERATING_POINT)
    assert np.hypot(mark.center[0] - 20, mark.center[1] - 18) < 1.5
    assert 5 <= mark.count <= 8


@pytest.mark.parametrize("pixel_mm", [0.07, 0.2])
@pytest.mark.parametrize("specks", [0, 2])
def test_noise_and_two_single_calcifications_are_no_cluster(pixel_mm: float, specks: int) -> None:
    assert all(each.certainty < OPERATING_POINT for each in Clusters()(_even_breast(pixel_mm, specks=specks)))


def _even_breast(pixel_mm: float, *, specks: int) -> Breast:
    """40 mm of even tissue with noise; specks of 0.4 mm on a ring of 2 mm around (20, 18)."""
    size = round(40 / pixel_mm)
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(*2 * [(np.arange(size, dtype=np.float32) + 0.5) * pixel_mm])
    fine = rng.normal(2000, 10 * 0.2 / pixel_mm, (size, size)).astype(np.float32)
    for angle in np.arange(specks) * 2 * np.pi / 6:
        away = np.hypot(x - 20 - 2 * np.cos(angle), y - 18 - 2 * np.sin(angle))
        fine += 150 * np.clip((0.2 - away) / pixel_mm + 0.5, 0, 1)
    step = round(0.8 / pixel_mm)
    inside = np.ones((size // step, size // step), np.bool_)
    return Breast(side="L", view="CC", sop_instance_uid="2.25.1", fine=fine, pixel_mm=pixel_mm,
                  coarse=np.zeros(inside.shape, np.float32), coarse_mm=step * pixel_mm, mask=inside,
                  muscle=np.zeros_like(inside), nipple=(40.0, 20.0), origin=(0, 0), width=size, mirrored=False)


def test_a_picture_made_smaller_is_not_searched_for_calcifications() -> None:
    images = mammo.study(phantom())
    small = tuple(replace(each, spacing_mm=(0.3, 0.3)) for each in images.projections)
    with pytest.raises(NotProcessed, match=r"Right CC: its pixels of 0\.30 mm are too coarse for calcifications"):
        MgCad().run(replace(images, projections=small), mammo.CONTEXT)


def test_density_grows_with_what_is_dense() -> None:
    shares = []
    for density in (0.0, 0.35, 0.9):
        breasts = screening(11, pixel_mm=0.4, density=density, lesions=False)
        shares.append(ThresholdDensity()(find_breast(mammo.projection(breasts, ("L", "CC")))))
    assert shares == sorted(shares)
    assert shares[0] < 0.25
    assert shares[2] > 0.5


def test_a_trained_model_takes_the_place_of_a_baseline() -> None:
    class Bundle:
        kind = MASS

        def __call__(self, breast: Breast) -> list[Mark]:
            corner = np.array([[20.0, 30.0], [30.0, 30.0], [25.0, 40.0]])
            return [Mark(kind=MASS, center=(25.0, 33.0), outline=corner, certainty=0.9)] if breast.side == "L" else []

    found = MgCad(detectors=(Bundle(),), density=lambda _breast: 0.6).run(mammo.study(phantom()), mammo.CONTEXT)
    assert found.looked_for == (pipeline.TYPES[MASS],)
    assert [each.label for each in found.detections] == ["1 Mass, left CC", "1 Mass, left MLO"]
    assert found.classifications[0].value.meaning == "Heterogeneously dense"


@pytest.mark.peer
@pytest.mark.catalogue("M2", "M14", "M15")
def test_a_screening_with_a_view_that_cannot_be_read_says_so_in_every_report(tmp_path: Path) -> None:
    """One breast is lacking, one view is turned over, and a tomosynthesis beside is never decoded: it has no pixels."""
    files = write_screening(phantom(), tmp_path / "in", places=VIEWS[1::2])
    turned = pydicom.dcmread(files[1])
    turned.PixelData = np.ascontiguousarray(turned.pixel_array[:, ::-1]).tobytes()
    turned.save_as(files[1])
    tomosynthesis = pydicom.dcmread(files[0])
    tomosynthesis.SOPClassUID = pydicom.uid.BreastTomosynthesisImageStorage
    tomosynthesis.SOPInstanceUID, tomosynthesis.NumberOfFrames = "2.25.77", 80
    tomosynthesis.file_meta.MediaStorageSOPClassUID = tomosynthesis.SOPClassUID
    tomosynthesis.file_meta.MediaStorageSOPInstanceUID = tomosynthesis.SOPInstanceUID
    tomosynthesis.PixelData = b"\0\0"
    tomosynthesis.save_as(tmp_path / "in" / "dbt.dcm")

    report = mammo.run_job([*files, tmp_path / "in" / "dbt.dcm"], tmp_path / "out", ("MAMMOGRAPHY-CAD", "TID1500"))

    assert (report.state, report.reason) == (RunState.FINDINGS, "")
    assert "Right breast not imaged. Nothing is said about this breast." in report.remarks
    assert "Breast Tomosynthesis" in report.excluded["2.25.77"]
    shown = {}
    for each in report.objects:
        validators.dciodvfy(Path(each.path))
        shown[each.form] = validators.dsrdump(Path(each.path))
        assert "FrameOfReferenceUID" not in pydicom.dcmread(each.path)
    assert "Not all algorithms succeeded; with findings" in shown["MAMMOGRAPHY-CAD"]
    assert "Partially Succeeded" in shown["MAMMOGRAPHY-CAD"]
    assert shown["MAMMOGRAPHY-CAD"].count("Failed Detections") == 1


@pytest.mark.peer
def test_phantoms_are_mammograms_by_the_standard_and_the_same_each_time(tmp_path: Path) -> None:
    small = screening(2, pixel_mm=0.5)
    again = screening(2, pixel_mm=0.5)
    for place in VIEWS:
        np.testing.assert_array_equal(small.views[place].pixels, again.views[place].pixels)
    for path in write_screening(small, tmp_path):
        dataset = pydicom.dcmread(path)
        del dataset.ViewPosition  # of which dciodvfy knows the terms for other radiographs only
        dataset.save_as(path)
        validators.dciodvfy(path)


def test_the_manifest_names_the_modules_that_make_the_findings() -> None:
    folder = Path(str(mg_cad.__file__)).parent
    algorithm = sorted(path for path in folder.glob("*.py") if path.name != "phantom.py")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in algorithm)).hexdigest()
    manifest = registry.installed().manifests["mg-cad"]
    assert manifest.model_digest == digest, f"the algorithm changed: write model_digest: {digest}, raise the version"
