"""The model store: one folder, in it a folder for each model and `models.json`, which pins each by its digest.

A model is code: a bundle's configuration and scripts run in the worker. So nothing in the store is used before it was
added by name (`radnode models add`), and nothing whose files have changed since (CVE-2025-58757 and its like need just
that: a changed file). Reading the store runs no code of a model.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PINS = "models.json"
_ADDING = ".adding-"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
FIRST_SERIES_NUMBER, SERIES_NUMBERS_EACH = 20_000, 20
MOST_BYTES = 20 * 1024**3
_CURES = {
    errno.ENOSPC: "nothing was added; make room on the disk of the model store",
    errno.EDQUOT: "nothing was added; make room on the disk of the model store",
    errno.EACCES: "nothing was added; run the command as the node's user, and let that user read the file",
}
_LEFT_OUT = {"__pycache__", ".git"}


class StoreError(ValueError):
    """A model cannot be added or used; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One model that may run. folder: inside the store. sha256: :func:`digest` of it. series_number: its results take
    this number and the next ones. compiled: its network is, where that can be (:mod:`.compiling`).
    """

    name: str
    folder: str
    sha256: str
    series_number: int
    compiled: bool = False


def pins(store: Path) -> Mapping[str, Pin]:
    """What is pinned, by name; empty without a store. Raises StoreError for a pin file that cannot be read."""
    path = store / PINS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = [Pin(**entry) for entry in content]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path} cannot be read ({type(error).__name__}); restore it or add them anew") from error
    for pin in found:
        if not NAME.fullmatch(pin.name) or Path(pin.folder).name != pin.folder or pin.folder in ("", ".", ".."):
            raise StoreError(f"{path} names no folder inside the store for {pin.name!a}")
        if not isinstance(pin.compiled, bool):
            raise StoreError(f"{path} says `compiled` of {pin.name} as {pin.compiled!r}, expected true or false")
    return {pin.name: pin for pin in found}


def unpinned(store: Path) -> list[str]:
    """Folders in the store that were never added."""
    if not store.is_dir():
        return []
    known = {pin.folder for pin in pins(store).values()}
    return sorted(entry.name for entry in store.iterdir() if entry.is_dir() and entry.name not in known
                  and not entry.name.startswith("."))


def digest(folder: Path) -> str:
    """SHA-256 over the names and the contents of all files of a model, in order of their names."""
    whole = hashlib.sha256()
    for path in _files(folder):
        with path.open("rb") as content:
            each = hashlib.file_digest(content, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{each}\n".encode())
    return whole.hexdigest()


def checked(store: Path, pin: Pin) -> Path:
    """The folder of a pinned model. Raises StoreError when its files are not those that were pinned."""
    folder = store / pin.folder
    if not folder.is_dir():
        raise StoreError(f"model {pin.name}: its folder {pin.folder} is gone; add it again")
    if (found := digest(folder)) != pin.sha256:
        raise StoreError(
            f"model {pin.name}: its files are not those that were added (then {pin.sha256[:12]}, now {found[:12]}); "
            f"restore them, or `radnode models remove {pin.name}` and add it anew"
        )
    return folder


def name_of(source: Path) -> str:
    """A name for a model out of that of its folder or file."""
    stem = source.name.removesuffix(".zip").lower()
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"_v\d+(\.\d+)*$", "", stem)).strip("-")


def add(
    store: Path,
    source: Path,
    *,
    name: str,
    sha256: str | None = None,
    compiled: bool = False,
    examine: Callable[[Path], object] = lambda _: None,
) -> Pin:
    """Take a folder or a zip file into the store and pin it. A folder that already lies in the store stays there.

    sha256: of a zip file's bytes, or :func:`digest` of a folder; compared before anything is kept. compiled: as
    :class:`Pin` has it. examine: is given the model's folder before it is kept, may write into it, and raises
    StoreError for one that cannot be used. Raises StoreError.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        with _alone(store):
            return _add(store, source, name, sha256, examine, compiled=compiled)
    except shutil.Error as error:  # of several files; each entry is (source, target, why)
        raise StoreError(f"{error.args[0][0][0]} cannot be read ({error.args[0][0][2]}); nothing was added") from error
    except OSError as error:
        said = error.strerror or type(error).__name__
        cure = _CURES.get(error.errno or 0, "nothing was added; try again")
        raise StoreError(f"{error.filename or store}: {said}; {cure}") from error


