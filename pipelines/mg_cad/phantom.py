"""Screening mammograms with known truth: both breasts, each in both views, for tests, measurements and demonstrations.

Lesions and lumps of glandular tissue have places in a breast (millimetres) and are projected into both views: depth is
the distance from the chest wall, which both views share; what is lateral stands above in a CC view, what is towards the
head and lateral stands above in an MLO view. Texture is noise of a power spectrum of 1/f^3 (Burgess, Med Phys 28:419,
2001) of each view for itself.

    python -m radnode.pipelines.mg_cad.phantom FOLDER [--seed 7] [--pixel-mm 0.1]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Plane = NDArray[np.float32]

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
AIR, FAT, GLANDULAR, MUSCLE, MASS, SPECK = 40.0, 1150.0, 850.0, 950.0, 480.0, 300.0
NOISE, BLUR_MM = 22.0, 0.07
_OBLIQUE = np.radians(45.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """A mass, or a cluster of calcifications, in one breast.

    at: (depth from the chest wall, towards lateral, towards the head), millimetres. radius_mm: of the mass, or of the
    ball in which the specks lie. specks: (n, 4), place relative to `at` and diameter; empty for a mass.
    """

    kind: str
    at: tuple[float, float, float]
    radius_mm: float
    contrast: float
    specks: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Breast:
    """depth_mm: from the chest wall to the nipple. half_mm: half of its height in a CC view."""

    depth_mm: float
    half_mm: float
    density: float
    lumps: NDArray[np.float64]
    lesions: tuple[Lesion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Where a lesion is on one image: center (column, row) in pixel coordinates, as in `findings.OnImage`."""

    kind: str
    number: int
    center: tuple[float, float]
    radius_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One image: pixels uint16 (rows, columns), larger is brighter; 12 bits.

    breast, muscle: bool masks. dense_share: of the breast without muscle, by area.
    """

    pixels: NDArray[np.uint16]
    breast: NDArray[np.bool_]
    muscle: NDArray[np.bool_]
    dense_share: float
    truth: tuple[Truth, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Canvas:
    """x: (1, columns), depth from the chest wall; y: (rows, 1), down from the nipple; millimetres, float32."""

    x: Plane
    y: Plane
    pixel_mm: float
    view: str

    @property
    def shape(self) -> tuple[int, int]:
        return self.y.shape[0], self.x.shape[1]

    def around(self, x: float, y: float, reach: float) -> tuple[slice, slice, Plane, Plane]:
        """Rows and columns within reach of a place, and how far they are from it."""
        rows = slice(*(int(each) for each in np.searchsorted(self.y[:, 0], [y - reach, y + reach])))
        columns = slice(*(int(each) for each in np.searchsorted(self.x[0], [x - reach, x + reach])))
        return rows, columns, self.x[:, columns] - x, self.y[rows] - y


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """(side, view) -> image."""

    views: dict[tuple[str, str], View]
    pixel_mm: float
    seed: int


def screening(
    seed: int, *, pixel_mm: float = 0.2, shape: tuple[int, int] | None = None, lesions: bool = True,
    density: float | None = None, contrast: float = 1.0,
) -> Screening:
    """A woman's four views. The same arguments give the same pixels.

    shape: (rows, columns); by default the breast fits. lesions: False for none; else each breast has none, one or two.
    density: from 0, fat, to 1, dense; by default drawn. contrast: of every lesion, times what was drawn for it; all
    else stays as it is, so 0 is the same woman without her lesions, whose places are still told.
    """
    rng = np.random.default_rng(seed)
    density = float(rng.uniform(0, 1)) if density is None else density
    depth, half = rng.uniform(70, 95), rng.uniform(70, 90)
    rows, columns = shape or (round(2.5 * half / pixel_mm), round(1.15 * depth / pixel_mm))
    found = {}
    for side in ("R", "L"):
        breast = _breast(rng, depth, half, density, lesions=lesions)
        fainter = tuple(replace(each, contrast=each.contrast * contrast) for each in breast.lesions)
        breast = replace(breast, lesions=fainter)
        for view in ("CC", "MLO"):
            found[side, view] = _view(rng, breast, (side, view), (rows, columns), pixel_mm)
    return Screening(views={place: found[place] for place in VIEWS}, pixel_mm=pixel_mm, seed=seed)


def _breast(
    rng: np.random.Generator, depth: float, half: float, density: float, *, lesions: bool
) -> Breast:
    count = round(14 + 50 * density)
    at = _inside(rng, count, depth, half, margin=0.25)
    radii = rng.uniform(4, 12, (count, 3)) * [1.5, 1.0, 1.0]
    number = int(rng.integers(0, 3)) if lesions else 0
    kinds = rng.choice(["mass", "calcifications"], size=number, replace=False)
    placed: list[Lesion] = []
    for kind in kinds:
        for _ in range(50):
            place = _inside(rng, 1, depth, half, margin=0.18)[0]
            if all(np.linalg.norm(place - other.at) > 25 for other in placed):
                break
        placed.append(_lesion(rng, str(kind), (float(place[0]), float(place[1]), float(place[2]))))
    lumps = np.hstack([at, radii, rng.uniform(0.25, 1, (count, 1))])
    return Breast(depth_mm=depth, half_mm=half, density=density, lumps=lumps, lesions=tuple(placed))


def _lesion(rng: np.random.Generator, kind: str, at: tuple[float, float, float]) -> Lesion:
    if kind == "mass":
        return Lesion(kind=kind, at=at, radius_mm=float(rng.uniform(4.5, 10)), contrast=float(rng.uniform(0.8, 1.3)))
    count, radius = int(rng.integers(6, 16)), float(rng.uniform(2.5, 4.5))
    directions = rng.normal(size=(count, 3))
    places = directions / np.linalg.norm(directions, axis=1, keepdims=True) * radius * rng.uniform(0.1, 1, (count, 1))
    return Lesion(kind=kind, at=at, radius_mm=radius, contrast=float(rng.uniform(0.8, 1.2)),
                  specks=np.hstack([places, rng.uniform(0.2, 0.45, (count, 1))]))


def _inside(rng: np.random.Generator, count: int, depth: float, half: float, *, margin: float) -> NDArray[np.float64]:
    """Places at least a share `margin` of its size below the skin of the breast, and off the chest wall."""
    found: list[NDArray[np.float64]] = []
    while len(found) < count:
        place = rng.uniform([0.25, -0.6, -0.6], [0.8, 0.6, 0.6])
        across = max(np.linalg.norm(place[1:]), abs(place[1] + place[2]) * np.sqrt(0.5))
        if place[0] ** 2 + across**2 < (1 - margin) ** 2:
            found.append(place * [depth, half, half])
    return np.array(found)


def _view(
    rng: np.random.Generator, breast: Breast, place: tuple[str, str], shape: tuple[int, int], pixel_mm: float
) -> View:
    """Painted with the chest wall at the left, and turned over for a right breast."""
    side, view = place
    middle = shape[0] * pixel_mm * (0.5 if view == "CC" else 0.55)
    y, x = ((np.arange(size, dtype=np.float32) + 0.5) * pixel_mm for size in shape)
    canvas = _Canvas(x=x[np.newaxis], y=y[:, np.newaxis] - np.float32(middle), pixel_mm=pixel_mm, view=view)
    high = np.where(canvas.y < 0, 1.12, 1.0) if view == "MLO" else 1.0
    radius = (canvas.x / breast.depth_mm) ** 2 + np.abs(canvas.y / (breast.half_mm * high)) ** 2.2
    mask = radius < 1
    thickness = np.sqrt(np.clip((1 - radius) * 6, 0, 1)).astype(np.float32)
    # Glandular tissue ends before the skin.
    glandular = _glandular(rng, breast, canvas) * np.clip((0.9 - radius) * 4, 0, 1).astype(np.float32)
    muscle = _muscle(rng, breast, canvas) if view == "MLO" else np.zeros(shape, np.float32)
    tissue = FAT * thickness + GLANDULAR * glandular * thickness * (1 - 0.7 * muscle) + MUSCLE * muscle * thickness
    tissue += 160 * _vessels(rng, mask, pixel_mm) * thickness
    for _ in range(int(rng.integers(0, 5))):
        # Single calcifications, which nearly every breast has, are no cluster.
        at = _inside(rng, 1, breast.depth_mm, breast.half_mm, margin=0.18)[0]
        speck = np.array([[0.0, 0.0, 0.0, rng.uniform(0.2, 0.45)]])
        single = Lesion(kind="single", at=(at[0], at[1], at[2]), radius_mm=0.5, contrast=1.0, specks=speck)
        _paint(tissue, rng, single, canvas)
    truth = []
    for number, lesion in enumerate(breast.lesions):
        depth, down = _projected(np.array(lesion.at), view)
        _paint(tissue, rng, lesion, canvas)
        column = float(depth) / pixel_mm
        truth.append(Truth(kind=lesion.kind, number=number, radius_mm=lesion.radius_mm,
                           center=(column if side == "L" else shape[1] - column, float(down + middle) / pixel_mm)))
    pixels = ndimage.gaussian_filter(tissue, BLUR_MM / pixel_mm)
    # Quantum noise grows with a finer pixel, up to what the detector's blur leaves of it.
    pixels += rng.normal(0, NOISE * min(1.5, np.sqrt(0.1 / pixel_mm) + 0.3), shape) * np.sqrt(0.15 + thickness)
    grey = np.clip(pixels + AIR, 0, 4095).astype(np.uint16)
    inside = mask & (muscle < 0.5)
    dense = float(((glandular > 0.45) & inside).sum() / inside.sum())
    if side == "R":
        grey, mask, muscle = grey[:, ::-1].copy(), mask[:, ::-1].copy(), muscle[:, ::-1].copy()
    return View(pixels=grey, breast=mask, muscle=muscle > 0.5, dense_share=dense, truth=tuple(truth))


def _projected(place: NDArray[np.float64], view: str) -> NDArray[np.float64]:
    """(depth, lateral, head) to (depth, down the image), millimetres from chest wall and nipple line."""
    depth, lateral, head = place[..., 0], place[..., 1], place[..., 2]
    up = lateral if view == "CC" else head * np.cos(_OBLIQUE) + lateral * np.sin(_OBLIQUE)
    return np.stack([depth, -up], axis=-1)


def _glandular(rng: np.random.Generator, breast: Breast, canvas: _Canvas) -> Plane:
    """Share of glandular tissue, 0 to 1."""
    share = np.zeros(canvas.shape, np.float32)
    for *place, depth_radius, radius, _, amount in breast.lumps:
        depth, down = _projected(np.array(place), canvas.view)
        along = np.exp(-0.5 * ((canvas.x - depth) / depth_radius) ** 2)
        share += (amount * along * np.exp(-0.5 * ((canvas.y - down) / radius) ** 2)).astype(np.float32)
    noise = _power_law(rng, canvas.shape, canvas.pixel_mm)
    raised = 0.55 * share + 0.22 * noise + 0.35 * breast.density - 0.05
    return np.asarray((1 + 0.12 * noise) / (1 + np.exp(-4 * (raised - 0.5))), np.float32)


def _power_law(rng: np.random.Generator, shape: tuple[int, int], pixel_mm: float) -> Plane:
    """Gaussian noise of power 1/f^3 above one cycle in 60 mm, mean 0 and standard deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal(shape, np.float32))
    fy, fx = np.fft.fftfreq(shape[0], pixel_mm), np.fft.rfftfreq(shape[1], pixel_mm)
    frequency = np.maximum(np.hypot(fy[:, np.newaxis], fx), 1 / 60)
    field_ = np.fft.irfft2(spectrum * frequency**-1.5, shape).astype(np.float32)
    return np.asarray((field_ - field_.mean()) / field_.std(), np.float32)


