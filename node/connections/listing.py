"""Which connections a configuration describes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from radnode.config.loading import Configuration

Kind = Literal["peer", "archive", "folder", "pull", "sender", "hl7", "fhir", "orders"]
ABOUT: dict[Kind, frozenset[str]] = {
    "peer": frozenset({"source", "destination", "destination and form", "node or peer", "archive"}),
    "archive": frozenset({"archive", "source"}), "folder": frozenset({"folder", "source"}),
    "pull": frozenset({"pull"}), "sender": frozenset({"sender"}),
    "hl7": frozenset({"destination", "destination and form"}),
    "fhir": frozenset({"destination", "destination and form"}), "orders": frozenset(),
}
"""What an alarm is about (:mod:`radnode.node.alarming.kinds`) that is a connection's of this kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One other side. sends, receives: images, results, messages. address: as people write it, empty for who calls.

    asked: images or orders are asked for there. section: the keys under which the configuration has it.
    """

    kind: Kind
    name: str
    address: str
    sends: bool = False
    receives: bool = False
    asked: bool = False
    section: tuple[str | int, ...]

    @property
    def source(self) -> bool:
        """Whether images come under its name."""
        return self.kind == "folder" or (self.kind in ("peer", "archive") and (self.sends or self.asked))

    @property
    def destination(self) -> bool:
        """Whether results go there."""
        return self.receives


def connections(configuration: Configuration) -> list[Connection]:
    """All of them: peers first, each kind in the order of the file."""
    return [*_peers(configuration), *_fetched(configuration), *_messages(configuration)]


def find(configuration: Configuration, kind: str, name: str) -> Connection | None:
    """One of them."""
    return next((each for each in connections(configuration) if (each.kind, each.name) == (kind, name)), None)


def _peers(configuration: Configuration) -> Iterator[Connection]:
    for name, peer in configuration.peers.items():
        yield Connection(kind="peer", name=name, address=peer.target, sends=peer.sends, receives=peer.receives,
                         asked=name in configuration.retrieving.archives, section=("peers", name))


def _fetched(configuration: Configuration) -> Iterator[Connection]:
    found = configuration.retrieving
    for name, archive in found.archives.items():
        if archive.dicomweb is not None:
            yield Connection(kind="archive", name=name, address=archive.dicomweb.url, asked=True,
                             section=("archives", name))
    for number, pull in enumerate(found.pulls):
        yield Connection(kind="pull", name=pull.name, address=f"{pull.source}, {pull.schedule}", asked=True,
                         section=("pulls", number))
    for number, folder in enumerate(found.folders):
        yield Connection(kind="folder", name=folder.name, address=str(folder.path), sends=True,
                         section=("folders", number))


def _messages(configuration: Configuration) -> Iterator[Connection]:
    messaging = configuration.messaging
    for name, sender in messaging.senders.items():
        yield Connection(kind="sender", name=name, address=", ".join(sender.hosts), sends=True,
                         section=("messaging", "senders", name))
    for name, hl7 in messaging.hl7.items():
        yield Connection(kind="hl7", name=name, address=hl7.target, receives=True, section=("messaging", "hl7", name))
    for name, fhir in messaging.fhir.items():
        yield Connection(kind="fhir", name=name, address=fhir.target, receives=True,
                         section=("messaging", "fhir", name))
    if messaging.orders_from is not None:
        yield Connection(kind="orders", name="orders", address=messaging.orders_from.url, asked=True,
                         section=("messaging", "orders_from"))
