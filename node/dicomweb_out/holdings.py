"""What the node holds for DICOMweb: who is listed, where the bytes lie, what the headers say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.dicomweb_out.image_processes import ImageUnreadable
from radnode.node.dicomweb_out.matching import BadQuery
from radnode.storage import listed_metadata, listing_queries
from radnode.storage.listed_metadata import Metadata
from radnode.storage.listing_queries import Criterion, Level

if TYPE_CHECKING:
    from pathlib import Path

    from radnode.node.dicomweb_out.image_processes import ImageProcesses
    from radnode.node.dicomweb_out.matching import Question
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore
    from radnode.storage.listing_queries import Found, InstanceFound

MOST_INSTANCES = 50_000
_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


class NotHeld(Exception):
    """The node has nothing of this name that may be retrieved."""


class Holdings:
    """Reads; only headers that were made to be served are kept. For any thread."""

    def __init__(self, *, database: Database, store: FileStore, images: ImageProcesses) -> None:
        self._database = database
        self._store = store
        self.images = images

    def find(self, level: Level, question: Question) -> tuple[list[Found], bool]:
        """The matches that fit, and whether there are more."""
        self.images.wake()
        with self._database.read() as session:
            found = listing_queries.find(
                session, level, question.criteria, limit=question.limit + 1, offset=question.offset
            )
        return found[: question.limit], len(found) > question.limit

    def withheld(self, study_instance_uid: str) -> int:
        """How many images of a study are here and are not served."""
        with self._database.read() as session:
            return listing_queries.withheld(session, study_instance_uid)

    def retrieve(self, *uids: str) -> list[Found]:
        """The instances of a study, of a series of it, or one: all, or none. Raises NotHeld, BadQuery."""
        self.images.wake()
        criteria = [Criterion(keyword=keyword, values=(uid,)) for keyword, uid in zip(_KEYWORDS, uids, strict=False)]
        with self._database.read() as session:
            found = listing_queries.find(session, Level.INSTANCES, criteria, limit=MOST_INSTANCES + 1)
        if len(found) > MOST_INSTANCES:
            raise BadQuery(f"the study has more than {MOST_INSTANCES} instances; ask for each series")
        if not found:
            raise NotHeld("the node has nothing of this name that can be retrieved")
        return found

    def path(self, instance: InstanceFound) -> Path:
        """Where its bytes lie. Raises ImageUnreadable if they are not there whole."""
        path = self._store.path(instance.digest, "results" if instance.is_result else "instances")
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise ImageUnreadable("the file of an instance is missing; `radnode reindex` says which") from None
        if size != instance.size_bytes:
            raise ImageUnreadable("the file of an instance is not whole; `radnode reindex` says which")
        return path

    def metadata(self, found: list[InstanceFound]) -> list[Metadata]:
        """Their headers, in this order. Raises the errors of :class:`ImageProcesses`."""
        with self._database.read() as session:
            known = listed_metadata.kept(session, found)
        fresh = [each for each in found if each.id not in known]
        if fresh:
            answers = self.images.ask_all("metadata", [self.path(each) for each in fresh])
            made = [Metadata(document=blobs[0], layout=said["layout"]) for said, blobs in answers]
            with self._database.begin() as session:
                listed_metadata.keep(session, list(zip(fresh, made, strict=True)))
            known |= {each.id: metadata for each, metadata in zip(fresh, made, strict=True)}
        return [known[each.id] for each in found]
