"""Two pipelines on the same input: champion and challenger."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from radnode.node.monitoring.comparing import compare
from radnode.node.pages.monitoring import wording
from radnode.node.web.access import Permission, needs
from radnode.storage import comparisons, figures

if TYPE_CHECKING:
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

MOST_PAIRS = 500
SHOWN = 100
KEPT = timedelta(days=365)


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The page."""
    pages = APIRouter(dependencies=[needs(Permission.STUDIES)])

    @pages.get("/monitoring/comparison")
    def comparison(request: Request, one: str = "", other: str = "") -> Response:
        """Choose two, and how far they agree on the same input. one, other: PIPELINE or PIPELINE@VERSION."""
        now = parts.now()
        with parts.database.read() as session:
            known = figures.pipelines(session, (now - KEPT).strftime("%Y-%m-%d"))
            pairs = comparisons.between(session, _split(one), _split(other), now - KEPT, MOST_PAIRS) \
                if one and other and one != other else []
            return frame.page(
                request, "monitoring/comparison.html", known=known, one=one, other=other,
                found=compare(pairs) if pairs else None, most=MOST_PAIRS, shown=SHOWN, words=wording.WORDS,
                measure_name=wording.measure_name,
                suggested=comparisons.counted(session) if not (one and other) else [],
            )

    return pages


def _split(said: str) -> tuple[str, str]:
    pipeline, _, version = said.partition("@")
    return pipeline, version
