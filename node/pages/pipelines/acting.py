"""What is changed at pipelines: which routes run one, and that a model goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import structlog
from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node.installed.naming import NoSuchRoute, OnlyOne, named_by, run_it
from radnode.node.pages import changing
from radnode.node.pages.forms import Fields  # noqa: TC001 - FastAPI reads it
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs
from radnode.pipelines.models import store

if TYPE_CHECKING:
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

log = structlog.get_logger(__name__)


def router(parts: Parts, frame: Frame) -> APIRouter:
    """For who may configure; each is audited, and a change of routes is a version of the configuration."""
    pages = APIRouter(dependencies=[needs(Permission.CONFIGURE)])

    @pages.post("/pipelines/routes/{name}")
    def route(request: Request, name: str, fields: Fields) -> Response:
        """Have a route run it, or no more."""
        chosen, runs = fields.get("route", ""), fields.get("runs") == "yes"
        try:
            changing.change(parts.desk, request, lambda document: run_it(document, chosen, name, runs=runs),
                            note=f"route {chosen} {'runs' if runs else 'does not run'} {name}",
                            seen=fields.get("seen", ""))
        except (OnlyOne, NoSuchRoute) as error:
            raise HTTPException(409, str(error)) from error
        text = N_("The route %(route)s runs %(name)s.") if runs else N_("The route %(route)s no longer runs %(name)s.")
        said = frame.translated(request, text, route=chosen, name=name)
        return Response(headers={"HX-Trigger": json.dumps({"said": said, "pipeline-changed": True})})

    @pages.post("/pipelines/remove/{name}")
    def remove(request: Request, name: str, fields: Fields) -> Response:
        """Take a model out of the store and delete its files; whoever does it writes its name and why."""
        why = fields.get("note", "").strip()[:200]
        if fields.get("name", "").strip() != name or not why:
            raise HTTPException(422, frame.translated(request, N_("Write the name of the model, and why it goes.")))
        configuration, installed = parts.configuration(), parts.installed()
        if named := named_by(installed, configuration.routes, name):
            raise HTTPException(409, frame.translated(
                request, N_("These routes use it; take it out of them first: %(names)s."), names=", ".join(named)))
        try:
            store.remove(configuration.settings.model_store, name)
        except store.StoreError as error:
            raise HTTPException(409, str(error)) from error
        parts.renew()
        log.info("model.removed", model=name, by=request.app.state.identity(request).name, reason=why)
        return Response(headers={"HX-Redirect": "/pipelines"})

    return pages
