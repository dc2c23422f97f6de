"""A kill or a power cut at any operation of any order of receptions: what was answered is whole, nothing is half.

RADNODE_TEST_HISTORIES sets how many histories are tried.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from support.figures import write_down
from support.power_cut import Cut, Turns, Volume, lay_out
from support.receiver import data_set

from radnode.node.intake.associations import Associations
from radnode.node.intake.commands import Command
from radnode.node.intake.negotiation import Context
from radnode.node.intake.spooling import Spooled
from radnode.node.intake.storing import Origin, Storage
from radnode.node.observability import Metrics
from radnode.storage.acknowledgements import Acknowledgements
from radnode.storage.files import FileStore
from radnode.storage.receptions import Reception, Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.alone("a model, with databases of its own")

HISTORIES = int(os.environ.get("RADNODE_TEST_HISTORIES", "100"))
STATES = 8
"""Legal states looked at after each power cut."""
METRICS = Metrics()
IN_MEMORY = Path("/dev/shm")


class Life(NamedTuple):
    """A start of the node, receptions at the same time, and how it ends: at which operation, if it comes so far."""

    images: list[int]
    cut_at: int
    power: bool


LIVES = st.builds(Life, st.lists(st.integers(0, 3), max_size=3), cut_at=st.integers(1, 70), power=st.booleans())


class History:
    """Lives on one volume. rows: digests whose transaction was committed, which is durable; answered: of these.

    lines: of these, what must be written down; flushed: what a power cut does not take of it either.
    """

    def __init__(self, folder: Path, seed: int, volume: type[Volume] = Volume) -> None:
        self.folder = folder
        self._kind = volume
        self.rows: set[str] = set()
        self.answered: set[str] = set()
        self.lines: set[str] = set()
        self.flushed: set[str] = set()
        self._unlisted: set[str] = set()  # a power cut may take the spool name and leave the other
        self._random = random.Random(seed)
        self._tops = 0
        self._volume = self._mount({})

    def live(self, life: Life) -> None:
        """One life, and the start after it in every state it may leave."""
        turns = Turns(self._random.getrandbits(32), life.cut_at)
        self._volume.step = turns.step
        root = self._volume.top / "new" / "data"
        try:
            with _the_dead_do_nothing(turns):
                store = _started(root, self._volume, self.rows)
                storage = self._storage(store, turns)
                receiving = [partial(self._receive, storage, number, turns) for number in life.images]
                turns.run([*receiving, partial(self._flush_lines, store, turns)])
        except Cut:
            self._volume.note_all()
        self._volume.step = lambda: None
        if life.power:
            self._cut_power()
        else:
            kept = _started_on(root, self._volume, self.rows)
            assert self.rows <= kept, "an image is lost"
            self._look_at_lines(root, self.lines)
            assert kept <= self.rows | self._unlisted, "a name without a row is left"

    def _cut_power(self) -> None:
        states = list(self._volume.states(self._random, STATES))
        kept = []
        for state in states:
            volume = self._mount(state)
            kept.append(_started_on(volume.top / "new" / "data", volume, self.rows))
            assert self.rows <= kept[-1], "an image is lost"
            self._look_at_lines(volume.top / "new" / "data", self.flushed)
            volume.close()
            shutil.rmtree(volume.top)
        self.lines = set(self.flushed)
        which = self._random.randrange(len(states))
        self._unlisted = kept[which] - self.rows
        self._volume.close()
        self._volume = self._mount(states[which])

    def _look_at_lines(self, root: Path, expected: set[str]) -> None:
        """From these a lost database is rebuilt; a node whose database does not know the last does not start."""
        lines = Acknowledgements(root, flush=lambda _: None)
        written = {each.digest for each in lines.read() if isinstance(each, Reception)}
        assert expected <= written, "an acknowledged image is not written down"
        assert written <= self.rows, "what has no row is written down"

    def _mount(self, state: dict[Path, bytes | None]) -> Volume:
        self._tops += 1
        top = self.folder / str(self._tops)
        lay_out(state, top)
        return self._kind(top, lambda: None)

    def _storage(self, store: FileStore, turns: Turns) -> Storage:
        def now() -> datetime:
            turns.step()
            return datetime.now(UTC)

        return Storage(
            store=store, record=self._record, associations=Associations(lambda: None), largest_object=10_000, now=now,
            metrics=METRICS, on_recorded=turns.step,
        )  # fmt: skip

    def _record(self, receptions: Sequence[Reception]) -> list[Recorded]:
        self.rows |= {each.digest for each in receptions}
        return [Recorded(instance_id=1, series_id=1) for _ in receptions]

    def _receive(self, storage: Storage, number: int, turns: Turns) -> None:
        uid = f"1.2.{number}".encode()
        command = Command(
            field=1, message_id=1, has_data_set=True, sop_class_uid=CTImageStorage.encode(), sop_instance_uid=uid
        )
        context = Context(context_id=1, abstract_syntax=CTImageStorage, transfer_syntax=ExplicitVRLittleEndian)
        data = memoryview(data_set(instance=uid + b"\0", pixels=10 * number))
        incoming = storage.begin(command, context, Origin(association="a", source="CT1"))
        spooled = incoming._spooled
        assert spooled is not None
        self._volume.note(spooled.path.parent)
        try:
            for piece in (data[:100], data[100:]):
                turns.step()
                incoming.write(piece)
            assert incoming.finish().code == 0
        finally:
            incoming.discard()
        self.answered.add(spooled.digest)
        self.lines.add(spooled.digest)

    def _flush_lines(self, store: FileStore, turns: Turns) -> None:
        """As the node does every second."""
        for _ in range(2):
            turns.step()
            before = set(self.lines)
            store.flush_notes()
            self.flushed |= before

    def close(self) -> None:
        self._volume.close()


def _started(root: Path, volume: Volume, rows: set[str]) -> FileStore:
    store = FileStore(root, 0, volume)
    volume.note_all()
    store.self_test()
    store.sweep_spool(rows.__contains__)
    volume.note_all()
    return store


def _started_on(root: Path, volume: Volume, rows: set[str]) -> set[str]:
    """Start, and the digests of what is there then; nothing in the spool, nothing half."""
    _started(root, volume, rows)
    assert list((root / "spool").iterdir()) == []
    kept = {path.stem: path.read_bytes() for path in (root / "instances").rglob("*.dcm")}
    assert {sha256(content).hexdigest() for content in kept.values()} == kept.keys(), "something half has a name"
    return set(kept)


@contextmanager
def _the_dead_do_nothing(turns: Turns) -> Iterator[None]:
    """Whoever is cut off does not clear up; only the descriptor is closed, as the kernel does."""
    discard = Spooled.discard

    def unless_dead(spooled: Spooled) -> None:
        if turns.cut:
            spooled._file.close()
        else:
            turns.step()
            discard(spooled)

    waiting = SimpleNamespace(
        Event=partial(_InTurn, turns), Lock=threading.Lock, Condition=partial(_AnyMoment, turns)
    )
    with (
        patch.object(Spooled, "discard", unless_dead),
        patch("radnode.node.intake.storing.log"),
        patch("radnode.node.intake.committer.threading", waiting),
    ):
        yield


class _InTurn:
    """An event whose waiters leave the turn to the others: whoever records for them takes steps of its own."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._is_set = False

    def set(self) -> None:
        """End all waits."""
        self._is_set = True

    def wait(self) -> None:
        """Until it is set. Raises :class:`Cut`."""
        while not self._is_set:
            self._turns.step()


