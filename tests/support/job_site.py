"""A node with one quick pipeline that waits or dies as a test says, and a PACS that counts what it gets."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from radnode.storage.tables import DeliveryRow, EventRow, JobRow, ResultObjectRow, SeriesRow
from support import sample_pipelines
from support.chest import write_chest
from support.mortal import MortalNode, send
from support.node import archive, modality
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.chest import Series
    from support.pacs import StandInPacs

SLICES = 8  # a stack that its geometry closes: no pause on a busy machine closes it early
SAMPLE = {"name": "boxes", "when": {"modality": "CT"}, "run": ["sample"], "send": ["PACS"]}
# The test ends the waiting by deleting the file. It takes a death from a list, if there is one.
OBEDIENT = """
import time
from pathlib import Path
folder = Path(os.environ["RADNODE_TEST_FOLDER"])
while (folder / "hold").exists():
    time.sleep(0.02)
deaths = sorted(folder.glob("death*"))
if deaths:
    deaths[0].unlink()
    os.kill(os.getpid(), 9)
"""


def obedience(folder: Path) -> dict[str, str]:
    """The environment of workers that have the pipeline `sample` and obey the files of the folder."""
    packages = folder / "packages"
    if not packages.exists():
        sample_pipelines.install(packages, extra=OBEDIENT)
    return {"PYTHONPATH": str(packages), "RADNODE_TEST_FOLDER": str(folder)}


class Site:
    """A node with one quick pipeline and a PACS, and everything that was sent to the node."""

    def __init__(
        self, folder: Path, pacs: StandInPacs, settings: Mapping[str, Any] | None = None, **environment: str
    ) -> None:
        self.folder = folder
        self.pacs = pacs
        self.node = MortalNode(
            folder / "node",
            peers=[archive(pacs.port), modality()],
            routes=[SAMPLE],
            settings={"quiet_time_s": 10, **(settings or {})},
            environment={**obedience(folder), **environment},
        )
        self.sent: dict[str, bytes] = {}

    def arrives(self, name: str, slices: int = SLICES) -> Series:
        """A series of that many of its slices."""
        series = write_chest(self.folder / name, name=name, patient_id=name, slices=SLICES + 1, size=32)
        self.sent |= send(self.node, series.files[:slices])
        return series

    def job(self, series: Series, revision: int = 1) -> JobRow | None:
        """The job over a revision, as it is in the tables."""
        with self.node.database() as database, database.read() as session:
            found: JobRow | None = session.scalar(
                select(JobRow)
                .join(SeriesRow, SeriesRow.id == JobRow.series_id)
                .where(SeriesRow.series_instance_uid == series.series_instance_uid, JobRow.revision == revision)
            )
        return found

    def must_job(self, series: Series, state: str, revision: int = 1) -> JobRow:
        """The same, once it is in this state."""

        def look() -> JobRow | None:
            job = self.job(series, revision)
            return job if job is not None and job.state == state else None

        found = eventually(look, within=90, why=lambda: f"job {state}: {self.node.jobs()}\n{self.node.log()}")
        assert found is not None
        return found

    def assert_answered_once(self, series: Series) -> JobRow:
        """Closed once, one job, one object of each kind, here and there."""
        job = self.must_job(series, "PRODUCED")

        def answers() -> Counter[str]:
            return Counter(str(each.Modality) for each in self.pacs.stored(StudyInstanceUID=series.study_instance_uid))

        def done() -> bool:
            return self.node.count(
                DeliveryRow, DeliveryRow.job_id == job.id, DeliveryRow.state.in_(("SENT", "CONFIRMED"))
            ) == 2  # fmt: skip

        eventually(done, within=60, why=self.node.log)
        assert answers() == {"SEG": 1, "SR": 1}
        assert self.pacs.conflicts == []
        stored = {str(each.SOPInstanceUID) for each in self.pacs.stored()}
        assert {each.sop_instance_uid for each in self.pacs.attempts} == stored, "nothing was tried under another UID"
        of_this_job = DeliveryRow.job_id == job.id
        assert self.node.count(DeliveryRow, of_this_job) == 2
        assert self.node.count(ResultObjectRow, ResultObjectRow.job_id == job.id) == 2
        assert self.node.count(JobRow, JobRow.series_id == job.series_id) == 1
        for kind in ("series closed", "job inserted", "job produced"):
            assert self.node.count(EventRow, EventRow.kind == kind, EventRow.series_id == job.series_id) == 1, kind
        self.node.assert_kept_once(self.sent)
        return job
