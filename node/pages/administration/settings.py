"""Settings with their explanations: what holds, what the default is, and a form for each key."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request, Response
from ruamel.yaml.comments import CommentedMap

from radnode.config import manual
from radnode.config.document import NotReadable, read_document
from radnode.config.loading import ConfigError
from radnode.node.alarming import trial
from radnode.node.alarming.sinks import SinkFailed
from radnode.node.configuring import NotWritable, Stale, concealed
from radnode.node.pages.administration.saying import said
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs
from radnode.node.web.login import Form  # noqa: TC001 - FastAPI reads it

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from radnode.config.manual import Entry
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

PATH = "/administration/settings"
SECTIONS: Mapping[str, str] = {
    "node": N_("Node"), "alarms": N_("Alarms"), "access": N_("Access"), "audit": N_("Audit"),
    "messaging": N_("Messages (HL7, FHIR)"), "workitems": N_("Orders (UPS)"), "backup": N_("Back-up"),
}
_OVERRIDDEN = {"data": "RADNODE_DATA", "database_url": "RADNODE_DATABASE_URL"}
_BEFORE_A_SENTENCE = re.compile(r"^[^:]+:\d+: ")
Word = Annotated[str, Path(max_length=64, pattern="^[a-z0-9_]+$")]


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The pages and their actions."""
    desk = _Desk(parts, frame)
    pages = APIRouter(prefix=PATH, dependencies=[needs(Permission.CONFIGURE)])
    pages.get("")(desk.settings)
    pages.post("/alarms/{sink}/test")(desk.tell_test)
    pages.get("/{section}/{key}")(desk.setting)
    pages.post("/{section}/{key}")(desk.change)
    return pages


class _Desk:
    def __init__(self, parts: Parts, frame: Frame) -> None:
        self._parts = parts
        self._frame = frame

    def settings(self, request: Request) -> Response:
        """All keys of all sections."""
        text, why_not = self._text()
        written = _written(text)
        shown = [(section, [(each, _value(written, each)) for each in manual.entries() if each.section == section])
                 for section in SECTIONS]
        alarms = self._parts.configuration().alarms
        return self._frame.page(request, "administration/settings.html", sections=shown, names=SECTIONS,
                                introduction=manual.introduction, why_not=why_not, text=concealed(text),
                                sinks=[name for name in ("mail", "webhook") if getattr(alarms, name) is not None])

    def setting(self, request: Request, section: Word, key: Word) -> Response:
        """One key with its form."""
        return self._frame.page(request, "administration/setting.html", **self._values(_entry(section, key)))

    def change(self, request: Request, section: Word, key: Word, fields: Form) -> Response:
        """Write it into the file, checked; an empty value takes the key out, so that the default holds."""
        entry, given = _entry(section, key), fields.get("value", "")
        try:
            edit = _edit(entry, given)
            author, note = request.app.state.identity(request).name, fields.get("note", "").strip()[:200]
            self._parts.desk.change(edit, author=author, note=f"{section}.{key} {note}".strip(),
                                    seen=fields.get("seen", ""))
        except NotReadable as error:
            wrong = [f"{what}; {cure}" for _, what, cure in error.flaws]
        except ConfigError as error:
            wrong = [_BEFORE_A_SENTENCE.sub("", str(each)) for each in error.problems]
        except (NotWritable, Stale) as error:
            wrong = [str(error)]
        else:
            answer = self._frame.part(request, "administration/setting_part.html", **self._values(entry))
            text = N_("Saved; it is in force") if entry.live else N_("Saved; it takes effect after a restart")
            return said(answer, self._frame.translated(request, text))
        return self._frame.part(request, "administration/setting_part.html",
                                **{**self._values(entry), "value": given, "wrong": wrong})

    def tell_test(self, request: Request, sink: Word) -> Response:
        """A mail or a request that says that it is a test."""
        configuration = self._parts.configuration()
        try:
            whom = trial.attempt(configuration.alarms, sink, configuration.settings.ae_title, self._parts.now())
        except LookupError as error:
            raise HTTPException(404, str(error.args[0])) from error
        except SinkFailed as error:
            raise HTTPException(422, str(error)) from error
        return said(self._frame.part(request, "administration/empty.html"),
                    self._frame.translated(request, N_("The test was taken for %(whom)s"), whom=whom))

    def _text(self) -> tuple[str, str]:
        """What the file says, and why it cannot be changed from here."""
        why_not = self._parts.desk.why_read_only()
        try:
            return self._parts.desk.text(), why_not
        except NotWritable as error:
            return "", str(error)

    def _values(self, entry: Entry) -> dict[str, Any]:
        text, why_not = self._text()
        value = _value(_written(text), entry)
        return {
            "entry": entry, "value": "" if value is None else value, "is_default": value is None, "why_not": why_not,
            "seen": "" if why_not else self._parts.desk.digest, "wrong": [], "names": SECTIONS,
            "instead": _OVERRIDDEN.get(entry.key, "") if os.environ.get(_OVERRIDDEN.get(entry.key, "")) else "",
        }


def _entry(section: str, key: str) -> Entry:
    found = next((each for each in manual.entries() if (each.section, each.key) == (section, key)), None)
    if found is None:
        raise HTTPException(404, "there is no such setting")
    return found


def _written(text: str) -> dict[str, Any]:
    try:
        return read_document(text)[0]
    except NotReadable:
        return {}


def _value(written: Mapping[str, Any], entry: Entry) -> str | None:
    """As it stands in the file; None where the default holds."""
    section = written.get(entry.section)
    if not isinstance(section, dict) or entry.key not in section:
        return None
    return concealed(manual.as_yaml(section[entry.key]))


def _edit(entry: Entry, given: str) -> Callable[[CommentedMap], None]:
    """Raises NotReadable."""
    value = manual.value_of(given) if given.strip() else None
    if ":***@" in given:
        raise NotReadable([(1, "the password is not shown", "write the whole address, or leave it as it is")])

    def edit(document: CommentedMap) -> None:
        if not isinstance(document.get(entry.section), dict):
            document[entry.section] = CommentedMap()
        section = document[entry.section]
        if given.strip():
            section[entry.key] = value
        else:
            section.pop(entry.key, None)

    return edit
