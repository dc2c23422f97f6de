"""Where the marks lie that OHIF shows, and what is not marked at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import ohif
from support import result_samples as samples

from radnode.pipelines.contract import RunFailed
from radnode.pipelines.findings import Detection, Findings, InPatient, Measurement, OnImage
from radnode.pipelines.findings import Path as Line
from radnode.pipelines.geometry import Projection, SourceFrame, to_index
from radnode.pipelines.results.ohif_marks import Mark, Tool, marks


def _marked() -> Findings:
    return ohif.marked(samples.volume_of(ohif.square_stack()))


def _one(findings: Findings) -> Mark:
    (mark,) = marks(findings)
    return mark


def test_each_kind_of_place_has_its_tool_and_what_may_not_be_shown_has_none() -> None:
    assert [(mark.identity, mark.tool) for mark in marks(_marked())] == [
        ("round", Tool.OUTLINE), ("box", Tool.BOX), ("pointed", Tool.ARROW), ("deep", Tool.ARROW),
        ("deep-box", Tool.BOX), ("round measurement 8", Tool.LENGTH), ("lung-left", Tool.LENGTH),
    ]


def test_an_outline_shows_its_own_area_first_and_then_what_was_said() -> None:
    outline = marks(_marked())[0]
    assert [number.name.meaning for number in outline.numbers] == ["Area", "Certainty of Finding", "Volume"]
    # From the first corner (8, 7): triangles of 7, 12 and 5.25 square pixels.
    assert outline.numbers[0].value == pytest.approx((7 + 12 + 5.25) * ohif.SPACING**2)
    assert [number.value for number in outline.numbers[1:]] == [87, 312.5]


@pytest.mark.parametrize("orientation", [samples.AXIAL, samples.OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("step", [2.5, -2.5], ids=["ascending", "descending"])
def test_a_place_in_the_patient_is_marked_on_the_nearest_slice(orientation: tuple[float, ...], step: float) -> None:
    volume = samples.volume_of(ohif.square_stack(orientation=orientation, step=step))
    findings = ohif.marked(volume)
    deep = next(mark for mark in marks(findings) if mark.identity == "deep")
    assert deep.image == volume.frames[3]
    assert deep.points == pytest.approx(np.array([(20.5, 12.5)]))


def test_the_box_of_a_place_is_its_section_and_ends_where_the_image_ends() -> None:
    volume = samples.volume_of(ohif.square_stack())
    center = tuple((volume.affine @ (2, 22, 10, 1))[:3].tolist())
    found = Detection(key="a", label="A", type=ohif.NODULE, at=InPatient(center_lps=center, extent_mm=(4, 4.8, 30)))
    box = _one(Findings(volume=volume, detections=(found,)))
    assert box.points.min(axis=0) == pytest.approx((10.5 - 2.5, 22.5 - 3))
    assert box.points.max(axis=0) == pytest.approx((10.5 + 2.5, 24))


def test_the_box_on_an_oblique_slice_holds_the_corners_of_the_section() -> None:
    volume = samples.volume_of(ohif.square_stack(orientation=samples.OBLIQUE))
    center = np.array((volume.affine @ (2, 12, 16, 1))[:3])
    at = InPatient(center_lps=(center[0], center[1], center[2]), extent_mm=(4.0, 5.0, 6.0))
    box = _one(Findings(volume=volume, detections=(Detection(key="a", label="A", type=ohif.NODULE, at=at),)))
    rows, columns = np.mgrid[0:24, 0:32]
    pixels = np.column_stack([np.full(rows.size, 2), rows.ravel(), columns.ravel(), np.ones(rows.size)])
    inside = (np.abs((pixels @ volume.affine.T)[:, :3] - center) <= np.array([2, 2.5, 3])).all(axis=1)
    assert inside.sum() > 10
    middles = pixels[inside][:, [2, 1]] + 0.5
    assert (middles >= box.points.min(axis=0)).all()
    assert (middles <= box.points.max(axis=0)).all()


def test_a_detection_beyond_the_volume_stops_the_run() -> None:
    volume = samples.volume_of(ohif.square_stack())
    outside = tuple((volume.affine @ (2, 24, 10, 1))[:3].tolist())
    findings = Findings(volume=volume, detections=(
        Detection(key="a", label="A", type=ohif.NODULE, at=InPatient(center_lps=outside)),
    ))
    assert to_index(volume.affine, np.array([outside]))[0][1] == pytest.approx(24)
    with pytest.raises(RunFailed, match="a lies outside"):
        marks(findings)


def test_nothing_is_marked_on_pixels_that_are_not_square() -> None:
    """OHIF exchanges the two spacings, so a mark would lie beside the lesion."""
    assert marks(ohif.marked(samples.volume_of(samples.stack()))) == ()


def test_segments_alone_ask_for_no_mark() -> None:
    assert marks(samples.lungs(samples.volume_of(ohif.square_stack()))) == ()


@pytest.mark.parametrize("change", [
    {"value": 9.0},
    {"unit": samples.PERCENT},
    {"points": [(8.0, 7.0), (12.0, 7.0), (12.0, 10.0)]},
])  # fmt: skip
def test_a_number_that_is_not_the_length_of_its_line_is_not_drawn_as_one(change: dict[str, object]) -> None:
    findings = _marked()
    (line,) = [each for each in findings.measurements if each.path is not None and each.of == "round"]
    assert line.path is not None
    points = np.array(change.pop("points", line.path.points))
    changed = replace(line, path=Line(sop_instance_uid=line.path.sop_instance_uid, points=points), **change)
    alone = Findings(volume=findings.volume, segments=findings.segments, detections=findings.detections[:1],
                     measurements=(changed,))
    assert [mark.tool for mark in marks(alone)] == [Tool.OUTLINE]


def _mammogram(spacing: tuple[float, float] | None) -> Projection:
    source = SourceFrame(sop_class_uid="1.2.840.10008.5.1.4.1.1.1.2", sop_instance_uid="1.2.3")
    pixels = np.zeros((40, 30), np.float32)
    return Projection(pixels=pixels, source=source, series_instance_uid="1.2", spacing_mm=spacing)


@pytest.mark.parametrize(("spacing", "tools"), [
    ((0.1, 0.1), [Tool.OUTLINE, Tool.LENGTH]),
    ((0.1, 0.2), []),
    (None, [Tool.ARROW]),
])  # fmt: skip
def test_on_projections_millimetres_are_shown_only_where_the_image_has_them(
    spacing: tuple[float, float] | None, tools: list[Tool]
) -> None:
    outline = np.array([(8, 7), (12, 6), (14, 9), (11, 12)], dtype=np.float64)
    mass = Detection(key="m", label="Mass", type=ohif.NODULE,
                     at=OnImage(sop_instance_uid="1.2.3", center=(11, 9), outline=outline))
    line = Measurement(of="m", name=ohif.DIAMETER, value=0.5, unit=ohif.MILLIMETER,
                       path=Line(sop_instance_uid="1.2.3", points=np.array([(8.0, 7.0), (12.0, 10.0)])))
    findings = Findings(projections=(_mammogram(spacing),), detections=(mass,), measurements=(line,))
    assert [mark.tool for mark in marks(findings)] == tools
