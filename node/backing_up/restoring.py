"""Putting a back-up back on a node that does not run. Nothing that is there is deleted: it is moved aside."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from radnode.config.loading import load
from radnode.node.backing_up import manifest as manifests
from radnode.node.backing_up.making import CONFIGURATION, DATABASE, NODE, OF_IMAGES
from radnode.pipelines.models.store import PINS
from radnode.storage.acknowledgements import FOLDER as ACKNOWLEDGED
from radnode.storage.files import FileStore

if TYPE_CHECKING:
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.node.backing_up.manifest import Manifest


class RestoreRefused(Exception):
    """Nothing was changed; the sentence says why and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was put where; sentences: what the administrator has to know and do now."""

    manifest: Manifest
    sentences: tuple[str, ...]


def restore(backup: Path, config: Path, now: datetime) -> Restored:
    """Put everything of `backup` where the configuration says. `config` is taken from the back-up if it is missing.

    Raises :class:`RestoreRefused`, NotABackup, ConfigError, StorageInUse beside a running node.
    """
    found = manifests.read(backup)
    if wrong := list(manifests.differences(backup, found)):
        raise RestoreRefused(f"the back-up is damaged, take another one: {'; '.join(wrong[:5])}")
    said = _configuration(backup, found, config)
    configuration = load(config)
    store = FileStore(configuration.settings.data, configuration.settings.disk_reserve)
    store.lock()
    try:
        _check_identity(backup, found, store.root)
        said += _database(backup, found, configuration, now)
        said += _acknowledged(backup, found, store.root)
        said += _rest(backup, found, configuration)
    finally:
        store.unlock()
    said += [
        f"accounts, roles and tokens are as they were on {found.made_at:%Y-%m-%d %H:%M} UTC: look at those that were "
        "disabled or revoked since",
        f"now: radnode reindex --config {config}, then start the node (docs/recovery.md)",
    ]
    return Restored(manifest=found, sentences=tuple(said))


def _configuration(backup: Path, found: Manifest, config: Path) -> list[str]:
    kept = next((backup / name for name in found.files if name.startswith(f"{CONFIGURATION}/")), None)
    if kept is None:
        return []
    if config.exists():
        same = config.read_bytes() == kept.read_bytes()
        return [] if same else [f"{config} is not as it was then and stays as it is; that one is {kept}"]
    config.parent.mkdir(parents=True, exist_ok=True)
    _put(kept, config)
    return [f"{config} is as it was then"]


def _check_identity(backup: Path, found: Manifest, data: Path) -> None:
    present = data / NODE
    if NODE in found.files and present.exists() and present.read_bytes() != (backup / NODE).read_bytes():
        raise RestoreRefused(f"{data} is the data folder of another node than this back-up is of; choose the right one")


def _database(backup: Path, found: Manifest, configuration: Configuration, now: datetime) -> list[str]:
    url = make_url(configuration.settings.effective_database_url)
    if DATABASE not in found.files:
        return ["the database is not in it: PostgreSQL's own (pg_restore) has to be put back beside this"]
    if url.get_backend_name() != "sqlite":
        raise RestoreRefused("the back-up has an SQLite database, and `database_url` names another kind; write null")
    target = Path(url.database or "")
    target.parent.mkdir(parents=True, exist_ok=True)
    said = []
    for suffix in ("", "-wal", "-shm"):
        present = target.with_name(target.name + suffix)
        if present.exists():
            aside = present.with_name(f"{present.name}.before-restore-{now:%Y%m%dT%H%M%SZ}")
            present.rename(aside)
            said += [f"the database that was there is now {aside}"] if not suffix else []
    fresh = target.with_name(f".{target.name}.restoring")
    shutil.copyfile(backup / DATABASE, fresh)
    fresh.chmod(0o600)
    with closing(sqlite3.connect(fresh)) as connection:  # who logged out since must not be in again
        connection.execute("DELETE FROM logins")
        connection.execute("UPDATE accounts SET link = NULL, link_until = NULL")
        connection.commit()
    fresh.rename(target)
    return [*said, f"the database is as it was on {found.made_at:%Y-%m-%d %H:%M:%S} UTC"]


def _acknowledged(backup: Path, found: Manifest, data: Path) -> list[str]:
    """Lines are only ever added: of two files of a month the longer one holds the other."""
    for name in found.files:
        if not name.startswith(f"{ACKNOWLEDGED}/"):
            continue
        kept, present = (backup / name).read_bytes(), data / name
        there = present.read_bytes() if present.exists() else b""
        if there.startswith(kept):
            continue
        if not kept.startswith(there):
            return [f"{present} and that of the back-up contradict each other: the present one stays, compare them"]
        _put(backup / name, present)
    return []


def _rest(backup: Path, found: Manifest, configuration: Configuration) -> list[str]:
    data, store = configuration.settings.data, configuration.settings.model_store
    put = 0
    for name in found.files:
        top = name.partition("/")[0]
        target = store / PINS if name == f"models/{PINS}" else data / name
        if (top in (*OF_IMAGES, NODE) or name == f"models/{PINS}") and not target.exists():
            _put(backup / name, target)
            put += top in OF_IMAGES
    return [f"{put} files of images and results were put back"] if put else []


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.restoring")
    shutil.copyfile(source, fresh)
    fresh.chmod(0o600)
    fresh.rename(target)