def _add(
    store: Path, source: Path, name: str, sha256: str | None, examine: Callable[[Path], object], *, compiled: bool
) -> Pin:
    if not NAME.fullmatch(name):
        raise StoreError(f"{name!a} is no name for a model; use lower-case words joined by hyphens, like spleen-ct")
    known = dict(pins(store))
    if name in known:
        raise StoreError(f"a model {name} is there already; `radnode models remove {name}` first")
    for rest in store.glob(f"{_ADDING}*"):  # of one that was killed: nobody else is at work here
        shutil.rmtree(rest)
    with tempfile.TemporaryDirectory(dir=store, prefix=_ADDING) as temporary:
        folder = _brought(source, Path(temporary) / name, sha256)
        examine(folder)
        found = digest(folder)
        inside = source.is_dir() and source.resolve().parent == store.resolve()
        if inside and digest(source) != found:
            raise StoreError(f"{source} lies in the store already and is pinned as it is; change its files there, or "
                             "add it from elsewhere")
        target = source.resolve() if inside else store / name
        if not inside and not _is_rest_of(target, found, known):
            if target.exists():
                raise StoreError(f"{target} is in the way: pin it with `radnode models add {target}`, or remove it")
            for path in (*_files(folder), folder):
                _sync(path)
            folder.rename(target)
            _sync(store)
    taken = {pin.series_number for pin in known.values()}
    number = next(n for n in range(FIRST_SERIES_NUMBER, 2**31, SERIES_NUMBERS_EACH) if n not in taken)
    pin = Pin(name=name, folder=target.name, sha256=found, series_number=number, compiled=compiled)
    _write(store, {**known, name: pin})
    return pin


def remove(store: Path, name: str) -> None:
    """Unpin a model and delete its folder. Raises StoreError for an unknown name."""
    if not store.is_dir():
        raise StoreError(f"no model {name}; there are none")
    with _alone(store):
        known = dict(pins(store))
        if name not in known:
            raise StoreError(f"no model {name}; there are {', '.join(sorted(known)) or 'none'}")
        pin = known.pop(name)
        _write(store, known)
        shutil.rmtree(store / pin.folder, ignore_errors=True)


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Within, no other process changes the store; a process that dies lets go. Raises StoreError if one is at work."""
    folder = os.open(store, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise StoreError(f"another command adds or removes a model in {store}; nothing was changed; try again when it "
                         "has ended") from error
    finally:
        os.close(folder)


def _is_rest_of(target: Path, sha256: str, known: Mapping[str, Pin]) -> bool:
    """Whether this very model lies there already, from an `add` that ended before it was pinned."""
    return target.is_dir() and target.name not in {pin.folder for pin in known.values()} and digest(target) == sha256


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _brought(source: Path, target: Path, sha256: str | None) -> Path:
    """A copy of the model's folder, in `target`."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=lambda _, names: [name for name in names if name in _LEFT_OUT])
        if sha256 is not None and digest(target) != sha256.lower():
            raise StoreError(f"{source} has the digest {digest(target)}, not {sha256}")
        return target
    if not zipfile.is_zipfile(source):
        raise StoreError(f"{source} is neither a folder nor a zip file")
    with source.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if sha256 is not None and found != sha256.lower():
        raise StoreError(f"{source} has the SHA-256 {found}, not {sha256}")
    _extract(source, target)
    return _only_folder(target)


def _extract(source: Path, target: Path) -> None:
    """Unpack; what would lie outside, is a link or is far too large is refused (zip slip, zip bomb)."""
    with zipfile.ZipFile(source) as archive:
        if sum(info.file_size for info in archive.infolist()) > MOST_BYTES:
            raise StoreError(f"{source} unpacks to more than {MOST_BYTES >> 30} GiB")
        for info in archive.infolist():
            inside = (target / info.filename).resolve()
            if not inside.is_relative_to(target.resolve()) or (info.external_attr >> 16) & 0o170000 == 0o120000:
                raise StoreError(f"{source} holds {info.filename!a}, which would lie outside the model's folder")
        try:
            archive.extractall(target)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise StoreError(f"{source} is damaged or locked by a password ({error}); get it anew") from error


def _only_folder(folder: Path) -> Path:
    """Zip files often hold one folder that holds everything, or a folder in a folder."""
    entries = [entry for entry in folder.iterdir() if entry.name not in ("__MACOSX", ".DS_Store")]
    alone = len(entries) == 1 and entries[0].is_dir()
    return _only_folder(entries[0]) if alone else folder


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_symlink():
            raise StoreError(f"{path} is a link; a model is whole in its folder")
        if path.is_file() and not _LEFT_OUT & set(relative.parts):
            yield path


def _write(store: Path, known: Mapping[str, Pin]) -> None:
    partial = store / f".{PINS}.part"
    with partial.open("w", encoding="utf-8") as file:
        json.dump([asdict(pin) for pin in known.values()], file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(store / PINS)
    _sync(store)
