"""Puts the lanes together, and says which images go through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.deidentifying.forwarding import Forwarder
from radnode.node.deidentifying.lanes import Lanes
from radnode.node.scheduler import Activity
from radnode.storage import transfers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.node.alarms import Alarms
    from radnode.node.routing import RouteExplanation
    from radnode.storage.database import Database
    from radnode.storage.files import FileStore


def compose(
    *, database: Database, store: FileStore, configuration: Callable[[], Configuration], now: Callable[[], datetime],
    alarms: Alarms,
) -> tuple[Lanes, Activity]:
    """What takes names off results and images, and the activity that sends images."""
    settings = configuration().settings
    lanes = Lanes(database=database, folder=settings.data / "work" / "deidentified", now=now)
    forwarder = Forwarder(
        database=database, store=store, lanes=lanes, own_ae_title=settings.ae_title,
        peers=lambda: configuration().peers, now=now, alarms=alarms,
    )
    return lanes, Activity("sending images on", forwarder.step, alarms)


def is_outside(configuration: Configuration, source: str) -> bool:
    """Whether what a source sends is of pseudonyms: no route is asked about it."""
    peer = configuration.peers.get(source)
    return peer is not None and peer.deidentify is not None


def send_on(
    session: Session, configuration: Configuration, source: str, explanations: Iterable[RouteExplanation],
    instance_ids: Collection[int], now: datetime,
) -> list[str]:
    """Plan where the images of a closed series go: back to whom they are of, or where matched routes forward them."""
    peer = configuration.peers.get(source)
    if peer is not None and peer.deidentify is not None:
        transfers.plan(session, instance_ids, peer.deidentify.returns_to, "BACK", now)
        return list(peer.deidentify.returns_to)
    matched = {each.route for each in explanations if each.matched}
    names = list(dict.fromkeys(
        name for route in configuration.routes if route.name in matched for name in route.forward
    ))
    transfers.plan(session, instance_ids, names, "ON", now)
    return names
