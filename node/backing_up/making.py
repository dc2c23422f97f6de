"""Making a back-up beside a running node: first the rows, then the files, so that no file is older than its row.

    TO/radnode-20260314T023000Z/
        manifest.json             what is in it, with digests; written last
        database.db               SQLite's own online copy: one instant, while others write
        configuration/            the file as it was in force
        acknowledged/ node-id     what was acknowledged (docs/recovery.md), and who the node is
        models/models.json        which models were added
        instances/ results/ recorded/    where images were asked for

Until it is whole it has another name; one that a crash left is removed by the next.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

import radnode
from radnode.node.backing_up.manifest import NAME, Content, Manifest, digest_of
from radnode.pipelines.models.store import PINS
from radnode.storage.acknowledgements import FOLDER as ACKNOWLEDGED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from radnode.config.loading import Configuration

DATABASE = "database.db"
CONFIGURATION = "configuration"
NODE = "node-id"
OF_IMAGES = ("instances", "results", "recorded")
PREFIX, UNFINISHED = "radnode-", ".part"


class BackupFailed(Exception):
    """There is no back-up; the sentence says why and what would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A finished back-up."""

    folder: Path
    manifest: Manifest


def make(configuration: Configuration, to: Path, now: datetime, *, images: bool = False) -> Made:
    """A new back-up below `to`. Raises :class:`BackupFailed`; there is then no trace of it."""
    final = to / f"{PREFIX}{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    partial = to / f".{final.name}{UNFINISHED}"
    try:
        to.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(to, partial)
        if final.exists():
            raise BackupFailed(f"{final} is there already; try again in a second")
        partial.mkdir(mode=0o700)
        try:
            manifest = _fill(configuration, partial, now, images=images)
            partial.rename(final)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _flush(to)
    except (OSError, sqlite3.Error) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BackupFailed(f"{to}: {said}; look at its space and rights, and at the database") from error
    return Made(folder=final, manifest=manifest)


def _fill(configuration: Configuration, folder: Path, now: datetime, *, images: bool) -> Manifest:
    settings = configuration.settings
    url = make_url(settings.effective_database_url)
    database = url.get_backend_name()
    if database == "sqlite":
        _copy_database(Path(url.database or ""), folder / DATABASE)
    if configuration.path is not None:
        _copy(configuration.path, folder / CONFIGURATION / configuration.path.name)
    for name in (NODE, ACKNOWLEDGED, *(OF_IMAGES if images else ())):
        for source in _files(settings.data / name):
            _copy(source, folder / source.relative_to(settings.data))
    if (settings.model_store / PINS).is_file():
        _copy(settings.model_store / PINS, folder / "models" / PINS)
    files = {
        path.relative_to(folder).as_posix(): Content(sha256=digest_of(path), size=path.stat().st_size)
        for path in _files(folder)
    }
    identity = folder / NODE
    manifest = Manifest(
        made_at=now.astimezone(UTC), version=radnode.__version__, database=database, images=images, files=files,
        node=identity.read_text(encoding="ascii").strip() if identity.is_file() else "",
    )
    (folder / NAME).write_text(manifest.written(), encoding="utf-8")
    for path in (*_files(folder), *(each for each in folder.rglob("*") if each.is_dir()), folder):
        _flush(path)
    return manifest


def _copy_database(source: Path, target: Path) -> None:
    """All pages in one step: a snapshot of WAL, during which others write (sqlite.org/backup.html)."""
    with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as original:
        with closing(sqlite3.connect(target)) as copy:
            target.chmod(0o600)
            original.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode=DELETE")
        with closing(sqlite3.connect(target)) as copy:
            if copy.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise BackupFailed(f"{source} is damaged; docs/recovery.md says what to do")


def _copy(source: Path, target: Path) -> None:
    """As much as the file holds now: a file of acknowledgements grows meanwhile."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source.open("rb") as original, target.open("xb") as copy:
        target.chmod(0o600)
        left = os.fstat(original.fileno()).st_size
        while left and (part := original.read(min(left, 2**20))):
            copy.write(part)
            left -= len(part)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from sorted(each for each in path.rglob("*") if each.is_file() and not each.is_symlink())


def _remove_unfinished(to: Path, own: Path) -> None:
    for path in to.glob(f".{PREFIX}*Z{UNFINISHED}"):
        if path == own:
            raise BackupFailed(f"another back-up into {to} is being made; try again when it is finished")
        shutil.rmtree(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
