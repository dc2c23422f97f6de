"""How long the pages take with 10^5 studies, while 1,000 jobs an hour go through: areas, searches, timelines, a draft.

    RADNODE_TEST_RESULTS=docs/measured python tests/bench/pages.py

The database (SQLite) of a node, with login and audit, is filled as tests/bench/qido.py fills it, with a routing for
each series by five of twenty routes and a job with its deliveries for most studies. Each question is asked over HTTP
many times with other values. Meanwhile a thread of the same process has a study come, its series closed, a job
inserted, leased and ended with two results that are delivered, at the rate, each by the code and in the transactions
that the node does it with; no pipeline computes, for that is another process. Writes pages.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
sys.path.insert(0, str(TESTS / "bench"))

from qido import IMAGES, IMAGES_OF_THE_NEWEST, NAMES, NEWEST, fill  # noqa: E402
from sqlalchemy import insert, text, update  # noqa: E402
from support import phantoms, rows  # noqa: E402
from support.figures import write_down  # noqa: E402
from support.steady import percentile  # noqa: E402
from support.web import whole_site  # noqa: E402

from radnode.node.header_process import read_attributes  # noqa: E402
from radnode.node.studies.states import StudyState  # noqa: E402
from radnode.storage import catalog, outbox  # noqa: E402
from radnode.storage.tables import (  # noqa: E402
    DeliveryRow,
    HeaderRow,
    JobRow,
    ResultObjectRow,
    RoutingRow,
    SeriesRow,
    StudyRow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi.testclient import TestClient

    from radnode.storage.database import Database

NOW = datetime.now(UTC)
AT_ONCE = 2000
WITH_HEADERS = 1500
"""So many studies, the newest, have the headers of the first and the last image of each series: a draft is tried on
those of the last 2,000 series."""
AN_HOUR = 1000
ROUTES, ASKED = 20, 5
CONFIGURATION = """
peers:
  PACS: {ae_title: PACS, host: 127.0.0.1, port: 104, sends: true, receives: true}
