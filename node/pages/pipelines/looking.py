"""The list of pipelines and models, and one of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException, Request, Response

from radnode.node.installed import evaluations
from radnode.node.installed.measured import WHOLE, measured
from radnode.node.installed.naming import named_by
from radnode.node.pages import changing
from radnode.node.pages.connections.words import FORMS
from radnode.node.pages.pipelines.words import PARTS, READS, STATES
from radnode.node.web.access import Permission, needs
from radnode.pipelines import registry
from radnode.pipelines.models import licences
from radnode.storage import job_figures

if TYPE_CHECKING:
    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

COUNTED = timedelta(days=30)


def router(parts: Parts, frame: Frame) -> APIRouter:
    """Nothing of a patient is shown here."""
    pages = APIRouter(dependencies=[needs(Permission.STATE)])

    @pages.get("/pipelines")
    def overview(request: Request) -> Response:
        """Everything that is installed, and what cannot be used."""
        installed, configuration = parts.installed(), parts.configuration()
        with parts.database.read() as session:
            ended = job_figures.newest_ended(session)
            counted = job_figures.by_state(session, parts.now() - COUNTED)
        listed = [
            {
                "manifest": each, "is_model": name in installed.pins, "counts": counted.by.get(name, {}),
                "measured": measured(ended, name, each.version),
                "routes": [route for route in configuration.routes if name in route.run],
                "slots": {slot: model in installed.pins for slot, model in registry.slots_of(each).items()},
            }
            for name, each in sorted(installed.manifests.items())
        ]
        return frame.page(
            request, "pipelines/list.html", listed=listed, refused=sorted(installed.refused.items()), whole=WHOLE,
            since=counted.since, reports=evaluations.reports(configuration.settings.data),
            qualification=configuration.settings.content_qualification, store=configuration.settings.model_store,
            states=STATES,
        )

    @pages.get("/pipelines/{name}")
    def one(request: Request, name: str) -> Response:
        """What it reads and is for, what it takes, how it was evaluated, who runs it."""
        installed, configuration = parts.installed(), parts.configuration()
        manifest = installed.manifests.get(name)
        if manifest is None:
            raise HTTPException(404, "no such pipeline can be used")
        with parts.database.read() as session:
            ended = job_figures.newest_ended(session)
            counted = job_figures.by_state(session, parts.now() - COUNTED)
            made = job_figures.forms(session).get(name, {})
        pin = installed.pins.get(name)
        folder = configuration.settings.model_store / pin.folder if pin else None
        found = [each for each in evaluations.reports(configuration.settings.data) if each.pipeline == name]
        slots = {slot: installed.manifests.get(model) if model in installed.pins else None
                 for slot, model in registry.slots_of(manifest).items()}
        return frame.page(
            request, "pipelines/one.html", manifest=manifest, pin=pin, whole=WHOLE, reads=READS[manifest.reads],
            measured=measured(ended, name, manifest.version), counts=counted.by.get(name, {}), since=counted.since,
            reports=found, routes=configuration.routes, named_by=named_by(installed, configuration.routes, name),
            slots=slots, text=registry.documentation(installed, name), seen=changing.seen(parts.desk),
            why_not=parts.desk.why_read_only(), qualification=configuration.settings.content_qualification,
            licence_texts=licences.texts(folder) if folder and folder.is_dir() else {}, forms=FORMS, made=made,
            states=STATES, parts_of_job=PARTS,
        )

    return pages
