"""Whatever an archive says of its own success: what is here, the ledger says. And DCMTK's archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update
from support import chest, dcmtk
from support.fetching import FaultyArchive, Fetching
from support.network import free_port
from support.processes import Program
from support.receiver import Receiver
from support.waiting import eventually

from radnode.node.retrieving import fetching
from radnode.storage import retention
from radnode.storage.fetch_tables import FetchRow, FetchState
from radnode.storage.tables import InstanceRow, SeriesRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.chest import Series

SLICES = 6
ANYBODY = "archives: {A: {dicomweb: {url: http://127.0.0.1:1}}}"


@pytest.fixture
def study(tmp_path: Path) -> Series:
    return chest.write_chest(tmp_path / "ct", slices=SLICES, size=16, patient_id="CANARY-1")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Fetching]:
    with Receiver(tmp_path / "node") as receiver:
        found = Fetching(receiver, tmp_path / "node", ANYBODY)
        yield found
        found.database.close()


@pytest.fixture
def archive(study: Series, node: Fetching, monkeypatch: pytest.MonkeyPatch) -> FaultyArchive:
    found = FaultyArchive(study.files)
    found.serve(monkeypatch, node.receiver)
    return found


def test_one_lost_image_keeps_no_other_away_and_is_asked_for_again(node: Fetching, archive: FaultyArchive) -> None:
    archive.lost = {archive.uids[2]}
    done = node.fetch("A", archive.study)
    assert done.state is FetchState.INCOMPLETE
    assert done.reason == "1 of 6 images are not here; 1 sub-operations failed"
    assert len(node.receiver.kept()) == SLICES - 1
    archive.asked.clear()
    archive.lost.clear()
    assert node.fetch("A", archive.study).state is FetchState.COMPLETE
    assert archive.asked == [[archive.uids[2]]]
    archive.asked.clear()
    assert node.fetch("A", archive.study).state is FetchState.COMPLETE
    assert archive.asked == []


def test_an_archive_that_can_give_nothing_is_not_asked_for_each_image(node: Fetching, archive: FaultyArchive) -> None:
    archive.lost = set(archive.uids)
    assert node.fetch("A", archive.study).state is FetchState.INCOMPLETE
    assert len(archive.asked) == 1 + fetching.MOST_FAILURES


def test_what_came_before_a_connection_ended_is_kept_and_the_rest_is_fetched(
    node: Fetching, archive: FaultyArchive
) -> None:
    archive.breaks_after = 2
    done = node.fetch("A", archive.study)
    assert (done.state, done.reason) == (FetchState.INCOMPLETE, "4 of 6 images are not here; the connection ended")
    archive.breaks_after = 10**9
    assert node.fetch("A", archive.study).state is FetchState.COMPLETE
    assert len(node.receiver.recorded) == SLICES


def test_a_study_of_another_patient_than_was_asked_for_is_not_even_fetched(
    node: Fetching, archive: FaultyArchive
) -> None:
    done = node.fetch("A", archive.study, patient_id="CANARY-2", issuer="")
    assert (done.state, done.reason) == (FetchState.REFUSED, fetching.OTHER_PATIENT)
    assert node.fetch("A", archive.study, patient_id="CANARY-1", issuer="X").state is FetchState.REFUSED
    assert archive.asked == []


def test_images_of_another_patient_than_the_archive_lists_are_a_conflict(
    node: Fetching, archive: FaultyArchive
) -> None:
    archive.lists_as = "CANARY-2"
    done = node.fetch("A", archive.study)
    assert (done.state, done.reason) == (FetchState.REFUSED, fetching.OTHER_IMAGES)
    with node.database.read() as session:
        assert session.scalar(select(StudyRow.conflict)) == fetching.OTHER_IMAGES


def test_what_the_archive_listed_is_the_count_that_completion_goes_by(node: Fetching, archive: FaultyArchive) -> None:
    archive.lost = {archive.uids[-1]}
    node.fetch("A", archive.study)
    with node.database.read() as session:
        assert session.execute(select(SeriesRow.received, SeriesRow.queried_count)).one() == (SLICES - 1, SLICES)


def test_after_a_restart_in_the_middle_it_is_due_at_once(node: Fetching, archive: FaultyArchive) -> None:
    node.want("A", archive.study)
    with node.database.begin() as session:
        session.execute(update(FetchRow).values(state=FetchState.RUNNING))
    with node.database.begin() as session:
        fetching.fetches.give_back(session)
    assert node.fetch("A", archive.study).state is FetchState.COMPLETE


def test_images_that_were_deleted_for_their_age_come_back_when_they_are_fetched(
    node: Fetching, archive: FaultyArchive
) -> None:
    node.fetch("A", archive.study)
    with node.database.begin() as session:
        session.execute(update(SeriesRow).values(state="CLOSED"))
        session.execute(update(InstanceRow).values(indexed=True))
    node.later(days=20)
    assert retention.expire(node.database, node.receiver.store, node.now, node.now, 100) == SLICES
    assert node.receiver.kept() == []
    assert node.fetch("A", archive.study).state is FetchState.COMPLETE
    retention.expire(node.database, node.receiver.store, node.now, node.now, 100)
    assert len(node.receiver.kept()) == SLICES
    with node.database.read() as session:
        assert set(session.scalars(select(InstanceRow.state))) == {"RECEIVED"}
        assert session.scalar(select(SeriesRow.state)) == "OPEN"


@pytest.mark.peer
@pytest.mark.parametrize("how", ["c-move", "c-get"])
def test_dcmtk_s_archive_gives_a_study(study: Series, tmp_path: Path, how: str) -> None:
    with Receiver(tmp_path / "node") as receiver:
        port = free_port()
        settings = tmp_path / "qr.cfg"
        (tmp_path / "qr").mkdir()
        settings.write_text(
            f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            f"HostTable BEGIN\nnode = (RADNODE, 127.0.0.1, {receiver.port})\nHostTable END\n"
            "VendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\nQR {tmp_path / 'qr'} RW (200, 1024mb) ANY\nAETable END\n")
        archive = Program([dcmtk.program("dcmqrscp"), "-c", settings], tmp_path / "qr.log", dcmtk.ENVIRONMENT)
        try:
            eventually(lambda: dcmtk.echoscu(port, called="QR").returncode == 0, within=20, why=archive.tail)
            dcmtk.storescu(port, list(study.files), called="QR")
            node = Fetching(receiver, tmp_path / "node", (
                f"peers: {{QR: {{ae_title: QR, host: 127.0.0.1, port: {port}, sends: true}}}}\n"
                f"archives: {{QR: {{retrieve: {how}}}}}\n"))
            done = node.fetch("QR", study.study_instance_uid)
            assert (done.state, done.reason) == (FetchState.COMPLETE, ""), archive.tail()
            assert len(receiver.kept()) == SLICES
            assert {each.source for each in receiver.recorded} == {"QR"}
            node.database.close()
        finally:
            archive.stop()
