"""Alarms that somebody has silenced for a time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, PlainText


class SilenceRow(Base):
    """Nobody is told of the alarms of this name before `until`; they stay where they are shown."""

    __tablename__ = "alarm_silences"
    name: Mapped[str] = mapped_column(PlainText, primary_key=True)
    until: Mapped[datetime]
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(PlainText)
