"""Work items over DIMSE (PS3.4 Annex CC): an order comes by N-CREATE, is looked at by N-GET and C-FIND, its end and
the news of it are asked for by N-ACTION; what a manager tells of his own comes by N-EVENT-REPORT.

It is the same desk as that of UPS-RS. What a peer sends is opened by the process that opens foreign files.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from radnode.node.dicomweb import json_model
from radnode.node.dicomweb.json_model import NoModel
from radnode.node.dicomweb_out.image_processes import ImageUnreadable, Overloaded
from radnode.node.intake import commands, p10
from radnode.node.intake.negotiation import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, UPS_PUSH
from radnode.node.intake.orders import OrderAnswer
from radnode.node.statuses import (
    DUPLICATE_INSTANCE,
    INVALID_ARGUMENT,
    NO_SUCH_ACTION_TYPE,
    NO_SUCH_EVENT_TYPE,
    NOT_AUTHORIZED,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SUCCESS,
    Status,
)
from radnode.node.workitems import attributes
from radnode.node.workitems.attributes import Unclear
from radnode.node.workitems.desk import NoSuchItem, Refused, Taken
from radnode.node.workitems.notices import EVENT_TYPES, Report
from radnode.node.workitems.subscribing import NotGlobal, NotSubscribed, TooMany
from radnode.storage.errors import DatabaseUnavailable
from radnode.storage.subscriptions import CANCEL_REQUESTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from radnode.config.loading import Configuration
    from radnode.node.intake.orders import OrderRequest
    from radnode.node.workitems.desk import Desk
    from radnode.node.workitems.subscribing import SubscriptionDesk

log = structlog.get_logger(__name__)

NO_SUCH_UPS = 0xC307
INVALID_VALUE = 0x0106
MORE_THAN_THESE = 0xB001
"""Matching reached response limit, subsequent request may return additional matches (PS3.4 Table CC.2.8-2)."""
NO_SUCH_AE = 0xC308
NOT_FOR_THIS_INSTANCE = 0xC315
DELETION_LOCK_NOT_GRANTED = 0xB301
"""PS3.4 Table CC.2.3-3."""
REQUEST_CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND = 2, 3, 4, 5
"""Action Type IDs (PS3.4 CC.2.2, CC.2.3)."""
_REFUSALS: Mapping[type[Exception], tuple[int, str]] = {
    NoSuchItem: (NO_SUCH_UPS, "there is no such work item"),
    Taken: (DUPLICATE_INSTANCE, "there is a work item of this UID"),
    NotGlobal: (NOT_FOR_THIS_INSTANCE, "only a global subscription is suspended"),
    TooMany: (RESOURCE_LIMITATION, "there are too many subscriptions"),
}
_OF_SUBSCRIPTIONS = ("ReceivingAE", "DeletionLock", "SpecificCharacterSet")
MOST_FOUND = 200
_LONGEST_COMMENT = 64


class Opener(Protocol):
    """As :class:`radnode.node.dicomweb_out.image_processes.ImageProcesses`."""

    def ask(self, what: str, path: Path, **more: Any) -> tuple[dict[str, Any], list[bytes]]:
        """Ask one of the processes about a file."""


class WorkItemDoor:
    """Called with a request of a configured peer and the peer's name; on any thread."""

    def __init__(
        self, desk: Desk, opener: Opener, subscriptions: SubscriptionDesk, configuration: Callable[[], Configuration],
        heard: Callable[[str, Report], None],
    ) -> None:
        """heard: called with a manager and what it tells."""
        self._desk = desk
        self._opener = opener
        self._subscriptions = subscriptions
        self._configuration = configuration
        self._heard = heard

    def __call__(self, request: OrderRequest, peer: str) -> OrderAnswer:
        """Do it, or say why not."""
        try:
            return self._done(request, peer)
        except (NoSuchItem, Taken, NotGlobal, TooMany) as refused:
            return _said(*_REFUSALS[type(refused)])
        except Refused as refused:
            return _said(refused.status, str(refused))
        except Unclear as unclear:
            return _said(INVALID_VALUE, str(unclear))
        except (NoModel, ImageUnreadable):
            return _said(INVALID_ARGUMENT, "the data set cannot be read")
        except (DatabaseUnavailable, Overloaded, OSError) as error:
            log.error("workitem.not_taken", peer=peer, reason=type(error).__name__)
            return _said(PROCESSING_FAILURE, "not recorded; try again later")

    def _done(self, request: OrderRequest, peer: str) -> OrderAnswer:
        match request.field:
            case commands.N_CREATE_RQ:
                self._desk.create(self._opened(request), request.uid)
                log.info("workitem.ordered", workitem=request.uid, peer=peer)
                return _said(SUCCESS)
            case commands.N_GET_RQ:
                item = attributes.stored(self._desk.retrieve(request.uid))
                if request.attributes:
                    item = _only(item, request.attributes)
                return OrderAnswer(status=Status(SUCCESS, ""), content=_written(item, request))
            case commands.N_ACTION_RQ if request.type_id == REQUEST_CANCEL:
                known = self._configuration().peers.get(peer)
                self._desk.cancel(request.uid, self._opened(request), known.ae_title if known else peer)
                return _said(SUCCESS)
            case commands.N_ACTION_RQ if request.type_id in (SUBSCRIBE, UNSUBSCRIBE, SUSPEND):
                return self._subscribed(request, self._opened(request))
            case commands.N_EVENT_REPORT_RQ:
                return self._told(request, peer)
            case commands.N_ACTION_RQ:
                return _said(NO_SUCH_ACTION_TYPE, "a work item here is changed by who performs it")
        return self._found(request)

    def _subscribed(self, request: OrderRequest, said: Dataset) -> OrderAnswer:
        """Only a configured peer is told: to others there is no way."""
        title = str(said.get("ReceivingAE") or "").strip()
        if title not in {peer.ae_title for peer in self._configuration().peers.values()}:
            return _said(NO_SUCH_AE, "no peer of this AE title is configured")
        if request.type_id == SUBSCRIBE:
            keys = Dataset()
            keys.update({each.tag: each for each in said if each.keyword not in _OF_SUBSCRIPTIONS})
            self._subscriptions.subscribe(request.uid, title, list(_criteria(keys)))
            locked = str(said.get("DeletionLock") or "").strip() == "TRUE"
            return _said(DELETION_LOCK_NOT_GRANTED if locked else SUCCESS)
        with contextlib.suppress(NotSubscribed):  # what is asked for is so already
            if request.type_id == SUSPEND:
                self._subscriptions.suspend(request.uid, title)
            else:
                self._subscriptions.unsubscribe(request.uid, title)
        return _said(SUCCESS)

    def _told(self, request: OrderRequest, peer: str) -> OrderAnswer:
        """An event only says when to ask; but that a cancellation was requested is said nowhere else."""
        if peer not in self._configuration().workitems.managers:
            return _said(NOT_AUTHORIZED, "this node follows no worklist there")
        if request.type_id not in EVENT_TYPES:
            return _said(NO_SUCH_EVENT_TYPE, "no event of work items")
        said = self._opened(request) if request.type_id == CANCEL_REQUESTED else Dataset()
        self._heard(peer, Report(uid=request.uid, event_type=request.type_id,
                                 reason=str(said.get("ReasonForCancellation") or "")))
        return _said(SUCCESS)

    def _found(self, request: OrderRequest) -> OrderAnswer:
        wanted = self._opened(request)
        found = self._desk.search(list(_criteria(wanted)), MOST_FOUND + 1, 0)
        answers = tuple(_written(_answering(attributes.stored(each), wanted), request) for each in found[:MOST_FOUND])
        return OrderAnswer(status=Status(SUCCESS if len(found) <= MOST_FOUND else MORE_THAN_THESE, ""), found=answers)

    def _opened(self, request: OrderRequest) -> Dataset:
        """What was sent. Raises what opening a foreign file raises."""
        if not request.content:
            return Dataset()
        syntax = IMPLICIT_VR_LITTLE_ENDIAN if request.implicit_vr else EXPLICIT_VR_LITTLE_ENDIAN
        head = p10.header(sop_class_uid=UPS_PUSH.encode(), sop_instance_uid=b"2.25.1",
                          transfer_syntax_uid=syntax.encode())
        with tempfile.TemporaryDirectory(prefix="radnode-order-") as folder:
            path = Path(folder) / "order"
            path.write_bytes(head + request.content)
            _, (document,) = self._opener.ask("metadata", path)
        return json_model.dataset(json.loads(document))


