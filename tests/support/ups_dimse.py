"""A worklist manager that is asked over DIMSE: pynetdicom's SCP of UPS Pull (PS3.4 CC) before a desk of work items."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import UnifiedProcedureStepPull

from radnode.node.workitems import attributes
from radnode.node.workitems.desk import Desk, NoSuchItem, Refused
from support.network import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_SUCH_UPS = 0xC307


class DimseManager:
    """Items of a desk; `asked` counts requests by kind."""

    def __init__(self, desk: Desk) -> None:
        self.asked: dict[str, int] = {}
        self._desk = desk
        self.port = free_port()

    @contextmanager
    def listening(self) -> Iterator[DimseManager]:
        """While it is there."""
        ae = AE(ae_title="MANAGER")
        ae.add_supported_context(UnifiedProcedureStepPull)
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
        wanted, transaction = str(said.ProcedureStepState), str(said.TransactionUID)
        return self._done(self._desk.change_state, uid, wanted, transaction), None

    def _done(self, do: Any, *words: Any) -> int:
        try:
            return do(*words) or 0x0000
        except Refused as refused:
            return refused.status
        except NoSuchItem:
            return NO_SUCH_UPS

    def _count(self, kind: str) -> None:
        self.asked[kind] = self.asked.get(kind, 0) + 1
