"""What was acknowledged, written down beside the images: from it a lost database is rebuilt.

    root/acknowledged/2026-03.jsonl     one line for each reception and each deletion, in their order
    root/acknowledged/2026-03.b.jsonl   the same of the receiver b, where several share the folder

A reception's line is written after the transaction of its row and before Success, and flushed a second later at most:
the image and its row are durable without it, and an image that a power cut leaves without a line is adopted as one of
an unknown source. A line that the database does not know means that the database was lost, or is an older copy.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from radnode.storage.receptions import Reception

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

FOLDER = "acknowledged"
_LONGEST_LINE = 4096
_encoded = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """The file of an instance was deleted, as its retention had ended."""

    sop_instance_uid: str
    digest: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A line that is not as it was written."""

    file: str
    line: int


class Acknowledgements:
    """The lines below `root`. flush: fsync of a file or folder. receiver: whose lines are written. Raises OSError."""

    def __init__(self, root: Path, flush: Callable[[Path], None], receiver: str = "") -> None:
        self.folder = root / FOLDER
        self._ending = f".{receiver}.jsonl" if receiver else ".jsonl"
        self._fsync = flush
        self._prefix = f"{self.folder}{os.sep}"
        # Names of files: paths are slow to make and to compare, and this is the way of every image.
        self._whole: set[str] = set()
        self._named: set[str] = set()
        # Of a process that died over them; two, at the turn of a month.
        self._unflushed = {path.name for path in self._own_files()[-2:]}
        self._writing, self._flushing = threading.Lock(), threading.Lock()

    def append(self, entries: Sequence[Reception | Expiry]) -> None:
        """Write; the death of this process takes nothing of it. The month is that of the first entry."""
        if not entries:
            return
        began = _time(entries[0])
        name = f"{began.year:04}-{began.month:02}{self._ending}"
        text = "".join(_encoded(_written(entry)) + "\n" for entry in entries).encode()
        with self._writing:
            if name not in self._whole:
                self._begin(self.folder / name)
            self._whole.discard(name)  # until all of it is there
            self._unflushed.add(name)
            descriptor = os.open(f"{self._prefix}{name}", os.O_WRONLY | os.O_APPEND)
            try:
                left = memoryview(text)
                while left:
                    left = left[os.write(descriptor, left) :]
            finally:
                os.close(descriptor)
            self._whole.add(name)

    def flush(self) -> None:
        """Whatever was appended before is on stable storage when this returns; meanwhile others may append."""
        with self._flushing:
            with self._writing:
                files, self._unflushed = self._unflushed, set()
            try:
                for name in sorted(files):
                    self._fsync(self.folder / name)
                if files - self._named:  # a process that died over a file may have made it, and not flushed its name
                    self._fsync(self.folder)
                    self._named |= files
            except OSError:
                with self._writing:
                    self._unflushed |= files
                raise

    def read(self) -> Iterator[Reception | Expiry | Damaged]:
        """Everything, oldest first."""
        for _, files in groupby(self._files(), key=_month):
            for _, entry in merge(*map(_timed_lines, files), key=itemgetter(0)):
                yield entry

    def last(self) -> Reception | None:
        """The newest reception, None if the newest month has none among its last lines."""
        files = self._files()
        newest = [_last_reception(path) for path in files if _month(path) == _month(files[-1])]
        return max((each for each in newest if each is not None), key=_time, default=None)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("????-??.*jsonl"), key=_month)

    def _own_files(self) -> list[Path]:
        return sorted(self.folder.glob(f"????-??{self._ending}"))

    def _begin(self, path: Path) -> None:
        """Make the file, or end a line of it that a crash or a full disk cut short."""
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            return
        with path.open("rb+") as file:
            if size := file.seek(0, os.SEEK_END):
                file.seek(size - 1)
                if file.read(1) != b"\n":
                    file.write(b"\n")


def _month(path: Path) -> str:
    return path.name[:7]


def _timed_lines(path: Path) -> Iterator[tuple[datetime, Reception | Expiry | Damaged]]:
    """One that is damaged has the time of the line before it."""
    time = datetime.min.replace(tzinfo=UTC)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            entry = _read(line)
            time = time if entry is None else _time(entry)
            yield time, entry or Damaged(file=path.name, line=number)


def _last_reception(path: Path) -> Reception | None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64 * _LONGEST_LINE))
        for line in reversed(file.readlines()):
            if isinstance(found := _read(line), Reception):
                return found
    return None


_FIELDS = {kind: [field.name for field in fields(kind)] for kind in (Reception, Expiry)}


def _time(entry: Reception | Expiry) -> datetime:
    return entry.received_at if isinstance(entry, Reception) else entry.at


def _written(entry: Reception | Expiry) -> Mapping[str, str | int]:
    kind, time = ("received", "received_at") if isinstance(entry, Reception) else ("expired", "at")
    values = {name: getattr(entry, name) for name in _FIELDS[type(entry)]}
    return {"entry": kind, **values, time: _time(entry).isoformat()}


def _read(line: bytes) -> Reception | Expiry | None:
    try:
        values = json.loads(line)
        if values.pop("entry") == "expired":
            return Expiry(**{**values, "at": datetime.fromisoformat(values["at"])})
        return Reception(**{**values, "received_at": datetime.fromisoformat(values["received_at"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
