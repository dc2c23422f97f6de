"""Public files as a PACS would have sent them: some were published with empty UIDs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom

if TYPE_CHECKING:
    from pathlib import Path


def with_uids(folder: Path, target: Path) -> list[Path]:
    """Copies of a series with the identity that publishing took away."""
    target.mkdir(parents=True)
    copies = []
    for number, path in enumerate(sorted(folder.glob("*.dcm")), start=1):
        dataset = pydicom.dcmread(path)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
        dataset.SOPInstanceUID = f"2.25.77.1.{number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.77", "2.25.77.1"
        dataset.PatientID = dataset.PatientID or "ABDOMEN-1"
        copies.append(target / path.name)
        dataset.save_as(copies[-1])
    return copies
