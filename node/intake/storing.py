"""The storage service (PS3.4 Annex B): an object is durable in full, file and ledger row, before Success is
answered.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from radnode.node import statuses
from radnode.node.intake import p10
from radnode.node.intake.committer import Committer
from radnode.node.intake.header_walk import Identity, is_uid, walk
from radnode.node.intake.negotiation import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from radnode.node.intake.pdus import Violation
from radnode.node.intake.refusals import ContextMismatch, IdentityMismatch, InvalidUID, Refused, Undecodable
from radnode.node.intake.spooling import Spooled
from radnode.node.intake.tally import RefusalTally
from radnode.node.statuses import Status
from radnode.storage.errors import StorageError
from radnode.storage.quarantine import Refusal
from radnode.storage.receptions import Reception

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from radnode.node.intake.associations import Associations
    from radnode.node.intake.commands import Command
    from radnode.node.intake.negotiation import Context
    from radnode.node.observability import Metrics
    from radnode.storage.files import FileStore
    from radnode.storage.receptions import Recorded

log = structlog.get_logger(__name__)

STORED = Status(statuses.SUCCESS, "")
_NATIVE = frozenset((IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN))
"""Either is read where the other was agreed, see :func:`~radnode.node.intake.header_walk.walk`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an object comes from: the association's identifier and the peer as the ledger calls it.

    is_configured: `source` is the name of a peer of the configuration, and not what a stranger calls itself.
    """

    association: str
    source: str
    is_configured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What the sender says of an object before its data set: in the command of a C-STORE, or in a file's group 0002.

    UIDs as received, without padding. study_instance_uid: the only study it may belong to, where the sender named one.
    refusal: why it is not taken, whatever its data set is; its bytes still come and are quarantined.
    """

    sop_class_uid: bytes
    sop_instance_uid: bytes
    transfer_syntax_uid: str
    study_instance_uid: str = ""
    refusal: Refused | None = None


class Storage:
    """What all senders share. `begin` is called at each C-STORE request, `take` for any object."""

    def __init__(
        self,
        *,
        store: FileStore,
        record: Callable[[Sequence[Reception]], Sequence[Recorded]],
        associations: Associations,
        largest_object: int,
        now: Callable[[], datetime],
        metrics: Metrics,
        on_recorded: Callable[[], None],
    ) -> None:
        self.store = store
        self.committer = Committer(self._acknowledge)
        self.associations = associations
        self.largest_object = largest_object
        self.now = now
        self.metrics = metrics
        self.on_recorded = on_recorded
        self.refusals = RefusalTally(time.monotonic)
        self._record = record

    def begin(self, command: Command, context: Context, origin: Origin) -> Incoming:
        """Be ready for the data set of `command`."""
        return self.take(_announced_by(command, context), origin)

    def take(self, announced: Announced, origin: Origin) -> Incoming:
        """Be ready for the data set of what is announced."""
        return Incoming(self, announced, origin)

    def _acknowledge(self, receptions: Sequence[Reception]) -> Sequence[Recorded]:
        recorded = self._record(receptions)
        self.store.note(receptions)
        return recorded


