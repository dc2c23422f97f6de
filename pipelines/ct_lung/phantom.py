"""A synthetic chest CT with known truth, for demonstrations and tests.

Shapes are given in patient coordinates (LPS millimetres, the origin near the carina in the midline), so the
same chest can be sampled on an axial, sagittal, coronal or oblique grid.

    python -m radnode.pipelines.ct_lung.phantom FOLDER
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from radnode.pipelines.geometry import Affine

# Float32, one patient coordinate of many points; broadcasts against the other two.
Coordinate: TypeAlias = "NDArray[np.float32]"

# Called with the clean Hounsfield units, which it changes, their affine, and where the lungs are.
Lesions: TypeAlias = "Callable[[NDArray[np.float32], Affine, NDArray[np.bool_]], None]"

FIELD_OF_VIEW_MM = 380.0
LENGTH_MM = 320.0
CENTRE_LPS = np.array([0.0, 12.0, -5.0])

AIR, TABLE_SHELL, TABLE_FOAM = -1000.0, 80.0, -930.0
FAT, MUSCLE, MEDIASTINUM, BLOOD, LIVER, BONE, MARROW = -95.0, 50.0, 25.0, 42.0, 60.0, 500.0, 180.0
PARENCHYMA, EMPHYSEMA, LUMEN, BRONCHIAL_WALL = -855.0, -985.0, -990.0, -80.0
NOISE_HU = 14.0

_AXIAL = np.eye(3)[:, ::-1]
_SLAB = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """A sampled chest and its truth.

    hu: int16 Hounsfield units, shape (slices, rows, columns). affine: (4, 4), index to LPS millimetres.
    left_mask, right_mask: bool, the lungs by the patient's side, vessels inside them included.
    emphysema_mask: bool, the part of the lungs at -985 HU.
    """

    hu: NDArray[np.int16]
    affine: Affine
    left_mask: NDArray[np.bool_]
    right_mask: NDArray[np.bool_]
    emphysema_mask: NDArray[np.bool_]
    seed: int

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along (slice, row, column)."""
        slice_mm, row_mm, column_mm = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(slice_mm), float(row_mm), float(column_mm)


@dataclass(frozen=True, slots=True)
class _Tube:
    """A straight piece of vessel or bronchus: ends in LPS millimetres, radius in millimetres."""

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    radius: float


def chest_phantom(
    *,
    slices: int = 120,
    size: int = 256,
    spacing_mm: tuple[float, float] | None = None,
    seed: int = 0,
    axes: NDArray[np.float64] | None = None,
    noise_hu: float = NOISE_HU,
    lesions: Lesions | None = None,
) -> Phantom:
    """A chest with two lungs, heart, vessels, airways, ribs, spine and table.

    spacing_mm: (slice, pixel); by default the whole chest fits. A smaller product of spacing and count cuts
    it. axes: (3, 3), whose columns are the unit directions of slice, row and column in LPS; by default an
    axial grid with slices upwards, rows backwards and columns to the patient's left. noise_hu: of a pixel, a quarter
    more than what is left of it after the blur. lesions: paints what a healthy chest has not.
    The same arguments give the same voxels.
    """
    slice_mm, pixel_mm = spacing_mm or (LENGTH_MM / slices, FIELD_OF_VIEW_MM / size)
    affine = grid((slices, size, size), (slice_mm, pixel_mm, pixel_mm), _AXIAL if axes is None else axes)
    shape = (slices, size, size)
    hu = np.empty(shape, np.float32)
    right, left = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    for slab, (x, y, z) in _slabs(affine, shape):
        hu[slab], right[slab], left[slab] = _paint_chest(x, y, z)
    rng = np.random.default_rng(seed)
    lungs = right | left
    emphysema = _paint_emphysema(hu, affine, lungs, rng)
    _paint_trees(hu, affine, lungs, rng)
    emphysema &= hu == EMPHYSEMA
    if lesions is not None:
        lesions(hu, affine, lungs)
    return Phantom(
        hu=_scan(hu, noise_hu, rng),
        affine=affine,
        left_mask=left,
        right_mask=right,
        emphysema_mask=emphysema,
        seed=seed,
    )


def grid(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], axes: NDArray[np.float64]) -> Affine:
    """The affine of a grid around the middle of the chest; `axes` as in :func:`chest_phantom`."""
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(spacing_mm)
    affine[:3, 3] = CENTRE_LPS - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def _slabs(affine: Affine, shape: tuple[int, int, int]) -> Iterator[tuple[slice, list[Coordinate]]]:
    """A few slices at a time with their coordinates, which broadcast: an axis-aligned grid keeps 1-D axes."""
    for first in range(0, shape[0], _SLAB):
        last = min(first + _SLAB, shape[0])
        index = np.ogrid[first:last, : shape[1], : shape[2]]
        yield slice(first, last), _coordinates(affine, index)


