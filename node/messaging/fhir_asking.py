"""Asks a FHIR server for the order of each study that comes, by its Accession Number or its Study Instance UID."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from radnode.node.association import PeerUnreachable
from radnode.node.dicomweb.client import open_service
from radnode.node.messaging import contexts
from radnode.node.messaging.fhir_orders import missing, orders_in, studies_in, study_identifier
from radnode.node.messaging.fhir_sending import FHIR_JSON
from radnode.storage import orders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from radnode.config.messaging import FhirServer
    from radnode.node.alarms import Alarms
    from radnode.node.dicomweb.client import WebClient
    from radnode.storage.database import Database
    from radnode.storage.orders import Unordered

log = structlog.get_logger(__name__)

SENDER = "FHIR"
"""What its orders are recorded under."""
YOUNG = timedelta(hours=6)
AGAIN_AFTER = timedelta(minutes=10)
AT_ONCE = 20
MOST_NAMED = 50


class OrderAsker:
    """`step` asks about studies without an order: when they come, and every ten minutes for some hours."""

    def __init__(
        self, server: FhirServer, *, database: Database, issuers: Mapping[str, str], now: Callable[[], datetime],
        alarms: Alarms,
    ) -> None:
        self._server = server
        self._database = database
        self._issuers = issuers
        self._now = now
        self._alarms = alarms
        self._asked: dict[int, datetime] = {}
        self._not_before: datetime | None = None

    def step(self) -> bool:
        """Ask about some; True when there are more."""
        now = self._now()
        if self._not_before is not None and now < self._not_before:
            return False
        with self._database.read() as session:
            studies = {each.study_id: each for each in orders.without_order(session, now - YOUNG)}
        self._asked = {study: at for study, at in self._asked.items() if study in studies}
        due = [study for study in studies if now - self._asked.get(study, now - AGAIN_AFTER) >= AGAIN_AFTER]
        if not due:
            return False
        try:
            with open_service("the FHIR server that is asked for orders", self._server.tls, self._server) as client:
                for study_id in due[:AT_ONCE]:
                    self._ask(client, studies[study_id])
                    self._asked[study_id] = now
        except PeerUnreachable as unreachable:
            self._not_before = now + timedelta(minutes=1)
            self._alarms.set("order-server", str(unreachable))
            return False
        self._alarms.clear("order-server")
        return len(due) > AT_ONCE

    def _ask(self, client: WebClient, study: Unordered) -> None:
        system, number = self._issuers.get("accession_system", ""), study.accession_number
        answer = _get(client, "/ServiceRequest", {
            "identifier": f"{system}|{number}" if system else number, "_include": "ServiceRequest:subject",
            "_count": "50"})
        found = orders_in(_completed(client, answer), number, self._issuers)
        if not found:
            uid = study.study_instance_uid
            answer = _get(client, "/ImagingStudy", {
                "identifier": study_identifier(uid), "_include": "ImagingStudy:subject", "_count": "50"})
            found = studies_in(_completed(client, answer), uid, number, self._issuers)
        now = self._now()
        with self._database.begin() as session:
            for order in found:
                orders.store_order(session, SENDER, order, now)
            if found:
                contexts.attach(session, study.study_id, now)
        log.info("order.asked", study=study.study_id, found=len(found))


def _completed(client: WebClient, bundle: Any) -> Any:
    """With what its resources name and the server left out: the order of a study, and then the order's patient."""
    for _ in range(2):
        for reference in missing(bundle)[:MOST_NAMED]:
            bundle["entry"].append({"resource": _get(client, f"/{reference}", {})})
    return bundle


def _get(client: WebClient, path: str, parameters: Mapping[str, str]) -> Any:
    reply = client.request("GET", path, params=parameters, headers={"Accept": FHIR_JSON})
    if reply.status != 200:
        raise PeerUnreachable(f"the FHIR server that is asked for orders answered {reply.status}")
    return reply.document()
