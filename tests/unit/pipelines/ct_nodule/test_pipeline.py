"""What the pipeline says of a chest with known nodules: places, sides, sizes, kinds, and words where it is unsure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import nodules as support
from support import validators
from support.orders import order_over
from support.phantoms import manifest

from radnode.pipelines import ct_lung, ct_nodule, registry, runner
from radnode.pipelines.contract import NotProcessed, RunState, SlotModel
from radnode.pipelines.ct_lung.phantom import write_series
from radnode.pipelines.ct_nodule import pipeline
from radnode.pipelines.ct_nodule.judging import WEIGHTS
from radnode.pipelines.ct_nodule.phantom import Kind, NodulePhantom, ball, nodule_phantom
from radnode.pipelines.ct_nodule.pipeline import CtNodule
from radnode.pipelines.findings import Code, Detection, Findings, InPatient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from radnode.pipelines.contract import RunContext, RunReport, StudyImages
    from radnode.pipelines.ct_nodule.phantom import Nodule

SOLID, GLASS = ball((-80.0, 10.0, 20.0), 12.0), ball((85.0, -20.0, 40.0), 14.0, kind=Kind.GROUND_GLASS)
LEFT, RIGHT = "7771000", "24028007"


@lru_cache(maxsize=1)
def phantom() -> NodulePhantom:
    return nodule_phantom(seed=3, slices=128, size=160, nodules=(SOLID, GLASS))


@dataclass(frozen=True)
class Ran:
    """One job over the phantom, and its results by form."""

    report: RunReport
    results: dict[str, list[pydicom.Dataset]]
    paths: dict[str, list[Path]]

    def numbers(self, of: str) -> dict[str, float]:
        return {each["name"]: each["value"] for each in self.report.measurements if each["of"] == of}

    def side_of(self, near: tuple[float, float, float]) -> tuple[str, str]:
        """(segment's label, its laterality) of the segment around a place."""
        (seg,) = self.results["SEG"]
        middles: dict[int, list[NDArray[np.float64]]] = {}
        for frame, plane in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
            origin = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
            mm = float(seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing[0])
            number = int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            middles.setdefault(number, []).extend(
                origin + np.array([column * mm, row * mm, 0]) for row, column in np.argwhere(plane))
        number = min(middles, key=lambda each: float(np.linalg.norm(np.mean(middles[each], 0) - near)))
        assert np.linalg.norm(np.mean(middles[number], 0) - near) < 2.5
        item = seg.SegmentSequence[number - 1]
        sides = item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence
        return str(item.SegmentLabel), str(sides[0].CodeValue)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("nodules")
    files = write_series(phantom().chest, folder / "in")
    order = order_over(files, folder / "out", pipeline="ct-nodule-screening", forms=("SEG", "TID1500", "CHEST-CAD"))
    report = runner.run(order, runner.Warm(registry.installed), lambda _: None)
    assert report.state is RunState.FINDINGS, report.reason
    paths: dict[str, list[Path]] = {}
    for each in report.objects:
        paths.setdefault(each.form, []).append(Path(each.path))
    return Ran(report, {form: [pydicom.dcmread(path) for path in of] for form, of in paths.items()}, paths)


@pytest.mark.parametrize(("nodule", "side"), [(SOLID, RIGHT), (GLASS, LEFT)], ids=["solid", "ground-glass"])
def test_each_nodule_is_a_segment_at_its_place_and_on_its_side(ran: Ran, nodule: Nodule, side: str) -> None:
    _, found = ran.side_of(nodule.center_lps)
    assert found == side


@pytest.mark.parametrize("nodule", [SOLID, GLASS], ids=["solid", "ground-glass"])
def test_diameters_and_volume_are_those_of_the_nodule(ran: Ran, nodule: Nodule) -> None:
    label, _ = ran.side_of(nodule.center_lps)
    numbers = ran.numbers(label.lower().replace(" ", "-"))
    diameter = nodule.diameter_mm
    assert numbers["Diameter"] == pytest.approx(diameter, abs=1.2)
    assert numbers["Long axis"] >= numbers["Diameter"] >= numbers["Short axis"]
    assert numbers["Volume"] == pytest.approx(np.pi / 6 * diameter**3, rel=0.25)


def test_kinds_are_told_by_density(ran: Ran) -> None:
    for nodule, word in ((SOLID, "; solid"), (GLASS, "; ground-glass")):
        label, _ = ran.side_of(nodule.center_lps)
        assert any(each.startswith(f"{label}:") and word in each for each in ran.report.remarks)


def test_a_screening_route_gets_size_categories_with_their_rule_and_no_recommendation(ran: Ran) -> None:
    label, _ = ran.side_of(SOLID.center_lps)
    said = " ".join(ran.report.remarks)
    assert f'{label}: size category 4A of Lung-RADS v2022 at baseline, by the rule "solid, 8 to below 15 mm".' in said
    assert "They recommend nothing." in said


def test_every_mark_of_the_chest_report_is_an_opacity_called_nodule_on_its_slice(ran: Ran) -> None:
    (report,) = ran.results["CHEST-CAD"]
    text = str(report)
    assert "'Nodule'" in text
    assert len(ran.results["SEG"][0].SegmentSequence) == text.count("Abnormal opacity")


@pytest.mark.peer
def test_validators_are_silent_about_all_its_results(ran: Ran) -> None:
    for form, paths in ran.paths.items():
        for path in paths:
            validators.dciodvfy(path)
            assert form != "CHEST-CAD" or "Abnormal opacity" in validators.dsrdump(path)


class Boxes:
    """A detector of the model store: one nodule in a lung, one mark beside the patient."""

    def run(self, images: StudyImages, _context: RunContext) -> Findings:
        places = (SOLID.center_lps, (0.0, -150.0, 20.0))
        return Findings(volume=images.volume, detections=tuple(
            Detection(key=f"n{number}", label="Nodule", type=Code("27925004", "SCT", "Nodule"), certainty=0.9,
                      at=InPatient(center_lps=place, extent_mm=(12.0, 12.0, 12.0)))
            for number, place in enumerate(places)))


def test_of_a_model_in_the_slot_marks_in_the_lungs_are_measured_and_those_beside_them_only_counted() -> None:
    model = SlotModel(manifest=manifest(name="boxes"), pipeline=Boxes())
    found = CtNodule({"marks": model}).run(support.study(phantom()), support.CONTEXT)
    (segment,), (mark,) = found.segments, found.detections
    assert segment.laterality is not None
    assert segment.laterality.value == RIGHT
    assert mark.certainty == 0.9
    assert "1 marks of the detector lie outside of the lungs" in " ".join(found.remarks)
    assert "Marks of the model boxes" in found.remarks[0]
    assert not any("Lung-RADS" in each for each in found.remarks)


def test_a_mark_on_what_is_too_large_to_be_a_nodule_is_said_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "LARGEST_MM", 8.0)
    model = SlotModel(manifest=manifest(name="boxes"), pipeline=Boxes())
    found = CtNodule({"marks": model}).run(support.study(phantom()), support.CONTEXT)
    assert not found.segments
    assert not found.detections
    assert any("right lung has an outline of more than 8 mm: a mass is not measured" in each for each in found.remarks)


