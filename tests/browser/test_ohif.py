"""What a radiologist sees of the results in OHIF, an unmodified viewer, from an unmodified PACS."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from support import dcmtk, ohif
from support import result_samples as samples
from support.chest import Series, write_chest

from radnode.pipelines.ct_lung.phantom import chest_phantom
from radnode.pipelines.findings import Detection, Findings, InPatient, Measurement, OnImage, Segment
from radnode.pipelines.findings import Path as Line
from radnode.pipelines.forms import plan
from radnode.pipelines.geometry import to_patient
from radnode.pipelines.results import write
from radnode.pipelines.results.gate import check

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from support.orthanc import Orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]

SLICES, SIZE = 40, 128
SLICE, ROW, COLUMN, RADIUS = 22, 70, 34, 4.5  # a nodule in the right lung, in voxels
BLUE, ORANGE = (90, 160, 220), (220, 160, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen in the browser, and its pictures: uint8 (height, width, 3)."""

    seen: dict[str, Any]
    findings: Findings
    segmentation: NDArray[np.uint8]
    measurements: NDArray[np.uint8]


@pytest.fixture
def look(start_orthanc: Callable[..., Orthanc], tmp_path: Path) -> Look:
    """A chest with a nodule and its results in a PACS, opened in OHIF.

    RADNODE_TEST_PICTURES: a folder for the pictures, in 256 colours; by default none are kept.
    """
    series = write_chest(tmp_path / "ct", slices=SLICES, size=SIZE)
    _paint_nodule(series)
    findings, results = _results(series, tmp_path)
    orthanc = start_orthanc()
    orthanc.send(tmp_path / "ct")
    dcmtk.storescu(orthanc.port, results, called=orthanc.ae_title, calling="RADNODE", options=["-R"])
    seen = ohif.looked_at(
        orthanc, tmp_path, study=series.study_instance_uid, slices=SLICES, instance=SLICE + 1,
        segmentation=" SEG 1.2.3", report=" SR tools 1.2.3",
    )  # fmt: skip
    pictures = {name: Image.open(tmp_path / f"ohif-{name}.png").convert("RGB") for name in ("seg", "measurements")}
    if keep := os.environ.get("RADNODE_TEST_PICTURES"):
        for name, picture in pictures.items():
            picture.quantize(256).save(Path(keep) / f"ohif-{name}.png", optimize=True)
    return Look(seen=seen, findings=findings, segmentation=np.asarray(pictures["seg"]),
                measurements=np.asarray(pictures["measurements"]))


def test_ohif_shows_the_segments_and_takes_over_the_marks(look: Look) -> None:
    """One test, since each look costs half a minute."""
    assert look.seen["errors"] == []
    _segments_are_named_and_painted(look)
    _marks_are_listed_and_drawn(look)


def _segments_are_named_and_painted(look: Look) -> None:
    shown = look.seen["segmentation"]
    assert shown["errors"] == []
    assert [row.split("\n")[-1] for row in shown["segments"]] == ["Right lung", "Left lung"]
    assert shown["number"].startswith(f"I:{SLICE + 1} ")
    right, left = (segment.mask[SLICE] for segment in look.findings.segments)
    tint = {
        name: _colours(look.segmentation, shown["pane"], mask)
        for name, mask in (("right", right), ("left", left), ("neither", ~(right | left)))
    }
    bluer = {name: (colour[:, 2] - colour[:, 0]) for name, colour in tint.items()}
    assert (bluer["right"] > 15).mean() > 0.98
    assert (bluer["left"] < -15).mean() > 0.98
    assert (np.abs(bluer["neither"]) < 15).mean() > 0.98
    # The reader faces the patient: the right lung is on the left side of the picture.
    assert np.argwhere(right)[:, 1].max() < np.argwhere(left)[:, 1].min()


def _marks_are_listed_and_drawn(look: Look) -> None:
    shown = look.seen["measurements"]
    assert shown["errors"] == []
    assert sorted(row.split("\n")[-1] for row in shown["rows"]) == [
        "Nodule 1, 87% (AI, RESEARCH)", "Nodule 1: Diameter (AI, RESEARCH)", "Nodule 2, 50% (AI, RESEARCH)",
        "Nodule 3 (AI, RESEARCH)",
    ]
    # The diameter is 9 pixels of 380/128 mm; the area that of the outline's 24 corners on a circle.
    for number in ("26.7 mm", "554 mm²"):
        assert number in shown["text"]
    assert shown["number"].startswith(f"I:{SLICE + 1} "), "OHIF goes to the image of the marks"
    outline = look.findings.detections[0].at
    assert isinstance(outline, OnImage)
    assert outline.outline is not None
    box = np.array([(91.46, 55.45), (99.54, 55.45), (99.54, 65.55), (91.46, 65.55)])
    for corners in (outline.outline, box):
        assert _yellow_along(look.measurements, shown["pane"], corners) > 0.95
        assert _yellow_along(look.measurements, shown["pane"], np.add(corners, (0, 25))) < 0.5


