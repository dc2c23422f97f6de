"""One job over images that are no slices, from files to result objects: what was found lies where it was found."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from support import flat_images as flat
from support import projection_samples, sample_pipelines, validators
from support import result_samples as samples

from radnode.pipelines import registry, runner
from radnode.pipelines.contract import InputInstance, RunReport, RunState
from radnode.pipelines.forms import plan

if TYPE_CHECKING:
    from collections.abc import Sequence

# A third party's pipeline: what is brighter than tissue, or green, is a mark and a segment.
_MARKS = """\
from radnode.pipelines.findings import Detection, OnImage
nodule = Code("27925004", "SCT", "Nodule")
MEANT = {"MG": Code("129793001", "SCT", "Mammography breast density"), "DX": nodule, "ES": nodule}
seen = []
for image in images.projections:
    found = image.pixels > 2000 if hasattr(image, "pixels") else image.rgb[..., 1] > 130
    seen.append((image.source, found))
detections, segments = [], []
for number, (source, found) in enumerate(seen):
    if not found.any():
        continue
    (top, left), (bottom, right) = np.argwhere(found).min(axis=0), np.argwhere(found).max(axis=0) + 1
    outline = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
    detections.append(Detection(key=f"d{number}", label=f"Mark {number}", type=MEANT[images.modality],
        certainty=0.5, at=OnImage(sop_instance_uid=source.sop_instance_uid, frame_number=source.frame_number,
        center=((left + right) / 2, (top + bottom) / 2), outline=outline)))
for number, uid in enumerate(dict.fromkeys(source.sop_instance_uid for source, _ in seen)):
    planes = [found for source, found in seen if source.sop_instance_uid == uid]
    segments.append(Segment(key=f"s{number}", label=f"Area {number}", category=ANATOMY, type=LUNG, rgb=(90, 160, 220),
                            voxels=np.stack(planes) if len(planes) > 1 else planes[0], on=uid))
return Findings(projections=images.projections, detections=tuple(detections), segments=tuple(segments),
                looked_for=(MEANT[images.modality],))
