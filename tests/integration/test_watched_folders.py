"""What is dropped into a watched folder is taken through the node's own intake, or lies in `failed` with its reason."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from support import chest
from support.receiver import Receiver

from radnode.config.loading import parse
from radnode.node.alarms import Alarms
from radnode.node.retrieving.folders import FolderWatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Watched:
    """A watched folder on a real store and database; time is what the test says."""

    def __init__(self, receiver: Receiver, folder: Path, *, largest: str = "1 GB") -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.receiver = receiver
        self.now_s = 0.0
        self.alarms = Alarms(lambda: datetime.now(UTC))
        configuration = parse(
            f"folders: [{{name: IMPORT, path: {folder}, stable: 5 s, largest: {largest}}}]", "a test")
        self.watch = FolderWatch(storage=receiver.storage, configuration=lambda: configuration, alarms=self.alarms,
                                 monotonic_s=lambda: self.now_s)

    def settle(self) -> None:
        """Look, wait until everything is stable, and look again."""
        self.watch.step()
        self.now_s += 6
        self.watch.step()

    def inside(self, name: str) -> list[str]:
        return sorted(path.name for path in (self.folder / name).iterdir())

    def reason(self, name: str) -> str:
        return (self.folder / "failed" / f"{name}.reason.txt").read_text()

    @property
    def stored(self) -> int:
        return len(self.receiver.kept())


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with Receiver(tmp_path / "node") as receiver:
        yield Watched(receiver, tmp_path / "import")


def images(tmp_path: Path, count: int) -> list[Path]:
    return list(chest.write_chest(tmp_path / "images", slices=count, size=16).files)


def test_files_directories_and_zip_archives_are_taken_once_and_moved_to_done(watched: Watched, tmp_path: Path) -> None:
    files = images(tmp_path, 6)
    files[0].rename(watched.folder / "one.dcm")
    (deep := watched.folder / "disc" / "DICOM" / "PA0").mkdir(parents=True)
    for path in files[1:4]:
        path.rename(deep / path.name)
    (watched.folder / "disc" / "DICOMDIR").write_bytes(bytes(128) + b"DICM a table of contents")
    (watched.folder / "disc" / "viewer.exe").write_bytes(b"MZ")
    with zipfile.ZipFile(watched.folder / "two.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files[4:]:
            archive.write(path, path.name)
        archive.write(deep / files[1].name, "again.dcm")
    watched.settle()
    assert watched.inside("done") == ["disc", "one.dcm", "two.zip"]
    assert watched.inside("failed") == []
    assert watched.stored == 6
    assert {each.source for each in watched.receiver.recorded} == {"IMPORT"}
    assert len(watched.receiver.recorded) == 7


def test_what_is_still_being_written_is_left_until_it_is_stable(watched: Watched, tmp_path: Path) -> None:
    content = images(tmp_path, 1)[0].read_bytes()
    target = watched.folder / "slow.dcm"
    for part in range(4):
        target.write_bytes(content[: len(content) * part // 4])
        watched.settle()
        watched.now_s += 3
        target.touch()
        os.utime(target, ns=(part, part))
    assert watched.stored == 0
    (watched.folder / "half.dcm.part").write_bytes(content)
    target.write_bytes(content)
    watched.settle()
    watched.settle()
    assert watched.inside("done") == ["slow.dcm"]
    assert (watched.folder / "half.dcm.part").exists()


def zipped(target: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_names_in_a_zip_archive_lead_nowhere(watched: Watched, tmp_path: Path) -> None:
    content = images(tmp_path, 1)[0].read_bytes()
    before = sorted(path for path in tmp_path.iterdir() if path.name != "node")
    zipped(watched.folder / "tricks.zip", {"../../../evil.dcm": content, "/etc/evil.dcm": content})
    watched.settle()
    assert watched.inside("done") == ["tricks.zip"]
    assert watched.stored == 1
    assert sorted(path for path in tmp_path.iterdir() if path.name != "node") == before


def test_what_cannot_be_taken_lies_in_failed_with_the_reason_and_is_an_alarm(tmp_path: Path) -> None:
    first, second = (path.read_bytes() for path in images(tmp_path, 2))
    with Receiver(tmp_path / "node") as receiver:
        watched = Watched(receiver, tmp_path / "import", largest="100 kB")
        folder = watched.folder
        zipped(folder / "bomb.zip", {"a.dcm": first, "zeros": bytes(10**7)})
        inner = io.BytesIO()
        zipped(inner, {"b.dcm": second})  # type: ignore[arg-type]
        zipped(folder / "nested.zip", {"inner.zip": inner.getvalue()})
        zipped(folder / "damaged.zip", {"b.dcm": second})
        damaged = bytearray((folder / "damaged.zip").read_bytes())
        damaged[200:260] = bytes(60)
        (folder / "damaged.zip").write_bytes(damaged)
        (folder / "cut.zip").write_bytes((folder / "nested.zip").read_bytes()[:-30])
        end = bytearray((folder / "nested.zip").read_bytes())
        struct.pack_into("<L", end, len(end) - 10, 2**31)
        (folder / "directory.zip").write_bytes(end)
        (folder / "text.txt").write_text("no image")
        (folder / "cut.dcm").write_bytes(second[: len(second) // 2])
        (folder / "link.dcm").symlink_to("/etc/passwd")
        os.mkfifo(folder / "pipe.dcm")
        (folder / "empty").mkdir()
        watched.settle()
        assert watched.inside("done") == []
        assert watched.stored == 1
        said = {
            "bomb.zip": "unpacks to more than `largest`", "nested.zip": "a zip archive in a zip archive",
            "damaged.zip": "b.dcm: it is damaged", "cut.zip": "no zip archive, or not whole",
            "directory.zip": "table of contents", "text.txt": "there is no DICOM file in it",
            "cut.dcm": "1 refused", "link.dcm": "a link", "pipe.dcm": "neither file nor directory",
            "empty": "there is no DICOM file in it",
        }
        assert {name: part in watched.reason(name) for name, part in said.items()} == dict.fromkeys(said, True)
        assert sorted(said) == [name for name in watched.inside("failed") if not name.endswith(".reason.txt")]
        assert receiver.spooled() == []
        assert [alarm.name for alarm in watched.alarms.raised()] == ["folder:IMPORT"]


def test_with_a_full_disk_it_stays_where_it_is(watched: Watched, tmp_path: Path) -> None:
    images(tmp_path, 1)[0].rename(watched.folder / "one.dcm")
    free = watched.receiver.store.reserve_bytes
    watched.receiver.store.reserve_bytes = 2**60
    watched.settle()
    assert (watched.folder / "one.dcm").exists()
    watched.receiver.store.reserve_bytes = free
    watched.now_s += 70
    watched.watch.step()
    assert watched.inside("done") == ["one.dcm"]
