"""C-STORE of result objects to a destination: the stored bytes, unchanged, on every attempt."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from io import BytesIO
from typing import TYPE_CHECKING

import pydicom
import structlog
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt

from radnode.node.association import associate
from radnode.node.delivery.answer import Answer, NotAccepted, intact, none, of_status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from pynetdicom.association import Association

    from radnode.config.peers import Peer

log = structlog.get_logger(__name__)

_message_ids = itertools.cycle(range(1, 65536))
"""PS3.7 E.1: 16 bits; no two requests in a row share one, also not on two associations."""
_SILENCE = "no answer to C-STORE"


class DimseStoring:
    """An association over which objects are stored one after the other."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._answered: deque[int] = deque()
        association.bind(evt.EVT_DIMSE_RECV, self._note)

    @property
    def is_established(self) -> bool:
        """Whether another object can be sent."""
        return bool(self._association.is_established)

    def store(
        self, path: Path, digest: str, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> Answer:
        """As :class:`~radnode.node.delivery.answer.Storing` says.

        pynetdicom takes the next answer that comes. A late or doubled one is that of the object before and would be
        believed of this one (PS3.7 9.3.1.2), so an answer to another message ends the association and is none.
        """
        sendable = _sendable(transfer_syntax_uid)
        if not any(
            context.abstract_syntax == sop_class_uid and set(context.transfer_syntax) & sendable
            for context in self._association.accepted_contexts
        ):
            raise NotAccepted(f"no presentation context accepted for {UID(sop_class_uid).name}")
        content = intact(path, digest)
        message_id = next(_message_ids)
        try:
            answer = self._association.send_c_store(pydicom.dcmread(BytesIO(content)), msg_id=message_id)
        except RuntimeError:  # the association ended between two objects
            return none(_SILENCE)
        if "Status" not in answer:
            return none(_SILENCE)
        answered = self._answered.popleft() if self._answered else None
        if answered != message_id:
            log.warning("delivery.answer_to_another", answered=answered, asked=message_id)
            self._association.abort()
            return none(_SILENCE)
        return of_status(int(answer.Status), str(answer.get("ErrorComment", "")))

    def _note(self, event: evt.Event) -> None:
        self._answered.append(event.message.command_set.get("MessageIDBeingRespondedTo", 0))


@contextlib.contextmanager
def open_association(
    peer: Peer, own_ae_title: str, encodings: Collection[tuple[str, str]]
) -> Iterator[DimseStoring]:
    """An association that proposes each (SOP class, transfer syntax) in a context of its own.

    What is not compressed is proposed in both uncompressed syntaxes, so that the bytes on disk are sent as they are
    wherever the peer takes them. Raises :class:`~radnode.node.association.PeerUnreachable`.
    """
    proposed = {(sop_class_uid, syntax) for sop_class_uid, stored in encodings for syntax in _sendable(stored)}
    contexts = [(sop_class_uid, [syntax]) for sop_class_uid, syntax in sorted(proposed)]
    with associate(peer, own_ae_title, contexts) as association:
        yield DimseStoring(association)


def _sendable(transfer_syntax_uid: str) -> frozenset[str]:
    """The transfer syntaxes in which an object can be sent without touching its pixels."""
    uncompressed = frozenset({ExplicitVRLittleEndian, ImplicitVRLittleEndian})
    return uncompressed if transfer_syntax_uid in uncompressed else frozenset({transfer_syntax_uid})
