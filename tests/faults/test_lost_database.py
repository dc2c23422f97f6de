"""The database is gone, damaged or an older copy: it is made whole from the images, and nobody gets a second answer."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support import dcmtk
from support.chest import write_chest
from support.node import archive, modality
from support.waiting import eventually

from radnode.config.loading import load
from radnode.node.reindexing import reindex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

    from radnode.node.reindexing import Report

pytestmark = [pytest.mark.peer, pytest.mark.slow]

SLICES = 12


def _answered(pacs: StandInPacs) -> dict[str, str]:
    """SOP Instance UID -> digest of what was last tried under it."""
    return {attempt.sop_instance_uid: attempt.digest for attempt in pacs.attempts}


def _reindex(node: NodeProcess) -> Report:
    return reindex(load(node.config))


def _reindex_by_command(node: NodeProcess) -> dict[str, Any]:
    done = node.command("reindex", "--config", node.config, "--json", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def _refuses_to_start(node: NodeProcess) -> str:
    return node.command("serve", "--config", node.config, check=False, within=60).stderr


def _delivered(pacs: StandInPacs, attempts: int) -> bool:
    return len(pacs.attempts) >= attempts


@pytest.mark.catalogue("K19", "U10")
@pytest.mark.alone("about the file of SQLite")
def test_a_lost_or_older_or_damaged_database_is_rebuilt_and_results_keep_their_uids_and_bytes(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    database, backup = node.data / "radnode.db", tmp_path / "backup.db"
    early = write_chest(tmp_path / "early", name="early", slices=SLICES)
    dcmtk.dcmsend(node.port, tmp_path / "early", called=node.ae_title)
    node.wait_for_job(early.series_instance_uid, "PRODUCED")
    node.stop()
    shutil.copyfile(database, backup)
    node.start()
    write_chest(tmp_path / "late", name="late", slices=SLICES)
    dcmtk.dcmsend(node.port, tmp_path / "late", called=node.ae_title)
    node.wait_for_states(PROCESSED=2 * SLICES)
    eventually(lambda: _delivered(pacs, 4), within=60, why=node.log)
    first = _answered(pacs)
    node.stop()

    shutil.copyfile(backup, database)
    assert "older copy. Run `radnode reindex`" in _refuses_to_start(node)
    report = _reindex(node)
    assert (report.added, report.missing, report.complete) == (SLICES, (), True)
    node.start()
    node.wait_for_states(PROCESSED=2 * SLICES)
    eventually(lambda: _delivered(pacs, 6), within=60, why=node.log)
    node.stop()

    database.unlink()
    assert _reindex(node).added == 2 * SLICES
    database.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 64)
    assert _reindex(node).set_aside
    assert _reindex(node).added == 0
    node.start()
    node.wait_for_states(PROCESSED=2 * SLICES)
    eventually(lambda: _delivered(pacs, 10), within=60, why=node.log)
    assert _answered(pacs) == first
    assert pacs.conflicts == []
    assert node.ledger()["acknowledged"] == 2 * SLICES


@pytest.mark.alone("about the file of SQLite")
def test_reindex_reports_what_is_missing_and_what_is_no_image_and_adopts_what_is_in_no_record(
    start_node: Callable[..., NodeProcess], tmp_path: Path
) -> None:
    node = start_node(peers=[modality()], routes=[])
    series = write_chest(tmp_path / "ct", slices=5)
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_states(NOT_ROUTED=5)
    assert "used by another process" in node.command("reindex", "--config", node.config, check=False).stderr
    node.stop()

    (node.data / "radnode.db").unlink()
    (lines,) = (node.data / "acknowledged").iterdir()
    first, second, *others = lines.read_text().splitlines(keepends=True)
    lines.write_text("".join([second[: len(second) // 2], "\n", *others]))
    gone = json.loads(others[0])["digest"]
    next((node.data / "instances").rglob(f"{gone}.dcm")).unlink()
    stray = node.data / "instances" / "00" / f"{0:064d}.dcm"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"no image")

    report = _reindex_by_command(node)
    assert (report["missing"], report["studies_to_send_again"]) == ([gone], [series.study_instance_uid])
    assert report["unreadable"] == [stray.name]
    assert (report["added"], report["adopted"], report["agreeing"]) == (3, 2, 4)
    assert report["damaged_lines"] == [f"{lines.name}:1"]
    assert stray.exists()
    assert json.loads(first)["digest"] in lines.read_text(), "what was adopted is in a record from now on"
    node.start()
    node.wait_for_states(INCOMPLETE=4, QUARANTINED=1)
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_states(NOT_ROUTED=5)
    assert len(node.timeline(series.study_instance_uid)["series"]) == 1
