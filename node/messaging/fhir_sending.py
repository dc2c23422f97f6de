"""A transaction Bundle to a FHIR server, and what its answer means (https://hl7.org/fhir/R4/http.html#transaction)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from radnode.node.association import PeerUnreachable
from radnode.node.delivery.answer import Answer, intact, none, taken
from radnode.node.dicomweb.client import open_service
from radnode.node.statuses import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from radnode.config.messaging import FhirDestination
    from radnode.node.dicomweb.client import WebClient

FHIR_JSON = "application/fhir+json"
_REFUSED = frozenset({400, 405, 406, 409, 412, 413, 415, 422})
"""These are about the bundle. Others, also 401, 403 and 404, are about the server, its address or who we are to it."""


class FhirCarrier:
    """A server; each bundle is a request of its own."""

    is_established = True

    def __init__(self, client: WebClient) -> None:
        self._client = client

    def store(self, path: Path, digest: str, *_uids: str) -> Answer:
        """Post one bundle. Raises :class:`~radnode.node.delivery.answer.Damaged`, OSError for the file."""
        content = intact(path, digest)
        try:
            reply = self._client.request(
                "POST", "", headers={"Content-Type": FHIR_JSON, "Accept": FHIR_JSON}, body=lambda: iter([content])
            )
        except PeerUnreachable as unreachable:
            return none(str(unreachable))
        return judge(reply.status, reply.document())


def judge(status: int, answer: object) -> Answer:
    """What the server did. Only its codes are repeated: its words may quote the patient."""
    if 200 <= status < 300:
        if isinstance(answer, dict) and answer.get("type") == "transaction-response":
            return taken()
        return none(f"it answered {status} without saying what it did")
    reason = f"it answered {status} {_issues(answer)}".strip()
    return Answer(outcome=Outcome.PERMANENT if status in _REFUSED else Outcome.TRANSIENT, reason=reason)


def _issues(answer: object) -> str:
    """The codes of an OperationOutcome (issue-type), each a word of the standard."""
    issues = answer.get("issue") if isinstance(answer, dict) else None
    codes = [each.get("code") for each in issues if isinstance(each, dict)] if isinstance(issues, list) else []
    return ", ".join(sorted({each for each in codes if each in _ISSUE_TYPES}))


_ISSUE_TYPES = frozenset({
    "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired", "forbidden",
    "suppressed", "processing", "not-supported", "duplicate", "multiple-matches", "not-found", "deleted", "too-long",
    "code-invalid", "extension", "too-costly", "business-rule", "conflict", "transient", "lock-error", "no-store",
    "exception", "timeout", "incomplete", "throttled", "informational",
})  # fmt: skip


@contextlib.contextmanager
def connect(destination: FhirDestination) -> Iterator[FhirCarrier]:
    """Raises :class:`~radnode.node.association.PeerUnreachable`."""
    with open_service(destination.name, destination.tls, destination) as client:
        yield FhirCarrier(client)
