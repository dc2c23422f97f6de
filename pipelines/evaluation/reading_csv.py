"""CSV references: marks, answers or measurements, by the names in the first line.

    marks in the patient    study, x_mm, y_mm, z_mm, diameter_mm [, label]      LPS millimetres
    marks on images         study, sop_instance_uid, column, row, diameter_px [, label]
    answers                 study, name, value
    measurements            study, of, name, value, unit

`study` is a Study or Series Instance UID, an Accession Number or a Patient ID. A study with all else empty in a table
of marks says that somebody looked and there is nothing; a study without a row says nothing.
"""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

from radnode.pipelines.evaluation.naming import Reference
from radnode.pipelines.evaluation.truth import Answer, Mark, Number, ReferenceRefused, Truth
from radnode.pipelines.findings import InPatient, OnImage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_IN_PATIENT = ("x_mm", "y_mm", "z_mm", "diameter_mm")
_ON_IMAGE = ("sop_instance_uid", "column", "row", "diameter_px")
_NUMBERS = ("of", "name", "value", "unit")
_ANSWERS = ("name", "value")
_KINDS = (_IN_PATIENT, _ON_IMAGE, _NUMBERS, _ANSWERS)

Row = tuple[int, "Mapping[str, str]"]


def references(path: Path, source: str) -> Iterator[Reference]:
    """One for each study. Raises ReferenceRefused, with the line, for a table that is none of these."""
    kind, rows = _read(path)
    for study, said in rows.items():
        truth = _truth(kind, said)
        yield Reference(source=source, name=study, read=lambda _, truth=truth: truth)  # type: ignore[misc]


def _read(path: Path) -> tuple[Sequence[str], dict[str, list[Row]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            fields = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = fields
            kind = next((each for each in _KINDS if {"study", *each} <= set(fields)), None)
            if kind is None:
                wanted = "; ".join(", ".join(("study", *each)) for each in _KINDS)
                raise ReferenceRefused(f"its first line names none of these sets of columns: {wanted}")
            rows: dict[str, list[Row]] = {}
            for row in reader:
                said = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
                if any(said.values()):
                    _study(rows, said, reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReferenceRefused(f"it cannot be read as CSV in UTF-8 ({type(error).__name__})") from error
    return kind, rows


def _study(rows: dict[str, list[Row]], said: Mapping[str, str], line: int) -> None:
    if not said["study"]:
        raise ReferenceRefused(f"line {line} names no study")
    rows.setdefault(said["study"], []).append((line, said))


def _truth(kind: Sequence[str], rows: Sequence[Row]) -> Truth:
    if kind == _NUMBERS:
        return Truth(numbers=tuple(
            Number(of=_text(row, "of"), name=_text(row, "name"), value=_number(row, "value"), unit=_text(row, "unit"))
            for row in rows))
    if kind == _ANSWERS:
        return Truth(answers=tuple(Answer(name=_text(row, "name"), value=_text(row, "value")) for row in rows))
    marks = [row for row in rows if any(row[1].get(name) for name in kind)]
    if marks and len(marks) < len(rows):
        raise ReferenceRefused(f"line {rows[0][0]}: one row of this study says that there is nothing, another that "
                               "there is something")
    return Truth(marks=tuple(_mark(kind, row) for row in marks))


def _mark(kind: Sequence[str], row: Row) -> Mark:
    label = row[1].get("label", "")
    if kind == _IN_PATIENT:
        x, y, z = (_number(row, name) for name in kind[:3])
        size = _number(row, "diameter_mm") if row[1]["diameter_mm"] else None
        return Mark(at=InPatient(center_lps=(x, y, z)), radius=_radius(row, size), label=label)
    place = OnImage(sop_instance_uid=_text(row, "sop_instance_uid"),
                    center=(_number(row, "column"), _number(row, "row")))
    return Mark(at=place, radius=_radius(row, _number(row, "diameter_px")), label=label)


def _radius(row: Row, diameter: float | None) -> float | None:
    if diameter is not None and diameter <= 0:
        raise ReferenceRefused(f"line {row[0]}: a diameter of {diameter:g}; it is above 0")
    return None if diameter is None else diameter / 2


def _text(row: Row, name: str) -> str:
    if not row[1][name]:
        raise ReferenceRefused(f"line {row[0]}: {name} is empty")
    return row[1][name]


def _number(row: Row, name: str) -> float:
    try:
        value = float(_text(row, name))
    except ValueError as error:
        raise ReferenceRefused(f"line {row[0]}: {name} is no number") from error
    if not math.isfinite(value):
        raise ReferenceRefused(f"line {row[0]}: {name} is no number")
    return value
