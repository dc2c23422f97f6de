"""The area of pipelines: its place in the navigation, and all its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from radnode.node.pages.frame import Area, Frame
from radnode.node.pages.pipelines import acting, looking, reporting
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission

if TYPE_CHECKING:
    from radnode.node.pages.site import Parts

AREA = Area(path="/pipelines", label=N_("Pipelines"), permission=Permission.STATE)


def router(parts: Parts, frame: Frame) -> APIRouter:
    """Reports, what changes something, and then whatever name a pipeline has."""
    pages = APIRouter()
    for each in (reporting.router(parts, frame), acting.router(parts, frame), looking.router(parts, frame)):
        pages.include_router(each)
    return pages
