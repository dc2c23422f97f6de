"""Files that survive a power cut: content addresses, flushed bytes, flushed folders.

    root/spool/                         what is being received; by each receiver in a folder of its own, if several do
    root/instances/<aa>/<sha256>        what was acknowledged
    root/results/<aa>/<sha256>          what is sent
    root/recorded/<aa>/<sha256>         the same files, named by the SHA-256 of their SOP Instance UID
    root/quarantine/                    what was refused, for an administrator to look at
    root/acknowledged/                  who sent what and when (radnode.storage.acknowledgements)

No name of a file comes from a received value but through its digest. Its first two digits part a million files into
folders of four thousand; a second level would make a folder, and two flushes more, of nearly every image.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from typing import TYPE_CHECKING, Literal, Protocol

from radnode.storage.acknowledgements import FOLDER, Acknowledgements
from radnode.storage.errors import StorageBroken, StorageFull, StorageInUse
from radnode.storage.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from radnode.storage.acknowledgements import Expiry
    from radnode.storage.receptions import Reception

Area = Literal["instances", "results", "recorded"]
_SYNC_FILE_RANGE_WRITE = 2


def content_address(digest: str, area: Area = "instances") -> str:
    """Where, below the data folder, the bytes with this SHA-256 lie."""
    return f"{area}/{digest[:2]}/{digest}.dcm"


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_sync_file_range = ctypes.CDLL(None).sync_file_range
_sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def begin_flush(descriptor: int, offset: int, length: int) -> None:
    """Have these bytes of an open file written soon (sync_file_range(2)). Proves nothing: what fails, a flush says."""
    _sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


class FileOps(Protocol):
    """The calls whose order makes a file durable; a model of a power cut stands in for them in tests."""

    def fsync(self, path: Path) -> None:
        """Flush a file or a folder to stable storage."""
        ...

    def link(self, source: Path, target: Path) -> None:
        """Give the file a second name; FileExistsError when the name is taken."""
        ...

    def unlink(self, path: Path) -> None:
        """Take a name away."""
        ...

    def make_folder(self, path: Path) -> None:
        """Make one folder; FileExistsError when it is there."""
        ...


class SystemOps:
    """The operating system's own calls."""

    def fsync(self, path: Path) -> None:
        """Flush a file or a folder to stable storage."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def link(self, source: Path, target: Path) -> None:
        """Give the file a second name; FileExistsError when the name is taken."""
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        """Take a name away."""
        path.unlink()

    def make_folder(self, path: Path) -> None:
        """Make one folder; FileExistsError when it is there."""
        path.mkdir()


class FileStore:
    """The files below `root`. reserve_bytes: free space below which nothing new is accepted.

    receiver: what this process is called among several that share the folder; empty for one that has it alone.
    """

    def __init__(self, root: Path, reserve_bytes: int, ops: FileOps | None = None, *, receiver: str = "") -> None:
        self.root = root
        self.receiver = receiver
        self.reserve_bytes = reserve_bytes
        self._ops = ops or SystemOps()
        self._known_folders: set[Path] = set()
        self._broken: int | None = None
        self._locks: list[int] = []
        self._free_seen = (0, -1.0)
        self._spool = root / "spool" / receiver
        self.acknowledgements = Acknowledgements(root, self._ops.fsync, receiver)
        self.quarantine = Quarantine(root / "quarantine")
        for name in (f"spool/{receiver}", "instances", "results", "recorded", "quarantine", FOLDER):
            (root / name).mkdir(parents=True, exist_ok=True)

    def lock(self) -> None:
        """Claim the folder for this process, or its own name beside other receivers. Raises :class:`StorageInUse`."""
        if not self.receiver:
            self._locks = [self._locked(self.root / "lock", fcntl.LOCK_EX)]
            return
        self._locks = [self._locked(self.root / "lock", fcntl.LOCK_SH)]
        self._locks.append(self._locked(self._lock_of(self.receiver), fcntl.LOCK_EX))

    def unlock(self) -> None:
        """Give the folder free."""
        while self._locks:
            os.close(self._locks.pop())

    def _lock_of(self, receiver: str) -> Path:
        return self.root / f"lock-{receiver}"

    def _locked(self, path: Path, how: int) -> int:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise StorageInUse(self.root, self.receiver) from error
        return descriptor

    def self_test(self) -> None:
        """Write, flush, link and delete one file, and flush the store's own folders; once before anything is kept.

        Raises StorageError when the volume cannot do that.
        """
        probe = self.new_spool_path()
        with self.translated(probe):
            probe.write_bytes(b"radnode")
            self._ops.fsync(probe)
            target = probe.with_suffix(".test")
            self._ops.link(probe, target)
            self._ops.unlink(probe)
            self._ops.unlink(target)
            self._ops.fsync(self._spool)
            self._flush_way_to_root()
        self._broken = None

    def _flush_way_to_root(self) -> None:
        """Whoever made these folders, this process or one that died over it, may not have flushed their names."""
        root = self.root.absolute()
        for folder in (root, *root.parents):
            self._ops.fsync(folder)
            if folder.is_mount() or not os.access(folder.parent, os.W_OK):
                return

    def new_spool_path(self) -> Path:
        """A name in the spool that nothing has."""
        return self._spool / f"{secrets.token_hex(16)}.part"

    def free_bytes(self) -> int:
        """Free space on the volume; asked at most ten times a second."""
        free, at_s = self._free_seen
        if time.monotonic() - at_s > 0.1:
            with self.translated(self.root):
                free = shutil.disk_usage(self.root).free
            self._free_seen = (free, time.monotonic())
        return free

    def check_reserve(self) -> None:
        """Raise :class:`StorageFull` below the reserve, :class:`StorageBroken` after a failure of the volume."""
        self._check_whole()
        free = self.free_bytes()
        if free < self.reserve_bytes:
            raise StorageFull(self.root, free)

    def path(self, digest: str, area: Area = "instances") -> Path:
        """Where the bytes with this SHA-256 lie."""
        return self.root / content_address(digest, area)

    def keep(self, spooled: Path, digest: str, area: Area = "instances") -> Path:
        """Make a written file durable under its content address.

        Order: flush the bytes, give them their name, flush the folders that hold the name. When the name is there
        already, so are its bytes, flushed. The spool name stays until the caller drops it, once a row has the digest:
        after a crash in between it leads :meth:`sweep_spool` to the name without a row. Raises StorageError, and then
        nothing may be acknowledged: a failed flush is never tried again, the kernel may have dropped the pages.
        """
        self._check_whole()
        target = self.path(digest, area)
        with self.translated(target):
            self._ops.fsync(spooled)
            self._make_folder(target.parent)
            with contextlib.suppress(FileExistsError):
                self._ops.link(spooled, target)
            self._ops.fsync(target.parent)
        return target

    def remember(self, sop_instance_uid: str, digest: str) -> None:
        """A result was recorded under this UID: no other bytes may ever be sent under it. The first call holds."""
        target = self.path(_digest_of(sop_instance_uid), "recorded")
        with self.translated(target):
            self._make_folder(target.parent)
            with contextlib.suppress(FileExistsError):
                self._ops.link(self.path(digest, "results"), target)
            self._ops.fsync(target.parent)

    def remembered(self, sop_instance_uid: str) -> Path | None:
        """The file of the result that was recorded under this UID, even if the database no longer knows it."""
        path = self.path(_digest_of(sop_instance_uid), "recorded")
        return path if path.exists() else None

    def note(self, entries: Sequence[Reception | Expiry]) -> None:
        """Write down what was acknowledged or deleted. Raises StorageError, as :meth:`keep`."""
        self._check_whole()
        with self.translated(self.acknowledgements.folder):
            self.acknowledgements.append(entries)

    def flush_notes(self) -> None:
        """Make durable what was noted. Raises StorageError, as :meth:`keep`."""
        self._check_whole()
        with self.translated(self.acknowledgements.folder):
            self.acknowledgements.flush()

    def remove(self, digest: str, area: Area = "instances") -> None:
        """Delete the bytes; harmless when they are gone."""
        path = self.path(digest, area)
        with self.translated(path), contextlib.suppress(FileNotFoundError):
            self._ops.unlink(path)

    def sweep_spool(self, is_listed: Callable[[str], bool]) -> int:
        """Delete what processes that are gone left half received; returns how many. Call before receiving.

        is_listed: whether a row has this digest; else the content address goes too, nobody was told of it. Beside other
        receivers the address stays: one of them may just be given the same bytes, and rely on it.
        """
        swept = 0
        for path in self._abandoned():
            if not self.receiver and path.stat().st_nlink > 1:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                if not is_listed(digest):
                    self.remove(digest)
            path.unlink()
            swept += 1
        return swept

    def _abandoned(self) -> Iterator[Path]:
        """A process that has the folder alone leaves its files in the spool itself: it is gone, as this one is here."""
        for entry in (self.root / "spool").iterdir():
            if not entry.is_dir():
                yield entry
            elif entry.name == self.receiver or self._is_gone(entry.name):
                yield from entry.iterdir()

    def _is_gone(self, receiver: str) -> bool:
        try:
            os.close(self._locked(self._lock_of(receiver), fcntl.LOCK_EX))
        except StorageInUse:
            return False
        return True

    def _check_whole(self) -> None:
        if self._broken is not None:
            raise StorageBroken(self.root, self._broken)  # a new one: an error raised again keeps every traceback

    def _make_folder(self, folder: Path) -> None:
        if folder in self._known_folders:
            return
        with contextlib.suppress(FileExistsError):
            self._ops.make_folder(folder)
        self._ops.fsync(folder.parent)
        self._known_folders.add(folder)

    @contextlib.contextmanager
    def translated(self, path: Path) -> Iterator[None]:
        """What the volume says as StorageError. After an I/O error or once it is read-only, nothing more is taken."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull(path, self._free_seen[0]) from error
            if error.errno in (errno.EIO, errno.EROFS):
                self._broken = error.errno
            raise StorageBroken(path, error.errno or 0) from error
