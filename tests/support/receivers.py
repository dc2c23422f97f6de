"""A node of several receivers: a data folder, a PostgreSQL and a PACS that they share."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from radnode.storage.database import Database
from radnode.storage.receiver_tables import ReceiverRow
from radnode.storage.tables import DeliveryRow, EventRow, JobRow
from support import sample_pipelines
from support.chest import write_chest
from support.node import archive, modality
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.chest import Series
    from support.node import NodeProcess
    from support.pacs import StandInPacs

SLICES = 8
SAMPLE = {"name": "boxes", "when": {"modality": "CT"}, "run": ["sample"], "send": ["PACS"]}
OBEDIENT = """
import time
from pathlib import Path
while (Path(os.environ["RADNODE_TEST_FOLDER"]) / "hold").exists():
    time.sleep(0.02)
"""


class Site:
    """A data folder, a database and a PACS, and the receivers that work on them."""

    def __init__(self, folder: Path, url: str, pacs: StandInPacs, start_node: Callable[..., NodeProcess]) -> None:
        self.folder = folder
        self.pacs = pacs
        self.database = Database(url)
        self._url = url
        self._start_node = start_node
        self._packages = sample_pipelines.install(folder / "packages", extra=OBEDIENT)

    def start(self, name: str) -> NodeProcess:
        """A receiver of this name."""
        return self._start_node(
            peers=[archive(self.pacs.port), modality()], routes=[SAMPLE],
            settings={"database_url": self._url, "data": str(self.folder / "data"), "quiet_time_s": 10},
            environment={"PYTHONPATH": str(self._packages), "RADNODE_TEST_FOLDER": str(self.folder),
                         "RADNODE_RECEIVER": name},
        )

    def series(self, name: str) -> Series:
        """One that its geometry closes."""
        return write_chest(self.folder / name, name=name, patient_id=name, slices=SLICES, size=32)

    def rows(self, table: type[Any]) -> list[Any]:
        """All of a table."""
        with self.database.read() as session:
            return list(session.scalars(select(table)))

    def leader(self) -> str:
        """Who said last that it leads."""
        with self.database.read() as session:
            return ", ".join(session.scalars(select(ReceiverRow.name).where(ReceiverRow.leads)))

    def assert_answered_once(self, series: Series, why: Callable[[], str]) -> None:
        """Closed once, one job, one object of each kind."""

        def sent() -> bool:
            return [row.state in ("SENT", "CONFIRMED") for row in self.rows(DeliveryRow)] == [True, True]

        eventually(sent, within=120, why=why)
        stored = Counter(str(each.Modality) for each in self.pacs.stored(StudyInstanceUID=series.study_instance_uid))
        assert stored == {"SEG": 1, "SR": 1}
        (job,) = self.rows(JobRow)
        assert job.state == "PRODUCED"
        told = [event.kind for event in self.rows(EventRow) if event.series_id == job.series_id]
        assert told.count("series closed") == 1
