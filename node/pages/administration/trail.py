"""The audit trail: by time, person and event, in pages, and as a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from radnode.node.audit.exporting import as_csv, as_xml, told
from radnode.node.audit.messages import EVENTS
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs
from radnode.storage import audit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts
    from radnode.storage.audit import KeptMessage

PATH = "/administration/audit"
ROWS = 50
MOST_EXPORTED = 200_000
AT_ONCE = 1000
OUTCOMES: Mapping[int, tuple[str, str]] = {
    0: ("good", N_("success")), 4: ("warning", N_("refused or failed")), 8: ("bad", N_("serious failure")),
    12: ("bad", N_("major failure")),
}
FORMATS = {"csv": (as_csv, "text/csv; charset=utf-8"), "xml": (as_xml, "application/xml")}
Word = Annotated[str, Query(max_length=255)]
Day = Annotated[str, Query(max_length=10, pattern=r"^(\d{4}-\d\d-\d\d)?$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for, as the form says it; empty: all. Days are whole, in UTC."""

    since: str
    until: str
    event: str
    who: str

    def filters(self) -> dict[str, Any]:
        """For :func:`audit.newest`. Raises HTTPException 422 for a day that there is not."""
        return {
            "since": _begin_of(self.since), "event": self.event or None, "who": self.who or None,
            "until": end + timedelta(days=1) if (end := _begin_of(self.until)) else None,
        }

    def address(self, path: str) -> str:
        """The same question at another address."""
        given = {name: value for name in ("since", "until", "event", "who") if (value := getattr(self, name))}
        return f"{path}?{urlencode(given)}" if given else path


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The page and the export."""
    desk = _Desk(parts, frame)
    pages = APIRouter(prefix=PATH, dependencies=[needs(Permission.AUDIT)])
    pages.get("")(desk.trail)
    pages.get("/export.{form}")(desk.export)
    return pages


class _Desk:
    def __init__(self, parts: Parts, frame: Frame) -> None:
        self._parts = parts
        self._frame = frame

    def trail(
        self, request: Request, since: Day = "", until: Day = "", event: Word = "", who: Word = "",
        before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    ) -> Response:
        """The newest first."""
        wanted = Wanted(since=since, until=until, event=event, who=who)
        with self._parts.database.read() as session:
            found = audit.newest(session, ROWS + 1, before=before, **wanted.filters())
        rows, more = found[:ROWS], len(found) > ROWS
        older = wanted.address(PATH)
        older += f"{'&' if '?' in older else '?'}before={rows[-1].message_id}" if more else ""
        return self._frame.page(
            request, "administration/audit.html", rows=rows, older=older if more else "", wanted=wanted,
            first=wanted.address(PATH) if before else "", events=sorted(EVENTS), outcomes=OUTCOMES,
            told=told,
            exports={form: wanted.address(f"{PATH}/export.{form}") for form in FORMATS}, most=MOST_EXPORTED,
        )

    def export(
        self, form: Annotated[str, Path(pattern="^(csv|xml)$")], since: Day = "", until: Day = "", event: Word = "",
        who: Word = "",
    ) -> Response:
        """The same as a file, whole."""
        write, media_type = FORMATS[form]
        wanted = Wanted(since=since, until=until, event=event, who=who)
        messages = self._all(wanted.filters())
        name = f"audit-{self._parts.now():%Y%m%d-%H%M%S}.{form}"
        return StreamingResponse(write(messages), media_type=media_type,
                                 headers={"Content-Disposition": f'attachment; filename="{name}"'})

    def _all(self, filters: Mapping[str, Any]) -> Iterator[KeptMessage]:
        before, given = None, 0
        while given < MOST_EXPORTED:
            with self._parts.database.read() as session:
                found = audit.newest(session, AT_ONCE, before=before, **filters)
            yield from found
            if len(found) < AT_ONCE:
                return
            before, given = found[-1].message_id, given + len(found)


def _begin_of(day: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(day), time(), UTC) if day else None
    except ValueError:
        raise HTTPException(422, "there is no such day; write it as 2026-01-31") from None
