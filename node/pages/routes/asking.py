"""What the routes' pages are asked, and what an author is told whose change does not go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Request

from radnode.config.document import NotReadable
from radnode.config.loading import ConfigError
from radnode.node.configuring import NoSuchVersion, NotWritable, Stale
from radnode.node.drafting.edits import NoSuchRoute
from radnode.node.drafting.form import GROUPS, KEPT, Line, RouteForm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LARGEST = 64 * 1024
MOST_FIELDS = 1000
MOST_LINES = 60


async def _fields(request: Request) -> dict[str, list[str]]:
    return fields_in(await _body(request, LARGEST))


async def _body(request: Request, largest: int) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > largest:
            raise HTTPException(413, "too large for this form")
    return bytes(body)


def fields_in(body: bytes) -> dict[str, list[str]]:
    """Name -> values, of a form as a browser writes it. Raises HTTPException 400."""
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise HTTPException(400, "no form in UTF-8") from None


Fields = Annotated[dict[str, list[str]], Depends(_fields)]
"""Every value of each field, in order. That this site's own page wrote them, the gate has checked by their token."""


def one(fields: Mapping[str, Sequence[str]], name: str, otherwise: str = "") -> str:
    """The last value of a field."""
    return fields.get(name, [otherwise])[-1]


def form_in(fields: Mapping[str, Sequence[str]]) -> RouteForm:
    """The form of a route as its fields say it. Raises HTTPException 400 for what the page cannot have written."""
    columns = [fields.get(f"line.{name}", []) for name in ("group", "attribute", "operator", "value")]
    if len({len(each) for each in columns}) != 1 or len(columns[0]) > MOST_LINES:
        raise HTTPException(400, f"not the fields of this form, or more than {MOST_LINES} conditions")
    lines = tuple(
        Line(group=group, attribute=attribute, operator=operator, value=value)
        for group, attribute, operator, value in zip(*columns, strict=True)
    )
    for line in lines:
        if line.group not in ("", KEPT, *GROUPS) or (line.group == KEPT and not _is_json(line.value)):
            raise HTTPException(400, "not the fields of this form")
    return RouteForm(
        name=one(fields, "name"), lines=lines, run=tuple(fields.get("run", ())), send=tuple(fields.get("send", ())),
        forward=tuple(fields.get("forward", ())), priority=one(fields, "priority", "routine"),
        within=one(fields, "within"), enabled="enabled" in fields, shadow="shadow" in fields, priors=_priors(fields),
    )


def _priors(fields: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    if "priors" not in fields:
        return None
    said: dict[str, Any] = {}
    for name in ("from", "studies", "years", "wait"):
        if text := one(fields, f"priors.{name}").strip():
            said[name] = _number(text)
    if same := list(fields.get("priors.same", ())):
        said["same"] = same
    return said


def _number(text: str) -> str | int | float:
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def ordered(act: Callable[[], object]) -> None:
    """Do what changes the configuration. Raises HTTPException with the sentence for who asked."""
    try:
        act()
    except (Stale, NotWritable) as error:
        raise HTTPException(409, str(error)) from error
    except (NoSuchRoute, NoSuchVersion) as error:
        raise HTTPException(404, str(error)) from error
    except NotReadable as error:
        raise HTTPException(422, "; ".join(f"line {line}: {what}" for line, what, _ in error.flaws)) from error
    except ConfigError as error:
        said = (f"{each.message}; {each.cure}" if each.cure else each.message for each in error.problems)
        raise HTTPException(422, "; ".join(said)) from error