def _screen(pane: dict[str, float], pixels: NDArray[np.float64]) -> NDArray[np.int_]:
    """(column, row) of the image to (x, y) of the screen: OHIF fits the image into the middle of its pane."""
    scale = min(pane["width"], pane["height"]) / SIZE
    middle = np.array([pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] / 2])
    return np.rint(middle + (pixels - SIZE / 2) * scale).astype(int)


def _colours(picture: NDArray[np.uint8], pane: dict[str, float], mask: NDArray[np.bool_]) -> NDArray[np.int_]:
    """What is painted on the middles of pixels whose neighbours are in the mask too, (n, 3)."""
    inner = mask.copy()
    for axis in (0, 1):
        inner &= np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    inner[:12], inner[-12:] = False, False  # letters of the viewer
    x, y = _screen(pane, np.argwhere(inner)[:, ::-1] + 0.5).T
    return picture[y, x].astype(int)


def _yellow_along(picture: NDArray[np.uint8], pane: dict[str, float], corners: NDArray[np.float64]) -> float:
    """The share of a closed line, in image coordinates, with OHIF's yellow within two pixels of the screen."""
    steps = np.linspace(0, 1, 20, endpoint=False)[:, np.newaxis]
    after = np.roll(corners, -1, axis=0)
    line = np.concatenate([a + (b - a) * steps for a, b in zip(corners, after, strict=True)])
    red, green, blue = np.moveaxis(picture.astype(int), 2, 0)
    yellow = (red > 150) & (green > 150) & (blue < 100)
    return float(np.mean([yellow[y - 2 : y + 3, x - 2 : x + 3].any() for x, y in _screen(pane, line)]))


def _paint_nodule(series: Series) -> None:
    for index, path in enumerate(series.files):
        image = pydicom.dcmread(path)
        rows, columns = np.mgrid[:SIZE, :SIZE]
        slices = (index - SLICE) * float(image.SliceThickness) / float(image.PixelSpacing[0])
        inside = (rows - ROW) ** 2 + (columns - COLUMN) ** 2 + slices**2 < (RADIUS - 0.5) ** 2
        image.PixelData = np.where(inside, 40, image.pixel_array).astype("<i2").tobytes()
        image.save_as(path)


def _results(series: Series, folder: Path) -> tuple[Findings, list[Path]]:
    """What a run would say of it, and its files, which passed the gate."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in series.files]
    volume, phantom = samples.volume_of(headers), chest_phantom(slices=SLICES, size=SIZE)
    image = str(headers[SLICE].SOPInstanceUID)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    outline = np.column_stack([np.cos(angles), np.sin(angles)]) * RADIUS + (COLUMN + 0.5, ROW + 0.5)
    lower, upper = to_patient(volume.affine, np.array([(SLICE, 80, 95), (SLICE, 60, 95)])).tolist()
    findings = Findings(
        volume=volume,
        segments=tuple(
            Segment(key=f"lung-{side}", label=f"{side.capitalize()} lung", category=samples.ANATOMY, type=samples.LUNG,
                    voxels=mask, rgb=rgb, laterality=laterality)
            for side, mask, rgb, laterality in (("right", phantom.right_mask, BLUE, samples.RIGHT),
                                                ("left", phantom.left_mask, ORANGE, samples.LEFT))
        ),
        detections=(
            Detection(key="n1", label="Nodule 1", type=ohif.NODULE, certainty=0.87, site=samples.LUNG,
                      laterality=samples.RIGHT, at=OnImage(
                          sop_instance_uid=image, center=(COLUMN + 0.5, ROW + 0.5), outline=outline)),
            Detection(key="n2", label="Nodule 2", type=ohif.NODULE, certainty=0.5,
                      at=InPatient(center_lps=tuple(upper), extent_mm=(24.0, 30.0, 20.0))),
            Detection(key="n3", label="Nodule 3", type=ohif.NODULE, at=InPatient(center_lps=tuple(lower))),
        ),
        measurements=(
            Measurement(of="n1", name=ohif.DIAMETER, unit=ohif.MILLIMETER, value=2 * RADIUS * phantom.spacing_mm[1],
                        path=Line(sop_instance_uid=image, points=outline[[12, 0]])),
        ),
    )
    sample = samples.sample(headers, findings, forms=plan(("SEG", "TID1500", "OHIF")))
    files: dict[str, list[Path]] = {}
    for written in write(sample.findings, sample.source, sample.provenance, sample.provenance.order.forms):
        path = folder / f"{written.wanted.name}-{written.number}.dcm"
        written.dataset.save_as(path, enforce_file_format=True)
        files.setdefault(written.wanted.name, []).append(path)
    check(files, sample.findings, sample.source, sample.provenance)
    return findings, [path for paths in files.values() for path in paths]
