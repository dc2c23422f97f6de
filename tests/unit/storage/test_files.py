from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnode.storage.errors import StorageBroken, StorageError, StorageFull, StorageInUse
from radnode.storage.files import FileStore, SystemOps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _spool(store: FileStore, content: bytes) -> tuple[Path, str]:
    path = store.new_spool_path()
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def _keep(store: FileStore, content: bytes) -> Path:
    spooled, digest = _spool(store, content)
    kept = store.keep(spooled, digest)
    spooled.unlink()
    return kept


class _Recorded(SystemOps):
    """Remembers, of every flush, which names and bytes it made durable; a power cut forgets all else."""

    def __init__(self) -> None:
        self.flushed_files: set[int] = set()
        self.durable_names: set[Path] = set()

    def fsync(self, path: Path) -> None:
        super().fsync(path)
        if path.is_dir():
            self.durable_names |= set(path.iterdir())
        else:
            self.flushed_files.add(path.stat().st_ino)

    def survives(self, path: Path, root: Path) -> bool:
        """Whether the bytes and every name that leads to them were flushed."""
        names = {path, *(parent for parent in path.parents if root in parent.parents)}
        return path.stat().st_ino in self.flushed_files and names <= self.durable_names


@given(contents=st.lists(st.binary(max_size=4), min_size=1, max_size=8))
def test_whatever_is_kept_survives_a_power_cut_at_once(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    root = tmp_path_factory.mktemp("volume") / "data"
    ops = _Recorded()
    store = FileStore(root, 0, ops)
    store.self_test()
    for content in contents:
        kept = _keep(store, content)
        assert ops.survives(kept, root)
        assert kept.read_bytes() == content


def test_the_folders_of_the_store_itself_are_flushed_before_anything_is_kept(tmp_path: Path) -> None:
    ops = _Recorded()
    root = tmp_path / "new" / "data"
    FileStore(root, 0, ops).self_test()
    assert {tmp_path / "new", root, root / "instances", root / "results"} <= ops.durable_names


def test_the_name_of_a_file_is_its_digest(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 0)
    kept = _keep(store, b"DICM")
    digest = hashlib.sha256(b"DICM").hexdigest()
    assert kept == tmp_path / "instances" / digest[:2] / f"{digest}.dcm" == store.path(digest)


def test_the_same_bytes_twice_are_one_file(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 0)
    assert _keep(store, b"x") == _keep(store, b"x")
    assert len(list((tmp_path / "instances").rglob("*.dcm"))) == 1


def test_the_same_bytes_at_once_are_one_file(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 0)
    with ThreadPoolExecutor(8) as pool:
        kept = set(pool.map(lambda number: _keep(store, bytes([number % 4])), range(64)))
    assert len(kept) == 4


@pytest.mark.parametrize("call", ["fsync", "link", "make_folder"])
@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, StorageBroken), (errno.EROFS, StorageBroken),
     (errno.EACCES, StorageBroken)],
    ids=["ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES"],
)  # fmt: skip
def test_a_call_that_fails_is_an_error_and_never_a_kept_file(
    tmp_path: Path, call: str, number: int, error: type[StorageError]
) -> None:
    ops = SystemOps()
    store = FileStore(tmp_path, 0, ops)
    spooled, digest = _spool(store, b"x")
    setattr(ops, call, _failing(number))
    with pytest.raises(error):
        store.keep(spooled, digest)


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS], ids=["EIO", "EROFS"])
def test_a_volume_that_failed_takes_nothing_until_it_passes_its_test(tmp_path: Path, number: int) -> None:
    ops = SystemOps()
    store = FileStore(tmp_path, 0, ops)
    spooled, digest = _spool(store, b"x")
    ops.fsync = _failing(number)  # type: ignore[method-assign]
    with pytest.raises(StorageBroken):
        store.keep(spooled, digest)
    with pytest.raises(StorageBroken):
        store.self_test()
    with pytest.raises(StorageBroken):
        store.check_reserve()
    del ops.fsync  # type: ignore[attr-defined]
    with pytest.raises(StorageBroken):
        store.check_reserve()
    store.self_test()
    store.check_reserve()


def test_a_full_disk_is_not_broken(tmp_path: Path) -> None:
    ops = SystemOps()
    store = FileStore(tmp_path, 0, ops)
    spooled, digest = _spool(store, b"x")
    ops.fsync = _failing(errno.ENOSPC)  # type: ignore[method-assign]
    with pytest.raises(StorageFull):
        store.keep(spooled, digest)
    store.check_reserve()


def test_below_the_reserve_nothing_more_is_taken(tmp_path: Path) -> None:
    FileStore(tmp_path, 0).check_reserve()
    with pytest.raises(StorageFull, match="retention_days"):
        FileStore(tmp_path, 2**62).check_reserve()


