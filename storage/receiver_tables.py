"""The tables of several receivers that are one node: who is there, and what is coming in at each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base


class ReceiverRow(Base):
    """A process that receives. leads: it does all else as well.

    said: {"alarms": {name: text}, "refused": {source: objects}, "strangers": {address: times}} of that process.
    """

    __tablename__ = "receivers"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    address: Mapped[str] = mapped_column(String(255))
    version: Mapped[str] = mapped_column(String(64))
    leads: Mapped[bool]
    said: Mapped[dict[str, Any]]
    since: Mapped[datetime]
    seen_at: Mapped[datetime]


class CarryingRow(Base):
    """A series of which an open association of a receiver has carried an image."""

    __tablename__ = "receivers_carrying"
    association: Mapped[str] = mapped_column(String(64), primary_key=True)
    series_instance_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    receiver: Mapped[str] = mapped_column(String(64))
    __table_args__ = (Index("ix_receivers_carrying_series", "series_instance_uid"),)
