"""The configuration file, changed by somebody else than its editor: checked, replaced in one step, every version kept.

The file stays the truth: who opens it in an editor or puts it under version control finds what the page shows, with
his comments in place.
"""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import hashlib
import os
import re
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from radnode.config.document import NotReadable, read_document
from radnode.config.editing import edited
from radnode.config.loading import ConfigError, not_readable, parse, understood
from radnode.config.references import check_files
from radnode.node.checking import check_configuration
from radnode.storage import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from ruamel.yaml.comments import CommentedMap

    from radnode.config.document import Where
    from radnode.config.loading import Configuration
    from radnode.storage.database import Database
    from radnode.storage.versions import Version

log = structlog.get_logger(__name__)

BY_FILE = "file"
"""The author of what an editor wrote."""
_PASSWORD = re.compile(r"(?<=://)([^\s:/@'\"]*):[^\s@'\"]*@")


class Stale(Exception):
    """Somebody else changed the configuration since the author looked at it; look again, and change that."""


class NotWritable(Exception):
    """The file cannot be changed from here; the sentence says why and what would let it."""


class NoSuchVersion(Exception):
    """There is no version of this number."""


class ConfigurationDesk:
    """Reads and changes one configuration file.

    path: None where the node was started without a file. take_over: called after a change, so that it is in force when
    `change` returns.
    """

    def __init__(
        self, *, path: Path | None, database: Database, now: Callable[[], datetime],
        take_over: Callable[[], object] = lambda: None,
    ) -> None:
        self._path = path.resolve() if path else None
        self._name = str(path)
        self._database = database
        self._now = now
        self._take_over = take_over
        self._lock = threading.Lock()
        self._read: tuple[str, dict[str, Any], dict[Where, int]] | None = None

    def text(self) -> str:
        """What the file says now. Raises :class:`NotWritable` where there is none."""
        try:
            return self._file().read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise NotWritable(f"{self._name} cannot be read: {error}") from error

    @property
    def digest(self) -> str:
        """Of the present text: what an author has seen, to be given with his change."""
        return digest_of(self.text())

    def why_read_only(self) -> str:
        """The sentence with which a change would be refused; empty if the file can be changed."""
        try:
            path = self._file()
        except NotWritable as error:
            return str(error)
        for needed, what in ((path, "the file"), (path.parent, "its folder")):
            if not os.access(needed, os.W_OK):
                return (
                    f"{path} cannot be changed from here: {what} is read-only for the account of the node; "
                    "give this account the right to write both, or change the file where it is kept"
                )
        return ""

    def change(
        self, edit: Callable[[CommentedMap], None], *, author: str, note: str, seen: str
    ) -> Version:
        """Change the document in place; comments and layout stay. seen: `digest` of what the author looked at.

        Raises :class:`Stale`, :class:`NotWritable`, :class:`~radnode.config.loading.ConfigError`, and what `edit`
        raises; the file is then as it was.
        """
        with self._alone():
            made = self._put(self.drafted(self._unchanged_since(seen), edit), author, note)
        self._take_over()
        return made

    def replace(self, text: str, *, author: str, note: str, seen: str) -> Version:
        """As `change`, with a whole text."""
        with self._alone():
            self._unchanged_since(seen)
            made = self._put(text, author, note)
        self._take_over()
        return made

    def rollback(self, version_id: int, *, author: str, note: str, seen: str) -> Version:
        """Make an earlier text the present one, as a new version. Raises as `change`, and :class:`NoSuchVersion`."""
        _, text = self.version(version_id)
        return self.replace(text, author=author, note=f"back to version {version_id}: {note}".rstrip(": "), seen=seen)

    def drafted(self, text: str, edit: Callable[[CommentedMap], None]) -> str:
        """The text after a change that nobody puts in force. Raises :class:`~radnode.config.loading.ConfigError`."""
        try:
            return edited(text, edit)
        except NotReadable as error:
            raise not_readable(error, self._name) from error

    def check(self, text: str) -> Configuration:
        """Read a text as `radnode check` reads the file. Raises :class:`~radnode.config.loading.ConfigError`.

        Files that it names and that are missing are no ground to refuse it if the present text names them, too.
        """
        return self._checked(parse(text, self._name, self._path))

    def check_data(self, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Configuration:
        """As `check`, of what `edit` makes of the present file as plain data; for who asks at every letter he types.

        No text is written and read again, which takes most of the time of a change.
        """
        document, lines = self._document()
        return self._checked(understood(edit(document), lines, self._name, self._path))

    def _document(self) -> tuple[dict[str, Any], dict[Where, int]]:
        """What the file says, read anew only when it changed. Raises :class:`~radnode.config.loading.ConfigError`."""
        text = self.text()
        known = self._read
        if known is None or known[0] != text:
            try:
                known = self._read = (text, *read_document(text))
            except NotReadable as error:
                raise not_readable(error, self._name) from error
        return known[1], known[2]

    def _checked(self, configuration: Configuration) -> Configuration:
        problems = [*check_configuration(configuration)]
        if missing := check_files(configuration):
            before = self._missing_before()
            problems += [each for each in missing if each.message not in before]
        if problems:
            raise ConfigError(problems)
        return configuration

    def versions(self, limit: int = 100, before: int | None = None) -> list[Version]:
        """The newest first; `before`: those with a smaller number."""
        with self._database.read() as session:
            return versions.newest(session, limit, before)

    def version(self, version_id: int) -> tuple[Version, str]:
        """A version and its text. Raises :class:`NoSuchVersion`."""
        with self._database.read() as session:
            found = versions.version(session, version_id)
        if found is None:
            raise NoSuchVersion(f"there is no version {version_id}")
        return found

    def diff(self, old: int, new: int | None = None) -> list[str]:
        """Unified lines from one version to another, or to the present file. Raises :class:`NoSuchVersion`."""
        before, after = self.version(old)[1], self.text() if new is None else self.version(new)[1]
        return differences(before, after, f"version {old}", "present" if new is None else f"version {new}")

    def note_file(self) -> None:
        """Keep the present text as a version of its editor's, unless the newest version says the same."""
        if self._path is None:
            return
        with self._lock:
            self._note(self.text())

    def _note(self, text: str) -> None:
        digest = digest_of(text)
        with self._database.begin() as session:
            latest = versions.newest(session, 1)
            if not latest or latest[0].digest != digest:
                versions.append(session, at=self._now(), author=BY_FILE, note="", digest=digest, text=text)

    def _unchanged_since(self, seen: str) -> str:
        if why := self.why_read_only():
            raise NotWritable(why)
        text = self.text()
        self._note(text)
        if digest_of(text) != seen:
            latest = self.versions(1)[0]
            raise Stale(
                f"the configuration was changed by {latest.author} at {latest.at:%Y-%m-%d %H:%M:%S} UTC, after you "
                "looked at it; look at it again and repeat your change"
            )
        return text

    def _put(self, text: str, author: str, note: str) -> Version:
        self.check(text)
        digest = digest_of(text)
        latest = self.versions(1)[0]
        if latest.digest == digest:
            return latest
        with self._database.begin() as session:
            made = versions.append(session, at=self._now(), author=author, note=note, digest=digest, text=text)
            _replace(self._file(), text)
        log.info("configuration.changed", version=made.version_id, digest=digest)
        return made

    def _missing_before(self) -> set[str]:
        try:
            return {each.message for each in check_files(understood(*self._document(), self._name, self._path))}
        except (ConfigError, NotWritable):
            return set()

    def _file(self) -> Path:
        if self._path is None:
            raise NotWritable("this node was started without a configuration file; start it with --config FILE")
        return self._path

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One author at a time, in this process and beside it."""
        try:
            folder = os.open(self._file().parent, os.O_RDONLY)
        except OSError as error:
            raise NotWritable(f"{self._file().parent} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            with self._lock:
                yield
        finally:
            os.close(folder)


def digest_of(text: str) -> str:
    """SHA-256 of a configuration's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def differences(before: str, after: str, one: str = "before", other: str = "after") -> list[str]:
    """Unified diff without line ends; passwords in addresses are not shown."""
    old, new = concealed(before).splitlines(), concealed(after).splitlines()
    return list(difflib.unified_diff(old, new, one, other, lineterm=""))


def concealed(text: str) -> str:
    """A text for showing: a database's address may hold a password."""
    return _PASSWORD.sub(r"\1:***@", text)


def _replace(path: Path, text: str) -> None:
    """In one step and durable, with the same owner and mode. Raises :class:`NotWritable`."""
    fresh = None
    try:
        was = path.stat()
        handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            made = os.fstat(file.fileno())
            if (made.st_uid, made.st_gid) != (was.st_uid, was.st_gid):
                os.fchown(file.fileno(), was.st_uid, was.st_gid)
            os.fchmod(file.fileno(), was.st_mode & 0o7777)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(fresh).replace(path)
        fresh = None
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise NotWritable(
            f"{path} could not be replaced: {error.strerror}; the account of the node must own it and may have to "
            "write its folder (in a container mount the folder, not the single file)"
        ) from error
    finally:
        if fresh is not None:
            Path(fresh).unlink(missing_ok=True)
