"""C-STORE of result objects to a destination: the stored bytes, unchanged, on every attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

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
    peer: Peer, own_ae_title: str, sop_class_uids: Collection[str]
) -> contextlib.AbstractContextManager[Association]:
    """An association that proposes each SOP class once for either uncompressed transfer syntax.

    Two contexts for a class, so that the bytes on disk (explicit) are sent as they are wherever the peer takes them.
    """
    contexts = [
        (sop_class_uid, [transfer_syntax])
        for sop_class_uid in sorted(sop_class_uids)
        for transfer_syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    ]
    return associate(peer, own_ae_title, contexts)


def store(association: Association, path: Path, sop_class_uid: str) -> Answer:
    """Send one object. Raises :class:`NotAccepted`."""
    if not any(context.abstract_syntax == sop_class_uid for context in association.accepted_contexts):
        raise NotAccepted(f"no presentation context accepted for SOP class {sop_class_uid}")
    try:
        answer = association.send_c_store(pydicom.dcmread(path))
    except RuntimeError:  # the association ended between two objects
        return Answer(status=None)
    return Answer(status=answer.get("Status"), comment=str(answer.get("ErrorComment", "")))
