"""Which images of a closed series go through a lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.storage import transfers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session

    from radnode.config.loading import Configuration
    from radnode.node.routing import RouteExplanation


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
