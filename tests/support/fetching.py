"""The node's fetching alone: a receiver on a real store and database, and archives that fail as real ones do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pydicom

from radnode.config.loading import parse
from radnode.node.dicomweb.multipart import Begins, Ends
from radnode.node.dicomweb.stow import Transaction
from radnode.node.intake.storing import Origin
from radnode.node.retrieving import fetching
from radnode.node.retrieving.archive import FoundSeries, FoundStudy, NoAnswer, Question
from radnode.node.retrieving.fetching import Fetcher
from radnode.storage import fetches
from radnode.storage.database import Database
from radnode.storage.fetches import Wish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from radnode.node.retrieving.archive import Request
    from radnode.storage.fetches import Fetch
    from support.receiver import Receiver


class Fetching:
    """`fetch` does what the node's activity does, at a time of the test's."""

    def __init__(self, receiver: Receiver, folder: Path, configuration: str) -> None:
        self.receiver = receiver
        self.database = Database(f"sqlite:///{folder / 'radnode.db'}")
        self.now = datetime.now(UTC)
        self._configuration = parse(configuration, "a test")
        self._fetcher = Fetcher(
            database=self.database, storage=receiver.storage, configuration=lambda: self._configuration,
            now=lambda: self.now, local_now=lambda: self.now, on_ended=lambda: None,
        )

    def want(self, archive: str, study_instance_uid: str, **more: Any) -> int:
        with self.database.begin() as session:
            wish = Wish(archive=archive, study_instance_uid=study_instance_uid, wanted_by="a test", **more)
            return fetches.want(session, wish, self.now, again=True)[0]

    def fetch(self, archive: str, study_instance_uid: str, **more: Any) -> Fetch:
        """Want it, and try once, however long the back-off is."""
        number = self.want(archive, study_instance_uid, **more)
        assert self._fetcher.step()
        with self.database.read() as session:
            return fetches.get(session, number)

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)


class FaultyArchive:
    """Files as an archive would list and give them. lost: instances that it lists and cannot give.

    lists_as: under which Patient ID it has the study. breaks_after: so many images, then the connection ends.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in files}
        first = pydicom.dcmread(files[0], stop_before_pixels=True)
        self.study = str(first.StudyInstanceUID)
        self._series = str(first.SeriesInstanceUID)
        self.lists_as = str(first.PatientID)
        self.lost: set[str] = set()
        self.breaks_after = 10**9
        self.asked: list[list[str]] = []
        self._receiver: Receiver | None = None

    @property
    def uids(self) -> list[str]:
        return list(self._files)

    def serve(self, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
        """Be what is opened, whatever its name."""
        self._receiver = receiver
        monkeypatch.setattr(fetching, "open_archive", lambda *_: self)

    def studies(self, question: Question) -> list[FoundStudy]:
        return [FoundStudy(study_instance_uid=self.study, patient_id=self.lists_as)]

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        return [FoundSeries(series_instance_uid=self._series, modality="CT")]

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> dict[str, str]:
        return dict.fromkeys(self._files, "1.2.840.10008.5.1.4.1.1.2")

    def retrieve(self, request: Request) -> str:
        assert self._receiver is not None
        self.asked.append(list(request.instances))
        origin = Origin(association=f"faulty-{len(self.asked)}", source="FAULTY")
        for given, uid in enumerate(request.instances):
            if uid in self.lost:
                return "1 sub-operations failed"
            if given == self.breaks_after:
                raise NoAnswer("the connection ended")
            transaction = Transaction(self._receiver.storage, origin, self.study)
            transaction.take([Begins({}), self._files[uid].read_bytes(), Ends()])
        return ""

    def abort(self) -> None:
        raise NotImplementedError
