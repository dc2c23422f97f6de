"""What a back-up holds, and whether it still does: a list of its files with their digests."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME = "manifest.json"
FORMAT = 1
LARGEST = 64 * 2**20
"""Bytes of a manifest that is read: half a million files."""


class NotABackup(Exception):
    """It is no back-up of this kind, or not whole; the sentence says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One file. size: bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """database: `sqlite`, or `postgresql`, which is then not in it. node: `node-id` of whom it is of."""

    made_at: datetime
    version: str
    node: str
    database: str
    images: bool
    files: Mapping[str, Content]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(each.size for each in self.files.values())

    def written(self) -> str:
        """As JSON."""
        return json.dumps({
            "format": FORMAT, "made_at": self.made_at.isoformat(), "version": self.version, "node": self.node,
            "database": self.database, "images": self.images,
            "files": {name: asdict(each) for name, each in sorted(self.files.items())},
        }, indent=1)


def read(folder: Path) -> Manifest:
    """Of a finished back-up. Raises :class:`NotABackup`."""
    try:
        with (folder / NAME).open("rb") as file:
            said = json.loads(file.read(LARGEST))
        if said["format"] != FORMAT:
            raise NotABackup(f"{folder} has the format {said['format']}, which this version does not know")
        return _of(said)
    except OSError as error:
        raise NotABackup(f"{folder} is no finished back-up: {error.strerror} for {NAME}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotABackup(f"{folder / NAME} is not what the node has written") from error


def differences(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What is missing or is not what was written, a sentence each."""
    for name, wanted in manifest.files.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != wanted.size or digest_of(path) != wanted.sha256:
            yield f"{name} is not what was written"


def digest_of(path: Path) -> str:
    """SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of(said: Mapping[str, Any]) -> Manifest:
    files = {str(name): Content(sha256=str(each["sha256"]), size=int(each["size"])) for name, each in
             said["files"].items()}
    if any(name.startswith("/") or ".." in name.split("/") for name in files):
        raise ValueError("a name leads out of the back-up")
    return Manifest(
        made_at=datetime.fromisoformat(said["made_at"]), version=str(said["version"]), node=str(said["node"]),
        database=str(said["database"]), images=bool(said["images"]), files=files,
    )
