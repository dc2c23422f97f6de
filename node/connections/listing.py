"""Which connections a configuration describes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from radnode.config.loading import Configuration

Kind = Literal["peer", "archive", "folder", "pull", "listener", "sender", "hl7", "fhir", "orders"]
ABOUT: dict[Kind, frozenset[str]] = {
    "peer": frozenset({"source", "destination", "destination and form", "node or peer", "archive"}),
    "archive": frozenset({"archive", "source"}), "folder": frozenset({"folder", "source"}),
    "pull": frozenset({"pull"}), "sender": frozenset({"sender"}),
    "hl7": frozenset({"destination", "destination and form"}),
    "fhir": frozenset({"destination", "destination and form"}), "orders": frozenset(), "listener": frozenset(),
}
"""What an alarm is about (:mod:`radnode.node.alarming.kinds`) that is a connection's of this kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One other side. sends, receives: images, results, messages. address: as people write it, empty for who calls.

    asked: images or orders are asked for there. by_web: results go there by DICOMweb. disabled: it is only written.
    """

    kind: Kind
    name: str
    address: str
    sends: bool = False
    receives: bool = False
    asked: bool = False
    by_web: bool = False
    disabled: bool = False

    @property
    def source(self) -> bool:
        """Whether images come under its name."""
        return self.kind == "folder" or (self.kind in ("peer", "archive") and (self.sends or self.asked))

    @property
    def destination(self) -> bool:
        """Whether results go there."""
        return self.receives

    @property
    def form(self) -> str:
        """Which of :data:`radnode.node.connections.forms.FORMS` changes it."""
        return "dicomweb" if self.by_web else self.kind


def connections(configuration: Configuration) -> list[Connection]:
    """All of them: peers first, each kind in the order of the file."""
    return [*_peers(configuration), *_fetched(configuration), *_messages(configuration), *_disabled(configuration)]


def find(configuration: Configuration, kind: str, name: str) -> Connection | None:
    """One of them."""
    return next((each for each in connections(configuration) if (each.kind, each.name) == (kind, name)), None)


def _peers(configuration: Configuration) -> Iterator[Connection]:
    for name, peer in configuration.peers.items():
        yield Connection(kind="peer", name=name, address=peer.target, sends=peer.sends, receives=peer.receives,
                         asked=name in configuration.retrieving.archives,
                         by_web=peer.dicomweb is not None and not peer.sends)


def _fetched(configuration: Configuration) -> Iterator[Connection]:
    found = configuration.retrieving
    for name, archive in found.archives.items():
        if archive.dicomweb is not None:
            yield Connection(kind="archive", name=name, address=archive.dicomweb.url, asked=True)
    for pull in found.pulls:
        yield Connection(kind="pull", name=pull.name, address=f"{pull.source}, {pull.schedule}", asked=pull.enabled,
                         disabled=not pull.enabled)
    for folder in found.folders:
        yield Connection(kind="folder", name=folder.name, address=str(folder.path), sends=True)


def _messages(configuration: Configuration) -> Iterator[Connection]:
    messaging = configuration.messaging
    if messaging.listen is not None:
        address = f"{messaging.listen.host}:{messaging.listen.port}"
        yield Connection(kind="listener", name="listener", address=address)
    for name, sender in messaging.senders.items():
        yield Connection(kind="sender", name=name, address=", ".join(sender.hosts), sends=True)
    for name, hl7 in messaging.hl7.items():
        yield Connection(kind="hl7", name=name, address=hl7.target, receives=True)
    for name, fhir in messaging.fhir.items():
        yield Connection(kind="fhir", name=name, address=fhir.target, receives=True)
    if messaging.orders_from is not None:
        yield Connection(kind="orders", name="orders", address=messaging.orders_from.url, asked=True)


_KINDS: Mapping[tuple[str, ...], Kind] = {
    ("peers",): "peer", ("archives",): "archive", ("folders",): "folder", ("messaging", "senders"): "sender",
    ("messaging", "hl7"): "hl7", ("messaging", "fhir"): "fhir",
}


def _disabled(configuration: Configuration) -> Iterator[Connection]:
    for *above, name in configuration.disabled:
        yield Connection(kind=_KINDS[tuple(above)], name=name, address="", disabled=True)
