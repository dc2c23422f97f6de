"""References in a folder: which files there are, what each may say, and which case it is about.

A DICOM reference names its study and series itself. A NIfTI file and a row of a CSV name theirs by Series or Study
Instance UID, Accession Number or Patient ID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
from pydicom.uid import RTStructureSetStorage, SegmentationStorage
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from radnode.pipelines.evaluation import reading_csv, reading_nifti, reading_rtstruct, reading_seg, reading_sr
from radnode.pipelines.evaluation.naming import Reference, Unread
from radnode.pipelines.evaluation.truth import ReferenceRefused
from radnode.pipelines.results.segmentation import LABEL_MAP_STORAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_NIFTI = (".nii", ".nii.gz")


def read_labels(path: Path) -> dict[int, str]:
    """What the values of NIfTI label maps mean: a YAML file of lines as `1: lung-left`. Raises ReferenceRefused."""
    try:
        said = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ReferenceRefused(f"{path.name} cannot be read as YAML ({type(error).__name__})") from error
    if not isinstance(said, dict) or not said or not all(
        isinstance(value, int) and value > 0 and isinstance(name, str) and name.strip() for value, name in said.items()
    ):
        raise ReferenceRefused(f"{path.name} is no list of labels; write a whole number above 0 and a name on each "
                               "line, as `1: lung-left`")
    return {int(value): name.strip() for value, name in said.items()}


def find(folder: Path, labels: Mapping[int, str]) -> tuple[list[Reference], list[Unread]]:
    """Every reference below a folder, and what is there but cannot be one, with the reason."""
    found: list[Reference] = []
    unread: list[Unread] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        source = str(path.relative_to(folder))
        try:
            found += list(_of_file(path, source, labels))
        except ReferenceRefused as error:
            unread.append(Unread(source=source, reason=str(error)))
    return found, unread


def find_one(path: Path) -> Reference:
    """A DICOM object that may be one. Raises ReferenceRefused."""
    return _of_dicom(path, path.name)


def _of_file(path: Path, source: str, labels: Mapping[int, str]) -> Iterator[Reference]:
    name = path.name.lower()
    if name.endswith(_NIFTI):
        yield reading_nifti.reference(path, source, labels)
    elif name.endswith(".csv"):
        yield from reading_csv.references(path, source)
    else:
        yield _of_dicom(path, source)


def _of_dicom(path: Path, source: str) -> Reference:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except (pydicom.errors.InvalidDicomError, EOFError, OSError) as error:
        raise ReferenceRefused("neither DICOM nor .nii, .nii.gz or .csv") from error
    kind = str(header.get("SOPClassUID", ""))
    if kind in (SegmentationStorage, LABEL_MAP_STORAGE):
        return reading_seg.reference(path, source, header)
    if kind == RTStructureSetStorage:
        return reading_rtstruct.reference(path, source, header)
    if kind in reading_sr.CLASSES:
        return reading_sr.reference(path, source, header)
    raise ReferenceRefused("a DICOM file, but no SEG, RTSTRUCT or SR")
