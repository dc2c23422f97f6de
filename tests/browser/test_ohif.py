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
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation
from support import dcmtk, ohif
from support import result_samples as samples
from support.chest import Series, write_chest

from radnode.pipelines.ct_lung.phantom import chest_phantom
from radnode.pipelines.findings import Code, Detection, Findings, InPatient, Measurement, OnImage, Segment
from radnode.pipelines.findings import Path as Line
from radnode.pipelines.forms import plan
from radnode.pipelines.geometry import Projection, SourceFrame, to_patient
from radnode.pipelines.results.gate import check
from radnode.pipelines.results.identity import Provenance
from radnode.pipelines.results.normalise import read_source
from radnode.pipelines.results.writers import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from support.orthanc import Orthanc

pytestmark = [pytest.mark.peer, pytest.mark.slow]

SLICES, SIZE = 40, 128
SLICE, ROW, COLUMN, RADIUS = 22, 70, 34, 4.5  # a nodule in the right lung, in voxels
HEIGHT, WIDTH = 400, 300  # of the mammogram
BLUE, ORANGE = (90, 160, 220), (220, 160, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen in the browser, and its pictures: uint8 (height, width, 3)."""

    seen: dict[str, Any]
    findings: Findings
    pictures: dict[str, NDArray[np.uint8]]


@pytest.fixture
def look(start_orthanc: Callable[..., Orthanc], tmp_path: Path) -> Callable[..., Look]:
    """`look(findings, images, results, **asked)`: images and results in a PACS, opened in OHIF.

    RADNODE_TEST_PICTURES: a folder for the pictures, in 256 colours; by default none are kept.
    """

    def taken(
        findings: Findings, images: list[Path], results: list[Path], *, kept_as: str = "", **asked: Any
    ) -> Look:
        orthanc = start_orthanc()
        orthanc.send(images)
        dcmtk.storescu(orthanc.port, results, called=orthanc.ae_title, calling="RADNODE", options=["-R"])
        study = str(pydicom.dcmread(images[0], stop_before_pixels=True).StudyInstanceUID)
        seen = ohif.looked_at(
            orthanc, tmp_path, credentials="test:test", study=study, slices=len(images), report=" SR tools 1.2.3",
            **asked,
        )
        pictures = {path.stem: Image.open(path).convert("RGB") for path in tmp_path.glob("ohif-*.png")}
        if keep := os.environ.get("RADNODE_TEST_PICTURES"):
            for name, picture in pictures.items():
                picture.quantize(256).save(Path(keep) / f"{name}{kept_as}.png", optimize=True)
        return Look(seen=seen, findings=findings, pictures={name: np.asarray(each) for name, each in pictures.items()})

    return taken


def test_ohif_shows_the_segments_and_takes_over_the_marks(look: Callable[..., Look], tmp_path: Path) -> None:
    """One test, since each look costs half a minute."""
    series = write_chest(tmp_path / "ct", slices=SLICES, size=SIZE)
    _paint_nodule(series)
    findings, results = _results(series, tmp_path)
    taken = look(findings, list(series.files), results, segmentation=" SEG 1.2.3", instance=SLICE + 1)
    assert taken.seen["errors"] == []
    _segments_are_named_and_painted(taken)
    _marks_are_listed_and_drawn(taken)


def test_ohif_takes_over_the_marks_on_a_mammogram(look: Callable[..., Look], tmp_path: Path) -> None:
    image = _mammogram(tmp_path / "mammogram.dcm")
    findings, report = _mammogram_results(image, tmp_path)
    taken = look(findings, [image], [report], kept_as="-mammogram")
    shown = taken.seen["measurements"]
    assert (taken.seen["errors"], shown["errors"]) == ([], [])
    assert [row.split("\n")[-1] for row in shown["rows"]] == [
        "Mass 1, 91% (AI, RESEARCH)", "Cluster 1 (AI, RESEARCH)", "Mass 1: Diameter (AI, RESEARCH)",
    ]
    assert "4.00 mm" in shown["text"], "in the plane of the detector"
    for found in findings.detections:
        assert isinstance(found.at, OnImage)
        assert found.at.outline is not None
        _is_drawn(taken, found.at.outline, HEIGHT, WIDTH)


def _segments_are_named_and_painted(look: Look) -> None:
    shown = look.seen["segmentation"]
    assert shown["errors"] == []
    assert [row.split("\n")[-1] for row in shown["segments"]] == ["Right lung", "Left lung"]
    assert shown["number"].startswith(f"I:{SLICE + 1} ")
    right, left = (segment.mask[SLICE] for segment in look.findings.segments)
    tint = {
        name: _colours(look.pictures["ohif-seg"], shown["pane"], mask)
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
        _is_drawn(look, corners, SIZE, SIZE)


def _is_drawn(look: Look, corners: NDArray[np.float64], rows: int, columns: int) -> None:
    """A closed line lies in OHIF's yellow where it is meant, and not a fifth of the image further down."""
    picture, pane = look.pictures["ohif-measurements"], look.seen["measurements"]["pane"]
    assert _yellow_along(picture, _screen(pane, _line(corners), rows, columns)) > 0.95
    below = np.add(corners, (0, rows / 5))
    assert _yellow_along(picture, _screen(pane, _line(below), rows, columns)) < 0.5


def _screen(pane: dict[str, float], pixels: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.int_]:
    """(column, row) of the image to (x, y) of the screen: OHIF fits the image into the middle of its pane."""
    scale = min(pane["width"] / columns, pane["height"] / rows)
    middle = np.array([pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] / 2])
    return np.rint(middle + (pixels - np.array([columns, rows]) / 2) * scale).astype(int)


