"""How far the guided first start has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from radnode.storage.dialects import insert_for
from radnode.storage.guide_tables import GuideStepRow
from radnode.storage.tables import StudyRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A step, when and by whom it was last taken, and what came of it."""

    at: datetime
    who: str
    value: str


def note(session: Session, step: str, *, at: datetime, who: str, value: str = "") -> None:
    """A step was taken; the last time counts."""
    said = {"at": at, "who": who, "value": value}
    statement = insert_for(session, GuideStepRow).values(step=step, **said)
    session.execute(statement.on_conflict_do_update(index_elements=["step"], set_=said))


def taken(session: Session) -> Mapping[str, Taken]:
    """All steps that were taken, by name."""
    return {row.step: Taken(at=row.at, who=row.who, value=row.value) for row in session.scalars(select(GuideStepRow))}


def study_id(session: Session, study_instance_uid: str) -> int | None:
    """The row of a study, by which pages address it."""
    return session.scalar(select(StudyRow.id).where(StudyRow.study_instance_uid == study_instance_uid))
