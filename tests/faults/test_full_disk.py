"""A disk that is full or broken refuses for now, keeps what it had, and needs no restart once there is space."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING

import pytest
from support.figures import write_down
from support.receiver import Peer, Receiver, data_set
from support.small_disk import on_small_disk

from radnode.storage.files import FileStore, SystemOps

if TYPE_CHECKING:
    from pathlib import Path

OUT_OF_RESOURCES = 0xA700
MIB = 1024 * 1024


def _object(number: int, pixels: int) -> tuple[bytes, str]:
    instance = f"1.2.{1000 + number}"
    return data_set(instance=instance.encode(), pixels=pixels), instance


@pytest.mark.goal("full_disk")
@pytest.mark.catalogue("X1", "X2", "U9")
def test_objects_that_do_not_fit_are_answered_so_and_leave_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"

    def fill() -> None:
        filler = disk / "filler"
        with (
            Receiver(tmp_path / "receiver", store=FileStore(disk / "data", 0)) as receiver,
            Peer(receiver.port) as peer,
        ):
            filler.write_bytes(bytes(2 * MIB))
            peer.associate()
            statuses = [peer.store(*_object(number, MIB)) for number in range(12)]
            stored = statuses.count(0x0000)
            assert 3 <= stored <= 6
            assert set(statuses[stored:]) == {OUT_OF_RESOURCES}
            assert receiver.spooled() == receiver.quarantined() == []
            assert len(receiver.kept()) == len(receiver.recorded) == stored
            filler.unlink()
            freed = time.monotonic()
            assert peer.store(*_object(11, MIB)) == 0x0000
            refused = statuses[stored:]
            write_down("full_disk", refused=len(refused), otherwise=len(refused) - refused.count(OUT_OF_RESOURCES),
                       partial=len(receiver.kept()) - stored - 1,
                       accepting_after_s=round(time.monotonic() - freed, 3))

    on_small_disk(disk, 8 * MIB, fill)


@pytest.mark.catalogue("A5")
def test_below_the_reserve_nothing_is_stored_but_an_echo_is_answered(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "data", 2**62)
    with Receiver(tmp_path, store=store) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        assert peer.store(*_object(1, 100)) == OUT_OF_RESOURCES
        assert peer.echo() == 0x0000
        assert receiver.kept() == receiver.recorded == receiver.spooled() == []


class _FailingFlush(SystemOps):
    """Once armed, the flush of the n-th file or folder fails, as a dying disk's does."""

    def __init__(self, failure: int) -> None:
        self.left = 0
        self._failure = failure

    def fsync(self, path: Path) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(self._failure, "injected", str(path))
        super().fsync(path)


@pytest.mark.catalogue("X4", "X5")
@pytest.mark.parametrize("failure", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("flush", [1, 2, 3], ids=["the file", "a new folder", "the folder of the name"])
def test_a_flush_that_fails_is_never_success(tmp_path: Path, failure: int, flush: int) -> None:
    disk = _FailingFlush(failure)
    store = FileStore(tmp_path / "data", 0, disk)
    disk.left = flush
    with Receiver(tmp_path, store=store) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        assert peer.store(*_object(1, 100)) == OUT_OF_RESOURCES
        assert receiver.recorded == receiver.spooled() == []


@pytest.mark.catalogue("X4")
def test_after_a_broken_flush_nothing_is_taken_until_the_disk_passes_its_test(tmp_path: Path) -> None:
    disk = _FailingFlush(errno.EIO)
    store = FileStore(tmp_path / "data", 0, disk)
    disk.left = 1
    with Receiver(tmp_path, store=store) as receiver, Peer(receiver.port) as peer:
        peer.associate()
        statuses = [peer.store(*_object(number, 100)) for number in range(3)]
        assert statuses == [OUT_OF_RESOURCES] * 3
        store.self_test()
        assert peer.store(*_object(3, 100)) == 0x0000