def _said(code: int, comment: str = "") -> OrderAnswer:
    return OrderAnswer(status=Status(code, comment.encode("ascii", "replace").decode()[:_LONGEST_COMMENT]))


def _criteria(wanted: Dataset, above: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Keys of matching as UPS-RS writes them; an empty one asks for the attribute alone."""
    for element in wanted:
        name = [*above, keyword_for_tag(element.tag) or f"{element.tag:08X}"]
        if element.VR == "SQ":
            for item in element.value:
                yield from _criteria(item, name)
        elif element.value not in (None, "") and element.tag != 0x00080005:
            values = element.value if element.VM > 1 else [element.value]
            yield ".".join(name), "\\".join(map(str, values))


def _answering(item: Dataset, wanted: Dataset) -> Dataset:
    """What was asked for, and what names the item (PS3.4 CC.2.8.1.3)."""
    answer = _only(item, {int(element.tag) for element in wanted} | {0x00080005, 0x00080016, 0x00080018})
    for element in wanted:
        if element.tag not in answer:
            answer.add_new(element.tag, element.VR, [] if element.VR == "SQ" else None)
    return answer


def _only(item: Dataset, tags: frozenset[int] | set[int]) -> Dataset:
    kept = Dataset()
    kept.update({element.tag: element for element in item if int(element.tag) in tags})
    return kept


def _written(dataset: Dataset, request: OrderRequest) -> bytes:
    dataset.SpecificCharacterSet = "ISO_IR 192"  # what is kept is Unicode
    encoded = encode(dataset, request.implicit_vr, True)
    if encoded is None:
        raise Unclear("the work item cannot be written")
    return encoded
