"""A volume that remembers what was flushed, and everything a power cut may leave of the rest.

What the standard of file systems promises is little (fsync(2)): the bytes of a file once the file was flushed, the
names in a folder once the folder was flushed. Until then bytes may be there, in part, as zeros or not at all, and each
name on its own as it was or as it is. The idea is ALICE's (Pillai et al., OSDI 2014).
"""

from __future__ import annotations

import itertools
import os
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from radnode.storage.files import SystemOps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class Cut(BaseException):
    """The machine stops here. No `except Exception` of the product may live on."""


@dataclass(eq=False)
class Node:
    """A file (`flushed`: its bytes at the last flush) or a folder (`durable`: its names at the last flush).

    possible: what each name may lead to after a power cut. descriptor: keeps the inode's number from being used again.
    """

    path: Path
    descriptor: int | None = None
    flushed: bytes | None = None
    durable: dict[str, Node] = field(default_factory=dict)
    possible: dict[str, list[Node | None]] = field(default_factory=dict)

    def bytes(self) -> bytes:
        """What a file has now, by whatever name."""
        assert self.descriptor is not None
        return os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0)


class Volume(SystemOps):
    """The file operations of a store below `top`, which itself is durable. `step` is called before each."""

    def __init__(self, top: Path, step: Callable[[], None]) -> None:
        self.top = top
        self.step = step
        self._folders = {top: Node(top)}
        self._files: dict[int, Node] = {}
        self._settle(top)

    def fsync(self, path: Path) -> None:
        """Nothing is lost any more of these bytes, or of these names."""
        if not path.is_relative_to(self.top):
            return
        self.step()
        if path.is_dir():
            self.note(path)
            folder = self._folders[path]
            folder.durable = dict(self._listed(path))
            folder.possible = {name: [node] for name, node in folder.durable.items()}
        else:
            self.note(path.parent)
            node = self._files[path.stat().st_ino]
            node.flushed = node.bytes()

    def link(self, source: Path, target: Path) -> None:
        """As the system does."""
        self.step()
        super().link(source, target)
        self.note(target.parent)

    def unlink(self, path: Path) -> None:
        """As the system does."""
        self.step()
        super().unlink(path)
        self.note(path.parent)

    def make_folder(self, path: Path) -> None:
        """As the system does."""
        self.step()
        super().make_folder(path)
        self.note(path.parent)

    def note(self, path: Path) -> None:
        """Look at a folder after its names have changed."""
        folder = self._folders.get(path)
        if folder is None:
            self.note(path.parent)
            folder = self._folders[path]
        listed = dict(self._listed(path))
        for name in folder.possible.keys() | listed.keys():
            options = folder.possible.setdefault(name, [None])
            if (now := listed.get(name)) not in options:
                options.append(now)

    def note_all(self) -> None:
        """Look at every folder, after a start that used no operation of ours."""
        for path, folders, _ in os.walk(self.top):
            self.note(self.top / path)
            assert all(self.top / path / each in self._folders for each in folders)

    def close(self) -> None:
        """Let the inodes go."""
        for node in self._files.values():
            assert node.descriptor is not None
            os.close(node.descriptor)
        self._files.clear()

    def states(self, chosen: random.Random, at_most: int) -> Iterator[dict[Path, bytes | None]]:
        """What a power cut may leave: path -> bytes, None for a folder. All, if they are few; else the one with the
        least, the one with the most, and others by chance.
        """
        names = [(folder, name) for folder in self._folders.values() for name in sorted(folder.possible)]
        files = list(self._files.values())
        ways = [folder.possible[name] for folder, name in names]
        contents = [_contents(node, chosen) for node in files]
        number = 1
        for each in (*ways, *contents):
            number *= len(each)
        if number <= at_most:
            combined = list(itertools.product(*ways, *contents))
        else:
            every = (*ways, *contents)
            combined = [tuple(each[0] for each in every), tuple(each[-1] for each in every)]
            combined += [tuple(chosen.choice(each) for each in every) for _ in range(at_most - 2)]
        for one in combined:
            entries: dict[int, list[tuple[str, Node]]] = {}
            for (folder, name), node in zip(names, one, strict=False):
                if node is not None:
                    entries.setdefault(id(folder), []).append((name, node))
            held = dict(zip(files, one[len(names) :], strict=True))
            yield dict(self._tree(self._folders[self.top], self.top, entries, held))

    def _tree(
        self, folder: Node, path: Path, entries: dict[int, list[tuple[str, Node]]], contents: dict[Node, bytes]
    ) -> Iterator[tuple[Path, bytes | None]]:
        for name, node in entries.get(id(folder), []):
            below = (path / name).relative_to(self.top)
            if node in contents:
                yield below, contents[node]
            else:
                yield below, None
                yield from self._tree(node, path / name, entries, contents)

    def _listed(self, path: Path) -> Iterator[tuple[str, Node]]:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir():
                    yield entry.name, self._folders.setdefault(path / entry.name, Node(path / entry.name))
                else:
                    yield entry.name, self._file(path / entry.name, entry.inode())

    def _file(self, path: Path, inode: int) -> Node:
        if inode not in self._files:
            self._files[inode] = Node(path, descriptor=os.open(path, os.O_RDONLY))
        return self._files[inode]

    def _settle(self, path: Path) -> None:
        """What is found at the beginning has survived."""
        folder = self._folders[path]
        folder.durable = dict(self._listed(path))
        folder.possible = {name: [node] for name, node in folder.durable.items()}
        for name, node in folder.durable.items():
            if node.descriptor is None:
                self._settle(path / name)
            else:
                node.flushed = node.bytes()


