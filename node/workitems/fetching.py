"""The images of an order that are not here are wanted of the archive that the order names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from radnode.storage import fetches
from radnode.storage.fetches import Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pydicom import Dataset

    from radnode.config.loading import Configuration
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)


def archive_of(inputs: Sequence[Dataset], configuration: Configuration) -> str | None:
    """The configured archive that an Input Information Sequence names (PS3.3 Table 10-3b): by the Retrieve AE Title of
    its peer, or by a Retrieve URL below its address. None: no such archive; what an order names alone is never asked.
    """
    titles, urls = set(), []
    for item in inputs:
        titles |= {str(each.get("RetrieveAETitle", "")).strip() for each in item.get("DICOMRetrievalSequence") or []}
        urls += [str(each.get("RetrieveURL", "")) for each in item.get("WADORSRetrievalSequence") or []]
    for name, archive in configuration.retrieving.archives.items():
        if archive.dicomweb is not None:
            if any(url.startswith(archive.dicomweb.url.rstrip("/") + "/") for url in urls):
                return name
        elif name in configuration.peers and configuration.peers[name].ae_title in titles:
            return name
    return None


class InputFetcher:
    """Called with a study and its Input Information Sequence; whether it is wanted already is asked first."""

    def __init__(
        self, database: Database, configuration: Callable[[], Configuration], now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._configuration = configuration
        self._now = now

    def __call__(self, study_instance_uid: str, inputs: Sequence[Dataset]) -> None:
        """Have the study fetched once; how often that is tried again is the fetch's own matter."""
        archive = archive_of(inputs, self._configuration())
        if archive is None:
            return
        with self._database.read() as session:
            if fetches.is_wanted(session, archive, study_instance_uid):
                return
        wish = Wish(archive=archive, study_instance_uid=study_instance_uid, wanted_by="a work item")
        with self._database.begin() as session:
            fetches.want(session, wish, self._now(), again=False)
        log.info("workitem.input_wanted", archive=archive, study_instance_uid=study_instance_uid)
