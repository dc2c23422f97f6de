"""Peers of work items by pynetdicom (PS3.4 CC): a manager before a desk (UPS Pull, Watch, Event), and who watches."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    UnifiedProcedureStepEvent,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepWatch,
)

from radnode.node.workitems import attributes
from radnode.node.workitems.desk import Desk, NoSuchItem, Refused
from support.network import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NO_SUCH_UPS = 0xC307


class DimseManager:
    """Items of a desk; `asked` counts requests by kind, `subscribed` are the data sets of subscriptions by instance.

    takes: the SOP classes it knows.
    """

    def __init__(
        self, desk: Desk, takes: Sequence[str] = (UnifiedProcedureStepPull, UnifiedProcedureStepWatch)
    ) -> None:
        self.subscribed: dict[str, Dataset] = {}
        self._takes = takes
        self.asked: dict[str, int] = {}
        self._desk = desk
        self.port = free_port()

    @contextmanager
    def listening(self) -> Iterator[DimseManager]:
        """While it is there."""
        ae = AE(ae_title="MANAGER")
        for service in self._takes:
            ae.add_supported_context(service)
        server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=[
            (evt.EVT_C_FIND, self._find), (evt.EVT_N_GET, self._get), (evt.EVT_N_SET, self._set),
            (evt.EVT_N_ACTION, self._action),
        ])
        try:
            yield self
        finally:
            server.shutdown()

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self._count("find")
        wanted = event.identifier
        code = wanted.ScheduledWorkitemCodeSequence[0]
        query = [("ProcedureStepState", str(wanted.ProcedureStepState)),
                 ("InputReadinessState", str(wanted.InputReadinessState)),
                 ("ScheduledWorkitemCodeSequence.CodeValue", str(code.CodeValue)),
                 ("ScheduledWorkitemCodeSequence.CodingSchemeDesignator", str(code.CodingSchemeDesignator))]
        for content in self._desk.search(query, 100, 0):
            answer = Dataset()
            answer.SOPInstanceUID = attributes.stored(content).SOPInstanceUID
            yield 0xFF00, answer

    def _get(self, event: evt.Event) -> tuple[int, Dataset | None]:
        self._count("get")
        try:
            return 0x0000, attributes.stored(self._desk.retrieve(str(event.request.RequestedSOPInstanceUID)))
        except NoSuchItem:
            return NO_SUCH_UPS, None

    def _set(self, event: evt.Event) -> tuple[int, Dataset | None]:
        self._count("set")
        said = event.modification_list
        transaction = str(said.TransactionUID)
        del said.TransactionUID
        return self._done(self._desk.update, str(event.request.RequestedSOPInstanceUID), said, transaction), None

    def _action(self, event: evt.Event) -> tuple[int, Dataset | None]:
        self._count("action")
        said = event.action_information
        uid = str(event.request.RequestedSOPInstanceUID)
        if event.action_type == 3:
            self.subscribed[uid] = said
            return 0x0000, None
        wanted, transaction = str(said.ProcedureStepState), str(said.TransactionUID)
        return self._done(self._desk.change_state, uid, wanted, transaction), None

    def tell(self, port: int, uid: str, event_type: int, **said: Any) -> int:
        """Send an event to a node; the status of its answer."""
        information = Dataset()
        for keyword, value in said.items():
            setattr(information, keyword, value)
        ae = AE(ae_title="MANAGER")
        ae.add_requested_context(UnifiedProcedureStepEvent)
        association = ae.associate("127.0.0.1", port, ae_title="RADNODE",
                                   ext_neg=[build_role(UnifiedProcedureStepEvent, scp_role=True)])
        assert association.is_established
        status, _ = association.send_n_event_report(information, event_type, UnifiedProcedureStepPush, uid,
                                                    meta_uid=UnifiedProcedureStepEvent)
        association.release()
        return int(status.Status)

    def _done(self, do: Any, *words: Any) -> int:
        try:
            return do(*words) or 0x0000
        except Refused as refused:
            return refused.status
        except NoSuchItem:
            return NO_SUCH_UPS

    def _count(self, kind: str) -> None:
        self.asked[kind] = self.asked.get(kind, 0) + 1


class Watcher:
    """Somebody who subscribes by UPS Watch and is told by UPS Event; `told` are (uid, event type, what was said)."""

    def __init__(self, title: str = "RIS") -> None:
        self.told: list[tuple[str, int, Dataset]] = []
        self.port = free_port()
        self._title = title

    @contextmanager
    def listening(self) -> Iterator[Watcher]:
        """While it can be told."""
        ae = AE(ae_title=self._title)
        ae.add_supported_context(UnifiedProcedureStepEvent, scu_role=True, scp_role=True)
        server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=[
            (evt.EVT_N_EVENT_REPORT, self._hear)])
        try:
            yield self
        finally:
            server.shutdown()

    def ask(self, port: int, action: int, uid: str, **said: Any) -> int:
        """N-ACTION with this information; the status."""
        information = Dataset()
        for keyword, value in said.items():
            setattr(information, keyword, value)
        ae = AE(ae_title=self._title)
        ae.add_requested_context(UnifiedProcedureStepWatch)
        association = ae.associate("127.0.0.1", port, ae_title="RADNODE")
        assert association.is_established
        status, _ = association.send_n_action(information, action, UnifiedProcedureStepPush, uid,
                                              meta_uid=UnifiedProcedureStepWatch)
        association.release()
        return int(status.Status)

    def _hear(self, event: evt.Event) -> tuple[int, Dataset | None]:
        uid, kind = str(event.request.AffectedSOPInstanceUID), int(event.event_type)
        self.told.append((uid, kind, event.event_information))
        return 0x0000, None
