"""C-STORE of result objects to a destination: the stored bytes, unchanged, on every attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radnode.node.association import associate

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Collection
    from pathlib import Path

    from pynetdicom.association import Association

    from radnode.config.peers import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the destination said to one C-STORE. status None: it did not answer."""

    status: int | None
    comment: str = ""


class NotAccepted(Exception):
    """The destination accepted no presentation context for the SOP class: it does not store such objects."""


def open_association(
    peer: Peer, own_ae_title: str, encodings: Collection[tuple[str, str]]
) -> contextlib.AbstractContextManager[Association]:
    """An association that proposes each (SOP class, transfer syntax) in a context of its own.

    What is not compressed is proposed in both uncompressed syntaxes, so that the bytes on disk are sent as they are
    wherever the peer takes them.
    """
    proposed = {(sop_class_uid, syntax) for sop_class_uid, stored in encodings for syntax in _sendable(stored)}
    return associate(peer, own_ae_title, [(sop_class_uid, [syntax]) for sop_class_uid, syntax in sorted(proposed)])


def store(association: Association, path: Path, sop_class_uid: str, transfer_syntax_uid: str) -> Answer:
    """Send one object, stored in this transfer syntax. Raises :class:`NotAccepted`."""
    sendable = _sendable(transfer_syntax_uid)
    if not any(
        context.abstract_syntax == sop_class_uid and set(context.transfer_syntax) & sendable
        for context in association.accepted_contexts
    ):
        raise NotAccepted(f"no presentation context accepted for {UID(sop_class_uid).name}")
    try:
        answer = association.send_c_store(pydicom.dcmread(path))
    except RuntimeError:  # the association ended between two objects
        return Answer(status=None)
    return Answer(status=answer.get("Status"), comment=str(answer.get("ErrorComment", "")))


def _sendable(transfer_syntax_uid: str) -> frozenset[str]:
    """The transfer syntaxes in which an object can be sent without touching its pixels."""
    uncompressed = frozenset({ExplicitVRLittleEndian, ImplicitVRLittleEndian})
    return uncompressed if transfer_syntax_uid in uncompressed else frozenset({transfer_syntax_uid})