def _muscle(rng: np.random.Generator, breast: Breast, canvas: _Canvas) -> Plane:
    """1 inside the pectoral muscle, 0 outside, with an edge of two millimetres."""
    wide, long = rng.uniform(0.35, 0.55) * breast.depth_mm, rng.uniform(0.8, 1.05) * breast.half_mm
    line = wide * (1 - (canvas.y + 1.12 * breast.half_mm) / long) - canvas.x
    return np.asarray(np.clip(line / 2 + 0.5, 0, 1), np.float32)


def _vessels(rng: np.random.Generator, mask: NDArray[np.bool_], pixel_mm: float) -> Plane:
    """A few curved lines of one to two millimetres."""
    canvas = np.zeros(mask.shape, np.float32)
    for _ in range(int(rng.integers(4, 9))):
        steps = 400
        angle = rng.uniform(-0.7, 0.7) + np.cumsum(rng.normal(0, 0.035, steps))
        start = np.array([rng.uniform(0.1, 0.5) * mask.shape[1], rng.uniform(0.15, 0.85) * mask.shape[0]])
        path = start + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1), 0) * 0.25 / pixel_mm
        one = np.zeros_like(canvas)
        inside = (path >= 0).all(1) & (path < [mask.shape[1], mask.shape[0]]).all(1)
        columns, rows = path[inside].astype(int).T
        one[rows, columns] = 1
        width = rng.uniform(0.35, 0.7) / pixel_mm
        one = ndimage.gaussian_filter(one, width)
        canvas = np.maximum(canvas, one / max(float(one.max()), 1e-6))
    return canvas


