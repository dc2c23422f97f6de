"""The audit trail over HTTP, for who holds the permission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query

from radnode.node.web.access import Permission, needs
from radnode.storage import audit

if TYPE_CHECKING:
    from radnode.storage.database import Database

MOST = 1000


def audit_router(database: Database) -> APIRouter:
    """/api/audit."""
    router = APIRouter(prefix="/api", dependencies=[needs(Permission.AUDIT)])

    @router.get("/audit")
    def messages(
        limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
        study: Annotated[str | None, Query(max_length=64)] = None,
        event: Annotated[str | None, Query(max_length=40)] = None,
        before: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
    ) -> list[dict[str, Any]]:
        """Audit messages, the newest first; `before` a number: the page after that one."""
        with database.read() as session:
            found = audit.newest(session, limit, study_instance_uid=study, event=event, before=before)
        return [as_data(each) for each in found]

    return router


def as_data(message: audit.KeptMessage) -> dict[str, Any]:
    """One message with its XML."""
    return {
        "number": message.message_id, "at": message.at.isoformat(timespec="milliseconds"), "event": message.event,
        "outcome": message.outcome, "who": message.who, "study_instance_uid": message.study_instance_uid,
        "sent_at": message.sent_at.isoformat(timespec="seconds") if message.sent_at else None,
        "message": message.message,
    }
