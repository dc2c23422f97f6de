"""How an action answers: the part of the page that it renewed, with a line that says what was done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi.responses import HTMLResponse


def said(answer: HTMLResponse, text: str) -> HTMLResponse:
    """The same answer; the browser shows `text` for a while."""
    answer.headers["HX-Trigger"] = json.dumps({"said": text})
    return answer
