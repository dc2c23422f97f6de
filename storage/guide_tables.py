"""The table of the guided first start. Typed rows; no behaviour."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, PlainText


class GuideStepRow(Base):
    """A step that somebody has taken. value: what came of it, such as the UID of the test study."""

    __tablename__ = "guide_steps"
    step: Mapped[str] = mapped_column(String(16), primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(PlainText)
    value: Mapped[str] = mapped_column(PlainText)
