"""Do the catalog and the files agree? Reads only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import exists, select

from radnode.storage.ledger import InstanceState
from radnode.storage.tables import InstanceRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.orm import Session

    from radnode.storage.database import Database

_CONTENT_ADDRESS = re.compile(r"[0-9a-f]{64}\.dcm")
AT_ONCE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """agreeing: digests with row and file. missing: digests of live instances without their file, or with one of
    another size. unlisted: files that no instance names.
    """

    agreeing: int
    missing: tuple[str, ...]
    unlisted: tuple[Path, ...]


def compare(database: Database, data: Path) -> Differences:
    """Compare names and sizes. Beside a running node an image may arrive in between, so what differs is asked twice."""
    listed = _listed(database)
    files = _files(data)
    live = {digest: size for digest, (size, is_live) in listed.items() if is_live}
    missing = [digest for digest, size in live.items() if digest not in files or files[digest].stat().st_size != size]
    unlisted = [path for digest, path in files.items() if digest not in listed]
    if missing or unlisted:
        again = _listed(database)
        missing = [digest for digest in missing if again[digest][1]]
        unlisted = [path for path in unlisted if path.stem not in again and path.exists()]
    return Differences(agreeing=len(live) - len(missing), missing=tuple(missing), unlisted=tuple(unlisted))


def is_listed(session: Session, digest: str) -> bool:
    """Whether an instance that has not expired names these bytes."""
    found = exists().where(InstanceRow.digest == digest, InstanceRow.state != InstanceState.EXPIRED)
    return bool(session.scalar(select(found)))


def files(data: Path) -> Iterator[Path]:
    """The files of the instance store that carry a content address."""
    for folder in sorted((data / "instances").glob("??")):
        yield from sorted(path for path in folder.iterdir() if _CONTENT_ADDRESS.fullmatch(path.name))


def _files(data: Path) -> dict[str, Path]:
    return {path.stem: path for path in files(data)}


def _listed(database: Database) -> dict[str, tuple[int, bool]]:
    """Digest -> (size, whether its file must be there). A file whose removal is noted may be there or not."""
    found: dict[str, tuple[int, bool]] = {}
    with database.read() as session:
        rows = session.execute(
            select(InstanceRow.digest, InstanceRow.size_bytes, InstanceRow.state).execution_options(yield_per=AT_ONCE)
        )
        for digest, size, state in rows:
            is_live = state != InstanceState.EXPIRED
            if digest not in found or is_live:
                found[digest] = (size, is_live)
    return found
