"""The area of connections: its place in the navigation, and all its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from radnode.node.connections.probing import Probes
from radnode.node.pages.connections import acting, entering, looking
from radnode.node.pages.frame import Area, Frame
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission

if TYPE_CHECKING:
    from radnode.node.pages.site import Parts

AREA = Area(path="/connections", label=N_("Connections"), permission=Permission.STATE)


def router(parts: Parts, frame: Frame) -> APIRouter:
    """Looking, trying, acting and changing."""
    probes = Probes(parts.now)
    pages = APIRouter()
    for each in (entering, acting, looking):  # the last takes whatever name there is
        pages.include_router(each.router(parts, frame, probes))
    return pages
