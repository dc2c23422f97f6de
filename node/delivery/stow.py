"""STOW-RS of result objects to a destination (PS3.18 10.5): the stored bytes, unchanged, on every attempt.

One object a request, so that each answer is about one. What the answer means is decided in :func:`judge`.
"""

from __future__ import annotations

import contextlib
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

from radnode.node.delivery.answer import Answer, Damaged, none, of_status
from radnode.node.dicomweb.client import NoAnswer, Reply, WebClient, connect
from radnode.node.statuses import SUCCESS, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.config.peers import Peer

PIECE = 2**18
_LATER = frozenset({408, 425, 500, 502, 504})
"""HTTP statuses after which the same request may be answered otherwise; 429 and 503 are of the whole service."""


def judge(reply: Reply, sop_instance_uid: str) -> Answer:
    """What an answer to a Store Transaction of one object means (PS3.18 10.5.3 and Annex I.2).

    A failure that names a reason counts whatever the status of the answer. "All stored" counts if the object is among
    those that are named, or where nothing is said of any: Orthanc answers 200 with an empty list to a part that it did
    not take. An answer of 202 that does not say what it means proves nothing.
    """
    document = reply.document()
    dataset = document[0] if isinstance(document, list) and len(document) == 1 else document
    failures = [*_items(dataset, "00081198"), *_items(dataset, "0008119A")]
    if failures:
        reason = _number(failures[0], "00081197")
        return of_status(reason) if reason is not None else _by_http(reply.status)
    stored = _items(dataset, "00081199")
    if reply.status in (200, 202) and stored:
        named = next((item for item in stored if _value(item, "00081155") == sop_instance_uid), None)
        if named is None:
            return none("the answer is about another object")
        warning = _number(named, "00081196")  # Warning Reason
        outcome = Outcome.STORED_WITH_WARNING if warning else Outcome.STORED
        return Answer(outcome=outcome, status=warning or SUCCESS)
    if reply.status == 200:
        return none("HTTP 200, and no object is named as stored") if document is not None else of_status(SUCCESS)
    return _by_http(reply.status)


class StowStoring:
    """Stores one object a request."""

    def __init__(self, client: WebClient) -> None:
        self._client = client
        self.is_established = True

    def store(
        self, path: Path, digest: str, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> Answer:
        """As :class:`~radnode.node.delivery.answer.Storing` says."""
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise Damaged
        # Without transfer-syntax: the file says it, and Orthanc 1.10 silently stores nothing of such a part.
        before = f"--{digest}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
        after = f"\r\n--{digest}--\r\n".encode("ascii")
        headers = {
            # A digest of the content is a boundary that is not in it.
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={digest}',
            "Content-Length": str(len(before) + path.stat().st_size + len(after)),
            "Accept": "application/dicom+json",
        }
        try:
            reply = self._client.request(
                "POST", "/studies", headers=headers, body=partial(_pieces, before, path, after)
            )
        except NoAnswer as error:
            self.is_established = False
            return none(str(error))
        if objection := self._client.objection(reply):
            raise objection
        return judge(reply, sop_instance_uid)


@contextlib.contextmanager
def open_connection(peer: Peer) -> Iterator[StowStoring]:
    """To the DICOMweb service of a peer. Raises :class:`~radnode.node.association.PeerUnreachable`."""
    with connect(peer) as client:
        yield StowStoring(client)


def _pieces(before: bytes, path: Path, after: bytes) -> Iterator[bytes]:
    yield before
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
    yield after


def _by_http(status: int) -> Answer:
    reason = f"HTTP {status}"
    if status == 413:
        return Answer(outcome=Outcome.PERMANENT, reason=f"{reason}: too large for it", too_large=True)
    if status in _LATER or status < 400:
        return Answer(outcome=Outcome.TRANSIENT, reason=reason)
    return Answer(outcome=Outcome.PERMANENT, reason=reason)


def _items(dataset: Any, tag: str) -> list[dict[str, Any]]:
    """The items of a sequence in the DICOM JSON model (PS3.18 Annex F); none where there is no such sequence."""
    element = dataset.get(tag) if isinstance(dataset, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _value(item: dict[str, Any], tag: str) -> Any:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _number(item: dict[str, Any], tag: str) -> int | None:
    value = _value(item, tag)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFFFF else None
