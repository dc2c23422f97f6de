"""The tables of who may come in over HTTP, and of what is audited."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from radnode.storage.tables import Base, BigKey, PlainText


class AccountRow(Base):
    """A local account. password: an argon2id hash, None before the first one was set.

    link: SHA-256 of the one-time link that sets a password, None when there is none.
    """

    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password: Mapped[str | None] = mapped_column(Text)
    link: Mapped[str | None] = mapped_column(String(64), unique=True)
    link_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]


class LoginRow(Base):
    """A session in a browser. key: SHA-256 of what its cookie holds. account_id: None when a provider vouched for it,
    and then `roles` are those it gave.
    """

    __tablename__ = "logins"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[str] = mapped_column(PlainText)
    roles: Mapped[list[Any]]
    csrf: Mapped[str] = mapped_column(String(64))
    began_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(index=True)


class ApiTokenRow(Base):
    """A token of a machine. key: SHA-256 of what was shown once; 256 random bits need no slow hash."""

    __tablename__ = "api_tokens"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditRow(Base):
    """An audit message. digest: SHA-256 of the one before and of this message: what is taken out leaves a gap.

    sent_at: when the syslog server had it; None while it waits, or when there is none to send it to.
    """

    __tablename__ = "audit_messages"
    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    event: Mapped[str] = mapped_column(String(40))
    outcome: Mapped[int]
    who: Mapped[str] = mapped_column(PlainText)
    study_instance_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    message: Mapped[str] = mapped_column(PlainText)
    digest: Mapped[str] = mapped_column(String(64))
    sent_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_audit_messages_sent_at", "sent_at", "id"), Index("ix_audit_messages_event", "event", "id"),
        Index("ix_audit_messages_who", "who", "id"),
    )


class AuditMarkRow(Base):
    """How far something was followed: the digest of the last message, the last row of another table."""

    __tablename__ = "audit_marks"
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(String(64))