def _coordinates(affine: Affine, index: Sequence[NDArray[Any]]) -> list[Coordinate]:
    coordinates = []
    for row in affine[:3]:
        total = np.full((1, 1, 1), row[3])
        for factor, axis in zip(row[:3], index, strict=True):
            if abs(factor) > 1e-9:
                total = total + factor * axis
        coordinates.append(total.astype(np.float32))
    return coordinates


def _ellipse(*terms: tuple[Coordinate, float, float]) -> Coordinate:
    """Sum of ((coordinate - centre) / radius)^2: below 1 inside."""
    total = np.zeros((1, 1, 1), np.float32)
    for coordinate, centre, radius in terms:
        total = total + ((coordinate - np.float32(centre)) / np.float32(radius)) ** 2
    return total


def _paint_chest(
    x: Coordinate, y: Coordinate, z: Coordinate
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Everything but the trees: (HU, right lung, left lung) of the points."""
    right, left = _lungs(x, y, z)
    lungs = right | left
    chest_wall = _ellipse((x, 0, 146), (y, 8, 98))
    ribs = (chest_wall < 1.13) & (chest_wall > 0.99) & (np.mod(z - 0.3 * y, 26) < 11) & (np.abs(x) > 20)
    spine = _ellipse((x, 0, 19), (y, 76, 17))
    abdomen = z < -70 - 0.006 * ((x + 30) ** 2 + (y - 8) ** 2)
    hu = np.full(lungs.shape, AIR, np.float32)
    table = (y > 124) & (y < 146) & (np.abs(x) < 205)
    hu[np.broadcast_to(table, hu.shape)] = TABLE_FOAM
    hu[np.broadcast_to(table & ((y < 127) | (y > 143)), hu.shape)] = TABLE_SHELL
    for inside, value in (
        (_ellipse((x, 0, 178), (y, 8, 117)) < 1, FAT),
        (_ellipse((x, 0, 164), (y, 8, 108)) < 1, MUSCLE),
        (chest_wall < 1, MEDIASTINUM),
        ((chest_wall < 0.98) & abdomen, LIVER),
        (_heart(x, y, z) < 1, BLOOD),
        (ribs, BONE),
        ((np.abs(x) < 18) & (y > -92) & (y < -82) & (z < 60), MARROW),
        (spine < 1, BONE),
        (spine < 0.8, MARROW),
        (_ellipse((x, 0, 8), (y, 101, 8)) < 1, MUSCLE),
        (_ellipse((x, 25, 12), (y, 52, 12)) < 1, BLOOD),
    ):
        hu[np.broadcast_to(inside, hu.shape)] = value
    gravity = np.broadcast_to(PARENCHYMA + 0.25 * (y - 8), hu.shape)
    hu[lungs] = gravity[lungs]
    return hu, right, left


def _heart(x: Coordinate, y: Coordinate, z: Coordinate) -> Coordinate:
    return _ellipse((x, 28, 56), (y, -34, 44), (z, -58, 58))


def _lungs(x: Coordinate, y: Coordinate, z: Coordinate) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The right lung is larger; the left one has the cardiac notch and lies beside the aorta."""
    pleura = _ellipse((x, 0, 140), (y, 8, 92)) < 1
    apex = _ellipse((x, 0, 145), (y, 8, 95)) + np.maximum(z - 10, 0) ** 2 / 120.0**2 < 1
    mediastinum = _ellipse((x, 0, 24), (y, 5, 62)) < 1
    sternum = (np.abs(x) < 9) & (y < 0)
    spine = _ellipse((x, 0, 26), (y, 76, 30)) < 1
    aorta = _ellipse((x, 25, 15), (y, 52, 15)) < 1
    heart = _heart(x, y, z) < 1.05
    common = pleura & apex & (z > -138) & ~(mediastinum | spine | sternum | heart)
    right_dome = z > -68 - 0.011 * ((x + 66) ** 2 + 0.8 * (y + 20) ** 2)
    left_dome = z > -84 - 0.012 * ((x - 72) ** 2 + 0.8 * (y + 20) ** 2)
    return common & (x < 0) & right_dome, common & (x > 0) & left_dome & ~aorta


def _paint_emphysema(
    hu: NDArray[np.float32], affine: Affine, lungs: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Round patches, most of them in the upper part of the lungs (centrilobular emphysema)."""
    mask = np.zeros(hu.shape, np.bool_)
    for _ in range(36):
        across = rng.choice([-1, 1]) * rng.uniform(40, 120)
        centre = np.array([across, rng.uniform(-60, 70), rng.normal(40, 40)])
        tube = _Tube(centre, centre, float(rng.uniform(6, 15)))
        box, squared = _distance(affine, hu.shape, tube)
        if squared.size:
            mask[box] |= (squared < tube.radius**2) & lungs[box]
    hu[mask] = EMPHYSEMA
    return mask


def _paint_trees(hu: NDArray[np.float32], affine: Affine, lungs: NDArray[np.bool_], rng: np.random.Generator) -> None:
    carina = np.array([0.0, 22.0, 12.0])
    hila = (np.array([-36.0, 22.0, -10.0]), np.array([42.0, 26.0, -14.0]))
    for hilum in hila:
        outward = np.array([np.sign(hilum[0]), 0.0, 0.0])
        for vessel in _branches(hilum, outward, 7.0, 9, rng):
            _fill(hu, affine, vessel, BLOOD, lungs)
    airways = [_Tube(np.array([0.0, 14.0, 400.0]), carina, 9.0)]
    for hilum in hila:
        airways.append(_Tube(carina, hilum, 6.5))
        outward = np.array([np.sign(hilum[0]), 0.2, -0.2])
        airways += _branches(hilum, outward, 4.5, 3, rng)
    for airway in airways:
        _fill(hu, affine, _Tube(airway.start, airway.end, airway.radius + 1.6), BRONCHIAL_WALL, lungs)
    for airway in airways:
        _fill(hu, affine, airway, LUMEN, None)


def _branches(
    start: NDArray[np.float64],
    direction: NDArray[np.float64],
    radius: float,
    generations: int,
    rng: np.random.Generator,
) -> list[_Tube]:
    """A dichotomous tree: each daughter has about 0.78 of the radius (Murray's law) and turns off."""
    length = float(rng.uniform(3.2, 4.6)) * radius + 8
    end = start + length * direction / np.linalg.norm(direction)
    tubes = [_Tube(start, end, radius)]
    if generations > 1:
        turn = rng.normal(size=3) * 0.75
        for sign in (1.0, -1.0):
            heading = direction / np.linalg.norm(direction) + sign * turn
            tubes += _branches(end, heading, radius * 0.78, generations - 1, rng)
    return tubes


def _fill(hu: NDArray[np.float32], affine: Affine, tube: _Tube, value: float, inside: NDArray[np.bool_] | None) -> None:
    box, squared = _distance(affine, hu.shape, tube)
    if squared.size:
        within = squared < tube.radius**2
        hu[box][within if inside is None else within & inside[box]] = value


def _distance(affine: Affine, shape: tuple[int, ...], tube: _Tube) -> tuple[tuple[slice, ...], Coordinate]:
    """The index box around a tube and the squared distance (mm^2) of its voxels from the tube's axis."""
    inverse = np.linalg.inv(affine)
    reach = np.linalg.norm(inverse[:3, :3], axis=1) * tube.radius
    ends = np.stack([inverse[:3, :3] @ point + inverse[:3, 3] for point in (tube.start, tube.end)])
    low = np.clip(np.floor(ends.min(0) - reach), 0, shape).astype(int)
    high = np.clip(np.ceil(ends.max(0) + reach) + 1, 0, shape).astype(int)
    box = tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
    points = _coordinates(affine, np.ogrid[box])
    axis = tube.end - tube.start
    offset = [points[i] - np.float32(tube.start[i]) for i in range(3)]
    along = sum((offset[i] * np.float32(axis[i]) for i in range(3)), np.zeros((1, 1, 1), np.float32))
    along = np.clip(along / max(float(axis @ axis), 1e-9), 0, 1)
    squared = sum(((offset[i] - along * np.float32(axis[i])) ** 2 for i in range(3)), np.float32(0))
    return box, np.asarray(squared, np.float32)


def _scan(hu: NDArray[np.float32], noise_hu: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """What a scanner makes of it: a little in-plane blur, noise, and the 12-bit range."""
    scanned = np.empty(hu.shape, np.int16)
    for first in range(0, hu.shape[0], _SLAB):
        slab = np.pad(hu[first : first + _SLAB], ((0, 0), (1, 1), (1, 1)), mode="edge")
        slab += rng.standard_normal(slab.shape, np.float32) * np.float32(2 * noise_hu)
        slab = 0.25 * (slab[:, :-2] + slab[:, 2:]) + 0.5 * slab[:, 1:-1]
        slab = 0.25 * (slab[..., :-2] + slab[..., 2:]) + 0.5 * slab[..., 1:-1]
        scanned[first : first + _SLAB] = np.clip(np.rint(slab), -1024, 3071)
    return scanned


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHeader:
    """What the header of a written series says, as far as anybody wants it otherwise."""

    patient_id: str = "PHANTOM-1"
    patient_name: str = "Phantom^Chest"
    accession_number: str = "A-1"
    series_description: str = "Chest 1.0 B31f"
    convolution_kernel: str = "B31f"
    slice_thickness_mm: float | None = None
    name: str = "1"


def write_series(
    phantom: Phantom,
    folder: Path,
    *,
    header: SeriesHeader | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
    order: Sequence[int] | None = None,
) -> list[Path]:
    """Write a phantom as a CT Image Storage series (PS3.3 A.3) and return its files in stack order.

    header: the same header and seed give the same UIDs: a resend is a resend. order: the place in the stack
    of the first, second... written image, which sets Instance Number and the file's name.
    transfer_syntax: any that pydicom encodes (uncompressed, RLE, JPEG-LS, JPEG 2000).
    """
    folder.mkdir(parents=True, exist_ok=True)
    common = _common_header(phantom, header or SeriesHeader())
    files: dict[int, Path] = {}
    for number, place in enumerate(order if order is not None else range(phantom.hu.shape[0]), start=1):
        dataset = _image(phantom, common, place, number)
        if transfer_syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
            dataset.compress(transfer_syntax, generate_instance_uid=False)
        else:
            dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
        files[place] = folder / f"{number:04d}.dcm"
        dataset.save_as(files[place], enforce_file_format=True)
    return [files[place] for place in sorted(files)]


def _uid(*parts: object) -> str:
    return generate_uid(prefix="2.25.", entropy_srcs=["radnode phantom", *map(str, parts)])


def _common_header(phantom: Phantom, header: SeriesHeader) -> Dataset:
    slice_mm, row_mm, column_mm = phantom.spacing_mm
    directions = np.concatenate([phantom.affine[:3, 2] / column_mm, phantom.affine[:3, 1] / row_mm])
    identity = (header.patient_id, header.name, phantom.seed)
    dataset = Dataset()
    for keyword, value in {
        "SpecificCharacterSet": "ISO_IR 192", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SOPClassUID": CTImageStorage, "StudyDate": "20260102", "SeriesDate": "20260102",
        "AcquisitionDate": "20260102", "ContentDate": "20260102", "StudyTime": "101500",
        "SeriesTime": "101500", "AcquisitionTime": "101500", "ContentTime": "101500",
        "AccessionNumber": header.accession_number, "Modality": "CT", "Manufacturer": "Phantom",
        "ManufacturerModelName": "Chest phantom", "ReferringPhysicianName": "",
        "StudyDescription": "CT chest",
        "SeriesDescription": header.series_description, "PatientName": header.patient_name,
        "PatientID": header.patient_id, "PatientBirthDate": "19600101", "PatientSex": "O",
        "PatientAge": "066Y", "BodyPartExamined": "CHEST", "KVP": 120,
        "SliceThickness": round(header.slice_thickness_mm or slice_mm, 6),
        "ConvolutionKernel": header.convolution_kernel, "PatientPosition": "HFS",
        "StudyInstanceUID": _uid(*identity, "study"), "SeriesInstanceUID": _uid(*identity, "series"),
        "StudyID": "1", "SeriesNumber": 2, "AcquisitionNumber": 1,
        "ImageOrientationPatient": [round(float(value), 8) for value in directions],
        "FrameOfReferenceUID": _uid(*identity, "frame of reference"), "PositionReferenceIndicator": "",
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": phantom.hu.shape[1],
        "Columns": phantom.hu.shape[2], "PixelSpacing": [round(row_mm, 8), round(column_mm, 8)],
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "WindowCenter": -500, "WindowWidth": 1500, "RescaleIntercept": -1024, "RescaleSlope": 1,
        "RescaleType": "HU",
    }.items():  # fmt: skip
        setattr(dataset, keyword, value)
    return dataset


def _image(phantom: Phantom, common: Dataset, place: int, number: int) -> FileDataset:
    position = phantom.affine[:3, 3] + place * phantom.affine[:3, 0]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", dict(common), file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPInstanceUID = _uid(common.SeriesInstanceUID, place)
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [round(float(value), 6) for value in position]
    stored = (phantom.hu[place].astype(np.int32) + 1024).clip(0, 4095)
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def main() -> None:
    """Write the chest of the demonstration, made coarser, into the folder that the command line names."""
    arguments = argparse.ArgumentParser(description=main.__doc__)
    arguments.add_argument("folder", type=Path)
    write_series(chest_phantom(slices=64, size=128, seed=7), arguments.parse_args().folder)


if __name__ == "__main__":
    main()
