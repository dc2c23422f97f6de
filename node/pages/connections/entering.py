"""A connection of any kind is added, changed and removed by a form; what will be written is shown before it is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from radnode.config.document import NotReadable, read_document
from radnode.config.loading import ConfigError
from radnode.node.configuring import NotWritable
from radnode.node.connections import forms, listing
from radnode.node.connections.forms import FORMS, Form
from radnode.node.connections.probing import ProbeRefused, look_for
from radnode.node.pages import changing
from radnode.node.pages.connections import entry_words, fetching_words, message_words
from radnode.node.pages.connections.words import NEW
from radnode.node.pages.forms import Fields  # noqa: TC001 - FastAPI reads it
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs
from radnode.storage import connections as stored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ruamel.yaml.comments import CommentedMap

    from radnode.config.loading import Configuration
    from radnode.node.configuring import ConfigurationDesk
    from radnode.node.connections.forms import Where
    from radnode.node.connections.probing import Probes
    from radnode.node.pages.connections.entry_words import Group
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

DRAFT = "draft:"
MOST_OF_A_NAME = 64
GROUPS: Mapping[str, tuple[Group, ...]] = {
    "peer": entry_words.PEER, "dicomweb": entry_words.BY_WEB, "archive": fetching_words.ARCHIVE,
    "pull": fetching_words.PULL, "folder": fetching_words.FOLDER, "listener": message_words.LISTENER,
    "sender": message_words.SENDER, "hl7": message_words.HL7, "fhir": message_words.FHIR,
    "orders": message_words.ORDERS,
}
_KIND = {"dicomweb": "peer"}
_BEGUN_WITH: Mapping[str, Mapping[str, str]] = {"peer": {"port": "104"}, "dicomweb": {"receives": "on"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What would be written. configuration: with it, None if something is wrong.

    wrong: all that is. beside: the same by the field that it is about.
    """

    lines: str
    configuration: Configuration | None = None
    wrong: list[str] = field(default_factory=list)
    beside: Mapping[str, list[str]] = field(default_factory=dict)


class Entries:
    """The present entries of a kind, and what would become of one. All raise HTTPException 409 without a file."""

    def __init__(self, desk: ConfigurationDesk, form: Form) -> None:
        self._desk = desk
        self._form = form

    def written(self, name: str) -> dict[str, str] | None:
        """The fields of an entry as the file has it; None if it has none of this name."""
        try:
            document = read_document(self._text())[0]
        except NotReadable:
            return None
        where = forms.place_of(self._form, document, name)
        return None if where is None else forms.fields_of(self._form, forms.entry_at(document, where))

    def drafted(self, name: str, fields: Mapping[str, str]) -> Draft:
        """As it would be with these fields."""
        section = forms.section_of(self._form, fields)
        return self._checked(name, lambda document: forms.put(document, self._form, name, section))

    def without(self, name: str) -> Draft:
        """As it would be if the entry were not there: whoever needs it is named in what is wrong."""
        return self._checked(name, lambda document: forms.remove(document, self._form, name))

    def _checked(self, name: str, edit: Callable[[CommentedMap], None]) -> Draft:
        lines, where = "", None
        try:
            after = self._desk.drafted(self._text(), edit)
            where, lines = _lines_of(after, self._form, name)
            return Draft(lines=lines, configuration=self._desk.check(after))
        except ConfigError as error:
            beside = forms.beside_fields(self._form, where, error.problems) if where else {}
            return Draft(lines=lines, wrong=changing.told(error), beside=beside)

    def _text(self) -> str:
        try:
            return self._desk.text()
        except NotWritable as error:
            raise HTTPException(409, str(error)) from error