"""
FORMS = ("SEG", "LABELMAP", "TID1500", "COMPREHENSIVE", "SC", "GSPS", "KEY-OBJECTS", "PDF")


def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, files: Sequence[Path], modality: str, reads: str,
    forms: Sequence[str] = FORMS,
) -> tuple[RunReport, dict[str, list[pydicom.Dataset]]]:
    package = f"pipeline_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    manifest = sample_pipelines.manifest_text(package=package).replace("modality: CT", f"modality: {modality}")
    manifest = manifest.replace("min_slices: 3", f"min_slices: 1\nreads: {reads}")
    monkeypatch.syspath_prepend(
        sample_pipelines.install(folder / "site", package=package, manifest=manifest, extra=_MARKS)
    )
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    instances = tuple(
        InputInstance(sop_instance_uid=str(header.SOPInstanceUID), series_instance_uid=str(header.SeriesInstanceUID),
                      digest=hashlib.sha256(path.read_bytes()).hexdigest(), path=str(path))
        for header, path in zip(headers, files, strict=True)
    )
    order = samples.order(headers, pipeline="sample", instances=instances, output_folder=str(folder / "out"),
                          forms=plan(forms))
    report = runner.run(order, runner.Warm(registry.installed), lambda _: None)
    results: dict[str, list[pydicom.Dataset]] = {}
    for produced in report.objects:
        results.setdefault(produced.form, []).append(pydicom.dcmread(produced.path))
        validators.dciodvfy(Path(produced.path))
    return report, results


def outlined(report: pydicom.Dataset) -> dict[tuple[str, int | None], np.ndarray]:
    """Image and frame -> the outline on it, of every planar region of a report."""
    found = {}
    for item in walk(report):
        if item.get("ValueType") == "SCOORD":
            reference = item.ContentSequence[0].ReferencedSOPSequence[0]
            key = (str(reference.ReferencedSOPInstanceUID), reference.get("ReferencedFrameNumber"))
            found[key] = np.array(item.GraphicData).reshape(-1, 2)
    return found


def walk(item: pydicom.Dataset) -> list[pydicom.Dataset]:
    return [each for child in item.get("ContentSequence", []) for each in (child, *walk(child))]


MEANT = (float(flat.MARK[1].start), float(flat.MARK[0].start), float(flat.MARK[1].stop), float(flat.MARK[0].stop))
"""Left, top, right, bottom of the mark, in pixel coordinates."""


def box(points: np.ndarray) -> tuple[float, ...]:
    return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


@pytest.mark.parametrize("inverted", [False, True])
def test_marks_on_mammograms_lie_in_every_result_where_they_lie_in_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inverted: bool
) -> None:
    files = flat.write_mammograms(tmp_path / "in", inverted=inverted)
    report, results = run(tmp_path, monkeypatch, files, "MG", "projection", (*FORMS, "MAMMOGRAPHY-CAD"))
    assert (report.state, report.reason) == (RunState.FINDINGS, "")
    uids = [str(pydicom.dcmread(path).SOPInstanceUID) for path in files]
    assert {key: box(points) for key, points in outlined(results["TID1500"][0]).items()} == {
        (uid, None): MEANT for uid in uids
    }
    assert len(results["SEG"]) == 4
    for uid, segmentation in zip(uids, results["SEG"], strict=True):
        group = segmentation.PerFrameFunctionalGroupsSequence[0]
        assert group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID == uid
        np.testing.assert_array_equal(segmentation.pixel_array.squeeze(), flat.marked())
    (state,) = results["GSPS"]
    assert state.PresentationLUTShape == ("INVERSE" if inverted else "IDENTITY")
    assert len(state.SoftcopyVOILUTSequence) == 4
    assert {box(np.array(each.GraphicObjectSequence[0].GraphicData).reshape(-1, 2))
            for each in state.GraphicAnnotationSequence} == {MEANT}
    cad = results["MAMMOGRAPHY-CAD"][0]
    sides = {str(each.ConceptCodeSequence[0].CodeMeaning) for each in walk(cad) if each.get("ValueType") == "CODE"}
    assert {"Left breast", "Right breast"} <= sides or {"Left", "Right"} & sides
    for picture in results["SC"][1:]:
        assert drawn_in_the_upper_right(picture.pixel_array)
    validators.dcmpschk(next(Path(each.path) for each in report.objects if each.form == "GSPS"))


def test_mammograms_of_two_sizes_have_a_state_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = flat.write_mammograms(tmp_path / "in")[:1]
    _, header, *_ = projection_samples.mammograms()
    files.append(flat.write_grey(tmp_path / "in", header, np.pad(flat.grey(), ((0, 6), (0, 2)), constant_values=900)))
    report, results = run(tmp_path, monkeypatch, files, "MG", "projection", ("GSPS",))
    assert (report.state, report.reason) == (RunState.FINDINGS, "")
    assert len(results["GSPS"]) == 2


def drawn_in_the_upper_right(picture: np.ndarray) -> bool:
    """Whether the yellow lines of a picture with a foot of text run where the mark is."""
    rows, columns = np.nonzero((picture == (255, 230, 0)).all(axis=-1))
    height = picture.shape[1] * flat.ROWS / flat.COLUMNS * 7 / 8  # pixels are 0.07 mm high and 0.08 mm wide
    inside = rows < height
    return bool(rows[inside].max() < height / 2 and columns[inside].min() > picture.shape[1] / 2)


def test_a_radiograph_keeps_its_left_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = flat.write_radiograph(tmp_path / "in", PhotometricInterpretation="MONOCHROME1",
                                 PixelData=(4095 - flat.grey()).astype("<u2").tobytes())
    report, results = run(tmp_path, monkeypatch, [path], "DX", "projection", ("TID1500", "SEG", "SC", "CHEST-CAD"))
    assert (report.state, report.reason) == (RunState.FINDINGS, "")
    ((_, points),) = outlined(results["TID1500"][0]).items()
    assert box(points) == MEANT
    (segmentation,) = results["SEG"]
    assert list(segmentation.PatientOrientation) == ["L", "F"]  # the right edge of the picture is the patient's left
    np.testing.assert_array_equal(segmentation.pixel_array.squeeze(), flat.marked())
    assert list(results["SC"][1].PatientOrientation) == ["L", "F"]


@pytest.mark.parametrize("jpeg", [False, True])
def test_a_mark_on_one_frame_of_an_endoscopy_names_that_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jpeg: bool
) -> None:
    path = flat.write_colour(tmp_path / "in", frames=3, jpeg=jpeg)
    uid = str(pydicom.dcmread(path).SOPInstanceUID)
    report, results = run(tmp_path, monkeypatch, [path], "ES", "colour")
    assert (report.state, report.reason) == (RunState.FINDINGS, "")
    assert {key: box(points) for key, points in outlined(results["TID1500"][0]).items()} == {(uid, flat.FRAME): MEANT}
    for form in ("SEG", "LABELMAP"):
        (segmentation,) = results[form]
        (group,) = segmentation.PerFrameFunctionalGroupsSequence
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert (source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber) == (uid, flat.FRAME)
        np.testing.assert_array_equal(segmentation.pixel_array.squeeze() > 0, flat.marked())
    (state,) = results["GSPS"]
    assert state.SOPClassUID == pydicom.uid.ColorSoftcopyPresentationStateStorage
    assert [each.ReferencedImageSequence[0].ReferencedFrameNumber for each in state.GraphicAnnotationSequence] == [2, 2]
    assert len(results["SC"]) == 2  # a page in words, and the one frame
