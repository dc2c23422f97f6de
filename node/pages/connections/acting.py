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
from radnode.storage import fetches

if TYPE_CHECKING:
    from radnode.node.connections.listing import Connection
    from radnode.node.connections.probing import Probes
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts


def router(parts: Parts, frame: Frame, probes: Probes) -> APIRouter:
    """For who may act; each is audited."""
    pages, acting = APIRouter(), Acting(parts, frame, probes)
    act = [needs(Permission.ACT)]
    pages.get("/connections/probes/{kind}/{name:path}", dependencies=[needs(Permission.STATE)])(acting.probe)
    pages.post("/connections/probes/{kind}/{name:path}", dependencies=act)(acting.try_it)
    pages.post("/connections/deliveries/{delivery}/resend", dependencies=act)(acting.resend)
    pages.post("/connections/fetches/{fetch}/again", dependencies=act)(acting.ask_again)
    pages.post("/connections/resends/{name:path}", dependencies=act)(acting.resend_all)
    pages.post("/connections/forms/{name:path}", dependencies=act)(acting.offer_again)
    return pages


class Acting:
    """One method a route."""

    def __init__(self, parts: Parts, frame: Frame, probes: Probes) -> None:
        self._parts = parts
        self._frame = frame
        self._probes = probes

    def probe(self, request: Request, kind: str, name: str) -> Response:
        """How far the last try is."""
        return self._shown(request, self._known(kind, name))

    def try_it(self, request: Request, kind: str, name: str) -> Response:
        """Begin to try it."""
        connection = self._known(kind, name)
        try:
            self._probes.begin(f"{kind}:{name}", look_for(self._parts.configuration(), connection.kind, name))
        except ProbeRefused as refused:
            raise HTTPException(409, str(refused)) from refused
        return self._shown(request, connection)

    def resend(self, request: Request, delivery: int) -> Response:
        """One result that was given up, also one that was held back for its patient."""
        if not by_hand.queue_again(self._parts.database, [delivery]):
            raise HTTPException(409, self._frame.translated(request, N_(
                "This result cannot be sent again: it is on its way, was replaced by a later one, or refers to another "
                "that was given up; send that one first.")))
        return self._said(request, N_("It waits to be sent again."))

    def ask_again(self, request: Request, fetch: int) -> Response:
        """One study that did not come from an archive."""
        with self._parts.database.begin() as session:
            asked = fetches.ask_again(session, fetch, self._parts.now())
        if not asked:
            raise HTTPException(409, self._frame.translated(request, N_(
                "It is on its way already, or has come.")))
        return self._said(request, N_("It is asked for again."))

    def resend_all(self, request: Request, name: str) -> Response:
        """Everything for a destination that was given up; what was held back for its patient stays."""
        number = len(by_hand.queue_again(self._parts.database, destination=name))
        return self._said(request, N_("%(number)s results wait to be sent again."), number=number)

    def offer_again(self, request: Request, name: str) -> Response:
        """Forget which result forms a destination refused."""
        number = by_hand.forget_refusals(self._parts.database, name)
        return self._said(request, N_("%(number)s result forms are offered again."), number=number)

    def _known(self, kind: str, name: str) -> Connection:
        connection = listing.find(self._parts.configuration(), kind, name)
        if connection is None or connection.disabled:
            raise HTTPException(404, "no such connection is in use")
        return connection

    def _shown(self, request: Request, connection: Connection) -> Response:
        peer = self._parts.configuration().peers.get(connection.name) if connection.kind == "peer" else None
        return self._frame.part(request, "connections/probe.html", connection=connection, peer=peer,
                                seen=changing.seen(self._parts.desk),
                                probe=self._probes.of(f"{connection.kind}:{connection.name}"))

    def _said(self, request: Request, text: str, **values: object) -> Response:
        """The page is read again by the browser, which says it."""
        said = self._frame.translated(request, text, **values)
        return Response(headers={"HX-Trigger": json.dumps({"said": said, "connection-changed": True})})
