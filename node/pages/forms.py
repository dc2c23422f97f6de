"""The fields of a form of this site's own page, larger than that of the login."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request

LARGEST = 64 * 1024
MOST_FIELDS = 200


async def _fields(request: Request) -> dict[str, str]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise HTTPException(413, "too large for this form")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise HTTPException(400, "no form in UTF-8") from None


Fields = Annotated[dict[str, str], Depends(_fields)]
"""The last value of each field. That the session's own page wrote them, the gate has checked by their token."""
