"""One study from its first image to the proof that its results arrived."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse
from pydicom.uid import UID

from radnode.node.execution.orders import RESULTS
from radnode.node.pages.studies.sentences import LABELS, STAGES, tone_of, why
from radnode.node.pages.words import N_
from radnode.node.studies.picture import LANES, WIDTH, draw, spans_of
from radnode.node.studies.states import state_of
from radnode.node.web.access import Permission, endpoints, needs
from radnode.storage.outbox import OTHER_PATIENT
from radnode.storage.study_account import Account, account, result_of
from radnode.storage.study_facts import StudyFacts, facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
LANE_NAMES = {"received": N_("received"), "judged": N_("judged"), "waiting": N_("waiting"), "running": N_("running"),
              "sending": N_("sending")}
OUTCOMES: Mapping[str, tuple[str, str]] = {"met": (N_("met"), "good"), "not met": (N_("not met"), "bad"),
                                           "unknown": (N_("unknown"), "warning")}
SERIES_STATES: Mapping[str, tuple[str, str]] = {
    "OPEN": (N_("arriving"), "busy"), "CLOSED": (N_("complete"), "good"), "HELD": (N_("incomplete"), "warning"),
    "CONFLICT": (N_("contradictory"), "bad"), "DISCARDED": (N_("discarded"), "idle"),
}
JOB_STATES: Mapping[str, tuple[str, str]] = {
    "WAITING": (N_("waiting"), "busy"), "RUNNING": (N_("running"), "busy"), "PRODUCED": (N_("done"), "good"),
    "NOT_PROCESSED": (N_("not processed"), "warning"), "FAILED": (N_("failed"), "bad"),
    "SUPERSEDED": (N_("superseded"), "idle"), "DISCARDED": (N_("discarded"), "idle"),
}
DELIVERY_STATES: Mapping[str, tuple[str, str]] = {
    "WAITING": (N_("waiting"), "busy"), "SENDING": (N_("sending"), "busy"), "SENT": (N_("sent"), "good"),
    "CONFIRMED": (N_("confirmed"), "good"), "DEAD": (N_("not delivered"), "bad"),
    "WITHDRAWN": (N_("withdrawn"), "idle"), "REPLACED": (N_("replaced by another form"), "idle"),
}
GROUNDS: Mapping[str, str] = {
    "by hand": N_("by hand"), "unreadable": N_("unreadable"), "pixels": N_("pixels"), "geometry": N_("geometry"),
    "count at the source": N_("count at the source"), "performed": N_("performed"),
    "associations": N_("associations"), "count in the images": N_("count in the images"), "ends": N_("ends"),
    "instance numbers": N_("instance numbers"), "quiet time": N_("quiet time"),
}
"""Kinds of evidence for completeness."""
DETAILS: Mapping[str, str] = {
    "by": N_("by"), "reason": N_("reason"), "was": N_("was"), "destination": N_("destination"), "how": N_("how"),
    "images": N_("images"), "instances": N_("instances"), "revision": N_("revision"), "pipeline": N_("pipeline"),
    "series": N_("series"), "state": N_("state"), "status": N_("status"), "source": N_("source"), "form": N_("form"),
    "archive": N_("archive"), "listed": N_("listed"), "lacking": N_("lacking"), "remarks": N_("remarks"),
    "route": N_("route"), "routes": N_("routes"), "crashes": N_("crashes"), "sender": N_("sender"),
}
"""Words of the log of a study; what has none is shown by its own name."""
PICTURES = re.compile(r"/studies/\{[^/]+\}/pictures")
DICOM = "application/dicom"
MESSAGE = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the page shows of a study. record: as the HTTP API gives it."""

    facts: StudyFacts
    record: Mapping[str, Any]
    account: Account


def told(parts: Parts, study_id: int) -> Told:
    """Raises HTTPException 404."""
    with parts.database.read() as session:
        found = facts(session, [study_id]).get(study_id)
        if found is None:
            raise HTTPException(404, "no such study was received")
        beside = account(session, study_id, found.study_instance_uid)
    record = parts.answers.study(found.study_instance_uid)
    if record is None:
        raise HTTPException(404, "no such study was received")
    return Told(facts=found, record=record, account=beside)


def shown(parts: Parts, request: Request, study_id: int) -> dict[str, Any]:
    """What the templates of a study's page ask for."""
    found = told(parts, study_id)
    state = state_of(found.facts)
    return {
        "study": found.facts, "record": found.record, "account": found.account, "state": state, "labels": LABELS,
        "tone": tone_of(state), "said": why(found.facts, state), "lanes": LANES, "lane_names": LANE_NAMES,
        "width": WIDTH, "picture": draw(spans_of(found.record), parts.now()), "outcomes": OUTCOMES,
        "pictured": pictured(request), "routes": [each.name for each in parts.configuration().routes if each.run],
        "class_name": class_name, "held_back": OTHER_PATIENT, "series_states": SERIES_STATES,
        "job_states": JOB_STATES, "delivery_states": DELIVERY_STATES,
        "grounds": GROUNDS, "details": DETAILS, "stages": STAGES,
    }


def pictured(request: Request) -> bool:
    """Whether this node shows pictures of a study; looked for once."""
    known = getattr(request.app.state, "pictured", None)
    if known is None:
        known = any(PICTURES.fullmatch(path) for _, path, _ in endpoints(request.app))
        request.app.state.pictured = known
    return bool(known)


def class_name(uid: str) -> str:
    """A SOP class as the standard names it."""
    return UID(uid).name.removesuffix(" Storage")


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The page of a study, and its results as files."""
    pages = APIRouter(prefix="/studies", dependencies=[needs(Permission.STUDIES)])

    @pages.get("/{study_id}")
    def study(request: Request, study_id: Number) -> Response:
        """Everything that happened to a study."""
        return frame.page(request, "studies/study.html", **shown(parts, request, study_id))

    @pages.get("/{study_id}/results/{result_object_id}")
    def result(study_id: Number, result_object_id: Number) -> Response:
        """A result object as it was, or would be, sent."""
        with parts.database.read() as session:
            found = result_of(session, study_id, result_object_id)
        if found is None:
            raise HTTPException(404, "this study has no such result")
        path = parts.store.path(found.digest, RESULTS)
        if not path.is_file():
            raise HTTPException(404, "the file of this result is not kept any more")
        name = f"{found.form}-{found.result_object_id}.{'dcm' if found.sop_class_uid else 'txt'}"
        return FileResponse(path, media_type=DICOM if found.sop_class_uid else MESSAGE, filename=name)

    return pages
