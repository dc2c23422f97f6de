"""What is audited of what comes over HTTP."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from sqlalchemy import select

from radnode.node.audit.messages import MINOR, SUCCESS, Participant, StudyObject
from radnode.node.web.access import Permission, asked_of
from radnode.node.web.gate import READS, address_of
from radnode.storage.tables import StudyRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from fastapi import Request

    from radnode.node.audit.messages import Action, Auditor
    from radnode.node.audit.trail import Trail
    from radnode.node.web.access import Identity
    from radnode.storage.database import Database

ONCE_IN_S = 300.0
"""The same person at the same study, or refused the same, is one message in so long: a viewer asks for each image."""
THROTTLED = "too many wrong passwords"
MOST_REMEMBERED = 10_000
STUDY_PARAMETERS = ("study_instance_uid", "study_uid", "study")
"""What routes call a study in their path."""
STUDY_NUMBER = "study_id"
"""What the node's own pages call it: the number of its row, so that no address names a study outside."""
MOST_DIGITS = 9
_CHANGES = {Permission.CONFIGURE: "Software Configuration", Permission.ACCOUNTS: "User Security Attributes Changed"}


class WebWitness:
    """The :class:`~radnode.node.web.gate.Witness` of the gate and of the login."""

    def __init__(
        self, *, trail: Trail, auditor: Auditor, database: Database, now: Callable[[], datetime]
    ) -> None:
        self._trail = trail
        self._auditor = auditor
        self._database = database
        self._now = now
        self._lock = threading.Lock()
        self._told: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def permitted(self, identity: Identity, permission: Permission, request: Request) -> None:
        """Somebody looks at a study, searches, changes something, reads the audit trail."""
        who, now = _person(identity, request), self._now()
        reads = request.method in READS or asked_of(request) is not None
        if permission is Permission.AUDIT:
            if self._is_new(identity.how, identity.name, "audit"):
                self._trail.write(self._auditor.log_used(now, who))
        elif (kind := _CHANGES.get(permission)) is not None:
            if not reads:
                self._trail.write(self._auditor.alert(now, who, kind, _what(request), SUCCESS))
        elif permission in (Permission.STUDIES, Permission.ACT):
            self._of_images(identity, who, now, request, reads=reads)

    def refused(self, identity: Identity | None, permission: Permission, request: Request) -> None:
        """Somebody may not do this, or showed something that nobody knows."""
        who = _person(identity, request)
        if self._is_new("refused", who.user_id, who.address, _route(request), request.method):
            what = f"refused, needs {permission}: {_what(request)}"
            self._trail.write(self._auditor.alert(self._now(), who, "Use of Restricted Function", what, MINOR))

    def login(self, name: str, request: Request, *, how: str, failed: str = "") -> None:
        """Somebody came in, or did not; whom the throttle keeps out is one message."""
        if failed == THROTTLED and not self._is_new("throttled", name, address_of(request)):
            return
        who = Participant(user_id=name or "unknown", is_requestor=True, address=address_of(request))
        message = self._auditor.authentication(self._now(), who, "Login", failed and f"by {how}: {failed}")
        self._trail.write(message)

    def logout(self, name: str, request: Request) -> None:
        """Somebody went."""
        who = Participant(user_id=name, is_requestor=True, address=address_of(request))
        self._trail.write(self._auditor.authentication(self._now(), who, "Logout"))

    def did(self, identity: Identity, request: Request, kind: str, what: str) -> None:
        """Something that its permission alone does not tell of. kind: a Security Alert of PS3.15 A.5.3.11."""
        self._trail.write(self._auditor.alert(self._now(), _person(identity, request), kind, what, SUCCESS))

    def _of_images(self, identity: Identity, who: Participant, now: datetime, request: Request, *, reads: bool) -> None:
        study_instance_uid = self._named(request)
        if study_instance_uid is not None:
            action: Action = "R" if reads else "E"
            if not reads or self._is_new(identity.how, identity.name, str(study_instance_uid)):
                study = self._study(str(study_instance_uid))
                self._trail.write(self._auditor.accessed(now, who, study, action))
        elif not reads:
            self._trail.write(self._auditor.alert(now, who, "Use of Restricted Function", _what(request), SUCCESS))
        else:
            asked = asked_of(request)
            query = request.url.query if asked is None else asked
            if self._is_new(identity.how, identity.name, _route(request), query):
                self._trail.write(self._auditor.queried(now, who, _route(request), query))

    def _named(self, request: Request) -> str | None:
        """The study that an address names, if it names one."""
        given = request.path_params
        named = next((str(given[name]) for name in STUDY_PARAMETERS if name in given), None)
        if named is not None or STUDY_NUMBER not in given:
            return named
        number = str(given[STUDY_NUMBER])
        if not number.isdecimal() or len(number) > MOST_DIGITS:
            return None
        with self._database.read() as session:
            return session.scalar(select(StudyRow.study_instance_uid).where(StudyRow.id == int(number)))

    def _study(self, study_instance_uid: str) -> StudyObject:
        with self._database.read() as session:
            row = session.scalar(select(StudyRow).where(StudyRow.study_instance_uid == study_instance_uid))
        if row is None:
            return StudyObject(study_instance_uid=study_instance_uid[:64])
        return StudyObject(study_instance_uid=row.study_instance_uid, patient_id=row.patient_id,
                           accession_number=row.accession_number or "")

    def _is_new(self, *what: str) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._told.get(what, -ONCE_IN_S) < ONCE_IN_S:
                return False
            self._told[what] = now
            self._told.move_to_end(what)
            while len(self._told) > MOST_REMEMBERED:
                self._told.popitem(last=False)
        return True


def _person(identity: Identity | None, request: Request) -> Participant:
    if identity is None:
        return Participant(user_id="unknown", is_requestor=True, address=address_of(request))
    return Participant(user_id=identity.name, is_requestor=True, name=f"{', '.join(identity.roles)} by {identity.how}",
                       address=address_of(request))


def _route(request: Request) -> str:
    return str(getattr(request.scope.get("route"), "path", "unknown"))


def _what(request: Request) -> str:
    """Method and path without its query: an audit message may name what was asked for, the log may not."""
    return f"{request.method} {request.url.path[:200]}"
