"""From the name of an archive to one that can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.dicomweb.stow import Transaction
from radnode.node.intake.storing import Origin
from radnode.node.retrieving.archive import NoAnswer
from radnode.node.retrieving.dimse import DimseArchive
from radnode.node.retrieving.web import WebArchive

if TYPE_CHECKING:
    from radnode.config.loading import Configuration
    from radnode.node.intake.storing import Announced, Incoming, Storage
    from radnode.node.retrieving.archive import Archive


class NoStore(Exception):
    """An archive that was opened to be asked alone is to give images."""


def open_archive(
    configuration: Configuration, name: str, storage: Storage | None = None, association: str = ""
) -> Archive:
    """An archive of the configuration. storage, association: where what it gives goes, and under which identifier;
    without, it is only asked. Raises :class:`~radnode.node.retrieving.archive.NoAnswer`.
    """
    archive = configuration.retrieving.archives.get(name)
    if archive is None:
        raise NoAnswer(f"no archive {name} is configured any more")
    origin = Origin(association=association, source=name, is_configured=True)

    def take(announced: Announced) -> Incoming:
        if storage is None:
            raise NoStore
        return storage.take(announced, origin)

    def begin(study_instance_uid: str) -> Transaction:
        if storage is None:
            raise NoStore
        return Transaction(storage, origin, study_instance_uid)

    if archive.dicomweb is not None:
        return WebArchive(name, archive.dicomweb, begin)
    peer = configuration.peers.get(name)
    if peer is None:
        raise NoAnswer(f"no peer {name} is configured any more")
    return DimseArchive(peer, configuration.settings.ae_title, take if archive.retrieve == "c-get" else None)
