"""Whether destinations of messages, and the server that is asked for orders, answer. Nothing is stored there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radnode.node.association import PeerUnreachable
from radnode.node.dicomweb.client import open_service
from radnode.node.doctor.finding import Finding, good, warning, wrong
from radnode.node.messaging import mllp_sending
from radnode.node.messaging.fhir_sending import FHIR_JSON
from radnode.node.statuses import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from radnode.config.loading import Configuration
    from radnode.config.messaging import FhirServer, Hl7Destination
    from radnode.node.dicomweb.client import Reply


def messages(configuration: Configuration) -> Iterator[Finding]:
    """Each destination by HL7 v2 and FHIR, and where orders are asked for."""
    for ris in configuration.messaging.hl7.values():
        yield of_ris(ris)
    for name, server in configuration.messaging.fhir.items():
        yield of_server(f"destination {name}", server, stores=True)
    if asked := configuration.messaging.orders_from:
        yield of_server("orders from FHIR", asked, stores=False)


def judge(question: str, status: int, statement: object, *, stores: bool) -> Finding:
    """What a server's CapabilityStatement says of it."""
    if status != 200 or not isinstance(statement, dict):
        return wrong(question, f"it answered {status} to GET /metadata", "look at `url`, and at what is shown there")
    version = str(statement.get("fhirVersion", ""))
    if not version.startswith("4."):
        return wrong(question, "it does not speak FHIR R4", "give the address of its R4 service")
    rest = statement.get("rest")
    systems = [each for each in rest if isinstance(each, dict)] if isinstance(rest, list) else []
    taken = {one.get("code") for each in systems for one in each.get("interaction", []) if isinstance(one, dict)}
    if stores and "transaction" not in taken:
        return warning(question, "answers as FHIR R4, and does not say that it takes transactions",
                       "allow them there: results come as transaction Bundles")
    return good(question, f"answers as FHIR R4{'; nothing was posted, to store nothing' if stores else ''}")


def of_ris(ris: Hl7Destination) -> Finding:
    """Does it accept a connection?"""
    question = f"destination {ris.name}"
    try:
        with mllp_sending.connect(ris):
            return good(question, f"accepts a connection{' in TLS' if ris.tls else ''}; no message was sent")
    except PeerUnreachable as unreachable:
        return wrong(question, str(unreachable), "look at its address, port and `tls` in `messaging.hl7`")


def acknowledges(ris: Hl7Destination, control_id: str, now: datetime) -> Finding:
    """Does it answer in HL7? For who is asked to try it: a query without patient is sent, which it may write down."""
    question = f"acknowledgement of {ris.name}"
    try:
        with mllp_sending.connect(ris) as line:
            answer = line.greet(control_id, now)
    except PeerUnreachable as unreachable:
        return wrong(question, str(unreachable), "look at its address, port and `tls` in `messaging.hl7`")
    if answer is None:
        return warning(question, "a query about itself (NMQ^N01, no patient in it) was not acknowledged",
                       "look whether HL7 v2 by MLLP is spoken at this port")
    if answer.outcome is Outcome.STORED:
        return good(question, "acknowledges messages: a query about itself (NMQ^N01, no patient in it) was taken")
    return good(question, f"acknowledges messages: {answer.reason} to a query about itself (NMQ^N01, without patient), "
                "which it need not know")


def of_server(question: str, server: FhirServer, *, stores: bool) -> Finding:
    """Does it say that it is a FHIR server of R4? stores: it is to take results."""
    try:
        with open_service(question, server.tls, server) as client:
            reply: Reply = client.request("GET", "/metadata", headers={"Accept": FHIR_JSON})
    except PeerUnreachable as unreachable:
        return wrong(question, str(unreachable), "look at its `url`, `tls` and what the node shows there")
    return judge(question, reply.status, reply.document(), stores=stores)
