"""An alarm is silenced at the machine as it is on the page: for a time, with a reason, and audited."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from radnode.config.loading import load
from radnode.node.cli import app
from radnode.storage import alarms, audit, silences
from radnode.storage.alarms import NewAlarm
from radnode.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "radnode.yaml"
    (tmp_path / "data").mkdir()
    path.write_text(f"node: {{data: {tmp_path / 'data'}}}\n", encoding="utf-8")
    return path


@pytest.fixture
def database(config: Path) -> Iterator[Database]:
    made = Database(load(config).settings.effective_database_url)
    made.upgrade()
    now = datetime.now(UTC)
    with made.begin() as session:
        alarms.enter(session, NewAlarm(name="disk", severity="critical", text="1 GB free", since=now), now)
    yield made
    made.close()


def run(config: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["alarms", *words, "--config", str(config)])
    return done.exit_code, " ".join(done.output.split())


def told(database: Database) -> list[str]:
    with database.read() as session:
        return [each.message for each in audit.newest(session, limit=10)]


def test_a_silence_is_ordered_listed_and_ended(config: Path, database: Database) -> None:
    assert run(config, "silence", "disk", "--reason", "a new disk is on its way", "--hours", "24")[0] == 0
    with database.read() as session:
        (found,) = silences.silenced(session, datetime.now(UTC)).values()
    assert 23.9 < (found.until - datetime.now(UTC)).total_seconds() / 3600 <= 24
    code, listed = run(config)
    assert code == 1
    assert "disk: 1 GB free" in listed
    assert f"by {found.who}: a new disk is on its way" in listed
    assert run(config, "tell-again", "disk")[0] == 0
    with database.read() as session:
        assert not silences.silenced(session, datetime.now(UTC))
    last, first = told(database)
    assert "alarm disk silenced for 24 h: a new disk is on its way" in first
    assert "silence of alarm disk ended" in last


@pytest.mark.parametrize(("words", "why"), [
    (("nothing", "--reason", "x"), "there is no such alarm any more"),
    (("disk", "--reason", " "), "say why in 1 to 300 characters"),
    (("disk", "--reason", "x", "--hours", "169"), "an alarm is silenced for 7 days at most"),
])
def test_what_cannot_be_silenced_is_refused_in_a_sentence_and_not_audited(
    config: Path, database: Database, words: tuple[str, ...], why: str
) -> None:
    code, said = run(config, "silence", *words)
    assert code == 1
    assert why in said
    assert told(database) == []
