"""Media types (RFC 9110 8.3.1): that of a body, that of a part, and those that a client accepts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DICOM = "application/dicom"
JSON = "application/dicom+json"
XML = "application/dicom+xml"
RELATED = "multipart/related"

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"\s*({_WORD}/{_WORD})\s*")
_PARAMETER = re.compile(rf'\s*;\s*({_WORD})=(?:"((?:[^"\\]|\\.)*)"|([^\s;",]+))\s*')
"""A value without quotes may have a slash, which is wrong (RFC 9110 5.6.6) and common: type=application/dicom."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """name and names of parameters in lower case."""

    name: str
    parameters: Mapping[str, str]


def parse(text: str) -> MediaType | None:
    """None: it is none."""
    found = _TYPE.match(text)
    if found is None:
        return None
    parameters: dict[str, str] = {}
    position = found.end()
    while position < len(text):
        parameter = _PARAMETER.match(text, position)
        if parameter is None or parameter[1].lower() in parameters:
            return None
        quoted, plain = parameter[2], parameter[3]
        parameters[parameter[1].lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        position = parameter.end()
    return MediaType(found[1].lower(), parameters)


_ANSWERED = {
    JSON: JSON, "application/json": JSON, "application/*": JSON, "*/*": JSON,
    XML: XML, "application/xml": XML, "text/xml": XML,
}  # fmt: skip


def answer_for(accept: str) -> str | None:
    """The type of the answer to somebody who accepts this (PS3.18 10.5.3): JSON if it may be. None: nothing of it."""
    if not accept.strip():
        return JSON
    wanted = {_ANSWERED.get(each.partition(";")[0].strip().lower()) for each in accept.split(",")} - {None}
    return JSON if JSON in wanted else next(iter(wanted), None)
