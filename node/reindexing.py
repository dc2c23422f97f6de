"""`radnode reindex`: a database that was lost, damaged or restored from an older copy, made whole from the data folder.

What was acknowledged is entered from the lines beside the images (:mod:`radnode.storage.acknowledgements`); an image
without a line from its own bytes. Series of which something was entered are judged again, and their jobs run again
under the keys they had: results have the UIDs they had.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from radnode.node.intake import p10
from radnode.node.intake.header_walk import walk
from radnode.node.intake.negotiation import IMPLICIT_VR_LITTLE_ENDIAN
from radnode.node.intake.refusals import Refused
from radnode.storage import ledger, rebuilding, reconciling
from radnode.storage.acknowledgements import Damaged, Expiry
from radnode.storage.database import Database
from radnode.storage.files import FileStore
from radnode.storage.receptions import Reception

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.config.loading import Configuration

UNKNOWN_SOURCE = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What reindexing found. Numbers count instances.

    set_aside: the new name of a damaged database. added: entered from the lines. adopted: entered from files without a
    line, kept but perhaps never acknowledged. expired: deletions the database did not know of. missing: digests of
    acknowledged instances whose file is gone or has another size; studies_to_send_again: theirs. unreadable: names of
    files that are not what their name says. damaged_lines: lines that cannot be read; their images are adopted.
    """

    set_aside: Path | None
    added: int
    adopted: int
    expired: int
    agreeing: int
    missing: tuple[str, ...]
    studies_to_send_again: tuple[str, ...]
    unreadable: tuple[str, ...]
    damaged_lines: tuple[str, ...]
    ledger_holds: bool

    @property
    def complete(self) -> bool:
        """Whether every acknowledged instance is there, row and file."""
        return self.ledger_holds and not (self.missing or self.unreadable)

    def sentences(self) -> list[str]:
        """For an administrator."""
        said = [f"the damaged database was set aside as {self.set_aside}"] if self.set_aside else []
        said += [
            f"{self.agreeing} images in the database with their file",
            f"{self.added} of them were not in the database and are entered as they were acknowledged",
            f"{self.adopted} of them were in no record and are entered from their own bytes",
            f"{self.expired} deletions were not in the database and are noted",
        ]
        said += [f"missing: no file, or another size, for {digest}" for digest in self.missing]
        said += [f"have study {uid} sent again" for uid in self.studies_to_send_again]
        said += [f"unreadable: {name} is not what its name says; it is left where it is" for name in self.unreadable]
        said += [f"damaged line: {line}" for line in self.damaged_lines]
        if not self.ledger_holds:
            said.append("the ledger does not balance: see `radnode ledger`")
        return said


class _Unreadable(Exception):
    """Not the file that its name says."""


def reindex(configuration: Configuration) -> Report:
    """Make the database whole. Raises StorageInUse beside a running node, StorageError."""
    settings = configuration.settings
    now = datetime.now(UTC)
    store = FileStore(settings.data, settings.disk_reserve)
    store.lock()
    try:
        url = settings.effective_database_url
        set_aside = rebuilding.set_aside_if_damaged(url, Path(make_url(url).database or ""), now)
        database = Database(url)
        try:
            database.upgrade()
            report = _rebuild(database, store, set_aside, now)
        finally:
            database.close()
    finally:
        store.unlock()
    return report


def _rebuild(database: Database, store: FileStore, set_aside: Path | None, now: datetime) -> Report:
    lines = store.acknowledgements
    added = rebuilding.enter(database, (each for each in lines.read() if isinstance(each, Reception)))
    expired = rebuilding.expire(database, (each for each in lines.read() if isinstance(each, Expiry)), now)
    unreadable: list[str] = []
    unlisted = reconciling.compare(database, store.root).unlisted
    adopted = rebuilding.enter(database, _from_files(unlisted, unreadable))
    store.note(adopted)
    store.flush_notes()
    differences = reconciling.compare(database, store.root)
    rebuilding.mark_missing(database, differences.missing, now)
    with database.read() as session:
        holds = ledger.balance(session).holds
    return Report(
        set_aside=set_aside,
        added=len(added),
        adopted=len(adopted),
        expired=expired,
        agreeing=differences.agreeing,
        missing=differences.missing,
        studies_to_send_again=tuple(rebuilding.studies_of(database, differences.missing)),
        unreadable=tuple(unreadable),
        damaged_lines=tuple(f"{each.file}:{each.line}" for each in lines.read() if isinstance(each, Damaged)),
        ledger_holds=holds,
    )


def _from_files(paths: tuple[Path, ...], unreadable: list[str]) -> Iterator[Reception]:
    for path in paths:
        try:
            yield _reception(path)
        except (_Unreadable, Refused, OSError):
            unreadable.append(path.name)


def _reception(path: Path) -> Reception:
    """What a kept file says of itself; when it came is the time of its last byte."""
    with path.open("rb", buffering=0) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != path.stem:
            raise _Unreadable
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        header = p10.read_header(file.read(p10.LONGEST_HEADER))
        if header is None:
            raise _Unreadable
        start, transfer_syntax_uid = header
        identity = walk(
            file.fileno(), start, size, implicit_vr=transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
        )
        received_at = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    return Reception(
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        series_instance_uid=identity.series_instance_uid,
        study_instance_uid=identity.study_instance_uid,
        patient_id=identity.patient_id,
        transfer_syntax_uid=transfer_syntax_uid,
        digest=path.stem,
        size_bytes=size,
        source=UNKNOWN_SOURCE,
        association="reindex",
        received_at=received_at,
    )
