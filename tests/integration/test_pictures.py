"""Pictures of a study on the node's pages: the right picture, its sides, and over it what was found on it alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from fastapi import HTTPException
from sqlalchemy import update
from support import mammography, phantoms
from support import result_samples as samples
from support.chest import write_chest
from support.pictures import wall

from radnode.node.web.access import Identity
from radnode.pipelines.findings import Code, Map, MapKind
from radnode.pipelines.forms import plan
from radnode.pipelines.mg_cad.phantom import screening, write_screening
from radnode.pipelines.results.writers import write
from radnode.storage.tables import JobRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydicom import Dataset

    from radnode.pipelines.geometry import Volume

SLICES, SIZE = 8, 32


class Chest:
    """A chest with lungs found in it. masks: (slice, row, column) of each segment, feet first, as the files are."""

    def __init__(
        self, folder: Path, forms: Sequence[str] = ("SEG", "TID1500"), maps: Callable[[Volume], list[Map]] | None = None
    ) -> None:
        series = write_chest(folder / "ct", slices=SLICES, size=SIZE)
        self.files = list(series.files)
        self.headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in self.files]
        volume = samples.volume_of(self.headers)
        findings = replace(samples.lungs(volume), maps=tuple(maps(volume)) if maps else ())
        sample = samples.sample(self.headers, findings, forms=plan(forms))
        self.masks = {each.label: each.mask for each in sample.findings.segments}
        self.study_uid, self.series_uid = series.study_instance_uid, str(self.headers[0].SeriesInstanceUID)
        self.results = {}
        for written in write(sample.findings, sample.source, sample.provenance, sample.provenance.order.forms):
            path = folder / f"{written.wanted.name}.dcm"
            written.dataset.save_as(path, enforce_file_format=True)
            self.results[written.wanted.name] = path

    def result(self, name: str) -> Dataset:
        """A result object."""
        return pydicom.dcmread(self.results[name])


@pytest.mark.parametrize("form", ["SEG", "LABELMAP"])
def test_the_overlay_of_a_slice_is_exactly_what_was_found_on_that_slice(tmp_path: Path, form: str) -> None:
    chest = Chest(tmp_path, forms=(form,))
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files[::-1])
        pages.web.produce(chest.results[form])
        study, by = pages.study(chest.study_uid), pages.listed(chest.result(form).SOPInstanceUID)
        drawn = pages.data(f"/studies/{study}/series/{pages.series(chest.series_uid)}/findings")[0]
        order = [each["id"] for each in pages.data(f"/studies/{study}/series/{pages.series(chest.series_uid)}")]
        seen = 0
        for place, header in enumerate(chest.headers):
            image = pages.listed(header.SOPInstanceUID)
            for number, mask in enumerate(chest.masks.values(), 1):
                pixels = pages.pixels(f"/studies/{study}/images/{image}/1/overlay/{by}?segments={number}")
                if mask[place].any():
                    assert (pixels[..., 3] > 0).tolist() == mask[place].tolist()
                    assert str(order.index(image)) in drawn["layers"]
                    seen += 1
                else:
                    assert not pixels[..., 3].any()
        assert seen > SLICES, "a phantom without lungs proves nothing"


def test_slices_are_leafed_through_from_the_head_to_the_feet_whatever_their_numbers(tmp_path: Path) -> None:
    files = phantoms.write_small(tmp_path / "ct", order=[3, 0, 7, 1, 2, 6, 5, 4])
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*files)
        slices = pages.data(f"/studies/{pages.study(headers[0].StudyInstanceUID)}"
                            f"/series/{pages.series(headers[0].SeriesInstanceUID)}")
    heights = {header.InstanceNumber: float(header.ImagePositionPatient[2]) for header in headers}
    assert [heights[each["number"]] for each in slices] == sorted(heights.values(), reverse=True)
    assert all(each["sides"] == ["R", "L", "A", "P"] for each in slices)


def test_a_picture_is_that_of_the_image_that_its_address_names_in_the_window_that_is_asked_for(tmp_path: Path) -> None:
    chest = Chest(tmp_path)
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files)
        study = pages.study(chest.study_uid)
        for path in chest.files:
            image = pydicom.dcmread(path)
            units = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
            low, high = -500 - 0.5 - 749.5, -500 - 0.5 + 749.5
            wanted = np.clip((units - low) / (high - low), 0, 1) * 255
            shown = pages.pixels(
                f"/studies/{study}/images/{pages.listed(image.SOPInstanceUID)}/1?window=-500,1500&size=512")
            assert np.abs(shown - wanted).mean() < 3  # JPEG
        assert "Soft tissue" in pages.get(f"/studies/{study}/series/{pages.series(chest.series_uid)}").text


def test_an_enhanced_ct_is_shown_in_the_units_of_its_frames(tmp_path: Path) -> None:
    chest = Chest(tmp_path)
    single = [pydicom.dcmread(path) for path in chest.files]
    image = samples.enhanced(single)
    transformation = pydicom.Dataset()
    transformation.RescaleIntercept, transformation.RescaleSlope, transformation.RescaleType = -1024, 1, "HU"
    image.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [transformation]
    image.PixelData = b"".join(each.PixelData for each in single)
    path = tmp_path / "enhanced.dcm"
    path.write_bytes(samples.encoded(image))
    with wall(tmp_path / "node") as pages:
        pages.web.receive(path)
        study, series = pages.study(image.StudyInstanceUID), pages.series(image.SeriesInstanceUID)
        slices = pages.data(f"/studies/{study}/series/{series}")
        assert "Soft tissue" in pages.get(f"/studies/{study}/series/{series}").text
        assert [each["frame"] for each in slices] == list(range(SLICES, 0, -1))
        units = single[2].pixel_array.astype(float) - 1024
        wanted = np.clip((units + 1250) / 1499, 0, 1) * 255
        shown = pages.pixels(f"/studies/{study}/images/{slices[0]['id']}/3?window=-500,1500&size=512")
        assert np.abs(shown - wanted).mean() < 3


def test_frames_that_name_no_image_of_the_series_or_lie_on_other_pixels_are_not_drawn_and_it_is_said(
    tmp_path: Path,
) -> None:
    chest = Chest(tmp_path, forms=("SEG",))
    moved = chest.result("SEG")
    groups = moved.PerFrameFunctionalGroupsSequence
    nameless, displaced = groups[0], groups[1]
    nameless.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = "2.25.404"
    x, y, z = displaced.PlanePositionSequence[0].ImagePositionPatient
    displaced.PlanePositionSequence[0].ImagePositionPatient = [x + float(chest.headers[0].PixelSpacing[1]), y, z]
    moved.save_as(tmp_path / "moved.dcm")
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files)
        pages.web.produce(tmp_path / "moved.dcm")
        study, series = pages.study(chest.study_uid), pages.series(chest.series_uid)
        said = pages.get(f"/studies/{study}/series/{series}/findings").text
        assert "1 frames are not drawn: they lie on other pixels" in said
        assert "1 are not drawn here: they name no picture" in said
        source = displaced.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        by, number = pages.listed(moved.SOPInstanceUID), int(
            displaced.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        shown = pages.pixels(f"/studies/{study}/images/{pages.listed(source)}/1/overlay/{by}?segments={number}")
        assert not shown[..., 3].any()


def test_the_list_says_the_volume_and_the_side_of_a_segment_as_the_report_beside_it_does(tmp_path: Path) -> None:
    chest = Chest(tmp_path)
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files)
        pages.web.produce(chest.results["SEG"], chest.results["TID1500+SEG"])
        said = " ".join(pages.get(f"/studies/{pages.study(chest.study_uid)}/series/{pages.series(chest.series_uid)}"
                                  "/findings").text.split())
    measured = chest.masks["Right lung"].sum() * np.prod([
        *map(float, chest.headers[0].PixelSpacing),
        abs(chest.headers[1].ImagePositionPatient[2] - chest.headers[0].ImagePositionPatient[2])])
    assert "Right lung" in said
    assert "<strong>Right</strong>" in said
    assert f"Volume <b>{measured:.0f}&nbsp;mm³</b>" in said


def test_an_image_without_a_place_carries_no_letters_and_says_so(tmp_path: Path) -> None:
    files = phantoms.write_small(tmp_path / "ct", slices=3)
    for path in files:
        phantoms.change(path, ImageOrientationPatient=None, ImagePositionPatient=None)
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*files)
        path = f"/studies/{pages.study(header.StudyInstanceUID)}/series/{pages.series(header.SeriesInstanceUID)}"
        assert [each["sides"] for each in pages.data(path)] == [None] * 3
        assert "3 of these pictures do not say which side is which" in pages.get(path).text


@pytest.mark.parametrize("form", ["MAMMOGRAPHY-CAD", "TID1500"])
def test_marks_on_mammograms_lie_on_the_view_and_the_pixels_that_the_report_names(tmp_path: Path, form: str) -> None:
    phantom = screening(3, pixel_mm=0.2)
    files = write_screening(phantom, tmp_path / "mg")
    (tmp_path / "out").mkdir()
    report = mammography.run_job(files, tmp_path / "out", (form,)).objects[0]
    headers = {place: pydicom.dcmread(path, stop_before_pixels=True)
               for place, path in zip(phantom.views, files, strict=True)}
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*files, Path(report.path))
        study = pages.study(next(iter(headers.values())).StudyInstanceUID)
        hits = 0
        for (side, view), header in headers.items():
            path = f"/studies/{study}/series/{pages.series(header.SeriesInstanceUID)}"
            (slice_,) = pages.data(path)
            assert slice_["view"] == f"{side} {view}"
            assert slice_["sides"][:2] == (["P", "A"] if side == "L" else ["A", "P"])
            marks = _marks(pages.data(f"{path}/findings"))
            for points in marks:
                assert (points >= 0).all()
                assert (points <= [slice_["columns"], slice_["rows"]]).all()
            for truth in phantom.views[side, view].truth:
                hits += any(np.linalg.norm(points.mean(axis=0) - truth.center) * 0.2 < 6 for points in marks)
        lesions = sum(len(each.truth) for each in phantom.views.values())
        assert hits >= lesions / 2 > 0


def _marks(drawn: list[dict[str, Any]]) -> list[Any]:
    return [np.array(mark["points"]) for each in drawn for mark in each["marks"]]


def test_what_cannot_be_decoded_says_so_in_its_place(tmp_path: Path) -> None:
    chest = Chest(tmp_path)
    broken = pydicom.dcmread(chest.files[3])
    broken.PixelData = broken.PixelData[:40]
    broken.save_as(chest.files[3])
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files)
        study, series = pages.study(chest.study_uid), pages.series(chest.series_uid)
        refused = pages.get(f"/studies/{study}/images/{pages.listed(broken.SOPInstanceUID)}/1", 415)
        assert "fewer than the header says" in refused.json()["detail"]
        assert len(pages.data(f"/studies/{study}/series/{series}")) == SLICES


def test_nothing_of_another_study_is_given_under_the_address_of_a_study(tmp_path: Path) -> None:
    chest = Chest(tmp_path)
    other = phantoms.write_small(tmp_path / "other")
    header = pydicom.dcmread(other[0], stop_before_pixels=True)
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files, *other)
        study, image = pages.study(chest.study_uid), pages.listed(header.SOPInstanceUID)
        pages.get(f"/studies/{study}/images/{image}/1", 404)
        pages.get(f"/studies/{study}/images/{image}/1/overlay/{image}?segments=1", 404)
        pages.get(f"/studies/{study}/series/{pages.series(header.SeriesInstanceUID)}", 404)
        pages.get("/studies/999/pictures", 404)


def test_the_link_opens_the_study_in_the_configured_viewer_and_is_nowhere_else(tmp_path: Path) -> None:
    chest = Chest(tmp_path)
    template = "https://viewer.example/viewer?StudyInstanceUIDs={study_instance_uid}"
    for folder, url in (("with", template), ("without", None)):
        with wall(tmp_path / folder, url) as pages:
            pages.web.receive(*chest.files)
            shown = pages.get(f"/studies/{pages.study(chest.study_uid)}/pictures").text
            assert (f'href="https://viewer.example/viewer?StudyInstanceUIDs={chest.study_uid}"' in shown) == bool(url)


@pytest.mark.parametrize(("state", "said"), [
    ("PRODUCED", "ct-lung has read the study; nothing of its results is drawn on these pictures."),
    ("NOT_PROCESSED", "ct-lung has NOT read the study: too few slices"),
    ("FAILED", "ct-lung failed and has NOT read the study: too few slices"),
    ("RUNNING", "ct-lung has not read the study yet."),
    ("DISCARDED", "ct-lung has NOT read the study: the job was discarded."),
    (None, "No pipeline of the node was asked to read this study."),
])
def test_no_finding_not_read_and_failed_are_told_apart(tmp_path: Path, state: str | None, said: str) -> None:
    chest = Chest(tmp_path)
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files)
        if state is not None:
            pages.web.produce()
            with pages.web.database.begin() as session:
                session.execute(update(JobRow).values(state=state, reason="too few slices", pipeline="ct-lung"))
        answer = pages.get(f"/studies/{pages.study(chest.study_uid)}/series/{pages.series(chest.series_uid)}/findings")
        assert said in answer.text
        assert answer.text.count("ct-lung") == (state is not None)


PROBABILITY = Code("111047", "DCM", "Probability")
SCORE = Code("111013", "DCM", "Certainty of Finding")


def ramp(volume: Volume, kind: MapKind) -> Map:
    """From 0 at the first column of the first slice on, without symmetry; twice as much where it is no probability."""
    slices, rows, columns = volume.voxels.shape
    values = np.zeros(volume.voxels.shape, np.float32)
    values[:, : rows // 2] = np.linspace(0, 1, columns) * np.linspace(0.5, 1, slices)[:, np.newaxis, np.newaxis]
    is_share = kind is MapKind.PROBABILITY
    return Map(
        key="lesion", label="Lesion", kind=kind, category=samples.ANATOMY, type=samples.LUNG, rgb=(255, 80, 0),
        quantity=PROBABILITY if is_share else SCORE, unit=Code("1", "UCUM", "no units"),
        values=values if is_share else 2 * values,
    )


@pytest.mark.parametrize(("form", "kind", "said"), [
    ("FRACTIONAL", MapKind.PROBABILITY, ("Probability, not a decision.", 'data-from="10 %" data-to="100 %"')),
    ("PM", MapKind.SALIENCY, ("A map of numbers, not a decision.", 'data-from="0.2 " data-to="2 "')),
])
def test_a_map_is_the_more_opaque_the_higher_it_is_and_its_scale_is_said(
    tmp_path: Path, form: str, kind: MapKind, said: tuple[str, ...]
) -> None:
    chest = Chest(tmp_path, (form,), lambda volume: [ramp(volume, kind)])
    shares = ramp(samples.volume_of(chest.headers), MapKind.PROBABILITY).values
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files)
        pages.web.produce(chest.results[form])
        study, by = pages.study(chest.study_uid), pages.listed(chest.result(form).SOPInstanceUID)
        found = pages.get(f"/studies/{study}/series/{pages.series(chest.series_uid)}/findings").text
        assert all(each in found for each in said)
        for place, header in enumerate(chest.headers):
            shown = pages.pixels(
                f"/studies/{study}/images/{pages.listed(header.SOPInstanceUID)}/1/overlay/{by}?segments=1")
            wanted = np.where(shares[place] >= 0.1, shares[place], 0) * 255
            clear = np.abs(shares[place] - 0.1) > 0.01
            assert np.abs(shown[..., 3] - wanted)[clear].max() <= 1.5
            assert len({tuple(each) for each in shown[shown[..., 3] > 0][:, :3].tolist()}) == 1


def test_fractions_that_are_more_than_the_whole_are_refused_in_words(tmp_path: Path) -> None:
    chest = Chest(tmp_path, ("FRACTIONAL",), lambda volume: [ramp(volume, MapKind.PROBABILITY)])
    broken = chest.result("FRACTIONAL")
    broken.MaximumFractionalValue = 100
    broken.save_as(tmp_path / "broken.dcm")
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files)
        pages.web.produce(tmp_path / "broken.dcm")
        path = f"/studies/{pages.study(chest.study_uid)}/series/{pages.series(chest.series_uid)}/findings"
        assert "It cannot be drawn: the fractions are more than the whole" in pages.get(path).text


def test_contours_lie_on_the_slices_that_they_name_and_a_broken_set_is_refused_in_words(tmp_path: Path) -> None:
    chest = Chest(tmp_path, ("RTSTRUCT",))
    whole, broken = chest.result("RTSTRUCT"), chest.result("RTSTRUCT")
    broken.SOPInstanceUID = broken.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    contour = broken.ROIContourSequence[0].ContourSequence[0]
    contour.ContourData = [*contour.ContourData, 1.5]
    broken.save_as(tmp_path / "broken.dcm")
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files)
        pages.web.produce(chest.results["RTSTRUCT"], tmp_path / "broken.dcm")
        study, by = pages.study(chest.study_uid), pages.listed(whole.SOPInstanceUID)
        path = f"/studies/{study}/series/{pages.series(chest.series_uid)}"
        said = pages.get(f"{path}/findings").text
        assert "Lung_R" in said
        assert re.search(r"It cannot be drawn: contour 1 of the structure set has \d+ numbers, which are no", said)
        order = [each["id"] for each in pages.data(path)]
        (drawn,) = [each for each in pages.data(f"{path}/findings") if each["layers"]]
        for number, structure in enumerate(whole.ROIContourSequence, 1):
            named = {pages.listed(each.ContourImageSequence[0].ReferencedSOPInstanceUID)
                     for each in structure.ContourSequence}
            assert {order[int(at)] for at, numbers in drawn["layers"].items() if number in numbers} == named
            for image in order:
                answer = pages.get(f"/studies/{study}/images/{image}/1/overlay/{by}?segments={number}")
                assert answer.headers["content-type"] == "image/svg+xml"
                assert (b"<path" in answer.content) == (image in named)


def test_what_was_made_in_shadow_is_shown_as_that_to_who_runs_the_node_and_to_nobody_else(tmp_path: Path) -> None:
    chest = Chest(tmp_path)
    with wall(tmp_path / "node") as pages:
        pages.web.receive(*chest.files)
        pages.web.produce(chest.results["SEG"], chest.results["TID1500+SEG"], shadow=True)
        study = pages.study(chest.study_uid)
        path = f"/studies/{study}/series/{pages.series(chest.series_uid)}/findings"
        app = pages.web.client.app
        for role, sees in (("operator", True), ("admin", True), ("radiologist", False)):
            app.state.identity = lambda _, role=role: Identity(name="x", roles=(role,), how="password")
            said = pages.get(path).text
            assert (SHADOW in said) == sees
            assert ("what it finds is not shown" in said) == (not sees)
            assert "checked>" not in said
            assert ("Volume" in said) == sees
            assert [each["shadow"] for each in pages.data(path)] == [True] * sees
        app.state.identity = lambda _: Identity(name="x", roles=("operator",), how="password")
        (by,) = [each["id"] for each in pages.data(path) if each["layers"]]
        image = pages.listed(chest.headers[4].SOPInstanceUID)
        address = f"/studies/{study}/images/{image}/1/overlay/{by}?segments=1"
        assert (pages.pixels(address)[..., 3] > 0).tolist() == chest.masks["Right lung"][4].tolist()
        app.state.permits = lambda _, permission: None if permission == "studies" else refuse()
        pages.get(address, 403)
        pages.get(f"/studies/{study}/images/{image}/1/overlay/1?segments=1", 404)


SHADOW = "shadow \N{EN DASH} not sent"


def refuse() -> None:
    raise HTTPException(403)
