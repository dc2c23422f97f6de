"""How long the certificates that a configuration names are good for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.config.loading import stamp
from radnode.node.security.certificates import CertificateUnreadable, next_revocations, read

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from radnode.config.loading import Configuration
    from radnode.config.peers import ClientTls


WHAT = {"certificate": "certificate", "ca": "authority", "crl": "list of revoked certificates"}
"""Key of the configuration -> in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """One file. owner: "node" or the name of a connection. what: in words. ends_at: None, with a `failure`, if it is
    not readable; of a certificate with its chain the first to end, of several authorities the last.
    """

    owner: str
    what: str
    path: Path
    ends_at: datetime | None
    failure: str = ""


def clients(configuration: Configuration) -> dict[str, ClientTls]:
    """What this node shows and trusts where it is the one that calls: name of a peer or of a receiver of messages."""
    return {name: each.tls for name, each in configuration.destinations.items() if each.tls}


class Certificates:
    """Reads each file again only when it has changed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, Path], tuple[object, Validity]] = {}

    def look(self, configuration: Configuration) -> tuple[Validity, ...]:
        """All that the configuration names for connections."""
        return tuple(
            self._one(owner, what, path)
            for owner, tls in (("node", configuration.settings.tls), *clients(configuration).items())
            for key, what in WHAT.items()
            if (path := getattr(tls, key, None)) is not None
        )

    def _one(self, owner: str, what: str, path: Path) -> Validity:
        latest = stamp(path)
        known = self._known.get((owner, what, path))
        if known is None or known[0] != latest:
            known = self._known[owner, what, path] = (latest, _read(owner, what, path))
        return known[1]


def _read(owner: str, what: str, path: Path) -> Validity:
    try:
        return Validity(owner=owner, what=what, path=path, ends_at=_end(what, path))
    except CertificateUnreadable as error:
        return Validity(owner=owner, what=what, path=path, ends_at=None, failure=str(error))


def _end(what: str, path: Path) -> datetime:
    if what == WHAT["crl"]:
        return next_revocations(path)
    ends = [each.ends_at for each in read(path)]
    return min(ends) if what == WHAT["certificate"] else max(ends)
