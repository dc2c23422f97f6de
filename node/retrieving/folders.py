"""Watched folders: DICOM files, directories and zip archives that somebody puts there are taken as if they were sent.

What is dropped is left until nothing about it has changed for a while. Then each file goes through the node's own
intake, and the whole moves to `done`, or to `failed` with a reason beside it. What cannot be kept now (a full disk, no
database) stays where it is and is tried again; what was taken before a crash is taken again, which is no harm.
"""

from __future__ import annotations

import itertools
import os
import secrets
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import structlog

from radnode.node.dicomweb.multipart import Begins, Ends
from radnode.node.dicomweb.stow import Transaction
from radnode.node.intake.pdus import Violation
from radnode.node.intake.storing import Origin
from radnode.node.retrieving.zips import BadZip, Budget, is_zip, members
from radnode.node.statuses import SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from radnode.config.loading import Configuration
    from radnode.config.pulls import Folder
    from radnode.node.alarms import Alarms
    from radnode.node.dicomweb.multipart import Event
    from radnode.node.intake.storing import Storage

log = structlog.get_logger(__name__)

DONE, FAILED = "done", "failed"
REASON = ".reason.txt"
MOST_FILES = 100_000
"""Below one directory."""
DEEPEST = 32
NOT_NOW = 0xA700
TRY_AGAIN_S = 60.0
LOOK_AT_FAILED_EVERY_S = 30.0
LATELY_S = 86_400.0
_MOST_REASONS = 100
_PIECE = 2**18
_PARTIAL = (".part", ".partial", ".tmp", ".filepart", ".crdownload")
"""What programs call a file while they write it."""

Signature = tuple[int, ...]


class NotNow(Exception):
    """The node cannot keep images at the moment, or is stopping."""


class Unusable(Exception):
    """It is not what can be taken; the sentence says why."""


