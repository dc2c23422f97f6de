"""What was refused lies aside with its reason, within bounds."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from radnode.storage import quarantine
from radnode.storage.quarantine import Quarantine, Refusal

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _refusal(digest: str) -> Refusal:
    return Refusal(at=NOW, source="CT1", association="a1", status="0xA900", reason="(0008,0018) differs", digest=digest)


def _spooled(folder: Path, name: str, content: bytes = b"bad", age: int | None = None) -> Path:
    path = folder / f"{name}.part"
    path.write_bytes(content)
    if age is not None:
        os.utime(path, (age, age))
    return path


def _quarantine(folder: Path) -> Quarantine:
    (folder / "quarantine").mkdir()
    return Quarantine(folder / "quarantine")


def test_a_refused_object_is_told_with_its_reason_also_by_another_process(tmp_path: Path) -> None:
    _quarantine(tmp_path).take(_spooled(tmp_path, "x"), _refusal("x"))
    assert Quarantine(tmp_path / "quarantine").refusals() == [_refusal("x")]
    assert (tmp_path / "quarantine/x.dcm").read_bytes() == b"bad"


def test_bytes_without_a_note_are_told_all_the_same(tmp_path: Path) -> None:
    aside = _quarantine(tmp_path)
    for name, note in (("none", None), ("half", '{"at": "20'), ("other", '{"at": "2026-03-01T12:00:00+00:00"}')):
        (aside.folder / f"{name}.dcm").write_bytes(b"bad")
        if note is not None:
            (aside.folder / f"{name}.json").write_text(note)
    assert {(each.digest, each.reason) for each in aside.refusals()} == {
        (name, "not noted") for name in ("none", "half", "other")
    }


def test_the_oldest_give_way_with_their_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MOST_FILES", 3)
    aside = _quarantine(tmp_path)
    for number in range(5):
        aside.take(_spooled(tmp_path, str(number), age=number), _refusal(str(number)))
    assert [each.digest for each in aside.refusals()] == ["4", "3", "2"]
    assert len(list(aside.folder.iterdir())) == 6


def test_large_objects_leave_room_for_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MOST_BYTES", 8)
    aside = _quarantine(tmp_path)
    for number in range(3):
        aside.take(_spooled(tmp_path, str(number), b"0123456789", age=number), _refusal(str(number)))
    assert [each.digest for each in aside.refusals()] == ["2"]


def test_peers_that_are_refused_at_once_all_reach_the_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MOST_FILES", 5)
    aside = _quarantine(tmp_path)
    names = [str(number) for number in range(100)]
    spooled = [_spooled(tmp_path, name) for name in names]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name, path: aside.take(path, _refusal(name)), names, spooled))
    assert len(aside.refusals()) == 5
