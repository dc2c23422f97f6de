"""What is done at a connection: try it, send again, offer refused forms again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node import by_hand
from radnode.node.connections import listing
from radnode.node.connections.probing import ProbeRefused, look_for
from radnode.node.pages import changing
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs

if TYPE_CHECKING:
    from radnode.node.connections.listing import Connection
    from radnode.node.connections.probing import Probes
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts


def router(parts: Parts, frame: Frame, probes: Probes) -> APIRouter:
    """For who may act; each is audited."""
    pages = APIRouter()
    state, act = [needs(Permission.STATE)], [needs(Permission.ACT)]

    @pages.get("/connection-probes/{kind}/{name:path}", dependencies=state)
    def probe(request: Request, kind: str, name: str) -> Response:
        """How far the last try is."""
        return shown_probe(request, known(kind, name))

    @pages.post("/connection-probes/{kind}/{name:path}", dependencies=act)
    def try_it(request: Request, kind: str, name: str) -> Response:
        """Begin to try it."""
        connection = known(kind, name)
        try:
            probes.begin(f"{kind}:{name}", look_for(parts.configuration(), connection))
        except ProbeRefused as refused:
            raise HTTPException(409, str(refused)) from refused
        return shown_probe(request, connection)

    @pages.post("/connection-deliveries/{delivery}/resend", dependencies=act)
    def resend(request: Request, delivery: int) -> Response:
        """One result that was given up, also one that was held back for its patient."""
        if not by_hand.queue_again(parts.database, [delivery]):
            raise HTTPException(409, frame.translated(request, N_(
                "This result cannot be sent again: it is on its way, was replaced by a later one, or refers to another "
                "that was given up; send that one first.")))
        return said(request, N_("It waits to be sent again."))

    @pages.post("/connection-resends/{name:path}", dependencies=act)
    def resend_all(request: Request, name: str) -> Response:
        """Everything for a destination that was given up; what was held back for its patient stays."""
        number = len(by_hand.queue_again(parts.database, destination=name))
        return said(request, N_("%(number)s results wait to be sent again."), number=number)

    @pages.post("/connection-forms/{name:path}", dependencies=act)
    def offer_again(request: Request, name: str) -> Response:
        """Forget which result forms a destination refused."""
        number = by_hand.forget_refusals(parts.database, name)
        return said(request, N_("%(number)s result forms are offered again."), number=number)

    def known(kind: str, name: str) -> Connection:
        connection = listing.find(parts.configuration(), kind, name)
        if connection is None:
            raise HTTPException(404, "no such connection is configured")
        return connection

    def shown_probe(request: Request, connection: Connection) -> Response:
        peer = parts.configuration().peers.get(connection.name) if connection.kind == "peer" else None
        return frame.part(request, "connections/probe.html", connection=connection, peer=peer,
                          seen=changing.seen(parts.desk),
                          probe=probes.of(f"{connection.kind}:{connection.name}"))

    def said(request: Request, text: str, **values: object) -> Response:
        """The page is read again by the browser, which then says it."""
        return Response(status_code=200, headers={"HX-Trigger": json.dumps(
            {"said": frame.translated(request, text, **values), "connection-changed": True})})

    return pages
