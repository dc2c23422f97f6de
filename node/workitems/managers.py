"""Worklist managers as a Task Performer sees them (PS3.4 Annex CC), whichever way they are reached."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.sop_class import UnifiedProcedureStepPull, UnifiedProcedureStepPush, UnifiedProcedureStepWatch

from radnode.node.association import PeerUnreachable, associate
from radnode.node.dicomweb import json_model
from radnode.node.dicomweb.client import connect
from radnode.node.dicomweb.json_model import NoModel
from radnode.node.query import PENDING, SUCCESS
from radnode.node.workitems import attributes
from radnode.node.workitems.states import State
from radnode.storage.subscriptions import FILTERED, GLOBAL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pynetdicom.association import Association

    from radnode.config.peers import Peer
    from radnode.node.dicomweb.client import Reply, WebClient
    from radnode.storage.workitems import WorkItem

AT_ONCE = 50
ASKED_FOR = (UnifiedProcedureStepPull, UnifiedProcedureStepWatch)
_CHANGE_STATE = 1
"""UPS Change State, an action of N-ACTION (PS3.4 Table CC.2.1-1)."""
_TOLD = ("UnifiedProcedureStepPerformedProcedureSequence", "ProcedureStepProgressInformationSequence")
_SUBSCRIBE = 3
"""Subscribe to Receive UPS Event Reports (PS3.4 Table CC.2.3-1)."""
_TRANSACTION_UID = "00081195"
_TRY_AGAIN = frozenset({0x0110, 0x0122, 0x0213})
"""Processing failure, SOP Class not supported, resource limitation: no word on the item itself (PS3.7 Annex C)."""


class Manager(Protocol):
    """Each raises :class:`PeerUnreachable` when nothing is said of the item itself, so that it is asked again."""

    def scheduled(self, code: str, known: Collection[str]) -> list[Dataset]:
        """SCHEDULED items with this code (Code Value^Coding Scheme Designator) whose input is READY; some at a time.

        known: UIDs of those that need not be told again.
        """

    def subscribe(self, own_ae_title: str, codes: Sequence[str]) -> str:
        """Have it tell of its items from now on: of those with the one code there is, else of all. Why not, if not."""

    def update(self, item: WorkItem, dataset: Dataset) -> bool:
        """Tell progress and output; False where it is not ours."""

    def change(self, item: WorkItem, state: State) -> bool:
        """Claim or end it; False where it is not ours."""


@contextlib.contextmanager
def reached(peer: Peer, own_ae_title: str) -> Iterator[Manager]:
    """For the requests of one occasion: UPS-RS where it has a `dicomweb`, else DIMSE. Raises
    :class:`PeerUnreachable`.
    """
    if peer.dicomweb is not None:
        with connect(peer) as client:
            yield _ByWeb(client, peer.name)
        return
    contexts = [(each, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for each in ASKED_FOR]
    with associate(peer, own_ae_title, contexts) as association:
        yield _ByDimse(association, peer.name)


def _what_to_tell(item: WorkItem, dataset: Dataset) -> dict[str, Any]:
    said = {tag: value for tag, value in attributes.to_keep(dataset).items() if tag in attributes.tags(_TOLD)}
    return {**said, _TRANSACTION_UID: {"vr": "UI", "Value": [item.transaction_uid]}}


def _state(item: WorkItem, state: State) -> dict[str, Any]:
    return {"00741000": {"vr": "CS", "Value": [state]}, _TRANSACTION_UID: {"vr": "UI", "Value": [item.transaction_uid]}}


class _ByWeb:
    """UPS-RS (PS3.18 11)."""

    def __init__(self, client: WebClient, name: str) -> None:
        self._client = client
        self._name = name

    def scheduled(self, code: str, known: Collection[str]) -> list[Dataset]:
        value, _, scheme = code.partition("^")
        reply = self._client.request("GET", "/workitems", headers={"Accept": "application/dicom+json"}, params={
            "ProcedureStepState": State.SCHEDULED, "ScheduledWorkitemCodeSequence.CodeValue": value,
            "ScheduledWorkitemCodeSequence.CodingSchemeDesignator": scheme, "InputReadinessState": "READY",
            "limit": str(AT_ONCE),
        })
        if objection := self._client.objection(reply):
            raise objection
        if reply.status == 204:
            return []
        document = reply.document()
        if reply.status != 200 or not isinstance(document, list):
            raise PeerUnreachable(f"{self._name} did not answer a search for work items (HTTP {reply.status})")
        found = []
        for each in document:
            with contextlib.suppress(NoModel):  # what is no data set is no order
                found.append(json_model.dataset(each))
        return [each for each in found if str(each.get("SOPInstanceUID", "")) not in known]

    def subscribe(self, own_ae_title: str, codes: Sequence[str]) -> str:
        subscribed_by_web(self._client, self._name, own_ae_title)
        return ""

    def update(self, item: WorkItem, dataset: Dataset) -> bool:
        path = f"/workitems/{quote(item.uid)}?{item.transaction_uid}"
        return self._is_taken(self._send("POST", path, _what_to_tell(item, dataset)))

    def change(self, item: WorkItem, state: State) -> bool:
        return self._is_taken(self._send("PUT", f"/workitems/{quote(item.uid)}/state", _state(item, state)))

    def _is_taken(self, reply: Reply) -> bool:
        if reply.status >= 500:
            raise PeerUnreachable(f"{self._name} did not take what was said of a work item (HTTP {reply.status})")
        return reply.status == 200

    def _send(self, method: str, path: str, document: dict[str, Any]) -> Reply:
        content = json.dumps(document).encode()
        headers = {"Content-Type": "application/dicom+json", "Content-Length": str(len(content))}
        reply = self._client.request(method, path, headers=headers, body=lambda: iter([content]))
        if reply.status != 404 and (objection := self._client.objection(reply)):
            raise objection
        return reply


def subscribed_by_web(client: WebClient, name: str, own_ae_title: str) -> str:
    """Subscribe to all items of a manager (PS3.18 11.10); where it says that one listens. Raises PeerUnreachable."""
    path = f"/workitems/{GLOBAL}/subscribers/{quote(own_ae_title)}?deletionlock=false"
    reply = client.request("POST", path, headers={"Content-Length": "0"})
    if objection := client.objection(reply):
        raise objection
    if reply.status not in (200, 201):
        raise PeerUnreachable(f"{name} did not take a subscription (HTTP {reply.status})")
    return reply.headers.get("content-location", "")


class _ByDimse:
    """UPS Pull SOP Class: C-FIND, N-GET, N-SET and N-ACTION on one association."""

    def __init__(self, association: Association, name: str) -> None:
        self._association = association
        self._name = name

    def scheduled(self, code: str, known: Collection[str]) -> list[Dataset]:
        """What a search answers with is up to the manager; the whole item is asked for (PS3.4 CC.2.7)."""
        uids = [uid for uid in self._found(code) if uid not in known][:AT_ONCE]
        return [item for uid in uids if (item := self._item(uid)) is not None]

    def subscribe(self, own_ae_title: str, codes: Sequence[str]) -> str:
        if not any(each.abstract_syntax == UnifiedProcedureStepWatch for each in self._association.accepted_contexts):
            return "it takes no UPS Watch"
        said = Dataset()
        said.ReceivingAE, said.DeletionLock = own_ae_title, "FALSE"
        if len(codes) == 1:
            filtered = attributes.stored(said.to_json_dict())
            filtered.ScheduledWorkitemCodeSequence = [_code(codes[0])]
            if not self._subscribed(filtered, FILTERED):
                return ""
        return self._subscribed(said, GLOBAL)

    def _subscribed(self, said: Dataset, uid: str) -> str:
        status, _ = self._association.send_n_action(
            said, _SUBSCRIBE, UnifiedProcedureStepPush, uid, meta_uid=UnifiedProcedureStepWatch)
        code = status.get("Status")
        if code is None:
            raise PeerUnreachable(f"{self._name} did not answer a subscription")
        return "" if code == SUCCESS or 0xB000 <= code <= 0xBFFF else f"it refuses ({_words(status)})"

    def update(self, item: WorkItem, dataset: Dataset) -> bool:
        said = attributes.stored(_what_to_tell(item, dataset))
        return self._is_taken(lambda: self._association.send_n_set(
            said, UnifiedProcedureStepPush, item.uid, meta_uid=UnifiedProcedureStepPull))

    def change(self, item: WorkItem, state: State) -> bool:
        said = attributes.stored(_state(item, state))
        return self._is_taken(lambda: self._association.send_n_action(
            said, _CHANGE_STATE, UnifiedProcedureStepPush, item.uid, meta_uid=UnifiedProcedureStepPull))

    def _found(self, code: str) -> Iterator[str]:
        query = Dataset()
        query.SOPInstanceUID = None
        query.ProcedureStepState = State.SCHEDULED
        query.InputReadinessState = "READY"
        query.ScheduledWorkitemCodeSequence = [_code(code)]
        for status, answer in self._association.send_c_find(query, UnifiedProcedureStepPull):
            code_of_status = status.get("Status")
            if code_of_status in PENDING and answer is not None:
                yield str(answer.get("SOPInstanceUID", ""))
            elif code_of_status != SUCCESS:
                raise PeerUnreachable(f"{self._name} did not answer a search for work items ({_words(status)})")

    def _item(self, uid: str) -> Dataset | None:
        """None: gone since it was found."""
        status, item = self._association.send_n_get([], UnifiedProcedureStepPush, uid,
                                                    meta_uid=UnifiedProcedureStepPull)
        if "Status" not in status:
            raise PeerUnreachable(f"{self._name} did not answer a question for a work item")
        if item is not None:
            item.SOPInstanceUID = uid
        return item

    def _is_taken(self, ask: Callable[[], tuple[Dataset, Dataset | None]]) -> bool:
        try:
            status, _ = ask()
        except (RuntimeError, ValueError) as error:  # pynetdicom, of an association that has ended
            raise PeerUnreachable(f"{self._name}: {error}") from error
        code = status.get("Status")
        if code is None or code in _TRY_AGAIN:
            raise PeerUnreachable(f"{self._name} did not take what was said of a work item ({_words(status)})")
        return bool(code == SUCCESS or 0xB000 <= code <= 0xBFFF)


def _code(code: str) -> Dataset:
    item = Dataset()
    item.CodeValue, _, item.CodingSchemeDesignator = code.partition("^")
    return item


def _words(status: Dataset) -> str:
    return f"status 0x{status.Status:04X}" if "Status" in status else "no answer"
