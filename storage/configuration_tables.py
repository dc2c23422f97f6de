"""The tables of what the configuration file said, one version after another, and of what its routes matched."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, PlainText


class ConfigurationVersionRow(Base):
    """The text of the configuration file from this moment on. digest: SHA-256 of the text, which may come back."""

    __tablename__ = "configuration_versions"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    author: Mapped[str] = mapped_column(PlainText)
    note: Mapped[str] = mapped_column(PlainText)
    digest: Mapped[str] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)


class RouteMatchRow(Base):
    """A series that a route matched; at: when it did last. The route is there by its name, as in explanations."""

    __tablename__ = "route_matches"
    route: Mapped[str] = mapped_column(Text, primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), primary_key=True)
    at: Mapped[datetime]
    __table_args__ = (Index("ix_route_matches_at", "route", "at"),)