def _contents(node: Node, chosen: random.Random) -> list[bytes]:
    """The least first, all of it last. What was flushed and only appended to since is safe."""
    now = node.bytes()
    if node.flushed == now:
        return [now]
    safe = node.flushed if node.flushed and now.startswith(node.flushed) else b""
    new = now[len(safe) :]
    part = new[: chosen.randrange(len(new))] if new else b""
    ends = (bytes(len(new)), part, part + bytes(len(new) - len(part)), new)
    return [node.flushed or b"", *(safe + end for end in ends)]


def lay_out(state: dict[Path, bytes | None], folder: Path) -> None:
    """Make the files of a state."""
    folder.mkdir(parents=True)
    for path, content in state.items():
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


class Turns:
    """Threads that run one at a time and change at each `step`, in an order that can be had again."""

    def __init__(self, seed: int, cut_at: int) -> None:
        self.cut = False
        self._random = random.Random(seed)
        self._left = cut_at
        self._back = threading.Semaphore(0)
        self._own = threading.local()
        self._ended: set[threading.Semaphore] = set()
        self._failures: list[Exception] = []

    def step(self) -> None:
        """Here whoever runs may have to wait. Raises :class:`Cut` when it is for ever."""
        mine: threading.Semaphore | None = getattr(self._own, "turn", None)
        if mine is None:
            self._count()
        else:
            self._back.release()
            mine.acquire()
        if self.cut:
            raise Cut

    def run(self, works: Sequence[Callable[[], None]]) -> None:
        """Until all have ended. Raises :class:`Cut`, and what a work raised."""
        turns = [threading.Semaphore(0) for _ in works]
        threads = [threading.Thread(target=self._work, args=each) for each in zip(works, turns, strict=True)]
        for thread in threads:
            thread.start()
        while waiting := [turn for turn in turns if turn not in self._ended]:
            if not self.cut:
                self._count()
            self._random.choice(waiting).release()
            self._back.acquire()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        if self.cut:
            raise Cut

    def _count(self) -> None:
        self._left -= 1
        self.cut = self._left <= 0

    def _work(self, work: Callable[[], None], turn: threading.Semaphore) -> None:
        self._own.turn = turn
        turn.acquire()
        try:
            if not self.cut:
                work()
        except Cut:
            pass
        except Exception as error:  # noqa: BLE001 - carried to the test's own thread
            self._failures.append(error)
        finally:
            self._ended.add(turn)
            self._back.release()