def _paint(tissue: Plane, rng: np.random.Generator, lesion: Lesion, canvas: _Canvas) -> None:
    """Add a lesion to the picture."""
    center = _projected(np.array(lesion.at), canvas.view)
    if lesion.kind == "mass":
        rows, columns, dx, dy = canvas.around(float(center[0]), float(center[1]), 1.6 * lesion.radius_mm)
        angle = np.arctan2(dy, dx)
        lobes = sum(rng.uniform(0, 0.07) * np.cos(number * angle + rng.uniform(0, 6.3)) for number in range(2, 6))
        relative = np.hypot(dx, dy) / (lesion.radius_mm * (1 + lobes))
        # The path of a ray through a ball.
        body = np.sqrt(np.clip(1 - relative**2, 0, 1))
        rays = np.clip(np.cos(angle * rng.integers(5, 9) + rng.uniform(0, 6.3)) * 3 - 2, 0, 1) * np.exp(
            -np.clip(relative - 1, 0, None) * 4) * (relative > 0.7) * (0.25 if rng.uniform() < 0.4 else 0.0)
        tissue[rows, columns] += (MASS * lesion.contrast * (body + rays)).astype(np.float32)
    for *place, diameter in lesion.specks:
        x, y = _projected(np.array(place), canvas.view) + center
        rows, columns, dx, dy = canvas.around(float(x), float(y), diameter + 2 * canvas.pixel_mm)
        # A pixel that the speck covers in part shows that part.
        covered = np.clip((diameter / 2 - np.hypot(dx, dy)) / canvas.pixel_mm + 0.5, 0, 1)
        tissue[rows, columns] += (SPECK * lesion.contrast * diameter / 0.5 * covered).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Who and when."""

    patient_id: str = "PHANTOM-MG"
    patient_name: str = "Phantom^Mammography"
    accession_number: str = "A-MG"
    name: str = "mammography phantom"


def write_screening(
    phantom: Screening, folder: Path, header: Header | None = None, *, places: Sequence[tuple[str, str]] = VIEWS,
    **changes: Any,
) -> list[Path]:
    """One FOR PRESENTATION mammogram a view (PS3.3 A.27), a series each, in the order of `places`.

    The same header and seed give the same UIDs. changes: keyword -> value, in every image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for dataset in _datasets(phantom, header or Header(), places):
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        files.append(folder / f"{dataset.ImageLaterality}-{dataset.ViewPosition}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


def _datasets(phantom: Screening, header: Header, places: Sequence[tuple[str, str]]) -> Iterator[FileDataset]:
    for number, (side, view) in enumerate(places, 1):
        image = phantom.views[side, view]
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        for keyword, value in (_said(phantom, header) | _said_of_view(side, view)).items():
            setattr(dataset, keyword, value)
        uid = _uid(header.patient_id, header.name, phantom.seed, side, view)
        dataset.SOPInstanceUID, dataset.SeriesInstanceUID = uid, _uid(uid, "series")
        dataset.SeriesNumber, dataset.InstanceNumber = number, 1
        dataset.AcquisitionTime = dataset.ContentTime = f"10{15 + number}00"
        dataset.Rows, dataset.Columns = image.pixels.shape
        dataset.PixelData = image.pixels.astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, uid
        yield dataset


def _said(phantom: Screening, header: Header) -> dict[str, Any]:
    identity = (header.patient_id, header.name, phantom.seed)
    return {
        "SpecificCharacterSet": "ISO_IR 192", "SOPClassUID": DigitalMammographyXRayImageStorageForPresentation,
        "ImageType": ["DERIVED", "PRIMARY"], "Modality": "MG", "PresentationIntentType": "FOR PRESENTATION",
        "StudyDate": "20260102", "SeriesDate": "20260102", "AcquisitionDate": "20260102", "ContentDate": "20260102",
        "StudyTime": "101500", "SeriesTime": "101500", "AccessionNumber": header.accession_number,
        "Manufacturer": "Phantom", "ManufacturerModelName": "Mammography phantom", "DeviceSerialNumber": "1",
        "SoftwareVersions": "1", "ReferringPhysicianName": "", "StudyDescription": "Screening mammography",
        "PatientName": header.patient_name, "PatientID": header.patient_id, "PatientBirthDate": "19650101",
        "PatientSex": "F", "PatientAge": "061Y", "BodyPartExamined": "BREAST", "KVP": 29, "StudyID": "1",
        "StudyInstanceUID": _uid(*identity, "study"), "PatientOrientation": "", "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00", "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
        "PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": -1, "RescaleIntercept": 0,
        "RescaleSlope": 1, "RescaleType": "US", "PresentationLUTShape": "IDENTITY", "WindowCenter": 1600,
        "WindowWidth": 2600, "ImagerPixelSpacing": [phantom.pixel_mm, phantom.pixel_mm],
        "PixelSpacing": [phantom.pixel_mm, phantom.pixel_mm], "DetectorType": "DIRECT", "DetectorConfiguration": "AREA",
        "DetectorActiveShape": "RECTANGLE", "FieldOfViewShape": "RECTANGLE", "PositionerType": "MAMMOGRAPHIC",
        "PositionerPrimaryAngle": 0, "EstimatedRadiographicMagnificationFactor": 1.05, "PartialView": "NO",
        "BreastImplantPresent": "NO", "OrganExposed": "BREAST", "AnodeTargetMaterial": "TUNGSTEN",
        "CompressionForce": 100, "BodyPartThickness": 55, "AcquisitionContextSequence": [],
        "AnatomicRegionSequence": [_code("76752008", "Breast")],
    }


def _said_of_view(side: str, view: str) -> dict[str, Any]:
    down = {"CC": "", "MLO": "F"}[view] + {"R": "L", "L": "R"}[side]
    coded = _code("399162004", "cranio-caudal") if view == "CC" else _code("399368009", "medio-lateral oblique")
    coded.ViewModifierCodeSequence = []
    return {"ImageLaterality": side, "ViewPosition": view, "ViewCodeSequence": [coded],
            "PatientOrientation": ["A" if side == "L" else "P", down], "SeriesDescription": f"{side} {view}"}


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _uid(*parts: object) -> UID:
    return generate_uid(prefix="2.25.", entropy_srcs=["radnode mammography phantom", *map(str, parts)])


def main() -> None:
    """Write the four views of a phantom into a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pixel-mm", type=float, default=0.1)
    arguments = parser.parse_args()
    write_screening(screening(arguments.seed, pixel_mm=arguments.pixel_mm), arguments.folder)


if __name__ == "__main__":
    main()
