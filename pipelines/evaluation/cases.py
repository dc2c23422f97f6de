"""Which images of a folder are one case, and to which subgroups it belongs.

A case is what one job would read: a series for a pipeline that reads a volume, a study for one that reads images or
several series.
"""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pydicom

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pydicom import Dataset

    from radnode.pipelines.contract import Manifest

UNKNOWN = "unknown"
SUBGROUPS = ("scanner", "sex", "age")
# Whole years; PS3.3 has no bands, and what is common in reports of radiology is.
_BANDS = ((18, "under 18"), (40, "18 to 39"), (60, "40 to 59"), (80, "60 to 79"))
_OLDEST = "80 and over"
_SEXES = {"M": "male", "F": "female", "O": "other"}
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
_NO_IMAGES = ("SEG", "SR", "RTSTRUCT", "PR", "KO", "DOC", "REG")
_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "AccessionNumber", "PatientID",
    "Modality", "Manufacturer", "ManufacturerModelName", "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One DICOM file, by what names it. subgroups: of its patient and scanner, each of `SUBGROUPS`."""

    path: Path
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    accession_number: str = ""
    patient_id: str = ""
    modality: str = ""
    subgroups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The images of one job. series_instance_uids: of all of them. subgroups: each of `SUBGROUPS` -> its value."""

    study_instance_uid: str
    series_instance_uids: tuple[str, ...]
    accession_number: str
    patient_id: str
    images: tuple[Image, ...]
    subgroups: Mapping[str, str]

    @property
    def uid(self) -> str:
        """What the report calls it: the series if it is one, else the study."""
        return self.series_instance_uids[0] if len(self.series_instance_uids) == 1 else self.study_instance_uid


def read_images(folder: Path) -> list[Image]:
    """Every DICOM image below a folder; results and reports among them are left out."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                header = pydicom.dcmread(path, specific_tags=_TAGS, stop_before_pixels=True)
        except (pydicom.errors.InvalidDicomError, EOFError):
            continue
        if "SOPInstanceUID" not in header or str(header.get("Modality", "")) in _NO_IMAGES or (
                "StudyInstanceUID" not in header):
            continue
        found.append(Image(
            path=path,
            sop_instance_uid=str(header.SOPInstanceUID),
            series_instance_uid=str(header.SeriesInstanceUID),
            study_instance_uid=str(header.StudyInstanceUID),
            accession_number=str(header.get("AccessionNumber") or "").strip(),
            patient_id=str(header.get("PatientID") or "").strip(),
            modality=str(header.get("Modality", "")),
            subgroups=subgroups_of(header),
        ))
    return found


def group(images: Iterable[Image], manifest: Manifest) -> list[Case]:
    """The cases of a pipeline, by study. Series of another modality, or shorter than it reads, are none."""
    by_series = manifest.reads == "volume" and not manifest.inputs
    grouped: dict[tuple[str, str], list[Image]] = defaultdict(list)
    for image in images:
        grouped[image.study_instance_uid, image.series_instance_uid if by_series else ""].append(image)
    if by_series:
        grouped = {key: found for key, found in grouped.items() if _could_be_read(found, manifest)}
    return [_case(study, found) for (study, _), found in sorted(grouped.items())]


def subgroups_of(header: Dataset) -> dict[str, str]:
    """What a header says of its patient and scanner; what it does not say is "unknown"."""
    scanner = " ".join(filter(None, (str(header.get(each) or "").strip()
                                     for each in ("Manufacturer", "ManufacturerModelName"))))
    return {"scanner": scanner or UNKNOWN, "sex": _SEXES.get(str(header.get("PatientSex") or ""), UNKNOWN),
            "age": age_band(header)}


def age_band(header: Dataset) -> str:
    """From Patient's Age (PS3.5 6.2, AS), else from the dates of birth and study."""
    said = re.fullmatch(r"(\d{3})([DWMY])", str(header.get("PatientAge") or "").strip())
    if said:
        years = int(said[1]) * _DAYS[said[2]] / _DAYS["Y"]
    else:
        born, studied = (_date(header.get(each)) for each in ("PatientBirthDate", "StudyDate"))
        if born is None or studied is None or studied < born:
            return UNKNOWN
        years = studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))
    return next((name for limit, name in _BANDS if years < limit), _OLDEST)


def _date(value: Any) -> datetime | None:
    try:
        return datetime.strptime(str(value or "").strip(), "%Y%m%d")  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return None


def _could_be_read(images: Sequence[Image], manifest: Manifest) -> bool:
    """An enhanced image is a whole series in one file, so the number of files alone says little of it."""
    right = images[0].modality == manifest.modality
    return right and (len(images) >= manifest.min_slices or len(images) == 1)


def _case(study: str, images: Sequence[Image]) -> Case:
    first = images[0]
    return Case(
        study_instance_uid=study,
        series_instance_uids=tuple(dict.fromkeys(each.series_instance_uid for each in images)),
        accession_number=first.accession_number,
        patient_id=first.patient_id,
        images=tuple(images),
        subgroups={name: _agreed({each.subgroups.get(name, UNKNOWN) for each in images}) for name in SUBGROUPS},
    )


def _agreed(values: set[str]) -> str:
    return values.pop() if len(values) == 1 else UNKNOWN
