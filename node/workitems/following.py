"""Takes orders from worklists of managers (UPS-RS as a client, the "pull" of IHE AIW-I), and tells what came of them.

What is to be claimed is written down with its Transaction UID before the manager is asked, and what is to be told is
the version of the row that it was not told of yet: a node that was down for one of them takes it up again.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog
from pydicom.uid import generate_uid

from radnode.node.association import PeerUnreachable
from radnode.node.dicomweb import json_model
from radnode.node.dicomweb.client import connect
from radnode.node.dicomweb.json_model import NoModel
from radnode.node.intake.header_walk import is_uid
from radnode.node.workitems import attributes
from radnode.node.workitems.attributes import Unclear
from radnode.node.workitems.states import State
from radnode.storage import workitems

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.config.peers import Peer
    from radnode.node.dicomweb.client import Reply, WebClient
    from radnode.storage.database import Database
    from radnode.storage.workitems import WorkItem

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=10)
AT_ONCE = 50
_TOLD = ("UnifiedProcedureStepPerformedProcedureSequence", "ProcedureStepProgressInformationSequence")


class Follower:
    """`step` is that of an activity. on_claimed: something is to be performed."""

    def __init__(
        self, *, database: Database, configuration: Callable[[], Configuration], now: Callable[[], datetime],
        on_claimed: Callable[[], None],
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._now = now
        self._on_claimed = on_claimed
        self._next: dict[str, datetime] = {}

    def step(self) -> bool:
        """Ask each manager whose time has come. Always False: the clock pulses again."""
        configuration = self._configuration()
        for name in configuration.workitems.managers:
            now = self._now()
            due = self._next.get(name, now)
            if now < due <= now + EVERY:
                continue
            self._next[name] = now + EVERY
            try:
                with connect(configuration.peers[name]) as client:
                    self._follow(client, configuration.peers[name])
            except PeerUnreachable as unreachable:
                log.warning("worklist.unreachable", manager=name, reason=str(unreachable))
        return False

    def _follow(self, client: WebClient, manager: Peer) -> None:
        """Raises :class:`PeerUnreachable`."""
        for code in self._configuration().workitems.codes:
            for item in self._scheduled(client, manager, code):
                self._note(item, manager.name)
        with self._database.read() as session:
            noted = workitems.of_manager(session, manager.name)
        for each in noted:
            if each.state == State.SCHEDULED:
                self._claim(client, each)
            elif each.version != each.told:
                self._tell(client, each)

    def _scheduled(self, client: WebClient, manager: Peer, code: str) -> list[dict[str, Any]]:
        value, _, scheme = code.partition("^")
        reply = client.request("GET", "/workitems", headers={"Accept": "application/dicom+json"}, params={
            "ProcedureStepState": State.SCHEDULED, "ScheduledWorkitemCodeSequence.CodeValue": value,
            "ScheduledWorkitemCodeSequence.CodingSchemeDesignator": scheme, "InputReadinessState": "READY",
            "limit": str(AT_ONCE),
        })
        if objection := client.objection(reply):
            raise objection
        if reply.status == 204:
            return []
        document = reply.document()
        if reply.status != 200 or not isinstance(document, list):
            raise PeerUnreachable(f"{manager.name} did not answer a search for work items (HTTP {reply.status})")
        return [each for each in document if isinstance(each, dict)]

    def _note(self, document: dict[str, Any], manager: str) -> None:
        """An order that a route performs, written down to be claimed; what is unclear is left to others."""
        try:
            dataset = json_model.dataset(document)
            uid = str(dataset.get("SOPInstanceUID", ""))
            order = attributes.order(dataset)
        except (NoModel, Unclear) as why:
            log.warning("worklist.unclear", manager=manager, reason=str(why))
            return
        route = self._configuration().workitems.codes.get(order.code)
        if not is_uid(uid.encode("ascii", "replace")) or dataset.get("ProcedureStepState") != State.SCHEDULED:
            return
        if route is None:
            return
        with self._database.begin() as session:
            workitems.enter(
                session, uid, attributes.to_keep(dataset), route=route, study_instance_uid=order.study_instance_uid,
                now=self._now(), manager=manager, transaction_uid=str(generate_uid(prefix=None)),
            )

    def _claim(self, client: WebClient, item: WorkItem) -> None:
        """It is ours, also where an earlier answer was lost; or somebody else was quicker."""
        dataset = attributes.stored(item.content)
        own_ae_title = self._configuration().settings.ae_title
        attributes.begun(dataset, own_ae_title, self._now())
        reply = self._put(client, item, State.IN_PROGRESS)
        is_ours = reply.status == 200 or self._update(client, item, dataset).status == 200
        dataset.ProcedureStepState = State.IN_PROGRESS if is_ours else State.CANCELED
        if not is_ours:
            attributes.canceled(dataset, "claimed by another, or changed by its manager", self._now(), by_request=True)
        with self._database.begin() as session:
            workitems.change(session, item, self._now(), state=str(dataset.ProcedureStepState), own=is_ours,
                             content=attributes.to_keep(dataset))
            if not is_ours:
                workitems.told(session, item.uid, item.version + 1)
        log.info("workitem.claimed" if is_ours else "workitem.lost", workitem=item.uid, manager=item.manager)
        if is_ours:
            self._on_claimed()

    def _tell(self, client: WebClient, item: WorkItem) -> None:
        reply = self._update(client, item, attributes.stored(item.content))
        if reply.status == 200 and State(item.state).is_final:
            reply = self._put(client, item, State(item.state))
        if reply.status >= 500:
            raise PeerUnreachable(f"{item.manager} did not take what was said of a work item (HTTP {reply.status})")
        if reply.status != 200:
            log.warning("workitem.not_told", workitem=item.uid, manager=item.manager, status=reply.status)
        with self._database.begin() as session:
            workitems.told(session, item.uid, item.version)

    def _update(self, client: WebClient, item: WorkItem, dataset: Any) -> Reply:
        said = {tag: value for tag, value in attributes.to_keep(dataset).items() if tag in attributes.tags(_TOLD)}
        said["00081195"] = {"vr": "UI", "Value": [item.transaction_uid]}
        return self._send(client, "POST", f"/workitems/{quote(item.uid)}?{item.transaction_uid}", said)

    def _put(self, client: WebClient, item: WorkItem, state: State) -> Reply:
        return self._send(client, "PUT", f"/workitems/{quote(item.uid)}/state", {
            "00741000": {"vr": "CS", "Value": [state]}, "00081195": {"vr": "UI", "Value": [item.transaction_uid]},
        })

    def _send(self, client: WebClient, method: str, path: str, document: dict[str, Any]) -> Reply:
        content = json.dumps(document).encode()
        headers = {"Content-Type": "application/dicom+json", "Content-Length": str(len(content))}
        reply = client.request(method, path, headers=headers, body=lambda: iter([content]))
        if reply.status != 404 and (objection := client.objection(reply)):
            raise objection
        return reply
