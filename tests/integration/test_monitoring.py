"""A segmentation that a radiologist corrected comes back: it is compared with ours, kept as feedback, runs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom.uid import SegmentationStorage, generate_uid
from support import dcmtk
from support.node import NodeProcess, archive, modality
from support.pacs import StandInPacs
from support.waiting import eventually

from radnode.pipelines.ct_lung.phantom import chest_phantom, write_series
from radnode.storage import comparisons, feedback, figures
from radnode.storage.database import Database
from radnode.storage.monitoring_tables import UnobservedRow
from radnode.storage.tables import InstanceRow, JobInputRow, JobRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pydicom

    from radnode.storage.monitoring_tables import FeedbackRow

# No condition on the modality: a segmentation that came back would run it again.
ANY = [{"name": "any", "when": {"study_instance_uid": {"exists": True}}, "run": ["ct-lung"], "send": ["PACS"]}]
SLICES = 20


@pytest.fixture
def worked(tmp_path: Path) -> Iterator[tuple[NodeProcess, StandInPacs]]:
    """A node that has sent its segmentation of a chest to the PACS."""
    files = write_series(chest_phantom(slices=SLICES, size=96, seed=3), tmp_path / "ct")
    with StandInPacs() as pacs, NodeProcess(
        tmp_path / "node", peers=[modality(), archive(pacs.port)], routes=ANY
    ) as node:
        dcmtk.dcmsend(node.port, files, called="RADNODE")
        node.wait_for_states(PROCESSED=SLICES, within=180)
        eventually(lambda: pacs.stored(SOPClassUID=SegmentationStorage), within=60, why=node.log)
        yield node, pacs


def corrected(ours: pydicom.Dataset) -> pydicom.Dataset:
    """As another system writes it: its own maker and UIDs, and the first segment without the half of its pixels."""
    ours.Manufacturer, ours.SeriesDescription = "Workstation", "corrected"
    ours.SOPInstanceUID = ours.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ours.SeriesInstanceUID = generate_uid()
    pixels = np.unpackbits(np.frombuffer(ours.PixelData, np.uint8), bitorder="little")
    used = ours.NumberOfFrames * ours.Rows * ours.Columns
    frames = pixels[:used].reshape(int(ours.NumberOfFrames), ours.Rows, ours.Columns).copy()
    for frame, group in zip(frames, ours.PerFrameFunctionalGroupsSequence, strict=True):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1:
            frame[: ours.Rows // 2] = 0
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    ours.PixelData = packed + b"\0" * (len(packed) % 2)
    return ours


def said(node: NodeProcess) -> list[FeedbackRow]:
    database = Database(node.database_url)
    try:
        with database.read() as session:
            rows = feedback.listed(session, limit=10)
            session.expunge_all()
            return rows
    finally:
        database.close()


def test_a_corrected_segmentation_is_compared_once_and_triggers_nothing(
    worked: tuple[NodeProcess, StandInPacs], tmp_path: Path
) -> None:
    node, pacs = worked
    before = len(node.jobs())
    path = tmp_path / "corrected.dcm"
    corrected(pacs.stored(SOPClassUID=SegmentationStorage)[0]).save_as(path)
    for _ in range(2):  # a PACS sends what it has again
        dcmtk.dcmsend(node.port, [path], called="RADNODE")
    node.wait_for_states(PROCESSED=SLICES, NOT_ROUTED=1, within=60)
    rows = eventually(lambda: said(node), within=240, why=node.log)
    assert [(row.how, row.verdict, row.who) for row in rows] == [("object", "corrected", "CT1")]
    dice = {each["name"]: each["dice"] for each in rows[0].structures}
    assert len(dice) == 2
    assert sum(value == pytest.approx(1) for value in dice.values()) == 1
    assert 0.3 < min(dice.values()) < 0.95
    assert len(node.jobs()) == before

    database = Database(node.database_url)
    with database.read() as session:
        reasons = {row.reason for row in session.query(InstanceRow).where(InstanceRow.state == "NOT_ROUTED")}
        known = figures.of_pipeline(session, "ct-lung", "2000-01-01", figures=["result/outcome", "image/noise"])
    database.close()
    assert reasons == {"compared with our results as feedback"}
    assert [(each.figure, each.summary.number) for each in known] == [("image/noise", 1), ("result/outcome", 1)]


def test_two_jobs_over_the_same_images_are_compared_by_themselves(
    worked: tuple[NodeProcess, StandInPacs], tmp_path: Path
) -> None:
    """The second pipeline is the first one under another version: its overlap with itself is 1."""
    node, _ = worked
    node.stop()
    database = Database(node.database_url)
    with database.begin() as session:
        first = session.query(JobRow).one()
        values = {column.key: getattr(first, column.key) for column in JobRow.__table__.columns}
        session.add(JobRow(**{**values, "id": 100, "key": "challenger", "pipeline_version": "9.9"}))
        session.flush()
        for row in session.query(JobInputRow).where(JobInputRow.job_id == first.id).all():
            session.add(JobInputRow(job_id=100, instance_id=row.instance_id))
        session.add(UnobservedRow(job_id=100))
    node.start()

    def overlaps() -> list[dict[str, object]]:
        with database.read() as session:
            pairs = comparisons.between(session, ("ct-lung", "0.1.0"), ("ct-lung", "9.9"), first_ended, 10)
            return list(pairs[0].comparison.structures) if pairs and pairs[0].comparison else []

    with database.read() as session:
        first_ended = session.query(JobRow).order_by(JobRow.id).first().ended_at
    structures = eventually(overlaps, within=240, why=node.log)
    database.close()
    assert {each["dice"] for each in structures} == {1.0}
