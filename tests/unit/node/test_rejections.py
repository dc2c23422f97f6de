"""Images that a PACS rejects after they were answered take their results with them (IHE IOCM)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import Dataset, FileMetaDataset, dcmwrite
from support.rows import (
    NOW,
    digest_of,
    job_over,
    lease_delivery,
    must_lease,
    must_lease_delivery,
    produce,
    receive,
    reception,
    result,
    states,
)

from radnode.config.loading import parse
from radnode.node.alarms import Alarms
from radnode.node.closing import SeriesCloser
from radnode.node.header_process import read_attributes
from radnode.node.intake.associations import Associations
from radnode.node.observability import Metrics
from radnode.node.rejections import KEY_OBJECT_SELECTION, TITLES, rejection
from radnode.storage import catalog, jobs, outbox
from radnode.storage.database import Database
from radnode.storage.jobs import JobState, LeaseLost
from radnode.storage.tables import DeliveryRow, EventRow, JobRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

QUALITY = "113001"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty one."""
    made = Database(f"sqlite:///{tmp_path / 'radnode.db'}")
    made.upgrade()
    yield made
    made.close()


def _note(path: Path, title: str, sop_instance_uids: Sequence[str]) -> dict[str, Any]:
    """A rejection note as the header process reads it."""
    note = Dataset()
    note.SOPClassUID, note.SOPInstanceUID = KEY_OBJECT_SELECTION, "1.2.3.900"
    note.StudyInstanceUID, note.SeriesInstanceUID, note.Modality = "1.2.5.1", "1.2.4.90", "KO"
    code, study, series = Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = title, "DCM", TITLES.get(title, "Of Interest")
    note.ConceptNameCodeSequence = [code]
    references = []
    for uid in sop_instance_uids:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
        references.append(reference)
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.2.4.1", references
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "1.2.5.1", [series]
    note.CurrentRequestedProcedureEvidenceSequence = [study]
    note.file_meta = FileMetaDataset()
    note.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dcmwrite(path, note, enforce_file_format=True)
    return read_attributes(str(path))


def _arrives(database: Database, note: dict[str, Any]) -> None:
    """The note is received as a series of the study, read and closed."""
    received = replace(reception(900, series=90), sop_class_uid=KEY_OBJECT_SELECTION)
    (recorded,) = receive(database, received)
    with database.begin() as session:
        catalog.store_headers(session, [(recorded.instance_id, note)])
    configuration = parse("node:\n  quiet_time_s: 1\n  settle_time_s: 0.1\n", "a.yaml")
    closer = SeriesCloser(
        database=database, configuration=lambda: configuration, manifests=dict,
        associations=Associations(on_change=lambda: None), now=lambda: NOW, monotonic_s=iter(range(9**9)).__next__,
        metrics=Metrics(), alarms=Alarms(lambda: NOW), on_jobs=lambda: None, look_again_in=lambda _seconds: None,
    )
    for _ in range(50):
        closer.step()
    with database.read() as session:
        assert catalog.open_series(session) == []


def _job(database: Database) -> JobRow:
    with database.read() as session:
        return session.get_one(JobRow, 1)


@pytest.mark.parametrize("title", sorted(TITLES))
def test_S12_results_of_rejected_images_are_withdrawn_and_what_waits_is_not_sent(
    database: Database, tmp_path: Path, title: str
) -> None:
    job_over(database, 1, 2)
    produce(database, must_lease(database), result("1.1"), result("1.2", 1, ["1.1"]))
    delivery = must_lease_delivery(database)
    with database.begin() as session:
        outbox.sent(session, delivery, 0, NOW)
    _arrives(database, _note(tmp_path / "note.dcm", title, ["1.2.3.2"]))
    reason = f"images it was made of were rejected: {TITLES[title]}"
    assert (_job(database).state, _job(database).reason) == (JobState.SUPERSEDED, reason)
    assert lease_delivery(database) is None
    with database.begin() as session:
        sent, waiting = session.get_one(DeliveryRow, 1), session.get_one(DeliveryRow, 2)
        assert (sent.state, sent.reason) == ("SENT", reason)
        assert (waiting.state, waiting.reason) == ("WITHDRAWN", reason)
        assert outbox.resend(session, [1, 2], NOW) == []
        assert session.query(EventRow).filter_by(kind="results withdrawn", job_id=1).count() == 1
    assert states(database) == {"PROCESSED": 2, "NOT_ROUTED": 1}


def test_S12_what_a_worker_finds_on_images_that_were_rejected_meanwhile_is_dropped(
    database: Database, tmp_path: Path
) -> None:
    job_over(database, 1)
    running = must_lease(database)
    _arrives(database, _note(tmp_path / "note.dcm", QUALITY, ["1.2.3.1"]))
    with pytest.raises(LeaseLost):
        produce(database, running, result("1.1"))
    with database.begin() as session, pytest.raises(LeaseLost):
        jobs.heartbeat(session, running.job_id, running.token, NOW, NOW - NOW)
    assert lease_delivery(database) is None
    assert _job(database).state == JobState.SUPERSEDED


@pytest.mark.parametrize(
    ("title", "named"), [(QUALITY, ["1.2.3.77"]), (QUALITY, []), ("113039", ["1.2.3.1"]), ("113000", ["1.2.3.1"])],
    ids=["other images", "no images", "only too old to be kept", "of interest"],
)
def test_S12_a_note_that_rejects_nothing_of_it_leaves_a_result_as_it_is(
    database: Database, tmp_path: Path, title: str, named: list[str]
) -> None:
    job_over(database, 1)
    produce(database, must_lease(database), result("1.1"))
    _arrives(database, _note(tmp_path / "note.dcm", title, named))
    assert _job(database).state == JobState.PRODUCED
    assert must_lease_delivery(database).digest == digest_of("1.1")


def test_S12_a_note_about_a_whole_large_study_names_every_image(tmp_path: Path) -> None:
    named = [f"1.2.826.0.1.3680043.8.498.{number}" for number in range(3000)]
    note = _note(tmp_path / "note.dcm", QUALITY, named)
    assert rejection(note) == (TITLES[QUALITY], named)
