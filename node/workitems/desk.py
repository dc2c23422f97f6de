"""Takes what others ask of work items: create, retrieve, search, update, change, cancel; each in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from pydicom.uid import generate_uid

from radnode.node.intake.header_walk import is_uid
from radnode.node.workitems import attributes, matching, notices, states
from radnode.node.workitems.attributes import Unclear
from radnode.node.workitems.states import WORDS, Key, Move, State
from radnode.storage import subscriptions, workitems
from radnode.storage.jobs import JobState
from radnode.storage.subscriptions import CANCEL_REQUESTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pydicom.dataset import Dataset

    from radnode.config.loading import Configuration
    from radnode.node.workitems.notices import Report
    from radnode.storage.database import Database
    from radnode.storage.workitems import JobOutcome, WorkItem

log = structlog.get_logger(__name__)

_OF_JOBS = {
    JobState.WAITING: State.SCHEDULED, JobState.RUNNING: State.IN_PROGRESS, JobState.PRODUCED: State.COMPLETED,
    JobState.SUPERSEDED: State.COMPLETED,
}
_NO_UPDATE = ("SOPInstanceUID", "SOPClassUID", "ProcedureStepState", "TransactionUID")
"""What an update never changes (PS3.4 Table CC.2.5-3, N-SET "Not Allowed")."""


class NoSuchItem(Exception):
    """There is no work item under this UID."""


class Taken(Exception):
    """There is one already under this UID."""


class Refused(Exception):
    """The state of the item, or the Transaction UID, forbids it. status: of PS3.4 CC.2."""

    def __init__(self, status: int) -> None:
        super().__init__(WORDS[status])
        self.status = status


class Desk:
    """All of it, on any thread. on_change: something may be to be performed, or to be given up."""

    def __init__(
        self, *, database: Database, configuration: Callable[[], Configuration], now: Callable[[], datetime],
        on_change: Callable[[], None],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._now = now
        self._on_change = on_change

    def create(self, dataset: Dataset, uid: str = "") -> str:
        """Enter an item; its UID. Raises :class:`Unclear`, :class:`Taken`.

        Only what a route performs is taken: this node is no worklist for others.
        """
        uid = uid or str(dataset.get("SOPInstanceUID") or generate_uid(prefix=None))
        if not is_uid(uid.encode("ascii", "replace")):
            raise Unclear("the UID of the work item is none")
        now = self._now()
        attributes.check_new(dataset, now)
        order = attributes.order(dataset)
        route = self._configuration().workitems.codes.get(order.code)
        if route is None:
            raise Unclear("no route performs this Scheduled Workitem Code; `workitems: codes:` names those that are")
        dataset.SOPInstanceUID = uid
        with self._database.begin() as session:
            entered = workitems.enter(session, uid, attributes.to_keep(dataset), route=route,
                                      study_instance_uid=order.study_instance_uid, now=now)
        if not entered:
            raise Taken
        log.info("workitem.created", workitem=uid, route=route, study_instance_uid=order.study_instance_uid)
        self._on_change()
        return uid

    def retrieve(self, uid: str) -> dict[str, Any]:
        """An item, or a job of this node as one. Raises :class:`NoSuchItem`."""
        with self._database.read() as session:
            item = workitems.find(session, uid)
            if item is not None:
                return item.content
            for job in workitems.newest_jobs(session):
                if attributes.uid_of_job(job.key) == uid:
                    return self._of_job(job)
        raise NoSuchItem

    def search(self, query: Sequence[tuple[str, str]], limit: int, offset: int) -> list[dict[str, Any]]:
        """Items and jobs that match, those that changed last first. Raises :class:`Unclear`."""
        wanted = matching.criteria(query)
        with self._database.read() as session:
            items = workitems.newest(session)
            ordered = {job_id for item in items for job_id in item.jobs}
            jobs = [job for job in workitems.newest_jobs(session) if job.job_id not in ordered]
        everything = [item.content for item in items] + [self._of_job(job) for job in jobs]
        return [each for each in everything if matching.matches(each, wanted)][offset : offset + limit]

    def update(self, uid: str, dataset: Dataset, transaction_uid: str) -> None:
        """Set attributes. Raises :class:`NoSuchItem`, :class:`Refused`, :class:`Unclear`."""
        shown = transaction_uid or str(dataset.get("TransactionUID") or "")
        if any(keyword in dataset for keyword in _NO_UPDATE if keyword != "TransactionUID"):
            raise Unclear("an update names neither UIDs nor Procedure Step State; the state has a request of its own")
        with self._database.begin() as session:
            item = self._found(workitems.find(session, uid))
            if status := states.update(State(item.state), _key(item, shown)):
                raise Refused(status)
            changed = attributes.stored(item.content)
            changed.update(attributes.stored(attributes.to_keep(dataset)))
            order = attributes.order(changed)
            if item.route != self._configuration().workitems.codes.get(order.code):
                raise Unclear("an update does not make another order of it; cancel this one and create another")
            changed.ScheduledProcedureStepModificationDateTime = attributes.time(self._now())
            workitems.change(session, item, self._now(), content=attributes.to_keep(changed),
                             study_instance_uid=order.study_instance_uid)
        self._on_change()

    def change_state(self, uid: str, wanted: str, transaction_uid: str) -> int:
        """Returns 0 or a warning. Raises :class:`NoSuchItem`, :class:`Refused`, :class:`Unclear`."""
        if wanted not in list(State):
            raise Unclear(f"Procedure Step State (0074,1000) is one of {', '.join(State)}")
        if transaction_uid and not is_uid(transaction_uid.encode("ascii", "replace")):
            raise Unclear("Transaction UID (0008,1195) is none")
        with self._database.begin() as session:
            item = self._found(workitems.find(session, uid))
            dataset = attributes.stored(item.content)
            move = states.change(
                State(item.state), State(wanted), _key(item, transaction_uid),
                is_ready=attributes.has_final_attributes(dataset, State(wanted)),
            )
            if move.is_refused:
                raise Refused(move.status)
            if move.state != item.state:
                dataset.ProcedureStepState = move.state
                claimed = {"transaction_uid": transaction_uid} if move.state is State.IN_PROGRESS else {}
                workitems.change(session, item, self._now(), state=move.state, content=attributes.to_keep(dataset),
                                 **claimed)
        log.info("workitem.state", workitem=uid, state=move.state, by="another")
        return move.status

    def cancel(self, uid: str, dataset: Dataset, asked_by: str) -> Move:
        """Ask for its end; who has it in hands is told (PS3.4 CC.2.2.3). asked_by: AE title.

        Raises :class:`NoSuchItem`, :class:`Refused`.
        """
        given = str(dataset.get("ReasonForCancellation") or "")
        reason = given or "its cancellation was asked for"
        with self._database.begin() as session:
            item = self._found(workitems.find(session, uid))
            move = states.cancel(State(item.state))
            if move.status:
                raise Refused(move.status)
            if move.state is State.CANCELED:
                ended = attributes.canceled(attributes.stored(item.content), reason, self._now(), by_request=True)
                workitems.change(session, item, self._now(), state=State.CANCELED, content=attributes.to_keep(ended))
            else:
                workitems.change(session, item, self._now(), cancel_asked=True, cancel_reason=given)
                subscriptions.note(session, uid, CANCEL_REQUESTED, notices.cancel_request(given, asked_by), self._now())
        log.info("workitem.cancel_asked", workitem=uid, state=move.state)
        self._on_change()
        return move

    def canceled_elsewhere(self, report: Report, manager: str) -> None:
        """The manager of an order that this node performs was asked for its end; what is not so is passed over."""
        with self._database.begin() as session:
            item = workitems.find(session, report.uid)
            if item is None or item.manager != manager or item.cancel_asked or State(item.state).is_final:
                return
            workitems.change(session, item, self._now(), cancel_asked=True, cancel_reason=report.reason)
        log.info("workitem.cancel_asked", workitem=report.uid, manager=manager)
        self._on_change()

    def _found(self, item: WorkItem | None) -> WorkItem:
        if item is None:
            raise NoSuchItem
        return item

    def _of_job(self, job: JobOutcome) -> dict[str, Any]:
        state = _OF_JOBS.get(JobState(job.state), State.CANCELED)
        own = self._configuration().settings.ae_title
        return attributes.to_keep(attributes.of_job(job, own, state, retrieve_from(self._configuration(), job)))


def retrieve_from(configuration: Configuration, job: JobOutcome) -> str:
    """The AE title of the first destination that has its results, empty where none is known."""
    for destination, state in job.deliveries:
        peer = configuration.peers.get(destination)
        if peer is not None and state in ("SENT", "CONFIRMED"):
            return peer.ae_title
    return ""


def _key(item: WorkItem, shown: str) -> Key:
    if not shown:
        return Key.MISSING
    return Key.RIGHT if shown == item.transaction_uid else Key.WRONG