class Incoming:
    """One object while it arrives. Whatever is wrong with it, it is read to its end and answered."""

    def __init__(self, storage: Storage, announced: Announced, origin: Origin) -> None:
        self.received = 0
        self._storage = storage
        self._announced = announced
        self._origin = origin
        self._failure: Exception | None = None
        self._spooled: Spooled | None = None
        try:
            self._spooled = Spooled(storage.store, self._header(), storage.largest_object)
        except StorageError as error:
            self._failure = error

    def write(self, fragment: memoryview) -> None:
        """The next piece. Raises Violation when a peer goes on and on after its object was too large."""
        self.received += len(fragment)
        if self._failure is None and self._spooled is not None:
            try:
                self._spooled.write(fragment)
            except (Refused, StorageError) as error:
                self._failure = error
                self._spooled.discard()
        elif self.received > 2 * self._storage.largest_object:
            raise Violation(Violation.INVALID_PARAMETER, "an object that does not end")

    def finish(self) -> Status:
        """The data set is whole: keep it, or say why not. Never raises."""
        try:
            self._keep()
        except Exception as error:  # noqa: BLE001 - the sender is answered, whatever happened here
            return self._refuse(error)
        finally:
            self.discard()
        return STORED

    def discard(self) -> None:
        """Leave nothing in the spool, as when the association ends in mid-object."""
        if self._spooled is not None:
            self._spooled.discard()

    def _header(self) -> bytes:
        said = self._announced
        class_uid, instance_uid = (uid if is_uid(uid) else b"" for uid in (said.sop_class_uid, said.sop_instance_uid))
        return p10.header(
            sop_class_uid=class_uid, sop_instance_uid=instance_uid,
            transfer_syntax_uid=said.transfer_syntax_uid.encode("ascii"),
        )

    def _keep(self) -> None:
        spooled = self._spooled
        if self._failure is not None or spooled is None:
            raise self._failure or StorageError("nothing was written")
        if self._announced.refusal is not None:
            raise self._announced.refusal
        spooled = self._spooled = self._without_misplaced_header(spooled)
        implicit_vr = self._announced.transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
        identity = walk(spooled.descriptor, spooled.start, spooled.size, implicit_vr=implicit_vr)
        self._compare(identity)
        self._storage.associations.carried(self._origin.association, identity.series_instance_uid)
        # The spooled file is open meanwhile: the kernel forgets no error of what it wrote.
        recorded = self._storage.committer.commit(
            self._reception(identity, spooled), lambda: self._storage.store.keep(spooled.path, spooled.digest)
        )
        self._report(identity, recorded, spooled.size)

    def _without_misplaced_header(self, spooled: Spooled) -> Spooled:
        """A whole file, or its group 0002, sent as the data set: kept once, under our own header."""
        found = p10.misplaced_header(os.pread(spooled.descriptor, p10.LONGEST_LOOK, spooled.start))
        if found is None:
            return spooled
        length, transfer_syntax_uid = found
        agreed = self._announced.transfer_syntax_uid
        if transfer_syntax_uid not in ("", agreed) and not {transfer_syntax_uid, agreed} <= _NATIVE:
            raise Undecodable("a file in another transfer syntax than agreed was sent as the data set")
        log.warning("instance.file_header_removed", association=self._origin.association,
                    source=self._origin.source, octets=length)
        return spooled.without(self._header(), length)

    def _compare(self, identity: Identity) -> None:
        said = self._announced
        if identity.sop_instance_uid != said.sop_instance_uid.decode("ascii"):
            raise IdentityMismatch("(0008,0018) differs from what was announced")
        if identity.sop_class_uid != said.sop_class_uid.decode("ascii"):
            raise IdentityMismatch("(0008,0016) differs from what was announced")
        if said.study_instance_uid not in ("", identity.study_instance_uid):
            raise IdentityMismatch("(0020,000d) differs from the study that it was sent to")

    def _reception(self, identity: Identity, spooled: Spooled) -> Reception:
        return Reception(
            sop_instance_uid=identity.sop_instance_uid,
            sop_class_uid=identity.sop_class_uid,
            series_instance_uid=identity.series_instance_uid,
            study_instance_uid=identity.study_instance_uid,
            patient_id=identity.patient_id,
            transfer_syntax_uid=self._announced.transfer_syntax_uid,
            digest=spooled.digest,
            size_bytes=spooled.size,
            source=self._origin.source,
            association=self._origin.association,
            received_at=self._storage.now(),
        )

    def _report(self, identity: Identity, recorded: Recorded, size: int) -> None:
        self._storage.metrics.instances_stored.labels(self._origin.source).inc()
        self._storage.metrics.bytes_stored.inc(size)
        self._storage.on_recorded()
        say = log.warning if recorded.conflict or not identity.as_agreed else log.debug
        say(
            "instance.stored",
            association=self._origin.association,
            sop_instance_uid=identity.sop_instance_uid,
            duplicate=recorded.duplicate,
            conflict=recorded.conflict,
            as_agreed=identity.as_agreed,
        )

    def _refuse(self, error: Exception) -> Status:
        status = statuses.of_failure(error)
        self._storage.metrics.instances_refused.labels(f"0x{status.code:04X}").inc()
        if isinstance(error, Refused):
            self._storage.refusals.refused(self._origin.source)
        kept = isinstance(error, Refused) and self._failure is None and self._quarantine(status, str(error))
        (log.warning if isinstance(error, (Refused, StorageError)) else log.exception)(
            "instance.refused",
            association=self._origin.association,
            source=self._origin.source,
            status=f"0x{status.code:04X}",
            reason=str(error),
            quarantined=kept,
        )
        return status

    def _quarantine(self, status: Status, reason: str) -> bool:
        """Keep the bytes of a refused object for an administrator to look at; best effort, bounded space."""
        spooled = self._spooled
        if spooled is None:
            return False
        try:
            spooled.close()
            self._storage.store.quarantine.take(spooled.path, Refusal(
                at=self._storage.now(), source=self._origin.source, association=self._origin.association,
                status=f"0x{status.code:04X}", reason=reason, digest=spooled.digest,
            ))
        except (StorageError, OSError):
            return False
        return True


def _announced_by(command: Command, context: Context) -> Announced:
    refusal = refusal_of(command.sop_class_uid, command.sop_instance_uid)
    if refusal is None and command.sop_class_uid != context.abstract_syntax.encode("ascii"):
        refusal = ContextMismatch("SOP class of the command is not that of the presentation context")
    return Announced(
        sop_class_uid=command.sop_class_uid, sop_instance_uid=command.sop_instance_uid,
        transfer_syntax_uid=context.transfer_syntax, refusal=refusal,
    )


def refusal_of(sop_class_uid: bytes, sop_instance_uid: bytes) -> Refused | None:
    """Whether an object can be announced under these."""
    for name, uid in (("class", sop_class_uid), ("instance", sop_instance_uid)):
        if not is_uid(uid):
            return InvalidUID(f"the SOP {name} UID that is announced is empty or not a UID")
    return None
