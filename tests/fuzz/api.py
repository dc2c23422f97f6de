"""Random calls of the whole HTTP interface, made from its own OpenAPI: none ends in a 5xx, none reads what it may not.

    python tests/fuzz/api.py --calls 10000

The first answer that is not as it must be ends the run, and nothing is written down.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import figures, rows
from support.web import Site, whole_site

from radnode.config.access import ROLES
from radnode.node.web import gate
from radnode.node.web.access import HOLDS, Permission, endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CANARY = "CANARY-PATIENT"
"""A patient's ID that nobody without the permission to see studies, or the audit trail, may ever read."""
SEES = frozenset({Permission.STUDIES, Permission.AUDIT})
STRANGER = "nobody"
DICOMWEB = "/dicom-web"
"""What is answered there PS3.18 says, and what a client accepts; the document does not announce it."""
REFUSED = frozenset({400, 401, 403, 404, 405, 422})
"""A body is read before anybody is asked who he is: one that is malformed is told so, and nothing else."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
"""Those of schemathesis: no 5xx, and nothing is answered that the document does not announce."""


def fuzz(running: Site, calls: int, seed: int) -> Counter[tuple[str, int]]:
    """Make so many calls, in equal parts as each role and as a stranger; who was answered what.

    Raises AssertionError with the call that was answered as it must not be.
    """
    studies = [rows.reception(number, patient_id=CANARY) for number in range(3)]
    rows.receive(running.database, *studies)
    with running.database.begin() as session:
        rows.catalog.add_event(session, "test", detail={"patient": CANARY}, now=rows.NOW, study_id=1)
    needed = {(method, path.replace(":path}", "}")): wanted for method, path, wanted in endpoints(running.app)}
    token = running.token("admin", "fuzz-reads-openapi")
    shown = {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", running.app, headers=shown)
    operations = [each.ok() for each in schema.get_all_operations()]
    shown_by = {person: {} if person == STRANGER else
                {"Authorization": f"Bearer {running.token(person, f'fuzz-{person}')}"} for person in (*ROLES, STRANGER)}
    answered: Counter[tuple[str, int]] = Counter()

    def call_all(number: int, seed: int) -> None:
        for person, headers in shown_by.items():
            _judge(running.client().get("/api/studies/1.2.5.1", headers=headers), person, Permission.STUDIES)
            for operation in operations:
                permission = needed[operation.method.upper(), operation.path]

                def judge(case: Any, person: str = person, permission: Permission | None = permission,
                          headers: dict[str, str] = headers) -> None:
                    checks = [not_a_server_error] if case.path.startswith(DICOMWEB) else CHECKS
                    answer = case.call_and_validate(headers=headers, checks=checks)
                    answered[person, answer.status_code] += 1
                    _judge(answer, person, permission)

                _call(operation, number, seed, judge)

    while answered.total() < calls:
        each = -(-(calls - answered.total()) // (len(operations) * len(shown_by)))
        call_all(min(each, 100), seed)
        seed += 1
    return answered


def _call(operation: Any, number: int, seed: int, judge: Callable[[Any], None]) -> None:
    """So many cases of one operation: about half of them as it is documented, half of them not."""
    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=number, deadline=None, database=None, phases=[Phase.generate],
                         suppress_health_check=list(HealthCheck))
    @hypothesis.given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
                      | operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE))
    def call(case: Any) -> None:
        judge(case)

    call()


def _judge(answer: Any, person: str, permission: Permission | None) -> None:
    said = f"{person}: {answer.request.method} {answer.request.url} -> {answer.status_code} {answer.text[:300]}"
    holds = HOLDS.get(person, frozenset())  # type: ignore[call-overload]
    if permission is not None and permission not in holds:
        assert answer.status_code in REFUSED, said
    if SEES.isdisjoint(holds):
        assert CANARY not in answer.text, said


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was answered, and how fast."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args(arguments)
    gate.EACH_SECOND = gate.BURST = gate.STRANGERS_BURST = gate.STRANGERS_EACH_SECOND = 1e9
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, whole_site(Path(folder) / 'site') as running:
        answered = fuzz(running, chosen.calls, chosen.seed)
    seconds = time.monotonic() - begin
    report = {"calls": answered.total(), "seed": chosen.seed, "seconds": round(seconds, 1),
              "answered": {f"{person} {status}": number for (person, status), number in sorted(answered.items())}}
    print(json.dumps(report, indent=1))
    figures.write_down("api-fuzz", **report)


if __name__ == "__main__":
    main()
