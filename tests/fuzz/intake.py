"""Any bytes on a connection: the association ends in order, nothing stays behind, nothing unforeseen happens.

The first byte of an input says how much of the protocol comes free, so that the deep states are reached too: the
bytes as they are, the bytes after an accepted association, or each piece of them as a PDV.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from support.fuzzing import Spoken, store_in_memory, unforeseen_in_the_log
from support.receiver import association_request, command, data_set, p_data, pdv, store_request

from radnode.node.intake import pdus
from radnode.node.intake.acceptor import Acceptor, House
from radnode.node.intake.admission import Admitted
from radnode.node.intake.associations import Associations
from radnode.node.intake.guards import OncePerMinute, Seats
from radnode.node.intake.storing import Storage
from radnode.node.intake.tally import RefusalTally
from radnode.node.observability import Metrics
from radnode.storage.receptions import Reception, Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from radnode.storage.files import FileStore

INSTRUMENTED = ("radnode.node.intake",)
LONGEST = 1024
RAW, AFTER_ASSOCIATION, AS_FRAGMENTS = range(3)
_LARGEST_OBJECT = 8192
_WORDS = ("instance.refused", "instance.stored", "instance.file_header_removed", "association.", "connection.",
          "context.refused")
_VERIFICATION = "1.2.840.10008.1.1"


def seeds() -> Iterator[bytes]:
    """Whole conversations, and their parts."""
    store = store_request(data_set(pixels=100))
    echo = p_data(pdv(3, 3, command(0x30, _VERIFICATION, None)))
    told = command(0x0001, "1.2.840.10008.5.1.4.1.1.2", "1.2.3", has_data_set=True)
    yield bytes([RAW]) + association_request() + store + echo + pdus.RELEASE_RQ
    yield bytes([RAW]) + association_request(contexts=[("1.2.3", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.4.70"])])
    for more in (store, echo, echo + store + pdus.RELEASE_RQ, store * 2, pdus.abort(0, 0), pdus.RELEASE_RQ, told):
        yield bytes([AFTER_ASSOCIATION]) + more
    body = data_set(pixels=100)
    cut = [(1, 1, told[:20]), (1, 3, told[20:]), (1, 0, body[:50]), (1, 2, b"")]
    for pieces in ([(1, 3, told), (1, 2, body)], cut):
        yield bytes([AS_FRAGMENTS]) + b"".join(
            struct.pack(">BBH", context, control, len(piece)) + piece for context, control, piece in pieces
        )


def one_input(data: bytes) -> None:
    """A whole connection, in this thread: the peer has said everything before we listen."""
    house, store, unforeseen = _house()
    Acceptor(Spoken(_spoken(data)), house).run()
    assert not unforeseen, unforeseen
    assert house.seats.take("127.0.0.1"), "the seat is free again"
    house.seats.leave("127.0.0.1")
    assert not any((store.root / "spool").iterdir()), "nothing stays in the spool"


_associated = cache(association_request)


def _spoken(data: bytes) -> bytes:
    how, rest = (data[0] % 3, data[1:]) if data else (RAW, b"")
    if how == RAW:
        return rest
    if how == AFTER_ASSOCIATION:
        return _associated() + rest
    spoken, at = [_associated()], 0
    while at + 4 <= len(rest):
        context, control, length = struct.unpack_from(">BBH", rest, at)
        spoken.append(p_data(pdv(context, control, rest[at + 4 : at + 4 + length])))
        at += 4 + length
    return b"".join(spoken)


@cache
def _house() -> tuple[House, FileStore, list[dict[str, Any]]]:
    store = store_in_memory()
    associations, metrics = Associations(on_change=lambda: None), Metrics()
    storage = Storage(
        store=store, record=_recorded, associations=associations, largest_object=_LARGEST_OBJECT,
        now=lambda: datetime.now(UTC), metrics=metrics, on_recorded=lambda: None,
    )  # fmt: skip
    house = House(
        admit=lambda calling, called, host, certificate: Admitted(source="PEER"), seats=Seats(1, 1), storage=storage,
        associations=associations, idle_s=5, metrics=metrics, quiet=OncePerMinute(),
        strangers=RefusalTally(lambda: 0.0),
    )  # fmt: skip
    return house, store, unforeseen_in_the_log(_WORDS)


def _recorded(receptions: Sequence[Reception]) -> list[Recorded]:
    return [Recorded(instance_id=1, series_id=1) for _ in receptions]
