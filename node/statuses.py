"""DIMSE statuses in both directions: what a peer is told, and what a peer's answer means.

The only table of either kind. PS3.4 Table B.2-1 gives the statuses of C-STORE, PS3.7 Annex C the general
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from radnode.node.intake import refusals
from radnode.storage.errors import DatabaseUnavailable, StorageBroken, StorageError, StorageFull

if TYPE_CHECKING:
    from collections.abc import Mapping

SUCCESS = 0x0000
PENDING = 0xFF00
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT = 0x0115
NO_SUCH_ACTION_TYPE = 0x0123
NOT_AUTHORIZED = 0x0124
DUPLICATE_TRANSACTION = 0x0131
UNRECOGNIZED_OPERATION = 0x0211
RESOURCE_LIMITATION = 0x0213


@dataclass(frozen=True, slots=True)
class Status:
    """A status and its Error Comment (LO, at most 64 characters; the same words for every patient)."""

    code: int
    comment: str


C_STORE: Mapping[type[Exception], Status] = {
    StorageFull: Status(0xA700, "out of storage space; send again later"),
    StorageBroken: Status(0xA700, "storage not writable; send again later"),
    DatabaseUnavailable: Status(0xA700, "database not available; send again later"),
    StorageError: Status(0xA700, "storage not available; send again later"),
    refusals.InvalidUID: Status(0x0117, "invalid SOP class or instance UID"),
    refusals.ContextMismatch: Status(0x0122, "SOP class is not that of the presentation context"),
    refusals.NotTaken: Status(0xC122, "SOP class or transfer syntax is not taken"),
    refusals.NotAFile: Status(0xC005, "not a DICOM file"),
    refusals.OverLimit: Status(0xC001, "object over the size limit of this node"),
    refusals.IdentityMismatch: Status(0xA900, "data set has other UIDs than the command"),
    refusals.MissingIdentity: Status(0xC002, "no Study or Series Instance UID"),
    refusals.TooComplex: Status(0xC003, "too many or too deeply nested elements"),
    refusals.Truncated: Status(0xC004, "data set is truncated"),
    refusals.Undecodable: Status(0xC000, "data set is not in the agreed transfer syntax"),
    Exception: Status(0x0110, "processing failure; send again later"),
}
"""A class not listed has the status of its nearest listed base. Cxxx are Error: Cannot Understand."""


def of_failure(error: Exception) -> Status:
    """What the sender of an object is told when storing it ended in `error`."""
    return next(C_STORE[kind] for kind in type(error).__mro__ if kind in C_STORE)


def passes(status: int) -> bool:
    """Whether the same object may be taken later, of the statuses that we give."""
    return status & 0xFF00 == 0xA700 or status == 0x0110


class Outcome(StrEnum):
    """What a peer's answer to our C-STORE means for the delivery."""

    STORED = "stored"
    STORED_WITH_WARNING = "stored with warning"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


_WARNINGS = frozenset(
    {
        0x0001,  # requested optional attributes are not supported
        0x0107,  # PS3.7 C.4.2 attribute list warning
        0x0111,  # PS3.7 C.5.5 duplicate SOP instance: an earlier attempt, whose answer was lost, did arrive
        0x0116,  # PS3.7 C.4.3 attribute value out of range
    }
)
_TRANSIENT = frozenset(
    {
        0x0110,  # PS3.7 C.5.15 processing failure
        0x0213,  # PS3.7 C.5.22 resource limitation
        0xFE00,  # cancelled by the peer
    }
)


def refuses_the_class(status: int) -> bool:
    """Whether no object of this SOP class will ever be taken (PS3.7 C.5.8, no such SOP class)."""
    return status in (0x0118, 0x0122)


def refuses_the_object(status: int) -> bool:
    """Whether the destination cannot make anything of this object, so that another form of it may do better.

    PS3.4 Table B.2-1: data set does not match SOP class, cannot understand.
    """
    return refuses_the_class(status) or status & 0xFF00 == 0xA900 or status & 0xF000 == 0xC000


def judge_c_store(status: int) -> Outcome:
    """Stored, worth another attempt with the same object, or not (PS3.4 Table B.2-1, PS3.7 Annex C)."""
    if status == SUCCESS:
        return Outcome.STORED
    if status in _WARNINGS or status & 0xF000 == 0xB000:
        return Outcome.STORED_WITH_WARNING
    if status in _TRANSIENT or status & 0xFF00 == 0xA700:
        return Outcome.TRANSIENT
    return Outcome.PERMANENT
