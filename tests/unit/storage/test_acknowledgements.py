from __future__ import annotations

import errno
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from support.rows import NOW, reception

from radnode.storage.acknowledgements import Acknowledgements, Damaged, Expiry
from radnode.storage.errors import StorageBroken
from radnode.storage.files import FileStore, SystemOps

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lines(tmp_path: Path) -> Acknowledgements:
    """Of a new data folder."""
    return FileStore(tmp_path, 0).acknowledgements


def test_what_was_written_is_read_in_its_order_whatever_a_sender_put_into_it(lines: Acknowledgements) -> None:
    entries = [
        reception(1, patient_id='\x00\n"{}\\ \xff', content="odd"),
        Expiry(sop_instance_uid="1.2.3.1", digest="a", at=NOW),
        reception(2),
    ]
    lines.append(entries[:2])
    lines.append(entries[2:])
    assert list(lines.read()) == entries
    assert lines.last() == entries[2]


def test_a_line_cut_short_by_a_crash_harms_neither_the_next_nor_the_last(lines: Acknowledgements) -> None:
    lines.append([reception(1), reception(2)])
    (file,) = lines.folder.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    after = Acknowledgements(lines.folder.parent, SystemOps().fsync)
    assert after.last() == reception(1)
    after.append([reception(3)])
    assert list(after.read()) == [reception(1), Damaged(file=file.name, line=2), reception(3)]


def test_a_flush_is_of_what_was_appended_since_the_last_and_once_of_the_name(tmp_path: Path) -> None:
    flushed: list[Path] = []
    lines = Acknowledgements(tmp_path, flushed.append)
    lines.folder.mkdir()
    lines.flush()
    lines.append([reception(1)])
    assert flushed == []
    (file,) = lines.folder.iterdir()
    lines.flush()
    assert flushed == [file, lines.folder]
    lines.flush()
    lines.append([reception(2)])
    lines.append([reception(3)])
    lines.flush()
    assert flushed[2:] == [file]


def test_what_is_appended_during_a_flush_waits_for_the_next(tmp_path: Path) -> None:
    flushed: list[Path] = []

    def fsync(path: Path) -> None:
        flushed.append(path)
        if len(flushed) == 1:
            lines.append([reception(2)])

    lines = Acknowledgements(tmp_path, fsync)
    lines.folder.mkdir()
    lines.append([reception(1)])
    lines.flush()
    (file,) = lines.folder.iterdir()
    lines.flush()
    assert flushed == [file, lines.folder, file]


def test_a_flush_that_failed_is_not_taken_for_done(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "injected", str(path))

    lines = Acknowledgements(tmp_path, full)
    lines.folder.mkdir()
    lines.append([reception(1)])
    for _ in range(2):
        with pytest.raises(OSError, match="injected"):
            lines.flush()


@pytest.mark.catalogue("X4")
def test_after_a_failed_flush_nothing_more_is_written_down_or_kept(tmp_path: Path) -> None:
    class Dying(SystemOps):
        def fsync(self, path: Path) -> None:
            raise OSError(errno.EIO, "injected", str(path))

    store = FileStore(tmp_path, 0, Dying())
    spooled = store.new_spool_path()
    spooled.write_bytes(b"DICM")
    store.note([reception(0)])
    for again in range(1, 4):
        with pytest.raises(StorageBroken, match="restart"):
            store.flush_notes()
        with pytest.raises(StorageBroken, match="restart"):
            store.note([reception(again)])
        with pytest.raises(StorageBroken):
            store.keep(spooled, "ab" * 32)
    assert spooled.exists()
    assert len(list(store.acknowledgements.read())) == 1


def test_what_another_life_left_is_flushed_with_its_name(
    lines: Acknowledgements,
) -> None:
    lines.append([reception(1)])
    flushed: list[Path] = []
    after = Acknowledgements(lines.folder.parent, flushed.append)
    after.flush()
    (file,) = lines.folder.iterdir()
    assert flushed == [file, lines.folder]


def test_what_several_receivers_wrote_is_read_in_the_order_of_its_times(tmp_path: Path) -> None:
    (tmp_path / "acknowledged").mkdir()
    minutes = [NOW + timedelta(minutes=number) for number in range(5)]
    alone, a, b = (Acknowledgements(tmp_path, SystemOps().fsync, name) for name in ("", "a", "b"))
    alone.append([reception(0, at=minutes[0])])
    a.append([reception(1, at=minutes[1]), Expiry(sop_instance_uid="1.2.3.2", digest="d", at=minutes[4])])
    b.append([reception(2, at=minutes[2]), reception(3, at=minutes[3])])
    assert [getattr(each, "received_at", minutes[4]) for each in alone.read()] == minutes
    assert alone.last() == reception(3, at=minutes[3])


def test_a_receiver_mends_its_own_lines_alone(tmp_path: Path) -> None:
    """Another may be in the middle of one."""
    (tmp_path / "acknowledged").mkdir()
    a, b = (Acknowledgements(tmp_path, SystemOps().fsync, name) for name in ("a", "b"))
    a.append([reception(1)])
    b.append([reception(2)])
    half = {path: path.read_bytes()[:-20] for path in a.folder.iterdir()}
    for path, content in half.items():
        path.write_bytes(content)
    Acknowledgements(tmp_path, SystemOps().fsync, "a").append([reception(3)])
    unchanged = [path.name for path, content in half.items() if path.read_bytes() == content]
    assert [name.split(".")[1] for name in unchanged] == ["b"]