def test_thick_slices_are_not_processed() -> None:
    with pytest.raises(NotProcessed, match=r"slices of 5\.0 mm; .* at most 3 mm: send the thin reconstruction"):
        CtNodule().run(support.study(phantom(), SliceThickness="5"), support.CONTEXT)


def test_images_without_lungs_are_not_processed_instead_of_free_of_nodules() -> None:
    images = support.study(phantom())
    airless = np.where(images.volume.voxels < -300, np.float32(40), images.volume.voxels)
    below = replace(images.volume, voxels=airless)
    with pytest.raises(NotProcessed, match="no air"):
        CtNodule().run(replace(images, volume=below), support.CONTEXT)


@pytest.mark.parametrize("name", ["ct-nodule", "ct-nodule-screening"])
def test_the_manifests_name_the_modules_that_make_the_findings(name: str) -> None:
    folders = [Path(str(each.__file__)).parent for each in (ct_lung, ct_nodule)]
    drawing = {"phantom.py", "train.py"}
    algorithm = [path for folder in folders for path in sorted(folder.glob("*.py")) if path.name not in drawing]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in [*algorithm, WEIGHTS])).hexdigest()
    said = registry.installed().manifests[name]
    assert isinstance(registry.load(registry.installed(), name), CtNodule)
    assert said.model_digest == digest, f"the algorithm changed: write model_digest: {digest}, raise the version"
