"""A back-up of a running node, the loss of its database, and the way back: nothing acknowledged is lost."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from support import dcmtk
from support.chest import write_chest
from support.node import archive, modality

from radnode.config.loading import ConfigError, load, parse
from radnode.node.alarms import Alarms
from radnode.node.backing_up import manifest as manifests
from radnode.node.backing_up.keeping import BackupKeeper, due_since, kept
from radnode.node.backing_up.making import BackupFailed, make
from radnode.node.backing_up.restoring import RestoreRefused, restore
from radnode.storage.database import Database
from radnode.storage.errors import StorageInUse
from radnode.storage.files import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

SLICES = 12
NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.mark.peer
def test_a_lost_database_comes_back_from_a_backup_and_the_record_of_what_was_acknowledged_since(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    early = write_chest(tmp_path / "early", name="early", slices=SLICES)
    dcmtk.dcmsend(node.port, tmp_path / "early", called=node.ae_title)
    node.wait_for_job(early.series_instance_uid, "PRODUCED")
    node.wait_for_states(PROCESSED=SLICES)
    node.command("users", "add", "ann", "--role", "operator", "--config", node.config)
    node.command("backup", tmp_path / "backups", "--config", node.config)
    (made,) = kept(tmp_path / "backups")
    assert "database.db" in made.manifest.files

    write_chest(tmp_path / "late", name="late", slices=SLICES)
    dcmtk.dcmsend(node.port, tmp_path / "late", called=node.ae_title)
    node.wait_for_states(PROCESSED=2 * SLICES)
    refused = node.command("restore", made.folder, "--config", node.config, check=False)
    assert refused.returncode == 2
    assert "is used by another process" in refused.stderr

    node.stop()
    (node.data / "radnode.db").unlink()
    for more in ("-wal", "-shm"):
        (node.data / f"radnode.db{more}").unlink(missing_ok=True)
    configuration = node.config.read_bytes()
    node.config.unlink()
    said = node.command("restore", made.folder, "--config", node.config).stdout
    assert "radnode reindex" in said
    assert node.config.read_bytes() == configuration
    report = json.loads(node.command("reindex", "--config", node.config, "--json").stdout)
    assert (report["added"], report["missing"], report["complete"]) == (SLICES, [], True)
    node.start()
    node.wait_for_states(PROCESSED=2 * SLICES)
    assert node.ledger()["receptions"] == 2 * SLICES
    assert "ann" in {each["name"] for each in node.get("/api/users")}


def small(folder: Path, text: str = "") -> Path:
    """A configuration file beside a data folder that has a database."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "radnode.yaml"
    config.write_text(f"node: {{data: data, disk_reserve: 10 MB}}\n{text}")
    data = folder / "data"
    (data / "acknowledged").mkdir(parents=True)
    (data / "node-id").write_text("0123456789abcdef")
    (data / "acknowledged" / "2026-03.jsonl").write_text("")
    database = Database(f"sqlite:///{data / 'radnode.db'}")
    database.upgrade()
    database.close()
    return config


def test_a_backup_is_for_its_owner_alone_and_holds_no_image_unless_asked(tmp_path: Path) -> None:
    config = small(tmp_path / "node")
    (tmp_path / "node" / "data" / "instances" / "ab").mkdir(parents=True)
    (tmp_path / "node" / "data" / "instances" / "ab" / "cd.dcm").write_bytes(b"image")
    plain = make(load(config), tmp_path / "to", NOW)
    whole = make(load(config), tmp_path / "to", NOW + timedelta(seconds=1), images=True)
    assert not [name for name in plain.manifest.files if name.startswith("instances")]
    assert "instances/ab/cd.dcm" in whole.manifest.files
    assert list(manifests.differences(whole.folder, manifests.read(whole.folder))) == []
    for path in (plain.folder, *plain.folder.rglob("*")):
        if path.name != manifests.NAME:
            assert not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO), path


def test_the_copy_is_of_one_instant_while_others_write(tmp_path: Path) -> None:
    config = small(tmp_path / "node")
    database = tmp_path / "node" / "data" / "radnode.db"
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("INSERT INTO audit_marks VALUES ('before', '1')")
        writer.commit()
        writer.execute("INSERT INTO audit_marks VALUES ('during', '1')")  # an open transaction is no part of it
        made = make(load(config), tmp_path / "to", NOW)
        writer.rollback()
    with closing(sqlite3.connect(made.folder / "database.db")) as copy:
        assert copy.execute("SELECT name FROM audit_marks").fetchall() == [("before",)]


def test_a_backup_that_fails_leaves_nothing_and_one_that_was_cut_off_is_no_backup(tmp_path: Path) -> None:
    config = small(tmp_path / "node")
    (tmp_path / "node" / "data" / "radnode.db").write_bytes(b"no database" * 1000)
    with pytest.raises(BackupFailed, match="database"):
        make(load(config), tmp_path / "to", NOW)
    assert list((tmp_path / "to").iterdir()) == []
    cut = tmp_path / "to" / ".radnode-20260101T000000Z.part"
    cut.mkdir()
    assert kept(tmp_path / "to") == []
    (tmp_path / "node" / "data" / "radnode.db").unlink()
    small(tmp_path / "other")
    make(load(tmp_path / "other" / "radnode.yaml"), tmp_path / "to", NOW)
    assert not cut.exists()


