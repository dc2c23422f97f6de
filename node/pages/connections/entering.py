"""A peer is added, changed and removed by a form; what will be written is shown before it is."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.config.document import NotReadable, read_document
from radnode.config.loading import ConfigError
from radnode.node.configuring import NotWritable
from radnode.node.connections import entry
from radnode.node.connections.probing import ProbeRefused, try_peer
from radnode.node.pages import changing
from radnode.node.pages.connections.entry_words import GROUPS
from radnode.node.pages.connections.words import PROFILES
from radnode.node.pages.forms import Fields
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs
from radnode.storage import connections as stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.config.peers import Peer
    from radnode.node.configuring import ConfigurationDesk
    from radnode.node.connections.probing import Probes
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

DRAFT = "draft:"


class Entries:
    """The present entries, and what would become of one. All raise HTTPException 409 without a readable file."""

    def __init__(self, desk: ConfigurationDesk) -> None:
        self._desk = desk

    def written(self, name: str) -> dict[str, str] | None:
        """The fields of a peer as the file has it; None if it has none of this name."""
        try:
            peers = read_document(self._text())[0].get("peers") or {}
        except NotReadable:
            return None
        return entry.fields_of(peers[name] or {}) if name in peers else None

    def drafted(self, name: str, fields: Mapping[str, str]) -> tuple[str, Peer | None, list[str]]:
        """The lines as they would stand in the file, the peer if nothing is wrong, and what is."""
        lines, section = "", entry.section_of(fields)
        try:
            after = self._desk.drafted(self._text(), lambda document: entry.put(document, name, section))
            lines = _lines_of(after, name)
            return lines, self._desk.check(after).peers[name], []
        except ConfigError as error:
            return lines, None, changing.told(error)

    def _text(self) -> str:
        try:
            return self._desk.text()
        except NotWritable as error:
            raise HTTPException(409, str(error)) from error


def router(parts: Parts, frame: Frame, probes: Probes) -> APIRouter:
    """For who may configure."""
    pages = APIRouter(dependencies=[needs(Permission.CONFIGURE)])
    entries = Entries(parts.desk)

    @pages.get("/connection-entries/new")
    def new(request: Request, ae_title: str = "", host: str = "") -> Response:
        """An empty form, or with what a stranger called itself."""
        fields = {"ae_title": ae_title[:16], "hosts": host[:64], "host": host[:64], "port": "104"}
        if ae_title:
            fields["sends"] = "on"
        return form(request, ae_title[:16], fields, is_new=True)

    @pages.get("/connection-entries/change/{name:path}")
    def present(request: Request, name: str) -> Response:
        """The form with what is written."""
        fields = entries.written(name)
        if fields is None:
            raise HTTPException(404, "no such peer is in the configuration file")
        return form(request, name, fields, is_new=False)

    @pages.get("/connection-entries/preview")
    def preview(request: Request) -> Response:
        """What would be written, and what is wrong with it. Changes nothing."""
        fields = dict(request.query_params)
        return drafted(request, fields)

    @pages.post("/connection-entries/save")
    def save(request: Request, fields: Fields) -> Response:
        """Write it into the configuration and put it in force."""
        name = name_in(request, fields)
        if "is_new" in fields and entries.written(name) is not None:
            raise HTTPException(409, frame.translated(request, N_("There is a peer %(name)s already."), name=name))
        section = entry.section_of(fields)
        changing.change(parts.desk, request, lambda document: entry.put(document, name, section),
                        note=f"peer {name}: {fields.get('note', '').strip()[:200]}".rstrip(": "),
                        seen=fields.get("seen", ""))
        return Response(headers={"HX-Redirect": f"/connections/peer/{quote(name, safe='')}"})

    @pages.post("/connection-entries/try")
    def begin(request: Request, fields: Fields) -> Response:
        """Try the peer as it stands in the form, before it is saved."""
        name = name_in(request, fields)
        _, peer, wrong = entries.drafted(name, fields)
        if peer is None:
            raise HTTPException(422, "; ".join(wrong))
        try:
            probes.begin(DRAFT + name, partial(try_peer, peer, parts.configuration().settings.ae_title))
        except ProbeRefused as refused:
            raise HTTPException(409, str(refused)) from refused
        return trial(request, name)

    @pages.get("/connection-entries/try/{name:path}")
    def trial(request: Request, name: str) -> Response:
        """How far that is."""
        return frame.part(request, "connections/draft_probe.html", name=name, probe=probes.of(DRAFT + name))

    @pages.post("/connection-entries/remove/{name:path}")
    def remove(request: Request, name: str, fields: Fields) -> Response:
        """Take it out; not while a route names it."""
        note = fields.get("note", "").strip()[:200]
        if not note:
            raise HTTPException(422, frame.translated(request, N_("Say why it is removed.")))
        if entries.written(name) is None:
            raise HTTPException(404, "no such peer is in the configuration file")
        changing.change(parts.desk, request, lambda document: entry.remove(document, name),
                        note=f"peer {name} removed: {note}", seen=fields.get("seen", ""))
        return Response(headers={"HX-Redirect": "/connections"})

    @pages.post("/connection-proposals/{name:path}")
    def take_over(request: Request, name: str, fields: Fields) -> Response:
        """Write what the last probe of a peer proposed."""
        probe = probes.of(f"peer:{name}")
        proposal = probe.found.proposal if probe and probe.found else None
        if proposal is None or entries.written(name) is None:
            raise HTTPException(409, frame.translated(request, N_("There is no proposal for it; try it first.")))
        changing.change(parts.desk, request, lambda document: entry.take_over(document, name, proposal.entry),
                        note=f"peer {name}: as its probe proposed", seen=fields.get("seen", ""))
        text = frame.translated(request, N_("The proposal is in force."))
        return Response(headers={"HX-Trigger": json.dumps({"said": text, "connection-changed": True})})

    def form(request: Request, name: str, fields: Mapping[str, str], *, is_new: bool) -> Response:
        waiting = 0
        if not is_new:
            with parts.database.read() as session:
                waiting = stored.traffic(session, name).waiting
        return frame.page(request, "connections/entry.html", name=name, fields=fields, groups=GROUPS, is_new=is_new,
                          profiles=PROFILES, seen=changing.seen(parts.desk),
                          why_not=parts.desk.why_read_only(), waiting=waiting,
                          named_by=[each.name for each in parts.configuration().routes
                                    if name in (*each.send, *each.forward)])

    def drafted(request: Request, fields: Mapping[str, str]) -> Response:
        name = fields.get("name", "").strip()
        if not name:
            return frame.part(request, "connections/preview.html", lines="", wrong=[], peer=None, name="")
        lines, peer, wrong = entries.drafted(name, fields)
        return frame.part(request, "connections/preview.html", lines=lines, peer=peer, wrong=wrong, name=name)

    def name_in(request: Request, fields: Mapping[str, str]) -> str:
        name = fields.get("name", "").strip()
        if not 1 <= len(name) <= MOST_OF_A_NAME or not name.isprintable():
            raise HTTPException(422, frame.translated(request, N_("Give it a name of 1 to 64 characters.")))
        return name

    return pages


MOST_OF_A_NAME = 64


def _lines_of(text: str, name: str) -> str:
    """The lines of one peer in a configuration's text."""
    lines = read_document(text)[1]
    first = lines.get(("peers", name))
    if first is None:
        return ""
    later = [line for path, line in lines.items() if line > first and path[:2] != ("peers", name)]
    found = text.splitlines()[first - 1:min(later, default=len(text.splitlines()) + 1) - 1]
    while found and (not found[-1].strip() or found[-1].lstrip().startswith("#")):
        found.pop()
    return "\n".join(found)