def router(parts: Parts, frame: Frame, probes: Probes) -> APIRouter:
    """For who may configure."""
    pages, entering = APIRouter(dependencies=[needs(Permission.CONFIGURE)]), Entering(parts, frame, probes)
    pages.get("/connections/entries/new")(entering.kinds)
    pages.get("/connections/entries/new/{kind}")(entering.new)
    pages.get("/connections/entries/change/{kind}/{name:path}")(entering.present)
    pages.get("/connections/entries/preview/{kind}")(entering.preview)
    pages.post("/connections/entries/save/{kind}")(entering.save)
    pages.post("/connections/entries/try/{kind}")(entering.begin)
    pages.get("/connections/entries/try/{kind}/{name:path}")(entering.trial)
    pages.post("/connections/entries/remove/{kind}/{name:path}")(entering.remove)
    pages.post("/connections/proposals/{name:path}")(entering.take_over)
    return pages


class Entering:
    """One method a route. kind: of the form."""

    def __init__(self, parts: Parts, frame: Frame, probes: Probes) -> None:
        self._parts = parts
        self._frame = frame
        self._probes = probes

    def kinds(self, request: Request) -> Response:
        """What can be added."""
        return self._frame.page(request, "connections/kinds.html", kinds=NEW)

    def new(self, request: Request, kind: str) -> Response:
        """A form with what the address says of it, else empty."""
        form, given = _form(kind), request.query_params
        if form.shape == "single" and self._entries(kind).written(kind) is not None:
            return RedirectResponse(f"/connections/entries/change/{kind}/{kind}", 303)
        known = {key: value[:MOST_OF_A_NAME] for key, value in given.items() if key in form.keys}
        fields = {**forms.fields_of(form, {}), **_BEGUN_WITH.get(kind, {}), **known}
        return self._shown(request, kind, given.get("name", "")[:MOST_OF_A_NAME], fields, is_new=True)

    def present(self, request: Request, kind: str, name: str) -> Response:
        """The form with what is written."""
        return self._shown(request, kind, name, self._written(kind, name), is_new=False)

    def preview(self, request: Request, kind: str) -> Response:
        """What would be written, and what is wrong with it. Changes nothing."""
        fields, form = dict(request.query_params), _form(kind)
        name = _name(form, kind, fields)
        draft = self._entries(kind).drafted(name, fields) if name else Draft(lines="")
        keys = [*form.keys] if form.shape == "single" else ["name", *form.keys]
        return self._frame.part(request, "connections/preview.html", draft=draft, name=name, keys=keys)

    def save(self, request: Request, kind: str, fields: Fields) -> Response:
        """Write it into the configuration and put it in force."""
        form, name = _form(kind), self._name_in(request, kind, fields)
        if "is_new" in fields and self._entries(kind).written(name) is not None:
            self._refuse(request, 409, N_("There is one named %(name)s already."), name=name)
        section = forms.section_of(form, fields)
        changing.change(self._parts.desk, request, lambda document: forms.put(document, form, name, section),
                        note=f"{kind} {name}: {_note(fields)}".rstrip(": "), seen=fields.get("seen", ""))
        return Response(headers={"HX-Redirect": self._address(kind, name)})

    def begin(self, request: Request, kind: str, fields: Fields) -> Response:
        """Try it as it stands in the form, before it is saved, whether or not it is to be in use."""
        name = self._name_in(request, kind, fields)
        draft = self._entries(kind).drafted(name, {**fields, "enabled": "on"})
        if draft.configuration is None:
            raise HTTPException(422, "; ".join(draft.wrong))
        try:
            self._probes.begin(f"{DRAFT}{kind}:{name}", look_for(draft.configuration, _KIND.get(kind, kind), name))
        except ProbeRefused as refused:
            raise HTTPException(409, str(refused)) from refused
        return self.trial(request, kind, name)

    def trial(self, request: Request, kind: str, name: str) -> Response:
        """How far that is."""
        probe = self._probes.of(f"{DRAFT}{kind}:{name}")
        return self._frame.part(request, "connections/draft_probe.html", kind=kind, name=name, probe=probe)

    def remove(self, request: Request, kind: str, name: str, fields: Fields) -> Response:
        """Take it out; not while something names it."""
        if not (note := _note(fields)):
            self._refuse(request, 422, N_("Say why it is removed."))
        self._written(kind, name)
        changing.change(self._parts.desk, request, lambda document: forms.remove(document, _form(kind), name),
                        note=f"{kind} {name} removed: {note}", seen=fields.get("seen", ""))
        return Response(headers={"HX-Redirect": "/connections"})

    def take_over(self, request: Request, name: str, fields: Fields) -> Response:
        """Write what the last probe of a peer proposed."""
        self._written("peer", name)
        probe = self._probes.of(f"peer:{name}")
        proposal = probe.found.proposal if probe and probe.found else None
        if proposal is None:
            self._refuse(request, 409, N_("There is no proposal for it; try it first."))
        changing.change(self._parts.desk, request, lambda document: forms.take_over(document, name, proposal.entry),
                        note=f"peer {name}: as its probe proposed", seen=fields.get("seen", ""))
        text = self._frame.translated(request, N_("The proposal is in force."))
        return Response(headers={"HX-Trigger": json.dumps({"said": text, "connection-changed": True})})

    def _shown(self, request: Request, kind: str, name: str, fields: Mapping[str, str], *, is_new: bool) -> Response:
        form, waiting = _form(kind), 0
        if not is_new:
            with self._parts.database.read() as session:
                waiting = stored.traffic(session, name).waiting
        return self._frame.page(
            request, "connections/entry.html", kind=kind, what=NEW[kind][0], name=name or _name(form, kind, {}),
            fields=fields, groups=GROUPS[kind], keys=form.keys, single=form.shape == "single", is_new=is_new,
            back="/connections/entries/new" if is_new else self._address(kind, name),
            seen=changing.seen(self._parts.desk), why_not=self._parts.desk.why_read_only(), waiting=waiting,
            needed_by=[] if is_new else self._entries(kind).without(name).wrong,
        )

    def _address(self, kind: str, name: str) -> str:
        """The page of a connection; an archive of DIMSE is on that of its peer."""
        kind = _KIND.get(kind, kind)
        if listing.find(self._parts.configuration(), kind, name) is None:
            kind = "peer"
        return f"/connections/{kind}/{quote(name, safe='')}"

    def _entries(self, kind: str) -> Entries:
        return Entries(self._parts.desk, _form(kind))

    def _written(self, kind: str, name: str) -> dict[str, str]:
        fields = self._entries(kind).written(name)
        if fields is None:
            raise HTTPException(404, "no such connection is in the configuration file")
        return fields

    def _name_in(self, request: Request, kind: str, fields: Mapping[str, str]) -> str:
        name = _name(_form(kind), kind, fields)
        if not 1 <= len(name) <= MOST_OF_A_NAME or not name.isprintable():
            self._refuse(request, 422, N_("Give it a name of 1 to 64 characters."))
        return name

    def _refuse(self, request: Request, status: int, text: str, **values: object) -> NoReturn:
        raise HTTPException(status, self._frame.translated(request, text, **values))


def _form(kind: str) -> Form:
    if kind not in FORMS:
        raise HTTPException(404, "there is no such kind of connection")
    return FORMS[kind]


def _name(form: Form, kind: str, fields: Mapping[str, str]) -> str:
    """What there is one of is called by its kind."""
    return kind if form.shape == "single" else fields.get("name", "").strip()


def _note(fields: Mapping[str, str]) -> str:
    """Why, in a line."""
    return " ".join(fields.get("note", "").split())[:200]


def _lines_of(text: str, form: Form, name: str) -> tuple[Where | None, str]:
    """Where an entry stands in a configuration's text, and its lines; nothing if that cannot be read, or it is out."""
    try:
        document, lines = read_document(text)
    except NotReadable:
        return None, ""
    where = forms.place_of(form, document, name)
    if where is None:
        return None, ""
    later = [line for path, line in lines.items() if line > lines[where] and path[:len(where)] != where]
    found = text.splitlines()[lines[where] - 1:min(later, default=len(text.splitlines()) + 1) - 1]
    while found and (not found[-1].strip() or found[-1].lstrip().startswith("#")):
        found.pop()
    return where, "\n".join(found)
