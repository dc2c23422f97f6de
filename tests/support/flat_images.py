"""Radiographs, mammograms and colour images as files, with one bright mark where only the right orientation has it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, VideoEndoscopicImageStorage, VLEndoscopicImageStorage

from support import projection_samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

ROWS, COLUMNS = 24, 32
MARK = (slice(3, 8), slice(20, 29))
"""Rows and columns of the mark: in the upper right quarter, wider than high."""
FRAME = 2
"""The frame of a clip that has the mark (1-based)."""


def marked() -> NDArray[np.bool_]:
    """Where the mark is, bool (rows, columns)."""
    mask = np.zeros((ROWS, COLUMNS), dtype=np.bool_)
    mask[MARK] = True
    return mask


def grey(number: int = 1) -> NDArray[np.uint16]:
    """Tissue from 1000 to 1500 of 4095, the mark at 3000; larger is brighter."""
    pixels = np.random.default_rng(number).integers(1000, 1500, (ROWS, COLUMNS)).astype(np.uint16)
    pixels[MARK] = 3000
    return pixels


def write_grey(folder: Path, header: Dataset, pixels: NDArray[np.uint16], **changes: Any) -> Path:
    """A radiograph of 12 bits. pixels: as they are stored."""
    header.Rows, header.Columns = pixels.shape
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.ImageType, header.WindowCenter, header.WindowWidth = ["ORIGINAL", "PRIMARY"], 2000, 2000
    header.PixelData = pixels.astype("<u2").tobytes()
    header["PixelData"].VR = "OW"
    return _write(folder, header, ExplicitVRLittleEndian, changes)


def write_mammograms(folder: Path, *, inverted: bool = False, **changes: Any) -> list[Path]:
    """Both breasts in two views, each with the mark. inverted: MONOCHROME1, the same picture in other numbers."""
    if inverted:
        changes |= {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 4095 - 2000 + 1}
    return [
        write_grey(folder, header, 4095 - grey(number) if inverted else grey(number), **changes)
        for number, header in enumerate(projection_samples.mammograms())
    ]


def write_radiograph(folder: Path, **changes: Any) -> Path:
    """A chest, with the mark as the letter of the left side would stand: at the right edge of the picture."""
    (header,) = projection_samples.chest_radiograph()
    return write_grey(folder, header, grey(), **changes)


def colours(frame: int = FRAME) -> NDArray[np.uint8]:
    """A reddish picture, darker to the left; on the marked frame the mark is green."""
    rgb = np.zeros((ROWS, COLUMNS, 3), dtype=np.uint8)
    rgb[..., 0] = np.linspace(90, 200, COLUMNS).astype(np.uint8)
    rgb[..., 1], rgb[..., 2] = 40, 30 + 10 * frame
    if frame == FRAME:
        rgb[MARK] = (20, 220, 30)
    return rgb


def write_colour(folder: Path, frames: int = 1, *, jpeg: bool = False, **changes: Any) -> Path:
    """An endoscopy: one image with the mark, or a clip. jpeg: YBR_FULL_422 in baseline JPEG."""
    (header,) = projection_samples.chest_radiograph()
    for keyword in ("ImagerPixelSpacing", "ViewPosition", "PatientOrientation", "BodyPartExamined", "KVP",
                    "PresentationIntentType"):
        if keyword in header:
            delattr(header, keyword)
    header.SOPClassUID = VLEndoscopicImageStorage if frames == 1 else VideoEndoscopicImageStorage
    header.Modality, header.ImageType = "ES", ["ORIGINAL", "PRIMARY"]
    header.Rows, header.Columns, header.SamplesPerPixel, header.PlanarConfiguration = ROWS, COLUMNS, 3, 0
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    if frames > 1:
        header.NumberOfFrames = frames
    pictures = [colours(number if frames > 1 else FRAME) for number in range(1, frames + 1)]
    if jpeg:
        header.PhotometricInterpretation, header.LossyImageCompression = "YBR_FULL_422", "01"
        header.PixelData = encapsulate([_jpeg(each) for each in pictures])
        header["PixelData"].is_undefined_length = True
    else:
        header.PhotometricInterpretation = "RGB"
        header.PixelData = np.stack(pictures).tobytes()
    header["PixelData"].VR = "OB"
    return _write(folder, header, JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian, changes)


def _jpeg(rgb: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(rgb).save(content, "JPEG", quality=95, subsampling="4:2:2")
    return content.getvalue()


def _write(folder: Path, header: Dataset, syntax: str, changes: dict[str, Any]) -> Path:
    for keyword, value in changes.items():
        setattr(header, keyword, value)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{header.SOPInstanceUID}.dcm"
    FileDataset(str(path), header, file_meta=meta, preamble=b"\0" * 128).save_as(path, enforce_file_format=True)
    return path
