"""What can go wrong with bytes and rows.

    StorageError
    ├── StorageFull          no space within the reserve: delete studies or lower `retention_days`
    ├── StorageBroken        the disk failed a write, flush or rename: look at the volume
    ├── StorageInUse         another process works on this data folder: stop it first
    ├── DatabaseUnavailable  the database did not answer or is full: it is tried again
    │   └── TransactionEnded     it ended one transaction so that another could go on: the same again succeeds
    └── SchemaTooNew         a newer radnode changed the tables too much: run that version
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class StorageError(Exception):
    """Bytes or rows could not be kept."""


class StorageFull(StorageError):
    """Delete studies or lower `retention_days`; the node takes images again by itself."""

    def __init__(self, path: Path, free_bytes: int) -> None:
        super().__init__(f"{path}: {free_bytes} bytes free; delete studies or lower `retention_days`")


class StorageBroken(StorageError):
    """The volume failed; nothing is accepted until it passes the self-test of a restart."""

    def __init__(self, path: Path, number: int) -> None:
        super().__init__(f"{path}: the volume failed with errno {number}; check it, then restart the node")


class StorageInUse(StorageError):
    """Two nodes on one data folder would hand out each other's jobs, and two receivers of one name sweep each other's
    spool.
    """

    def __init__(self, path: Path, receiver: str = "") -> None:
        whose = f" alone, or by another receiver {receiver}" if receiver else ""
        cure = "call this one otherwise" if receiver else "give this node a `data` folder of its own"
        super().__init__(f"{path} is used by another process{whose}; stop it, or {cure}")


class DatabaseUnavailable(StorageError):
    """Tried again by whoever asked; see the cause for what the database said."""


class TransactionEnded(DatabaseUnavailable):
    """PostgreSQL ended one of two transactions that waited for each other; nothing of it is kept."""


class SchemaTooNew(StorageError):
    """A newer version took away what this one needs; what only adds is borne."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"a newer radnode changed the tables (schema {found}) so that this version cannot work on them; run the "
            "newer radnode, or restore the back-up that was made before the update"
        )
