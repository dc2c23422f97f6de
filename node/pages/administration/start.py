"""The guided first start: name, source, destination, route, a test study; each step may be left and taken up again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.responses import RedirectResponse

from radnode.config.destinations import PROFILES
from radnode.config.loading import ConfigError
from radnode.node import first_start, sample_study
from radnode.node.association import PeerUnreachable
from radnode.node.configuring import NotWritable, Stale
from radnode.node.doctor import checks_peers, facts_peers
from radnode.node.first_start import Step
from radnode.node.pages.words import N_
from radnode.node.web.access import Permission, needs
from radnode.node.web.login import Form  # noqa: TC001 - FastAPI reads it
from radnode.storage import guide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ruamel.yaml.comments import CommentedMap

    from radnode.node.pages.frame import Frame
    from radnode.node.pages.site import Parts

PATH = "/administration/start"
SENT = "sent"
"""Under this name the UID of the last test study is noted."""
TITLES: Mapping[Step, str] = {
    Step.NAME: N_("Name of the node"), Step.SOURCE: N_("First source"), Step.DESTINATION: N_("First destination"),
    Step.ROUTE: N_("First route"), Step.TEST: N_("Test study"),
}
OUTCOMES: Mapping[str, tuple[str, str]] = {
    "under way": ("busy", N_("under way")), "arrived": ("good", N_("the result has arrived")),
    "nothing ran": ("bad", N_("nothing ran")), "failed": ("bad", N_("failed")),
    "not read": ("warning", N_("not read: the pipeline says why")),
}
WordPath = Annotated[str, Path(max_length=16)]


def router(parts: Parts, frame: Frame) -> APIRouter:
    """The pages and their actions."""
    desk = _Desk(parts, frame)
    pages = APIRouter(prefix=PATH, dependencies=[needs(Permission.CONFIGURE)])
    pages.get("")(desk.go_on)
    pages.get("/test/progress")(desk.progress)
    pages.get("/{step}")(desk.show)
    pages.post("/name")(desk.take_name)
    pages.post("/source")(desk.take_source)
    pages.post("/destination")(desk.take_destination)
    pages.post("/route")(desk.take_route)
    pages.post("/test")(desk.send_test)
    pages.post("/{step}/try")(desk.try_peer)
    return pages


def is_finished(parts: Parts) -> bool:
    """Whether every step of the guide is done."""
    with parts.database.read() as session:
        noted = guide.taken(session)
    return len(first_start.done(parts.configuration(), noted)) == len(Step)


class _Desk:
    def __init__(self, parts: Parts, frame: Frame) -> None:
        self._parts = parts
        self._frame = frame

    def go_on(self) -> Response:
        """To the first step that is not done."""
        return RedirectResponse(f"{PATH}/{first_start.next_step(self._done())}", 303)

    def show(self, request: Request, step: WordPath) -> Response:
        """One step."""
        return self._frame.page(request, "administration/start.html", **self._values(_step(step)))

    def take_name(self, request: Request, fields: Form) -> Response:
        """The AE title; in force after a restart if it is another one."""
        ae_title = fields.get("ae_title", "").strip()
        edit = first_start.named(ae_title)
        if ae_title == self._parts.configuration().settings.ae_title:
            return self._noted(request, Step.NAME, ae_title)
        return self._changed(request, Step.NAME, fields, edit, f"AE title {ae_title}")

    def take_source(self, request: Request, fields: Form) -> Response:
        """Who sends images; perhaps it gets the results, too."""
        return self._changed(request, Step.SOURCE, fields, *_peer_edit(Step.SOURCE, fields))

    def take_destination(self, request: Request, fields: Form) -> Response:
        """Who gets results."""
        return self._changed(request, Step.DESTINATION, fields, *_peer_edit(Step.DESTINATION, fields))

    def try_peer(self, request: Request, step: WordPath, fields: Form) -> Response:
        """C-ECHO, and for a destination which result forms it takes; nothing is stored, nothing is written."""
        edit, note = _peer_edit(_step(step), fields)
        try:
            text = self._parts.desk.text()
            configuration = self._parts.desk.check(self._parts.desk.drafted(text, edit))
        except ConfigError as error:
            return self._refused(request, [str(each) for each in error.problems])
        except NotWritable as error:
            return self._refused(request, [str(error)])
        peer, own = configuration.peers[note.partition(" ")[2]], self._parts.configuration().settings.ae_title
        seen = facts_peers.greet(peer, own, peer.forms if peer.receives else ())
        found = checks_peers.destination(peer.name, own, seen) if peer.receives or seen.failure else []
        return self._frame.part(request, "administration/start_tried.html", wrong=(), peer=peer, own=own, seen=seen,
                                findings=found)

    def take_route(self, request: Request, fields: Form) -> Response:
        """Which images go to which pipeline, and its results where."""
        when: dict[str, object] = {"modality": fields.get("modality", "").strip()}
        if source := fields.get("source"):
            when["source"] = source
        name = fields.get("name", "").strip()
        edit = first_start.with_route(name, when, fields.get("pipeline", ""), fields.get("destination", ""))
        return self._changed(request, Step.ROUTE, fields, edit, f"route {name}")

    def send_test(self, request: Request, fields: Form) -> Response:
        """The phantom, by the real DICOM port."""
        try:
            sent = sample_study.send(self._parts.configuration(), fields.get("source", ""), self._parts.dicom_port())
        except (sample_study.NotSent, PeerUnreachable) as error:
            raise HTTPException(422, str(error)) from error
        self._note(request, SENT, sent.study_instance_uid)
        return self.progress(request)

    def progress(self, request: Request) -> Response:
        """Where the last test study is."""
        values = self._test()
        if values["outcome"] == "arrived":
            self._note(request, Step.TEST, "")
        return self._frame.part(request, "administration/start_progress.html", **values)

    def _test(self) -> dict[str, Any]:
        with self._parts.database.read() as session:
            sent = guide.taken(session).get(SENT)
            number = guide.study_id(session, sent.value) if sent else None
        study = self._parts.answers.study(sent.value) if sent else None
        return {"sent": sent, "study": study, "study_id": number, "outcome": first_start.outcome(study),
                "outcomes": OUTCOMES}

    def _changed(
        self, request: Request, step: Step, fields: Mapping[str, str], edit: Callable[[CommentedMap], None], note: str
    ) -> Response:
        author = request.app.state.identity(request).name
        try:
            self._parts.desk.change(edit, author=author, note=f"first start: {note}", seen=fields.get("seen", ""))
        except ConfigError as error:
            return self._refused(request, [str(each) for each in error.problems])
        except (NotWritable, Stale) as error:
            return self._refused(request, [str(error)])
        return self._noted(request, step, note)

    def _noted(self, request: Request, step: Step, value: str) -> Response:
        self._note(request, step, value)
        following = list(Step)[list(Step).index(step) + 1]
        return Response(headers={"HX-Redirect": f"{PATH}/{following}"})

    def _note(self, request: Request, step: str, value: str) -> None:
        who = request.app.state.identity(request).name
        with self._parts.database.begin() as session:
            guide.note(session, step, at=self._parts.now(), who=who, value=value)

    def _refused(self, request: Request, sentences: list[str]) -> Response:
        return self._frame.part(request, "administration/start_tried.html", wrong=sentences)

    def _done(self) -> frozenset[Step]:
        with self._parts.database.read() as session:
            noted = guide.taken(session)
        return first_start.done(self._parts.configuration(), noted)

    def _values(self, step: Step) -> dict[str, Any]:
        configuration, desk = self._parts.configuration(), self._parts.desk
        why_not = desk.why_read_only()
        manifests = self._parts.installed().manifests
        return {
            "step": step, "steps": list(Step), "titles": TITLES, "done": self._done(), "why_not": why_not,
            "seen": "" if why_not else desk.digest, "settings": configuration.settings,
            "dicom_port": self._parts.dicom_port(), "peers": configuration.peers, "routes": configuration.routes,
            "destinations": configuration.destinations, "senders": sample_study.senders(configuration),
            "pipelines": manifests, "profiles": PROFILES, **(self._test() if step is Step.TEST else {}),
        }


def _step(word: str) -> Step:
    try:
        return Step(word)
    except ValueError:
        raise HTTPException(404, "there is no such step") from None


def _peer_edit(step: Step, fields: Mapping[str, str]) -> tuple[Callable[[CommentedMap], None], str]:
    name, port = fields.get("name", "").strip(), fields.get("port", "").strip()
    if not name:
        raise HTTPException(422, "give it a name")
    entry: dict[str, object] = {
        "ae_title": fields.get("ae_title", "").strip(), "host": fields.get("host", "").strip(),
        "port": int(port) if port.isdecimal() and len(port) < 7 else port,
    }
    both = bool(fields.get("both"))
    if step is Step.SOURCE or both:
        entry["sends"] = True
    if step is Step.DESTINATION or both:
        entry |= {"receives": True, "profile": fields.get("profile") or "any-pacs"}
    return first_start.with_peer(name, entry), f"{step} {name}"