routes:
""" + "".join(
    f"  - name: route {number}\n"
    f"    when: {{modality: CT, body_part: CHEST, slice_thickness: {{at_most: {number + 1}}}}}\n"
    "    run: [ct-lung]\n    send: [PACS]\n" for number in range(ROUTES)
)
STATES = (*["PRODUCED"] * 90, "FAILED", "NOT_PROCESSED", *["NONE"] * 8)
"""What became of one study in a hundred each; NONE: no route matched."""
AREAS = ("", "routes", "routes/versions", "pipelines", "connections", "connections/peer/PACS", "monitoring",
         "monitoring/feedback", "alarms", "administration/people", "administration/audit")
CONDITIONS = [{"condition": f"condition {number}", "outcome": "met", "seen": ["CHEST"], "matching": 3}
              for number in range(5)]  # fmt: skip


def work(database: Database, studies: int) -> None:
    """Routings, jobs, results and deliveries of studies 1 to n; they came evenly, the last one now."""
    for first in range(1, studies + 1, AT_ONCE):
        rows: dict[type, list[dict[str, Any]]] = {
            table: [] for table in (RoutingRow, JobRow, ResultObjectRow, DeliveryRow)
        }
        numbers = range(first, min(first + AT_ONCE, studies + 1))
        for number in numbers:
            _of_study(rows, number, studies)
        with database.begin() as session:
            for number in numbers:
                at = NOW - timedelta(hours=(studies - number) / AN_HOUR)
                session.execute(update(StudyRow).where(StudyRow.id == number).values(
                    last_received_at=at, accession_number=f"A{number:08d}", description="Examination"))
                session.execute(update(SeriesRow).where(SeriesRow.study_id == number).values(
                    first_received_at=at, last_received_at=at, modality="CT", description="Chest"))
            for table, values in rows.items():
                session.execute(insert(table), values)
    _headers(database, studies)
    with database.begin() as session:
        session.execute(text("ANALYZE"))


class Work(threading.Thread):
    """Studies come, are read and delivered, so many an hour, until :meth:`end`. ended: jobs that are through."""

    def __init__(self, database: Database, an_hour: float) -> None:
        super().__init__(name="work", daemon=True)
        self._database = database
        self._every_s = 3600 / an_hour
        self._over = threading.Event()
        self._header = a_header()
        self.ended = 0
        self.seconds = 0.0

    def run(self) -> None:
        """One study after the other; who is late catches up."""
        began = time.monotonic()
        while not self._over.wait(max(0.0, began + self.ended * self._every_s - time.monotonic())):
            self._study(10**12 + self.ended)
            self.ended += 1
        self.seconds = time.monotonic() - began

    def end(self) -> None:
        """Raises if it broke, for then it measured nothing."""
        alive = self.is_alive()
        self._over.set()
        self.join()
        assert alive, "the work beside the pages broke"

    def _study(self, number: int) -> None:
        at = datetime.now(UTC)
        (came,) = rows.receive(self._database, rows.reception(number, series=number, study=number, at=at))
        with self._database.begin() as session:
            catalog.store_headers(session, [(came.instance_id, self._header)])
        (series,) = rows.close_all(self._database, at)
        rows.insert_job(self._database, rows.new_job(
            f"{number}", [came.instance_id], series=series, route_names=["route 1"]), at)
        job = rows.must_lease(self._database, at)
        rows.produce(self._database, job, *(rows.result(f"1.9.9.{number}.{order}", order) for order in (0, 1)), now=at)
        for _ in range(2):
            delivery = rows.must_lease_delivery(self._database, now=at)
            with self._database.begin() as session:
                outbox.sent(session, delivery, 0, at)


def a_header() -> dict[str, Any]:
    """The attributes of a CT slice, as they are kept."""
    with tempfile.TemporaryDirectory() as folder:
        return read_attributes(str(phantoms.write_small(Path(folder), slices=1)[0]))


def _headers(database: Database, studies: int) -> None:
    said = a_header()
    ends = {
        series * 1000 + image
        for number in range(max(1, studies - WITH_HEADERS), studies + 1) for series in (2 * number, 2 * number + 1)
        for image in (0, _images(number, series, studies) - 1)
    }
    with database.begin() as session:
        session.execute(insert(HeaderRow), [
            {"instance_id": each, "attributes": {**said, "BodyPartExamined": ("CHEST", "HEAD")[each // 1000 % 2]}}
            for each in sorted(ends)
        ])


def _images(number: int, series: int, studies: int) -> int:
    """As :func:`qido.fill` makes them."""
    return 1 if series % 2 else IMAGES_OF_THE_NEWEST if number > studies - NEWEST else IMAGES


def _of_study(rows: dict[type, list[dict[str, Any]]], number: int, studies: int) -> None:
    at = NOW - timedelta(hours=(studies - number) / AN_HOUR)
    state = STATES[number % len(STATES)]
    for series in (2 * number, 2 * number + 1):
        rows[RoutingRow].append({
            "series_id": series, "revision": 1, "at": at, "configuration_digest": "c",
            "explanations": [
                {"route": f"route {(number + each) % ROUTES}", "enabled": True, "matched": state != "NONE" and not each,
                 "instances": 3, "matching": 3, "conditions": CONDITIONS} for each in range(ASKED)
            ],
        })
    if state == "NONE":
        return
    rows[JobRow].append({
        "id": number, "key": f"{number:064x}", "study_id": number, "series_id": 2 * number, "revision": 1,
        "pipeline": "ct-lung", "pipeline_version": "1", "route_names": [f"route {number % ROUTES}"],
        "destinations": ["PACS"], "priority": 10, "turn_at": at, "configuration_digest": "c", "input_digest": "d",
        "state": state, "reason": "", "token": 1, "attempts": 1, "crashes": 0, "created_at": at, "started_at": at,
        "ended_at": at, "report": {"state": "FINDINGS" if number % 3 else "NOTHING_FOUND", "seconds": {"infer": 1.0},
                                   "remarks": ["x" * 200] * 5, "measurements": []},
    })
    for order, form in enumerate(("SEG", "TID1500")):
        result = 2 * number + order
        rows[ResultObjectRow].append({
            "id": result, "job_id": number, "name": form, "form": form, "send_order": order, "size_bytes": 1,
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.66.4", "sop_instance_uid": f"1.9.{result}",
            "series_instance_uid": "1.9", "transfer_syntax_uid": "1.2", "digest": f"{result:064x}", "references": [],
        })
        dead = number % 1000 == 1
        rows[DeliveryRow].append({
            "id": result, "result_object_id": result, "job_id": number, "send_order": order, "destination": "PACS",
            "state": "DEAD" if dead else "CONFIRMED", "reason": "status 0xA900" if dead else "", "token": 1,
            "attempts": 1, "due_at": at, "created_at": at, "sent_at": at, "confirmed_at": at,
        })


def questions(studies: int) -> dict[str, Callable[[random.Random], tuple[str, dict[str, str] | None]]]:
    """What is asked, by name: a path, and the form of a search."""

    def study(numbers: random.Random) -> int:
        return numbers.randrange(1, studies)

    def searched(name: str, value: Callable[[random.Random], str]) -> Callable[..., tuple[str, dict[str, str]]]:
        return lambda numbers: ("/studies/search", {name: value(numbers)})

    def in_state(state: StudyState) -> Callable[..., tuple[str, None]]:
        return lambda _: (f"/studies?{urlencode({'state': state.value})}", None)

    def older(numbers: random.Random) -> tuple[str, dict[str, str]]:
        number = study(numbers)
        at = NOW - timedelta(hours=(studies - number) / AN_HOUR)
        return "/studies/search", {"after": f"{at.isoformat()} {number}"}

    def draft(part: str) -> Callable[..., tuple[str, dict[str, str]]]:
        return lambda numbers: (f"/routes/draft{part}", {
            "name": "draft", "line.group": "", "line.attribute": "body_part", "line.operator": "is",
            "line.value": numbers.choice(("CHEST", "HEAD")), "run": "ct-lung", "send": "PACS", "enabled": "true",
            "days": "7"})

    found: dict[str, Callable[[random.Random], tuple[str, dict[str, str] | None]]] = {
        **{f"area: {path or 'overview'}": lambda _, path=path: (f"/{path}", None) for path in AREAS},
        "a draft of a route": draft(""), "what a draft would have matched": draft("/past"),
        "the newest": lambda _: ("/studies", None), "a later page": older,
        "an accession number": searched("accession_number", lambda n: f"A{study(n):08d}"),
        "an accession number with a star": searched("accession_number", lambda n: f"A{study(n) // 100:06d}*"),
        "a patient ID": searched("patient_id", lambda n: f"P{study(n) // 3:07d}"),
        "a part of a name": searched("patient_name", lambda n: f"{n.choice(NAMES)[1:]}{study(n) // 40}"),
        "a name of nobody": searched("patient_name", lambda _: "nobody"),
        "a study UID": searched("uid", lambda n: f"1.2.5.{study(n)}"),
        "an instance UID": searched("uid", lambda n: f"1.2.3.{study(n) * 2000}"),
        "a UID of nothing": searched("uid", lambda n: f"9.{study(n)}"),
        "a day": searched("since", lambda n: f"{NOW - timedelta(hours=study(n) / AN_HOUR):%Y-%m-%d}"),
        "a modality": searched("modality", lambda n: n.choice(("CT", "MR", "US"))),
        "a modality of nobody": searched("modality", lambda _: "XA"),
        "a source": searched("source", lambda _: "PACS"), "a source of nothing": searched("source", lambda _: "X"),
        "a route": searched("route", lambda n: f"route {n.randrange(ROUTES)}"),
        "a route of nothing": searched("route", lambda _: "none"),
        "a timeline": lambda n: (f"/studies/{study(n)}", None),
        "a timeline with 300 images": lambda n: (f"/studies/{studies - n.randrange(300)}", None),
    }
    return found | {f"state: {state.value}": in_state(state) for state in StudyState}


def measure(client: TestClient, studies: int, times: int) -> Iterator[tuple[str, list[float]]]:
    """For each question its name and the seconds of each answer."""
    numbers = random.Random(1)
    for name, ask in questions(studies).items():
        taken = []
        for _ in range(times):
            path, form = ask(numbers)
            began = time.perf_counter()
            answer = client.get(path) if form is None else client.post(path, content=urlencode(form))
            taken.append(time.perf_counter() - began)
            assert answer.status_code == 200, answer.text
        yield name, taken


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=40, help="of each question")
    asked = parser.parse_args()
    folder = tempfile.TemporaryDirectory(prefix="radnode-pages-", dir="/var/tmp")
    with folder as place, whole_site(Path(place) / "site", CONFIGURATION) as site:
        fill(site.database, asked.studies)
        work(site.database, asked.studies)
        client = site.client(site.token("admin"))
        figures, every = {}, []
        beside = Work(site.database, AN_HOUR)
        beside.start()
        for name, taken in measure(client, asked.studies, asked.times):
            every += taken
            p50, p95 = (round(value * 1e3, 1) for value in (median(taken), percentile(taken, 0.95)))
            figures[name] = {"p50_ms": p50, "p95_ms": p95}
            print(f"{name:32} {figures[name]}", flush=True)
        beside.end()
    an_hour = round(beside.ended / beside.seconds * 3600)
    p95 = round(percentile(every, 0.95) * 1e3, 1)
    write_down("pages", studies=asked.studies, database="sqlite", p95_ms=p95, jobs=beside.ended, jobs_an_hour=an_hour,
               **figures)
    print(json.dumps({"p95_ms": p95, "jobs": beside.ended, "jobs_an_hour": an_hour}))


if __name__ == "__main__":
    main()
