"""Trying on a folder what would leave, and looking up whose a pseudonym is."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from sqlalchemy import select
from support.chest import write_chest
from support.phantoms import change
from typer.testing import CliRunner

from radnode.config.loading import load
from radnode.node.cli import app
from radnode.node.deidentifying.confined import Confined
from radnode.node.deidentifying.holding import Held
from radnode.node.deidentifying.lanes import Lanes
from radnode.storage.database import Database
from radnode.storage.transfer_tables import PseudonymRow, ReidentificationRow

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node with a destination outside; no node runs."""
    (tmp_path / "secret").write_text("0123456789abcdef" * 4)
    peer = {"ae_title": "OUT", "host": "127.0.0.1", "port": 104, "receives": True,
            "deidentify": {"secret_file": "secret", "clean": ["descriptors"]}}
    (tmp_path / "data").mkdir()
    path = tmp_path / "radnode.yaml"
    path.write_text(json.dumps({"node": {"data": "data"}, "peers": {"OUT": peer}}))
    return path


def command(*arguments: object) -> Result:
    """`radnode ARGUMENTS`."""
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_a_folder_is_written_without_its_patient_and_what_is_held_is_said(config: Path, tmp_path: Path) -> None:
    series = write_chest(tmp_path / "ct", slices=2)
    change(series.files[1], BurnedInAnnotation="YES")
    done = command("deidentify", tmp_path / "ct", "--out", tmp_path / "out", "--profile", "OUT", "--config", config)
    assert done.exit_code == 1
    assert "1 written, 1 held" in done.output
    assert "its pixels hold annotations" in done.output
    (written,) = (tmp_path / "out").iterdir()
    assert b"Canaria" not in written.read_bytes()
    assert pydicom.dcmread(written).PatientIdentityRemoved == "YES"
    assert not list((tmp_path / "data").iterdir())


def test_each_look_up_is_recorded_and_the_table_alone_tells_nobody(config: Path, tmp_path: Path) -> None:
    series = write_chest(tmp_path / "ct", slices=1)
    configuration = load(config)
    peer = configuration.peers["OUT"]
    database = Database(configuration.settings.effective_database_url)
    database.upgrade()
    lanes = Lanes(database, configuration.settings.data, lambda: datetime.now(UTC))
    digest = digest_of(series.files[0])
    made = lanes.outgoing(series.files[0], digest, peer)
    pseudonym = str(pydicom.dcmread(made.path).PatientID)
    with pytest.raises(Held, match="damaged on disk"):
        lanes.outgoing(series.files[0], digest[::-1], peer)
    lanes.close()
    with database.read() as session:
        assert not [row for row in session.scalars(select(PseudonymRow)) if b"CANARY" in row.sealed]

    found = command("reidentify", pseudonym, "--profile", "OUT", "--why", "finding", "--config", config)
    assert "PatientID: CANARY-0001" in found.output
    unknown = command("reidentify", "NOBODY", "--profile", "OUT", "--why", "finding", "--config", config)
    assert (unknown.exit_code, "CANARY" in unknown.output) == (1, False)
    (tmp_path / "secret").write_text("fedcba9876543210" * 4)
    other = command("reidentify", pseudonym, "--profile", "OUT", "--why", "finding", "--config", config)
    assert other.exit_code == 1
    assert "another secret" in other.output
    with database.read() as session:
        rows = session.scalars(select(ReidentificationRow).order_by(ReidentificationRow.id)).all()
    assert [(row.pseudonym, row.found, row.why) for row in rows] == [
        (pseudonym, True, "finding"), ("NOBODY", False, "finding"), (pseudonym, True, "finding")]
    assert all(row.who for row in rows)
    database.close()


def digest_of(path: Path) -> str:
    """SHA-256."""

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_process_that_dies_is_asked_once_more_and_then_the_object_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def dies(self: Confined, order: Any) -> dict[str, Any]:
        asked.append(order)
        self._running().kill()
        return original(self, order)

    original = Confined._ask
    monkeypatch.setattr(Confined, "_ask", dies)
    confined = Confined()
    with pytest.raises(Held, match="died"):
        confined.ask({"do": "look", "path": "nowhere"})
    assert len(asked) == 2
    monkeypatch.setattr(Confined, "_ask", original)
    with pytest.raises(Held, match="cannot be cleaned: FileNotFoundError"):
        confined.ask({"do": "look", "path": "nowhere"})
    confined.close()
