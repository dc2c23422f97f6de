"""The bytes of one object on their way to disk: written, hashed and limited while they arrive."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from radnode.node.intake.refusals import OverLimit
from radnode.storage.files import begin_flush

if TYPE_CHECKING:
    from radnode.storage.files import FileStore

_LOOK_AT_DISK_EVERY = 64 * 1024 * 1024
"""Bytes of one object between two looks at the disk's reserve."""
_PIECE = 1024 * 1024
_BEGIN_FLUSH_EVERY = 256 * 1024
"""Bytes after which the disk is told to begin; it then writes while the next ones come, not when all are there."""


class Spooled:
    """A file in the store's spool, open until it is kept, quarantined or discarded.

    largest: bytes of data set that are taken. Raises StorageError from every method that writes.
    """

    def __init__(self, store: FileStore, header: bytes, largest: int) -> None:
        store.check_reserve()
        self.path = store.new_spool_path()
        self.start = len(header)
        self.size = len(header)
        self._store = store
        self._largest = largest
        self._checked_at = self._flushing_at = 0
        self._hash = hashlib.sha256(header)
        with self._store.translated(self.path):
            self._file = self.path.open("x+b", buffering=0)  # fragments are large; a buffer would only copy them
        self._append(memoryview(header))

    def write(self, fragment: memoryview) -> None:
        """Append a piece of the data set. Raises OverLimit."""
        self.size += len(fragment)
        if self.size - self.start > self._largest:
            raise OverLimit(f"more than {self._largest} bytes")
        if self.size - self._checked_at > _LOOK_AT_DISK_EVERY:
            self._checked_at = self.size
            self._store.check_reserve()
        self._append(fragment)
        if self.size - self._flushing_at >= _BEGIN_FLUSH_EVERY:
            begin_flush(self.descriptor, self._flushing_at, self.size - self._flushing_at)
            self._flushing_at = self.size
        self._hash.update(fragment)

    def without(self, header: bytes, length: int) -> Spooled:
        """The same object under `header`, without the first `length` bytes of its data set; this one is discarded."""
        fresh = Spooled(self._store, header, self._largest)
        try:
            position = self.start + length
            with self._store.translated(self.path):
                while piece := os.pread(self.descriptor, _PIECE, position):
                    fresh.write(memoryview(piece))
                    position += len(piece)
        except BaseException:
            fresh.discard()
            raise
        self.discard()
        return fresh

    @property
    def descriptor(self) -> int:
        """The open file, for reading what is there so far."""
        return self._file.fileno()

    @property
    def digest(self) -> str:
        """SHA-256 of the whole file, in hexadecimal."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file, which stays where it is."""
        with self._store.translated(self.path):
            self._file.close()

    def discard(self) -> None:
        """Close and delete whatever is there; harmless when it has moved on."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _append(self, left: memoryview) -> None:
        with self._store.translated(self.path):
            while left:
                left = left[self._file.write(left) :]
