"""The tables of who is told of work items, and of what is still to be told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base


class SubscriptionRow(Base):
    """An AE that is told of a work item, or of all: `uid` is then a well-known one (PS3.4 CC.2.3.1).

    keys: [keyword, value] pairs that an item has to match, of a filtered subscription. suspended_at: items that were
    created later are not told of.
    """

    __tablename__ = "work_item_subscriptions"
    subscriber: Mapped[str] = mapped_column(String(16), primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    keys: Mapped[list[Any]]
    suspended_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class NoticeRow(Base):
    """An event of a work item (PS3.4 CC.2.4) on its way. subscriber: empty until it is known who is to be told.

    content: the attributes of the item at that moment, or those of the request, in the DICOM JSON model.
    """

    __tablename__ = "work_item_notices"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    subscriber: Mapped[str] = mapped_column(String(16))
    uid: Mapped[str] = mapped_column(String(64))
    event_type: Mapped[int]
    content: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    __table_args__ = (Index("ix_work_item_notices_subscriber", "subscriber", "id"),)
