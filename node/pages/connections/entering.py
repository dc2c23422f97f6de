"""A peer is added, changed and removed by a form; what will be written is shown before it is."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, NoReturn
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
from radnode.node.pages.forms import Fields  # noqa: TC001 - FastAPI reads it
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
MOST_OF_A_NAME = 64


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
    pages, entering = APIRouter(dependencies=[needs(Permission.CONFIGURE)]), Entering(parts, frame, probes)
    pages.get("/connections/entries/new")(entering.new)
    pages.get("/connections/entries/change/{name:path}")(entering.present)
    pages.get("/connections/entries/preview")(entering.preview)
    pages.post("/connections/entries/save")(entering.save)
    pages.post("/connections/entries/try")(entering.begin)
    pages.get("/connections/entries/try/{name:path}")(entering.trial)
    pages.post("/connections/entries/remove/{name:path}")(entering.remove)
    pages.post("/connections/proposals/{name:path}")(entering.take_over)
    return pages


class Entering:
    """One method a route."""

    def __init__(self, parts: Parts, frame: Frame, probes: Probes) -> None:
        self._parts = parts
        self._frame = frame
        self._probes = probes
        self._entries = Entries(parts.desk)

    def new(self, request: Request, ae_title: str = "", host: str = "") -> Response:
        """An empty form, or with what a stranger called itself."""
        fields = {"ae_title": ae_title[:16], "hosts": host[:64], "host": host[:64], "port": "104"}
        if ae_title:
            fields["sends"] = "on"
        return self._form(request, ae_title[:16], fields, is_new=True)

    def present(self, request: Request, name: str) -> Response:
        """The form with what is written."""
        return self._form(request, name, self._written(name), is_new=False)

    def preview(self, request: Request) -> Response:
        """What would be written, and what is wrong with it. Changes nothing."""
        fields = dict(request.query_params)
        name = fields.get("name", "").strip()
        lines, peer, wrong = self._entries.drafted(name, fields) if name else ("", None, [])
        return self._frame.part(request, "connections/preview.html", lines=lines, peer=peer, wrong=wrong, name=name)

    def save(self, request: Request, fields: Fields) -> Response:
        """Write it into the configuration and put it in force."""
        name = self._name_in(request, fields)
        if "is_new" in fields and self._entries.written(name) is not None:
            self._refuse(request, 409, N_("There is a peer %(name)s already."), name=name)
        section = entry.section_of(fields)
        changing.change(self._parts.desk, request, lambda document: entry.put(document, name, section),
                        note=f"peer {name}: {_note(fields)}".rstrip(": "), seen=fields.get("seen", ""))
        return Response(headers={"HX-Redirect": f"/connections/peer/{quote(name, safe='')}"})

    def begin(self, request: Request, fields: Fields) -> Response:
        """Try the peer as it stands in the form, before it is saved."""
        name = self._name_in(request, fields)
        _, peer, wrong = self._entries.drafted(name, fields)
        if peer is None:
            raise HTTPException(422, "; ".join(wrong))
        try:
            own = self._parts.configuration().settings.ae_title
            self._probes.begin(DRAFT + name, partial(try_peer, peer, own))
        except ProbeRefused as refused:
            raise HTTPException(409, str(refused)) from refused
        return self.trial(request, name)

    def trial(self, request: Request, name: str) -> Response:
        """How far that is."""
        probe = self._probes.of(DRAFT + name)
        return self._frame.part(request, "connections/draft_probe.html", name=name, probe=probe)

    def remove(self, request: Request, name: str, fields: Fields) -> Response:
        """Take it out; not while a route names it."""
        if not (note := _note(fields)):
            self._refuse(request, 422, N_("Say why it is removed."))
        self._written(name)
        changing.change(self._parts.desk, request, lambda document: entry.remove(document, name),
                        note=f"peer {name} removed: {note}", seen=fields.get("seen", ""))
        return Response(headers={"HX-Redirect": "/connections"})

    def take_over(self, request: Request, name: str, fields: Fields) -> Response:
        """Write what the last probe of a peer proposed."""
        self._written(name)
        probe = self._probes.of(f"peer:{name}")
        proposal = probe.found.proposal if probe and probe.found else None
        if proposal is None:
            self._refuse(request, 409, N_("There is no proposal for it; try it first."))
        changing.change(self._parts.desk, request, lambda document: entry.take_over(document, name, proposal.entry),
                        note=f"peer {name}: as its probe proposed", seen=fields.get("seen", ""))
        text = self._frame.translated(request, N_("The proposal is in force."))
        return Response(headers={"HX-Trigger": json.dumps({"said": text, "connection-changed": True})})

    def _form(self, request: Request, name: str, fields: Mapping[str, str], *, is_new: bool) -> Response:
        waiting = 0
        if not is_new:
            with self._parts.database.read() as session:
                waiting = stored.traffic(session, name).waiting
        routes = self._parts.configuration().routes
        return self._frame.page(
            request, "connections/entry.html", name=name, fields=fields, groups=GROUPS, is_new=is_new,
            profiles=PROFILES, seen=changing.seen(self._parts.desk), why_not=self._parts.desk.why_read_only(),
            waiting=waiting, named_by=[each.name for each in routes if name in (*each.send, *each.forward)],
        )

    def _written(self, name: str) -> dict[str, str]:
        fields = self._entries.written(name)
        if fields is None:
            raise HTTPException(404, "no such peer is in the configuration file")
        return fields

    def _name_in(self, request: Request, fields: Mapping[str, str]) -> str:
        name = fields.get("name", "").strip()
        if not 1 <= len(name) <= MOST_OF_A_NAME or not name.isprintable():
            self._refuse(request, 422, N_("Give it a name of 1 to 64 characters."))
        return name

    def _refuse(self, request: Request, status: int, text: str, **values: object) -> NoReturn:
        raise HTTPException(status, self._frame.translated(request, text, **values))


def _note(fields: Mapping[str, str]) -> str:
    """Why, in a line."""
    return " ".join(fields.get("note", "").split())[:200]


def _lines_of(text: str, name: str) -> str:
    """The lines of one peer in a configuration's text; empty if that cannot be read, which its check says."""
    try:
        lines = read_document(text)[1]
    except NotReadable:
        return ""
    first = lines.get(("peers", name))
    if first is None:
        return ""
    later = [line for path, line in lines.items() if line > first and path[:2] != ("peers", name)]
    found = text.splitlines()[first - 1:min(later, default=len(text.splitlines()) + 1) - 1]
    while found and (not found[-1].strip() or found[-1].lstrip().startswith("#")):
        found.pop()
    return "\n".join(found)