class _AnyMoment:
    """A condition whose wait ends at any moment, met or not."""

    def __init__(self, turns: Turns, lock: threading.Lock) -> None:
        self._turns = turns
        self._lock = lock

    def notify(self) -> None:
        """The waiting see for themselves."""

    def wait_for(self, met: Callable[[], bool], _timeout: float) -> None:
        """Raises :class:`Cut`."""
        if not met():
            self._lock.release()
            try:
                self._turns.step()
            finally:
                self._lock.acquire()


class ForgetfulOfBytes(Volume):
    """A disk whose flush of a file does nothing."""

    def fsync(self, path: Path) -> None:
        """Folders only."""
        if path.is_dir():
            super().fsync(path)


class ForgetfulOfNames(Volume):
    """A disk whose flush of a folder does nothing."""

    def fsync(self, path: Path) -> None:
        """Files only."""
        if not path.is_dir():
            super().fsync(path)


@pytest.mark.parametrize(
    ("volume", "found"), [(ForgetfulOfBytes, "something half has a name"), (ForgetfulOfNames, "an image is lost")]
)
def test_the_model_finds_what_was_not_flushed(tmp_path: Path, volume: type[Volume], found: str) -> None:
    history = History(tmp_path, 0, volume)
    with pytest.raises(AssertionError, match=found):
        history.live(Life([0, 1], cut_at=1000, power=True))
    history.close()


@pytest.mark.catalogue("K1", "K2", "K3", "K4", "K5")
def test_whatever_a_kill_or_a_power_cut_leaves_what_was_answered_is_whole_and_nothing_is_half(
    tmp_path: Path,
) -> None:
    @settings(max_examples=HISTORIES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(lives=st.lists(LIVES, min_size=1, max_size=3), seed=st.integers(0, 2**32))
    def every(lives: list[Life], seed: int) -> None:
        folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else tmp_path))
        history = History(folder, seed)
        try:
            for life in lives:
                history.live(life)
            assert history.answered <= history.rows
        finally:
            history.close()
            shutil.rmtree(folder)

    began = time.monotonic()
    every()
    write_down("power_cut", histories=HISTORIES, seconds=round(time.monotonic() - began, 1))