def test_the_sweep_takes_what_was_half_received_and_nothing_else(tmp_path: Path) -> None:
    earlier = FileStore(tmp_path, 0)
    kept = _keep(earlier, b"x")
    _spool(earlier, b"half")
    assert FileStore(tmp_path, 0).sweep_spool(lambda _digest: False) == 1
    assert kept.exists()


@pytest.mark.catalogue("K4")
def test_the_sweep_takes_a_name_of_which_no_row_came(tmp_path: Path) -> None:
    earlier = FileStore(tmp_path, 0)
    recorded, not_recorded = (earlier.keep(*_spool(earlier, content)) for content in (b"x", b"y"))
    assert FileStore(tmp_path, 0).sweep_spool(lambda digest: digest == recorded.stem) == 2
    assert recorded.exists()
    assert not not_recorded.exists()
    assert list((tmp_path / "spool").iterdir()) == []


def test_removing_is_harmless_twice(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 0)
    kept = _keep(store, b"x")
    for _ in range(2):
        store.remove(kept.stem)
    assert not kept.exists()


def test_results_lie_apart_from_instances(tmp_path: Path) -> None:
    store = FileStore(tmp_path, 0)
    spooled, digest = _spool(store, b"x")
    assert store.keep(spooled, digest, "results") == store.path(digest, "results")
    assert not store.path(digest).exists()


@pytest.mark.catalogue("K17")
def test_a_second_node_on_the_folder_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
    first, second = FileStore(tmp_path, 0), FileStore(tmp_path, 0)
    first.lock()
    with pytest.raises(StorageInUse, match="another process"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


@pytest.mark.catalogue("K17")
def test_a_lock_ends_with_its_process_however_it_dies(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from radnode.storage.files import FileStore\n"
        "FileStore(Path(sys.argv[1]), 0).lock(); os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert died.returncode == -9
    store = FileStore(tmp_path, 0)
    store.lock()
    store.unlock()


def test_refusing_for_hours_on_a_failed_volume_costs_no_memory(tmp_path: Path) -> None:
    ops = SystemOps()
    store = FileStore(tmp_path, 0, ops)
    ops.fsync = _failing(errno.EIO)  # type: ignore[method-assign]
    with pytest.raises(StorageBroken):
        _keep(store, b"x")
    depths = []
    for _ in range(20):
        with pytest.raises(StorageBroken) as refused:
            store.check_reserve()
        depths.append(len(refused.traceback))
    assert len(set(depths)) == 1


def _failing(number: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_receivers_of_different_names_share_the_folder_and_of_one_name_do_not(tmp_path: Path) -> None:
    first, second, again = (FileStore(tmp_path, 0, receiver=name) for name in ("a", "b", "a"))
    first.lock()
    second.lock()
    with pytest.raises(StorageInUse, match="another receiver a"):
        again.lock()
    first.unlock()
    again.lock()
    for store in (second, again):
        store.unlock()


def test_a_node_that_is_alone_and_one_of_several_receivers_exclude_each_other(tmp_path: Path) -> None:
    alone, receiver = FileStore(tmp_path, 0), FileStore(tmp_path, 0, receiver="a")
    alone.lock()
    with pytest.raises(StorageInUse):
        receiver.lock()
    alone.unlock()
    receiver.lock()
    with pytest.raises(StorageInUse):
        alone.lock()
    receiver.unlock()


def test_a_receiver_sweeps_its_own_and_what_the_dead_left_and_nothing_of_the_living(tmp_path: Path) -> None:
    stores = {name: FileStore(tmp_path, 0, receiver=name) for name in ("a", "b", "dead")}
    parts = {name: _spool(store, name.encode())[0] for name, store in stores.items()}
    for name in ("a", "b"):
        stores[name].lock()
    assert stores["a"].sweep_spool(lambda _digest: False) == 2
    assert {name for name, part in parts.items() if part.exists()} == {"b"}
    for name in ("a", "b"):
        stores[name].unlock()


def test_beside_others_the_sweep_leaves_what_another_may_rely_on(tmp_path: Path) -> None:
    """The same image, given to two: one died before its row, the other has found the bytes there and has no row yet."""
    dead, living = FileStore(tmp_path, 0, receiver="a"), FileStore(tmp_path, 0, receiver="b")
    living.lock()
    dead.keep(*_spool(dead, b"x"))
    kept = living.keep(*_spool(living, b"x"))
    assert FileStore(tmp_path, 0, receiver="a").sweep_spool(lambda _digest: False) == 1
    assert kept.read_bytes() == b"x"
    living.unlock()


def test_a_folder_that_receivers_shared_is_swept_whole_by_a_node_that_has_it_alone(tmp_path: Path) -> None:
    earlier = FileStore(tmp_path, 0, receiver="a")
    not_recorded = earlier.keep(*_spool(earlier, b"x"))
    assert FileStore(tmp_path, 0).sweep_spool(lambda _digest: False) == 1
    assert not not_recorded.exists()
