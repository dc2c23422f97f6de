"""The list of connections, and one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Query, Request, Response

from radnode.node.connections import listing
from radnode.node.connections.papers import papers
from radnode.node.pages import changing
from radnode.node.pages.connections import asking
from radnode.node.pages.connections.words import FORMS, KINDS, PROFILES
from radnode.node.security.validity import Certificates
from radnode.node.web.access import Permission, needs
from radnode.storage import connections as stored
from radnode.storage import fetches
from radnode.storage.connections import ARRIVED, UNDER_WAY
from radnode.storage.outbox import DeliveryState

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from radnode.node.connections.listing import Connection
    from radnode.node.connections.probing import Probes
    from radnode.node.pages.connections.asking import Shown
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

SHOWN = 15
MEASURED = 200


def router(parts: Parts, frame: Frame, probes: Probes) -> APIRouter:
    """Nothing of a patient is shown here."""
    pages = APIRouter(dependencies=[needs(Permission.STATE)])
    certificates = Certificates()

    @pages.get("/connections")
    def overview(request: Request) -> Response:
        """Every connection, who was turned away, and certificates."""
        configuration = parts.configuration()
        found = certificates.look(configuration)
        return frame.page(
            request, "connections/list.html", shown=asking.all_shown(parts, listing.connections(configuration)),
            kinds=KINDS, strangers=asking.strangers(parts), nameless=dict(parts.strangers()),
            papers=papers(found, parts.now()),
        )

    @pages.get("/connections/{kind}/{name:path}")
    def one(request: Request, kind: str, name: str, page: int = Query(1, ge=1, le=1000)) -> Response:
        """Its profile, what went there, what failed."""
        shown = asking.one_shown(parts, kind, name)
        return frame.page(request, "connections/one.html", **values(shown, page))

    def values(shown: Shown, page: int) -> dict[str, Any]:
        configuration, name = parts.configuration(), shown.connection.name
        found = [
            each for each in certificates.look(configuration)
            if shown.connection.kind in ("peer", "hl7", "fhir") and each.owner == name
        ]
        with parts.database.read() as session:
            failed = stored.newest_of(session, name, [DeliveryState.DEAD], SHOWN + 1, offset=(page - 1) * SHOWN)
            last = stored.newest_of(session, name, [*UNDER_WAY, *ARRIVED, DeliveryState.REPLACED], SHOWN)
            confirmation = stored.confirmation(stored.newest_of(session, name, ARRIVED, MEASURED))
            vouched = stored.vouched(session, name)
            lacking = _lacking(session, shown.connection, page)
        is_destination = shown.connection.destination
        peer = configuration.peers.get(name) if shown.connection.kind == "peer" else None
        return {
            "shown": shown, "kinds": KINDS, "forms": FORMS, "profiles": PROFILES,
            "peer": peer, "connection": shown.connection,
            "expected": in_words(peer.expect.every.total_seconds()) if peer and peer.expect else "",
            "median": in_words(confirmation.median_s or 0.0),
            "configured": configuration.destinations.get(name) if is_destination else None,
            "failed": failed[:SHOWN] if is_destination else [], "more": len(failed) > SHOWN, "page": page,
            "lacking": lacking[:SHOWN], "more_lacking": len(lacking) > SHOWN,
            "last": last if is_destination else [], "confirmation": confirmation, "vouched": vouched,
            "papers": papers(found, parts.now()), "probe": probes.of(f"{shown.connection.kind}:{name}"),
            "seen": changing.seen(parts.desk), "knocks": asking.knocks(parts, shown.seen.callers),
            "routes": [each for each in configuration.routes if name in (*each.send, *each.forward)],
        }

    return pages


def _lacking(session: Session, connection: Connection, page: int) -> list[dict[str, Any]]:
    """What did not come from an archive, or of what a pull found; one more than is shown."""
    if connection.kind not in ("peer", "archive", "pull"):
        return []
    archive, pull = (None, connection.name) if connection.kind == "pull" else (connection.name, None)
    return fetches.newest_failed(session, archive=archive, pull=pull, limit=SHOWN + 1, offset=(page - 1) * SHOWN)


def in_words(seconds: float) -> str:
    """A duration, in the unit that people would take."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
