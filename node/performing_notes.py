"""Takes what peers say was performed (MPPS, Instance Availability); what is answered with Success is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from radnode.node.statuses import DUPLICATE_INSTANCE, NO_SUCH_INSTANCE, PROCESSING_FAILURE, SUCCESS
from radnode.storage import performed
from radnode.storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from radnode.node.performed_sets import Performed
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)


class PerformedNotes:
    """`said` is called for each statement, on any thread. on_said: series may be judged otherwise now."""

    def __init__(self, *, database: Database, now: Callable[[], datetime], on_said: Callable[[], None]) -> None:
        self._database = database
        self._now = now
        self._on_said = on_said

    def said(self, statement: Performed, by: str) -> int:
        """The status to answer with (PS3.4 F.7.2, R.3.2)."""
        try:
            status = self._record(statement, by)
        except performed.Ended:
            status = PROCESSING_FAILURE
        except StorageError as error:
            log.warning("performed.not_recorded", by=by, kind=statement.kind, reason=str(error))
            return PROCESSING_FAILURE
        log.info("performed.said", by=by, kind=statement.kind, sop_instance_uid=statement.sop_instance_uid,
                 state=statement.state, series=len(statement.references or {}), status=f"0x{status:04X}")
        if status == SUCCESS:
            self._on_said()
        return status

    def _record(self, statement: Performed, by: str) -> int:
        with self._database.begin() as session:
            if statement.is_new:
                entered = performed.create(
                    session, by, statement.kind, statement.sop_instance_uid, statement.studies, state=statement.state,
                    references=statement.references, now=self._now(),
                )
                return SUCCESS if entered else DUPLICATE_INSTANCE
            changed = performed.change(
                session, by, statement.sop_instance_uid, state=statement.state, reason=statement.reason,
                references=statement.references, now=self._now(),
            )
            return SUCCESS if changed else NO_SUCH_INSTANCE
