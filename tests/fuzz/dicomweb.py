"""Any bytes as HTTP: every request is answered, nothing half is kept, nothing unforeseen happens.

The first byte of an input says how much comes free, so that the deep states are reached too: the bytes as they are, the
bytes as the body of a request in order (with a length, in chunks, or compressed), or as the only part of a multipart.
"""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from support.fuzzing import Spoken, store_in_memory, unforeseen_in_the_log
from support.stow import BOUNDARY, RELATED, STUDIES, file, multipart

from radnode.node.dicomweb.server import WebOptions, WebReceiver
from radnode.node.intake.associations import Associations
from radnode.node.intake.storing import Storage
from radnode.node.intake.tally import RefusalTally
from radnode.node.observability import Metrics
from radnode.storage.receptions import Reception, Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radnode.storage.files import FileStore

INSTRUMENTED = ("radnode.node.dicomweb", "radnode.node.intake.p10", "radnode.node.intake.header_walk", "h11._readers")
LONGEST = 1536
RAW, BODY, CHUNKED, COMPRESSED, PART, FILE = range(6)
_LARGEST_OBJECT = 4096
_WORDS = ("instance.refused", "instance.stored", "instance.file_header_removed", "request.")

_kept: list[str] = []


def seeds() -> Iterator[bytes]:
    """Whole requests, and their parts."""
    body = multipart(file(1), file(2))
    yield bytes([RAW]) + _head(f"Content-Length: {len(body)}") + body
    yield bytes([RAW]) + _head("Transfer-Encoding: chunked", "Expect: 100-continue") + _chunked(body)
    yield bytes([RAW]) + _head("Content-Length: 0", "Accept: application/dicom+xml").replace(b"POST", b"GET")
    yield bytes([RAW]) + _head("Content-Length: 0").replace(b"POST", b"HEAD")
    yield bytes([RAW]) + _head("Content-Length: 3").replace(b"Bearer", b"Basic") + b"abc"
    for how in (BODY, CHUNKED, COMPRESSED):
        yield bytes([how]) + body
    yield bytes([BODY]) + b"preamble\r\n" + body + b"epilogue"
    yield bytes([BODY]) + multipart(b"", file(1)[:300], fields="Content-Type: text/plain\r\nX: y\r\n")
    for how in (PART, FILE):
        yield bytes([how]) + file(1)
        yield bytes([how]) + file(1, pixels=20)[:-10]


def one_input(data: bytes) -> None:
    """A whole connection, in this thread: the client has said everything before we listen."""
    receiver, store, unforeseen = _receiver()
    _kept.clear()
    client = Spoken(_spoken(data))
    receiver.serve(client)
    answered = bytes(client.told)
    assert not unforeseen, unforeseen
    assert not answered or answered.startswith(b"HTTP/1.1 "), answered
    assert not any((store.root / "spool").iterdir()), "nothing stays in the spool"
    said = answered.count(b'"00081190"') + answered.count(b'keyword="RetrieveURL"')
    assert said <= len(_kept), "nothing is called stored that is not"
    assert receiver._seats.take("127.0.0.1"), "the seat is free again"
    receiver._seats.leave("127.0.0.1")


def _spoken(data: bytes) -> bytes:
    how, rest = (data[0] % 6, data[1:]) if data else (RAW, b"")
    if how == RAW:
        return rest
    if how == PART:
        rest = multipart(rest)
    if how == FILE:
        return _head(f"Content-Length: {len(rest)}").replace(RELATED.encode(), b"application/dicom") + rest
    if how == CHUNKED:
        return _head("Transfer-Encoding: chunked") + _chunked(rest)
    if how == COMPRESSED:
        rest = gzip.compress(rest, 1)
        return _head(f"Content-Length: {len(rest)}", "Content-Encoding: gzip") + rest
    return _head(f"Content-Length: {len(rest)}") + rest


def _head(*fields: str) -> bytes:
    lines = [f"POST {STUDIES} HTTP/1.1", "Host: node", "Authorization: Bearer x", f"Content-Type: {RELATED}"]
    return "\r\n".join([*lines, *fields, "", ""]).encode()


def _chunked(body: bytes) -> bytes:
    pieces = [body[at : at + 61] for at in range(0, len(body), 61)]
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"


@cache
def _receiver() -> tuple[WebReceiver, FileStore, list[dict[str, Any]]]:
    store, metrics = store_in_memory(), Metrics()
    storage = Storage(
        store=store, record=_recorded, associations=Associations(on_change=lambda: None),
        largest_object=_LARGEST_OBJECT, now=lambda: datetime.now(UTC), metrics=metrics, on_recorded=lambda: None,
    )  # fmt: skip
    receiver = WebReceiver(
        WebOptions(host="127.0.0.1", port=0, max_requests=1, max_requests_per_host=1, slowest_s=5),
        recognise=lambda host, certificate, authorization: "PEER" if authorization else None, storage=storage,
        metrics=metrics, strangers=RefusalTally(lambda: 0.0),
    )  # fmt: skip
    assert BOUNDARY in RELATED
    return receiver, store, unforeseen_in_the_log(_WORDS)


def _recorded(receptions: Sequence[Reception]) -> list[Recorded]:
    _kept.extend(each.sop_instance_uid for each in receptions)
    return [Recorded(instance_id=1, series_id=1) for _ in receptions]
