"""Store Transaction (PS3.18 10.5): the parts of one request become objects, each kept like one of C-STORE, or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.dicomweb import media
from radnode.node.dicomweb.answer import Outcome
from radnode.node.dicomweb.multipart import Begins, Ends, Malformed, Multipart
from radnode.node.intake import p10
from radnode.node.intake.header_walk import is_uid
from radnode.node.intake.negotiation import EXPLICIT_VR_LITTLE_ENDIAN, takes
from radnode.node.intake.refusals import NotAFile, NotTaken
from radnode.node.intake.storing import Announced, refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from radnode.node.dicomweb.media import MediaType
    from radnode.node.dicomweb.multipart import Event
    from radnode.node.intake.refusals import Refused
    from radnode.node.intake.storing import Incoming, Origin, Storage

_BINARY = frozenset({"", "binary", "8bit", "identity"})


class NoSuchType(Exception):
    """The body is of a type that is not stored; the sentence says which are."""


def parts(body: Iterable[bytes], media_type: MediaType) -> Iterator[Event]:
    """The parts of a body: those of a multipart, or the one that it is. Raises Malformed, NoSuchType."""
    if media_type.name == media.DICOM:
        yield Begins({"content-type": media.DICOM})
        yield from body
        yield Ends()
        return
    root = media_type.parameters.get("type", "").lower()
    if media_type.name != media.RELATED or root != media.DICOM:
        raise NoSuchType('only multipart/related; type="application/dicom" and application/dicom are stored')
    multipart = Multipart(media_type.parameters.get("boundary", ""))
    for piece in body:
        yield from multipart.feed(piece)
    multipart.finish()


class Transaction:
    """One request of one source. `outcomes` has a line for each whole part.

    study: the Study Instance UID of its address, or empty.
    """

    def __init__(self, storage: Storage, origin: Origin, study: str) -> None:
        self.outcomes: list[Outcome] = []
        self.octets = 0
        self._storage = storage
        self._origin = origin
        self._study = study

    def take(self, events: Iterable[Event]) -> None:
        """Everything, to its end. What was whole when an exception of the body came is kept and has its outcome.

        Raises what reading `events` raises, and Violation of an object that does not end.
        """
        part: _Part | None = None
        try:
            for event in events:
                if isinstance(event, Begins):
                    part = _Part(self._storage, self._origin, self._study, event.fields)
                elif part is None:
                    raise Malformed("bytes outside of any part")
                elif isinstance(event, Ends):
                    self.outcomes.append(part.finish())
                    part = None
                else:
                    self.octets += len(event)
                    part.write(event)
        finally:
            if part is not None:
                part.discard()


class _Part:
    """A file while it arrives: what stands before its data set is read, then the data set goes to the spool."""

    def __init__(self, storage: Storage, origin: Origin, study: str, fields: Mapping[str, str]) -> None:
        self._storage = storage
        self._origin = origin
        self._study = study
        self._head = b""
        self._announced: Announced | None = None
        self._incoming: Incoming | None = None
        if (refusal := _refusal_of(fields)) is not None:
            self._begin(_unnamed(refusal), b"")

    def write(self, piece: bytes) -> None:
        """The next bytes of the file. Raises Violation when it does not end."""
        if self._incoming is not None:
            self._incoming.write(memoryview(piece))
        else:
            self._head += piece
            self._look(whole=False)

    def finish(self) -> Outcome:
        """The file is whole."""
        if self._incoming is None:
            self._look(whole=True)
        incoming, said = self._incoming, self._announced
        assert incoming is not None  # noqa: S101 - a whole file is announced or refused
        assert said is not None  # noqa: S101
        status = incoming.finish()
        return Outcome(
            sop_class_uid=_text(said.sop_class_uid), sop_instance_uid=_text(said.sop_instance_uid), status=status
        )

    def discard(self) -> None:
        """It did not come to its end."""
        if self._incoming is not None:
            self._incoming.discard()

    def _look(self, *, whole: bool) -> None:
        try:
            meta = p10.file_meta(self._head, whole=whole)
        except NotAFile as refusal:
            self._begin(_unnamed(refusal), self._head)
            return
        if meta is not None:
            self._begin(_announced_by(meta, self._study), self._head[meta.length :])

    def _begin(self, announced: Announced, first: bytes) -> None:
        self._announced = announced
        self._incoming = self._storage.take(announced, self._origin)
        self._head = b""
        if first:
            self._incoming.write(memoryview(first))


def _announced_by(meta: p10.FileMeta, study: str) -> Announced:
    refusal = refusal_of(meta.sop_class_uid, meta.sop_instance_uid)
    taken = takes(meta.sop_class_uid, meta.transfer_syntax_uid)
    if refusal is None and not taken:
        refusal = NotTaken("a SOP class or transfer syntax that no association would have agreed on")
    return Announced(
        sop_class_uid=meta.sop_class_uid, sop_instance_uid=meta.sop_instance_uid, study_instance_uid=study,
        transfer_syntax_uid=meta.transfer_syntax_uid if taken else EXPLICIT_VR_LITTLE_ENDIAN, refusal=refusal,
    )


def _unnamed(refusal: Refused) -> Announced:
    return Announced(
        sop_class_uid=b"", sop_instance_uid=b"", transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN, refusal=refusal
    )


def _refusal_of(fields: Mapping[str, str]) -> Refused | None:
    """What the header of a part alone tells."""
    said = fields.get("content-type", media.DICOM)
    found = media.parse(said)
    if found is None or found.name != media.DICOM:
        return NotAFile("a part of another type than application/dicom")
    for name in ("content-transfer-encoding", "content-encoding"):
        if fields.get(name, "").lower() not in _BINARY:
            return NotAFile("a part that is encoded")
    return None


def _text(uid: bytes) -> str:
    return uid.decode("ascii") if is_uid(uid) else ""