def _colours(picture: NDArray[np.uint8], pane: dict[str, float], mask: NDArray[np.bool_]) -> NDArray[np.int_]:
    """What is painted on the middles of pixels whose neighbours are in the mask too, (n, 3)."""
    inner = mask.copy()
    for axis in (0, 1):
        inner &= np.roll(mask, 1, axis) & np.roll(mask, -1, axis)
    inner[:12], inner[-12:] = False, False  # letters of the viewer
    x, y = _screen(pane, np.argwhere(inner)[:, ::-1] + 0.5, *mask.shape).T
    return picture[y, x].astype(int)


def _line(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points along a closed line."""
    steps = np.linspace(0, 1, 20, endpoint=False)[:, np.newaxis]
    return np.concatenate([a + (b - a) * steps for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)])


def _yellow_along(picture: NDArray[np.uint8], line: NDArray[np.int_]) -> float:
    """The share of points on the screen with OHIF's yellow within two pixels."""
    red, green, blue = np.moveaxis(picture.astype(int), 2, 0)
    yellow = (red > 150) & (green > 150) & (blue < 100)
    return float(np.mean([yellow[y - 2 : y + 3, x - 2 : x + 3].any() for x, y in line]))


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


def _mammogram(path: Path) -> Path:
    """A breast with a round mass and a bright rectangle, as a detector writes it: no place in the patient."""
    header = samples.ct_header(0, (0, 0, 0))
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID", "PixelSpacing",
                    "PositionReferenceIndicator", "SliceThickness", "RescaleType", "PatientPosition"):
        delattr(header, keyword)
    header.SOPClassUID, header.Modality = DigitalMammographyXRayImageStorageForPresentation, "MG"
    header.ImageType, header.PresentationIntentType = ["ORIGINAL", "PRIMARY"], "FOR PRESENTATION"
    header.ImageLaterality, header.ViewPosition, header.PatientOrientation = "R", "MLO", ["P", "F"]
    header.ImagerPixelSpacing, header.RescaleIntercept = [0.1, 0.1], 0
    header.WindowCenter, header.WindowWidth = 1600, 3200
    header.Rows, header.Columns = HEIGHT, WIDTH
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    pixels = np.where((columns / WIDTH - 1) ** 2 / 0.44 + (rows / HEIGHT - 0.5) ** 2 / 0.2 < 1, 1200, 200)
    pixels[(columns - 180) ** 2 + (rows - 120) ** 2 < 20**2] = 3000
    pixels[250:280, 200:240] = 2500
    header.PixelData = pixels.astype("<u2").tobytes()
    header["PixelData"].VR = "OW"
    path.write_bytes(samples.encoded(header))
    return path


def _mammogram_results(path: Path, folder: Path) -> tuple[Findings, Path]:
    header = pydicom.dcmread(path, stop_before_pixels=True)
    uid, angles = str(header.SOPInstanceUID), np.linspace(0, 2 * np.pi, 32, endpoint=False)
    image = Projection(
        pixels=pydicom.dcmread(path).pixel_array.astype(np.float32), spacing_mm=(0.1, 0.1), orientation=("P", "F"),
        source=SourceFrame(sop_class_uid=str(header.SOPClassUID), sop_instance_uid=uid), laterality="R", view="MLO",
        series_instance_uid=str(header.SeriesInstanceUID),
    )  # fmt: skip
    outline = np.column_stack([180 + 20 * np.cos(angles), 120 + 20 * np.sin(angles)])
    box = np.array([(200, 250), (240, 250), (240, 280), (200, 280)], dtype=np.float64)
    findings = Findings(
        projections=(image,),
        detections=(
            Detection(key="m1", label="Mass 1", type=Code("4147007", "SCT", "Mass"), certainty=0.91,
                      at=OnImage(sop_instance_uid=uid, center=(180, 120), outline=outline)),
            Detection(key="c1", label="Cluster 1", type=Code("129769006", "SCT", "Calcification Cluster"),
                      at=OnImage(sop_instance_uid=uid, center=(220, 265), outline=box)),
        ),
        measurements=(Measurement(of="m1", name=ohif.DIAMETER, value=4.0, unit=ohif.MILLIMETER,
                                  path=Line(sop_instance_uid=uid, points=outline[[16, 0]])),),
    )
    source = read_source([header], None, findings.projections)
    provenance = Provenance(manifest=samples.MANIFEST, order=samples.order([header], forms=("OHIF",)),
                            started=samples.STARTED)
    (written,) = write(findings, source, provenance, ["OHIF"])
    report = folder / "OHIF.dcm"
    written.dataset.save_as(report, enforce_file_format=True)
    check({"OHIF": [report]}, findings, source, provenance)
    return findings, report