@dataclass(slots=True)
class Outcome:
    """What became of one thing that was dropped. refused: (where in it, why). passed: files that are no DICOM."""

    stored: int = 0
    passed: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Something was taken and nothing was refused."""
        return self.stored > 0 and not self.refused

    def reason(self) -> str:
        """For whoever looks into `failed`."""
        said = [f"{self.stored} images were taken, {len(self.refused)} refused, {self.passed} files are no DICOM."]
        said += [f"{_printable(where)}: {why}" if where else why for where, why in self.refused[:_MOST_REASONS]]
        if len(self.refused) > _MOST_REASONS:
            said.append(f"... and {len(self.refused) - _MOST_REASONS} more")
        return "\n".join(said) + "\n"


@dataclass(slots=True)
class _Seen:
    signature: Signature
    since_s: float


class FolderWatch:
    """`step` looks into every folder of the configuration."""

    def __init__(
        self, *, storage: Storage, configuration: Callable[[], Configuration], alarms: Alarms,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._configuration = configuration
        self._alarms = alarms
        self._monotonic_s = monotonic_s
        self._stopping = threading.Event()
        self._seen: dict[Path, _Seen] = {}
        self._looked_s: dict[str, float] = {}

    def step(self) -> bool:
        """Always False."""
        for folder in self._configuration().retrieving.folders:
            try:
                for name in (DONE, FAILED):
                    (folder.path / name).mkdir(exist_ok=True)
                self._look(folder)
            except OSError as error:
                self._alarms.set(f"folder:{folder.name}", f"{folder.path}: {error.strerror}")
            else:
                self._tell(folder)
        return False

    def stop(self) -> None:
        """Take nothing more; what is half taken is taken again at the next start."""
        self._stopping.set()

    def _look(self, folder: Folder) -> None:
        present = {Path(each.path) for each in os.scandir(folder.path) if _is_dropped(each.name)}
        for gone in [path for path in self._seen if path.parent == folder.path and path not in present]:
            del self._seen[gone]
        now_s = self._monotonic_s()
        for path in sorted(present):
            try:
                signature = _signature(path)
            except FileNotFoundError:
                continue
            seen = self._seen.get(path)
            if seen is None or seen.signature != signature:
                self._seen[path] = _Seen(signature, now_s)
            elif now_s - seen.since_s >= folder.stable.total_seconds() and not self._stopping.is_set():
                self._take(folder, path)

    def _take(self, folder: Folder, path: Path) -> None:
        association = f"folder-{secrets.token_hex(8)}"
        self._storage.associations.opened(association)
        taking = _Taking(self._storage, Origin(association=association, source=folder.name, is_configured=True),
                         folder.largest, self._stopping)
        try:
            taking.take(path)
        except NotNow:
            self._seen[path].since_s = self._monotonic_s() + TRY_AGAIN_S
            return
        finally:
            self._storage.associations.closed(association)
        outcome = taking.outcome
        self._move(folder, path, outcome)
        say = log.info if outcome.good else log.warning
        say("folder.taken", folder=folder.name, stored=outcome.stored, refused=len(outcome.refused),
            passed=outcome.passed)

    def _move(self, folder: Folder, path: Path, outcome: Outcome) -> None:
        """The reason first: nothing lies in `failed` without one."""
        target = _free(folder.path / (DONE if outcome.good else FAILED), path.name)
        if not outcome.good:
            target.with_name(target.name + REASON).write_text(outcome.reason(), encoding="utf-8")
        path.rename(target)
        self._seen.pop(path, None)
        self._looked_s.pop(folder.name, None)

    def _tell(self, folder: Folder) -> None:
        now_s = self._monotonic_s()
        if now_s - self._looked_s.get(folder.name, float("-inf")) < LOOK_AT_FAILED_EVERY_S:
            return
        self._looked_s[folder.name] = now_s
        since = time.time() - LATELY_S
        failed = sum(each.stat().st_mtime >= since for each in (folder.path / FAILED).glob(f"*{REASON}"))
        if failed:
            self._alarms.set(f"folder:{folder.name}", f"{failed} of what was put there could not be taken")
        else:
            self._alarms.clear(f"folder:{folder.name}")


class _Taking:
    """One thing that was dropped: a file, a directory, a zip archive."""

    def __init__(self, storage: Storage, origin: Origin, largest: int, stopping: threading.Event) -> None:
        self.outcome = Outcome()
        self._storage = storage
        self._origin = origin
        self._largest = largest
        self._stopping = stopping

    def take(self, path: Path) -> None:
        """Everything in it. Raises NotNow."""
        try:
            for where, found in _files(path):
                self._file(where, found)
        except (Unusable, OSError) as error:
            self._refuse("", str(error) if isinstance(error, Unusable) else f"{error.strerror}")
        if not self.outcome.stored and not self.outcome.refused:
            self._refuse("", "there is no DICOM file in it (one begins with 128 bytes and DICM, PS3.10 7.1)")

    def _file(self, where: str, path: Path) -> None:
        with _opened(path) as file:
            first = file.read(132)
            file.seek(0)
            if is_zip(first):
                self._zip(where, file)
            elif _is_image(path.name, first):
                self._object(where, iter(lambda: file.read(_PIECE), b""))
            else:
                self.outcome.passed += 1

    def _zip(self, where: str, file: IO[bytes]) -> None:
        budget = Budget(self._largest)
        try:
            for name, pieces in members(file, MOST_FILES):
                self._member(f"{where}:{name}" if where else name, name, _counted(pieces, budget))
        except BadZip as error:
            self._refuse(where, str(error))

    def _member(self, where: str, name: str, pieces: Iterator[bytes]) -> None:
        try:
            first = b""
            while len(first) < 132 and (piece := next(pieces, b"")):
                first += piece
            if is_zip(first):
                self._refuse(where, "a zip archive in a zip archive is not opened")
            elif _is_image(name, first):
                self._object(where, itertools.chain([first], pieces))
            else:
                self.outcome.passed += 1
                for _ in pieces:  # also what is passed over is counted
                    pass
        except _Spent as error:
            raise BadZip(str(error)) from error
        except BadZip as error:
            self._refuse(where, str(error))

    def _object(self, where: str, pieces: Iterator[bytes]) -> None:
        """One file through the intake. Raises NotNow, and what reading the pieces raises."""
        transaction = Transaction(self._storage, self._origin, "")
        try:
            transaction.take(self._events(pieces))
        except Violation:
            self._refuse(where, "it is larger than `max_object`")
            return
        status = transaction.outcomes[-1].status
        if status.code == NOT_NOW:
            raise NotNow
        if status.code == SUCCESS:
            self.outcome.stored += 1
        else:
            self._refuse(where, status.comment)

    def _events(self, pieces: Iterator[bytes]) -> Iterator[Event]:
        yield Begins({})
        for piece in pieces:
            if self._stopping.is_set():
                raise NotNow
            yield piece
        yield Ends()

    def _refuse(self, where: str, why: str) -> None:
        self.outcome.refused.append((where, why))


class _Spent(Exception):
    """The whole archive unpacks to too much."""


def _counted(pieces: Iterator[bytes], budget: Budget) -> Iterator[bytes]:
    for piece in pieces:
        try:
            budget.take(len(piece))
        except BadZip as error:
            raise _Spent(str(error)) from error
        yield piece


def _is_dropped(name: str) -> bool:
    return name not in (DONE, FAILED) and not name.startswith(".") and not name.lower().endswith(_PARTIAL)


def _is_image(name: str, first: bytes) -> bool:
    """A DICOM file, but not the table of contents of a disc (PS3.10 8.6)."""
    return first[128:132] == b"DICM" and name.rpartition("/")[2].upper() != "DICOMDIR"


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """(where, path) of the regular files of what was dropped; links are not followed. Raises Unusable, OSError."""
    mode = path.lstat().st_mode
    if stat.S_ISREG(mode):
        yield "", path
    elif stat.S_ISDIR(mode):
        for number, found in enumerate(_below(path), 1):
            if number > MOST_FILES:
                raise Unusable(f"it holds more than {MOST_FILES} files")
            yield str(found.relative_to(path)), found
    else:
        raise Unusable("a link, or something else that is neither file nor directory")


def _below(folder: Path, depth: int = 1) -> Iterator[Path]:
    if depth > DEEPEST:
        raise Unusable(f"directories are nested deeper than {DEEPEST}")
    with os.scandir(folder) as entries:
        for each in sorted(entries, key=lambda entry: entry.name):
            if each.is_dir(follow_symlinks=False):
                yield from _below(Path(each.path), depth + 1)
            elif each.is_file(follow_symlinks=False):
                yield Path(each.path)


def _signature(path: Path) -> Signature:
    """Changes while something is being written. Of a directory, all files below it."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns
    number = size = newest = 0
    try:
        for each in itertools.islice(_below(path), MOST_FILES + 1):
            status = each.lstat()
            number, size, newest = number + 1, size + status.st_size, max(newest, status.st_mtime_ns)
    except Unusable:
        newest = -1  # said when it is taken
    return number, size, newest, found.st_mtime_ns


def _opened(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _free(folder: Path, name: str) -> Path:
    """A path that nothing lies at."""
    for number in itertools.count():
        candidate = folder / (f"{name}.{number}" if number else name)
        if not os.path.lexists(candidate):
            return candidate
    raise AssertionError


def _printable(where: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in where)[:300]
