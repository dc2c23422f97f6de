"""Patients that were merged: which identifier is out of use, and which takes its place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Text, cast, delete, select

from radnode.storage.dialects import insert_for
from radnode.storage.order_tables import MergedPatientRow
from radnode.storage.tables import StudyRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.storage.orders import PatientId


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """`patient` is out of use since `at`, as `sender` told; `survivors` identify the same person now."""

    sender: str
    patient: PatientId
    survivors: tuple[PatientId, ...]
    at: datetime


def record(session: Session, merge: Merge) -> None:
    """Keep a merge; what is in use again by it is not merged away any more."""
    for patient_id, authority, universal_id in merge.survivors:
        session.execute(delete(MergedPatientRow).where(
            MergedPatientRow.patient_id == patient_id, MergedPatientRow.authority == authority,
            MergedPatientRow.universal_id == universal_id,
        ))
    patient_id, authority, universal_id = merge.patient
    said = {"sender": merge.sender, "survivors": [list(each) for each in merge.survivors], "at": merge.at}
    session.execute(
        insert_for(session, MergedPatientRow)
        .values(patient_id=patient_id, authority=authority, universal_id=universal_id, **said)
        .on_conflict_do_update(index_elements=["patient_id", "authority", "universal_id"], set_=said)
    )


def of_identifier(session: Session, patient_id: str) -> list[Merge]:
    """The merges that took this Patient ID out of use, whoever gave it; the last told first."""
    rows = session.scalars(
        select(MergedPatientRow).where(MergedPatientRow.patient_id == patient_id).order_by(MergedPatientRow.id.desc())
    )
    return [
        Merge(sender=row.sender, patient=(row.patient_id, row.authority, row.universal_id), at=row.at,
              survivors=tuple((str(one[0]), str(one[1]), str(one[2])) for one in row.survivors))
        for row in rows
    ]


def merged_into(session: Session, patient_id: str) -> list[str]:
    """The Patient IDs that merges put out of use for this one, whoever gave it; merges of merges are followed."""
    found, following = [patient_id], [patient_id]
    while following:
        into = following.pop()
        rows = session.execute(select(MergedPatientRow.patient_id, MergedPatientRow.survivors).where(
            cast(MergedPatientRow.survivors, Text).contains(json.dumps(into), autoescape=True)
        ))
        gone = {each for each, survivors in rows if any(one[0] == into for one in survivors)}.difference(found)
        found += sorted(gone)
        following += sorted(gone)
    return found[1:]


def studies_under(session: Session, patient_ids: Sequence[str]) -> list[int]:
    """The studies that came under one of these Patient IDs, whoever gave it."""
    return list(session.scalars(
        select(StudyRow.id).where(StudyRow.patient_id.in_(patient_ids)).order_by(StudyRow.id)
    ))