def test_a_damaged_backup_or_one_of_another_node_is_not_restored(tmp_path: Path) -> None:
    config = small(tmp_path / "node")
    made = make(load(config), tmp_path / "to", NOW)
    before = (tmp_path / "node" / "data" / "radnode.db").read_bytes()
    (tmp_path / "node" / "data" / "node-id").write_text("fedcba9876543210")
    with pytest.raises(RestoreRefused, match="another node"):
        restore(made.folder, config, NOW)
    with (made.folder / "database.db").open("r+b") as file:
        file.seek(5000)
        file.write(b"x")
    with pytest.raises(RestoreRefused, match=r"database\.db is not what was written"):
        restore(made.folder, config, NOW)
    (made.folder / manifests.NAME).write_text('{"format": 1}')
    with pytest.raises(manifests.NotABackup):
        restore(made.folder, config, NOW)
    assert (tmp_path / "node" / "data" / "radnode.db").read_bytes() == before


def test_a_manifest_that_leads_out_of_its_folder_is_none(tmp_path: Path) -> None:
    made = make(load(small(tmp_path / "node")), tmp_path / "to", NOW)
    path = made.folder / manifests.NAME
    path.write_text(path.read_text().replace('"node-id"', '"../node-id"'))
    with pytest.raises(manifests.NotABackup):
        manifests.read(made.folder)


def test_what_is_there_is_moved_aside_and_no_session_comes_back(tmp_path: Path) -> None:
    config = small(tmp_path / "node")
    database = tmp_path / "node" / "data" / "radnode.db"
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("INSERT INTO logins VALUES ('k', NULL, 'ann', '[]', 'c', '2026-03-14', '2026-03-14')")
        writer.commit()
    made = make(load(config), tmp_path / "to", NOW)
    done = restore(made.folder, config, NOW)
    assert any("before-restore" in each for each in done.sentences)
    assert list(database.parent.glob("radnode.db.before-restore-*"))
    with closing(sqlite3.connect(database)) as restored:
        assert restored.execute("SELECT count(*) FROM logins").fetchone() == (0,)


def test_lines_that_were_written_since_stay(tmp_path: Path) -> None:
    config = small(tmp_path / "node")
    lines = tmp_path / "node" / "data" / "acknowledged" / "2026-03.jsonl"
    lines.write_text("one\n")
    made = make(load(config), tmp_path / "to", NOW)
    lines.write_text("one\ntwo\n")
    restore(made.folder, config, NOW)
    assert lines.read_text() == "one\ntwo\n"
    lines.unlink()
    restore(made.folder, config, NOW + timedelta(seconds=1))
    assert lines.read_text() == "one\n"


def test_by_schedule_one_a_day_is_made_so_many_are_kept_and_an_alarm_says_what_fails(tmp_path: Path) -> None:
    config = small(tmp_path / "node", "alarms: {time_zone: UTC}\nbackup: {folder: ../to, at: '02:30', keep: 2}")
    clock = [NOW]
    alarms = Alarms(lambda: clock[0])
    keeper = BackupKeeper(configuration=lambda: load(config), alarms=alarms, now=lambda: clock[0])
    for _ in range(3):
        keeper.step()
        keeper.step()
        clock[0] += timedelta(days=1)
    found = kept(tmp_path / "to")
    assert [each.manifest.made_at for each in found] == [NOW + timedelta(days=2), NOW + timedelta(days=1)]
    assert alarms.raised() == []
    database = tmp_path / "node" / "data" / "radnode.db"
    database.rename(tmp_path / "gone")
    keeper.step()
    assert [alarm.name for alarm in alarms.raised()] == ["backup"]
    (tmp_path / "gone").rename(database)
    keeper.step()
    assert alarms.raised(), "it is tried again after half an hour, not at once"
    clock[0] += timedelta(minutes=31)
    keeper.step()
    assert alarms.raised() == []


def test_a_day_begins_at_the_hour_of_the_configuration() -> None:
    assert due_since(NOW, "02:30", UTC) == datetime(2026, 3, 14, 2, 30, tzinfo=UTC)
    assert due_since(NOW, "13:00", UTC) == datetime(2026, 3, 13, 13, tzinfo=UTC)


@pytest.mark.parametrize(("text", "said"), [
    ("{folder: data/backups}", "it lies in the data folder"), ("{at: '25:00'}", 'written like "02:30"'),
    ("{at: '2'}", 'written like "02:30"'), ("{keep: 0}", "greater than or equal to 1"),
])
def test_a_schedule_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(f"node: {{data: data}}\nbackup: {text}", str(tmp_path / "x.yaml"))


def test_a_node_that_runs_is_not_restored_under(tmp_path: Path) -> None:
    config = small(tmp_path / "node")
    made = make(load(config), tmp_path / "to", NOW)
    store = FileStore(tmp_path / "node" / "data", 0)
    store.lock()
    with pytest.raises(StorageInUse):
        restore(made.folder, config, NOW)
    store.unlock()
