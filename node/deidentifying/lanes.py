"""The way out of the hospital and the way back, one lane a destination with `deidentify`.

What leaves is made anew at each attempt; it is the same bytes each time. Pseudonyms are kept before it leaves: what is
outside can always be brought back.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from radnode.node.deidentifying.confined import Confined
from radnode.node.deidentifying.holding import Held
from radnode.node.deidentifying.pseudonyms import NotOurs, Pseudonyms, SecretTooShort
from radnode.node.security.tokens import SecretUnreadable, read_secret
from radnode.storage import pseudonyms as kept
from radnode.storage import transfers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from radnode.config.deidentification import Deidentification
    from radnode.config.peers import Peer
    from radnode.storage.database import Database

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A file as a destination gets it. digest: SHA-256 of it. made: for this attempt; the other is the one kept."""

    path: Path
    digest: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    made: bool

    def done(self) -> None:
        """It is not needed any more."""
        if self.made:
            self.path.unlink(missing_ok=True)


class OursAgain(Exception):
    """What was sent there came back as it was sent: the archive has the original."""


class SecretUnusable(Exception):
    """Nothing leaves and nothing comes back without the secret; the message says what is wrong with it."""


class Lanes:
    """`outgoing` for whatever goes to a destination with `deidentify`, `returning` for what comes from there."""

    def __init__(self, database: Database, data: Path, now: Callable[[], datetime]) -> None:
        """data: the node's folder; what is on its way lies below `work` in it."""
        self.database = database
        self.now = now
        self._folder = data / "work" / "deidentified"
        self._confined = Confined()

    def close(self) -> None:
        """End the process that does the work."""
        self._confined.close()

    def outgoing(self, path: Path, digest: str, peer: Peer) -> Outgoing:
        """A kept file without who it is of. Raises :class:`Held` and :class:`SecretUnusable`, OSError for the file."""
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise Held("the kept object is damaged on disk")
        settings = _settings(peer)
        pseudonyms = pseudonyms_of(peer)
        said = self._confined.ask({
            "do": "out", "path": str(path), "target": str(target := self._target()), "domain": peer.name,
            "secret": _secret(settings), **_profile_order(settings),
        })
        self._remember(pseudonyms, said["record"])
        return _made(target, said)

    def returning(self, path: Path, peer: Peer) -> Outgoing:
        """A file with who it is of again. Raises :class:`Held`, :class:`OursAgain`, :class:`SecretUnusable`."""
        pseudonyms = pseudonyms_of(peer)
        names = self._confined.ask({"do": "look", "path": str(path)})
        way = self._way_back(pseudonyms, names)
        said = self._confined.ask({"do": "back", "path": str(path), "target": str(target := self._target()),
                                   "way": way})
        return _made(target, said)

    def _remember(self, pseudonyms: Pseudonyms, record: Mapping[str, Any]) -> None:
        study = record["study_pseudonym"]
        originals: dict[tuple[str, str], Any] = {("uid", new): old for new, old in record["uids"].items()}
        originals[("patient", record["patient_pseudonym"])] = record["patient"]
        originals[("study", study)] = {"patient": record["patient_pseudonym"], "study": record["study"]}
        originals |= {("day", f"{study} {new}"): old for new, old in record["dates"].items()}
        with self.database.read() as session:
            fresh = kept.missing(session, pseudonyms.domain, originals)
        if fresh:
            entries = [(kind, name, pseudonyms.seal(kind, name, originals[kind, name])) for kind, name in fresh]
            with self.database.begin() as session:
                kept.keep(session, pseudonyms.domain, entries, self.now())

    def _way_back(self, pseudonyms: Pseudonyms, names: Mapping[str, Any]) -> dict[str, Any]:
        patient, study = names["patient"], names["study"]
        wanted = [("patient", patient), ("study", study), *(("uid", each) for each in names["uids"]),
                  *(("day", f"{study} {each}") for each in names["days"])]
        with self.database.read() as session:
            sealed = kept.sealed(session, pseudonyms.domain, wanted)
            siblings = transfers.known_instances(session, pseudonyms.domain, names["references"])
        if ("uid", names["instance"]) in sealed:
            raise OursAgain("it was sent from here; the archive has the original")
        found = ("patient", patient) in sealed and ("study", study) in sealed
        with self.database.begin() as session:
            kept.note_access(session, who="radnode", why="a result came back", domain=pseudonyms.domain,
                             pseudonym=f"{patient} {study}", found=found, now=self.now())
        if not found:
            what = "patient" if ("patient", patient) not in sealed else "study"
            raise Held(f"its {what} is none that was ever sent to {pseudonyms.domain}: whose it is, is not guessed")
        try:
            known = {key: pseudonyms.unseal(*key, content) for key, content in sealed.items()}
        except NotOurs as error:
            raise SecretUnusable(f"what was sent to {pseudonyms.domain} cannot be looked up: {error}") from error
        if known["study", study]["patient"] != patient:
            raise Held("its study was sent under another patient than it names")
        if strange := [each for each in names["references"] if ("uid", each) not in known and each not in siblings]:
            raise Held(f"it refers to {len(strange)} instances that were neither sent to {pseudonyms.domain} nor came "
                       "from there")
        return {
            "patient": known["patient", patient], "study": known["study", study]["study"],
            "uids": {name: old for (kind, name), old in known.items() if kind == "uid"},
            "days": {name.split(" ")[1]: old for (kind, name), old in known.items() if kind == "day"},
        }

    def _target(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{secrets.token_hex(16)}.dcm"


def trial(confined: Confined, path: Path, target: Path, peer: Peer) -> None:
    """Write what a destination would get. Raises :class:`Held`, :class:`SecretUnusable`."""
    pseudonyms_of(peer)
    settings = _settings(peer)
    confined.ask({"do": "out", "path": str(path), "target": str(target), "domain": peer.name,
                  "secret": _secret(settings), **_profile_order(settings)})


def look_up(database: Database, peer: Peer, pseudonym: str, *, who: str, why: str) -> dict[str, str]:
    """What a pseudonym stands for, empty if it is none; recorded before it is told. Raises :class:`SecretUnusable`."""
    pseudonyms = pseudonyms_of(peer)
    with database.begin() as session:
        sealed = kept.sealed(session, peer.name, [(kind, pseudonym) for kind in ("patient", "study", "uid")])
        kept.note_access(session, who=who, why=why, domain=peer.name, pseudonym=pseudonym, found=bool(sealed),
                         now=datetime.now(UTC))
    log.info("pseudonym.looked_up", domain=peer.name, found=bool(sealed))
    said: dict[str, str] = {}
    try:
        for (kind, name), content in sealed.items():
            known = pseudonyms.unseal(kind, name, content)
            said |= {"UID": known} if kind == "uid" else known["study"] if kind == "study" else known
    except NotOurs as error:
        raise SecretUnusable(str(error)) from error
    return said


def _profile_order(settings: Deidentification) -> dict[str, Any]:
    """The profile as an order to the process says it."""
    return {
        "retain": list(settings.retain), "clean": list(settings.clean),
        "words": [word.lower() for word in settings.words],
        "masks": [mask.model_dump(mode="json") for mask in settings.masks],
    }


def pseudonyms_of(peer: Peer) -> Pseudonyms:
    """Those of a destination. Raises :class:`SecretUnusable`."""
    try:
        return Pseudonyms(_secret(_settings(peer)), peer.name)
    except SecretTooShort as error:
        raise SecretUnusable(f"{_settings(peer).secret_file}: {error}") from error


def _settings(peer: Peer) -> Deidentification:
    if peer.deidentify is None:
        raise ValueError(f"{peer.name} has no `deidentify`")
    return peer.deidentify


def _secret(settings: Deidentification) -> str:
    try:
        return read_secret(settings.secret_file)
    except SecretUnreadable as error:
        raise SecretUnusable(str(error)) from error


def _made(target: Path, said: Mapping[str, Any]) -> Outgoing:
    return Outgoing(path=target, digest=said["digest"], sop_class_uid=said["sop_class_uid"],
                    sop_instance_uid=said["sop_instance_uid"],
                    transfer_syntax_uid=said["transfer_syntax_uid"], made=True)
