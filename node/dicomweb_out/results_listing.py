"""Lists the node's own results, and images of before the list was kept; makes ready what will be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from radnode.node.dicomweb_out.holdings import NotHeld
from radnode.node.dicomweb_out.image_processes import ImageRefused, ImageUnreadable, Overloaded
from radnode.node.dicomweb_out.matching import BadQuery
from radnode.node.dicomweb_out.retrieving import instance_of
from radnode.storage import listing

if TYPE_CHECKING:
    from radnode.node.dicomweb_out.holdings import Holdings
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore

log = structlog.get_logger(__name__)

AT_ONCE = 200
LOOK_BACK = 1000
"""Result objects are looked for again that far back: of two transactions the one with the higher number may end
first."""


class ResultsListing:
    """`step` lists one batch; True while there may be more. Where it has come to is not kept: a restart looks again."""

    def __init__(self, *, database: Database, store: FileStore, holdings: Holdings) -> None:
        self._database = database
        self._store = store
        self._holdings = holdings
        self._received: int | None = 0
        self._results = 0
        self._unreadable: set[int] = set()

    def step(self) -> bool:
        """Results first: somebody waits for them."""
        more = self._list_results()
        return self._list_received() or more

    def _list_results(self) -> bool:
        with self._database.read() as session:
            found = listing.unlisted_results(session, self._results - LOOK_BACK, AT_ONCE)
        fresh = [each for each in found if each.result_object_id not in self._unreadable]
        studies = set()
        for each in fresh:
            try:
                said, _ = self._holdings.images.ask("attributes", self._store.path(each.digest, "results"))
            except (ImageUnreadable, ImageRefused, Overloaded) as error:
                self._unreadable.add(each.result_object_id)
                log.error("dicomweb.result_not_listed", result_object=each.result_object_id, reason=str(error))
                continue
            with self._database.begin() as session:
                studies.add(listing.list_result(session, each.result_object_id, said["attributes"]))
        for study in studies:
            self._make_ready(study)
        if found:
            self._results = max(self._results, found[-1].result_object_id)
        return len(found) == AT_ONCE and bool(fresh)

    def _make_ready(self, study_instance_uid: str) -> None:
        """Who opens a study with results does not wait for its headers. What cannot be read now is told to who asks."""
        try:
            found = self._holdings.retrieve(study_instance_uid)
            self._holdings.metadata([instance_of(each) for each in found])
        except (BadQuery, NotHeld, ImageUnreadable, ImageRefused, Overloaded) as error:
            log.warning("dicomweb.headers_not_made_ready", reason=str(error))

    def _list_received(self) -> bool:
        """Once after each start, from the first to the last header: newer ones are listed as they are stored."""
        if self._received is None:
            return False
        with self._database.read() as session:
            rows = listing.unlisted_received(session, self._received, AT_ONCE)
        headers = {number: attributes for number, attributes in rows if attributes is not None}
        if headers:
            with self._database.begin() as session:
                listing.enter(session, listing.received(session, headers), headers)
        self._received = rows[-1][0] if len(rows) == AT_ONCE else None
        return self._received is not None
