"""Generated CT series in which something is wrong, and what closing and reading make of each.

Only the two decisions run: whether the series is whole (node/completion.py) and which slices are read
(pipelines/sources/select.py). The first is told how many images the source holds; it holds what was received, unless
the kind says otherwise.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from radnode.node.completion import Policy, SeriesEvidence, judge
from radnode.node.series_geometry import geometry_of
from radnode.pipelines.contract import PipelineError
from radnode.pipelines.sources.headers import SourceInstance
from radnode.pipelines.sources.select import select_stack
from support.phantoms import manifest

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping
    from pathlib import Path

POLICY = Policy(quiet=timedelta(seconds=30), settle=timedelta(seconds=1), hold_after=timedelta(minutes=2))
FRAME_OF_REFERENCE, SERIES = "2.25.11", "2.25.12"


@dataclass(slots=True)
class Series:
    """images: headers with four pixels. counted: the source can be asked how many it holds. at_source: what it says
    then, None for as many as were received."""

    random: random.Random
    step_mm: float
    images: list[Dataset]
    at_source: int | None = None
    counted: bool = True

    def number(self, most: int) -> int:
        """Of what is damaged."""
        return self.random.randint(1, most)

    def normal(self) -> np.ndarray:
        """Of the stack, LPS."""
        directions = np.array(self.images[0].ImageOrientationPatient, float)
        return np.cross(directions[:3], directions[3:])

    def move(self, image: Dataset, by_mm: np.ndarray) -> None:
        """Put an image elsewhere."""
        image.ImagePositionPatient = [round(float(each), 5) for each in np.array(image.ImagePositionPatient) + by_mm]

    def inner(self) -> list[Dataset]:
        """All but the first and the last."""
        return self.images[1:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """held: why the series is not closed, refused: why it is not read, said: what goes with a result. Empty: not so."""

    held: str = ""
    refused: str = ""
    said: tuple[str, ...] = field(default=())

    @property
    def silent(self) -> bool:
        """A result leaves and nobody is told anything."""
        return not (self.held or self.refused or self.said)


def generate(random: random.Random) -> Series:
    """A whole stack: 12 to 60 slices 0.6 to 8 mm apart, straight or oblique, numbered up or down."""
    count, step = random.randint(12, 60), round(random.uniform(0.6, 8), 3)
    angle = random.choice([0.0, random.uniform(-0.6, 0.6)])
    row, column = np.array([1.0, 0, 0]), np.array([0, np.cos(angle), np.sin(angle)])
    start = np.array([random.uniform(-300, 300) for _ in range(3)])
    images = []
    for index in range(count):
        place = start + index * step * np.cross(row, column)
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"2.25.13.{index + 1}"
        image.StudyInstanceUID, image.SeriesInstanceUID = "2.25.10", SERIES
        image.FrameOfReferenceUID, image.Modality = FRAME_OF_REFERENCE, "CT"
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.ImageOrientationPatient = [round(float(each), 6) for each in (*row, *column)]
        image.ImagePositionPatient = [round(float(each), 5) for each in place]
        image.PixelSpacing, image.Rows, image.Columns = [0.7, 0.7], 2, 2
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.RescaleSlope, image.RescaleIntercept = 1, 0
        image.InstanceNumber = index + 1
        image.PixelData = np.array([index, 1, 2, 3], "<i2").tobytes()
        images.append(image)
    return Series(random, step, images)


def _inner_gap(series: Series) -> None:
    for image in series.random.sample(series.inner(), series.number(3)):
        series.images.remove(image)


def _end_gap(series: Series) -> None:
    number = series.number(5)
    series.at_source = len(series.images)
    series.images = series.images[number:] if series.random.random() < 1 / 2 else series.images[:-number]


def _end_gap_nobody_counts(series: Series) -> None:
    _end_gap(series)
    series.counted = False


def _copies(series: Series) -> None:
    for image in series.random.sample(series.images, series.number(3)):
        series.images.append(_again(image))


def _other_pixels(series: Series) -> None:
    _copies(series)
    for image in series.images[-1:]:
        image.PixelData = np.array([7, 7, 7, 7], "<i2").tobytes()


def _again(image: Dataset) -> Dataset:
    copy = deepcopy(image)
    copy.SOPInstanceUID = f"{image.SOPInstanceUID}.9"
    return copy


def _tilt(series: Series) -> None:
    shear = np.tan(np.deg2rad(series.random.uniform(8, 25))) * series.step_mm
    column = np.array(series.images[0].ImageOrientationPatient[3:], float)
    for index, image in enumerate(series.images):
        series.move(image, index * shear * column)


def _turned(series: Series) -> None:
    for image in series.random.sample(series.inner(), series.number(2)):
        image.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


def _two_spacings(series: Series) -> None:
    start = series.random.randint(4, len(series.images) - 4)
    wider = series.random.uniform(0.2, 0.45) * series.step_mm
    for further, image in enumerate(series.images[start:], start=1):
        series.move(image, further * wider * series.normal())


def _one_out_of_step(series: Series) -> None:
    (image,) = series.random.sample(series.inner(), 1)
    series.move(image, series.random.uniform(0.25, 0.45) * series.step_mm * series.normal())


def _one_beside_the_stack(series: Series) -> None:
    (image,) = series.random.sample(series.inner(), 1)
    directions = np.array(image.ImageOrientationPatient, float)
    series.move(image, series.random.choice([-1, 1]) * series.random.uniform(5, 40) * directions[:3])


def _no_pixels(series: Series) -> None:
    for image in series.random.sample(series.images, series.number(3)):
        del image.PixelData


def _other_matrix(series: Series) -> None:
    for image in series.random.sample(series.inner(), series.number(2)):
        image.Rows = image.Columns = 1
        image.PixelData = b"\0\0"


DAMAGES: Mapping[str, Callable[[Series], None]] = {
    "inner gaps": _inner_gap,
    "counted end gaps": _end_gap,
    "end gaps that nobody counts": _end_gap_nobody_counts,
    "copies": _copies,
    "two images at one place": _other_pixels,
    "gantry tilts": _tilt,
    "turned slices": _turned,
    "changes of spacing": _two_spacings,
    "slices out of step": _one_out_of_step,
    "slices beside the stack": _one_beside_the_stack,
    "images without pixels": _no_pixels,
    "other matrices": _other_matrix,
}
# Words of ours that must be in what is said: that something is wrong is not enough, it must be this.
WORDS: Mapping[str, str] = {
    "inner gaps": "slices are missing inside the stack",
    "counted end gaps": "the source holds",
    "end gaps that nobody counts": "missing at the ends",
    "copies": "it repeats",
    "two images at one place": "at the same place",
    "gantry tilts": "sheared",
    "turned slices": "slices are missing inside the stack",
    "changes of spacing": "regular",
    "slices out of step": "regular",
    "slices beside the stack": "regular",
    "images without pixels": "have no pixels",
    "other matrices": "slices are missing inside the stack",
}


def outcome(series: Series, folder: Path) -> Outcome:
    """What becomes of a series that nothing more is added to."""
    received = len(series.images)
    evidence = SeriesEvidence(
        received=received, unindexed=0, unreadable=0, associations_open=0, associations_seen=1, expected_by_tags=None,
        queried_count=(series.at_source or received) if series.counted else None, find_available=series.counted,
        geometry=geometry_of([_attributes(image) for image in series.images]),
    )  # fmt: skip
    verdict = judge(evidence, POLICY, POLICY.quiet + POLICY.hold_after)
    if verdict.decision == "hold":
        return Outcome(held=verdict.reason)
    assert verdict.decision == "complete", verdict
    ends = tuple(ground.text for ground in verdict.grounds if ground.kind == "ends")
    try:
        selection = select_stack(_instances(series.images, folder), manifest())
    except PipelineError as error:
        return Outcome(refused=str(error))
    return Outcome(said=(*selection.excluded.values(), *selection.notes, *ends))


def _attributes(image: Dataset) -> dict[str, object]:
    """As the header reader stores them."""
    return {
        "ImagePositionPatient": [float(each) for each in image.ImagePositionPatient],
        "ImageOrientationPatient": [float(each) for each in image.ImageOrientationPatient],
        "Rows": image.Rows, "Columns": image.Columns, "InstanceNumber": image.InstanceNumber,
        "PixelDataPresent": "PixelData" in image,
    }  # fmt: skip


def _instances(images: list[Dataset], folder: Path) -> list[SourceInstance]:
    """Files are written where they will be read: pixels are compared of images at one place."""
    instances = [SourceInstance(path=folder / f"{image.SOPInstanceUID}.dcm", dataset=image) for image in images]
    places = Counter(str(image.ImagePositionPatient) for image in images)
    for each in instances:
        if places[str(each.dataset.ImagePositionPatient)] > 1:
            each.dataset.file_meta = FileMetaDataset()
            each.dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            each.dataset.save_as(each.path, enforce_file_format=True)
    return instances
