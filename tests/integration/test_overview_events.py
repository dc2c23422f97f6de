"""The stream of events of the overview: who may listen, for how long, what it carries, and its end."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from support.rows import NOW, receive, reception
from support.waiting import eventually
from support.web import quick_passwords, site

from radnode.config.loading import parse
from radnode.node.pages import overview
from radnode.node.security import roster
from radnode.node.service import Node, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVENTS = {"Accept": "text/event-stream"}
WITHIN_S = 60.0


class Served:
    """A node's application over HTTP, of a node that receives nothing."""

    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir()
        self.node = Node(parse(f"node: {{data: {folder / 'data'}, http_port: 0, dicom_port: 0}}", "overview.yaml"))
        self.node.database.upgrade()
        self.node._http.start()
        self.url = f"http://127.0.0.1:{self.node.http_port}"

    def token(self, role: str) -> str:
        """Of a machine with this role; its name is the role's."""
        with self.node.database.begin() as session:
            return roster.add_token(session, role, role, utc_now())

    @contextmanager
    def listening(self, token: str) -> Iterator[Iterator[tuple[str, str]]]:
        """Events as (name, data); they end with the stream."""
        headers = {**EVENTS, "Authorization": f"Bearer {token}"}
        with httpx.Client(trust_env=False, timeout=WITHIN_S) as client, client.stream(
            "GET", f"{self.url}/events", headers=headers
        ) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[tuple[str, str]]:
    name, data = "", []
    for line in answer.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif not line and name:
            yield name, "\n".join(data)
            name, data = "", []


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Running; stopped after the test."""
    made = Served(tmp_path)
    yield made
    made.node._http.stop()
    made.node._reader.close()
    made.node.database.close()


def test_who_does_not_ask_for_events_or_may_not_see_the_state_gets_none(served: Served) -> None:
    token = served.token("auditor")
    with httpx.Client(trust_env=False, base_url=served.url) as client:
        assert client.get("/events", headers=EVENTS).status_code == 401
        assert client.get("/events", headers={"Authorization": f"Bearer {token}"}).status_code == 406


def test_all_parts_come_at_first_and_then_only_those_that_changed(served: Served) -> None:
    with served.listening(served.token("operator")) as events:
        first = [name for name, _ in (next(events) for _ in range(len(overview.LIVE) + 2))]
        assert sorted(first) == sorted([*overview.LIVE, "series", "beat"])
        receive(served.node.database, reception(1, patient_id="PAT-17", at=utc_now()))
        changed = {}
        while not {"studies", "ledger"} <= changed.keys():
            name, data = next(events)
            changed[name] = data
    assert "PAT-17" in changed["studies"]
    assert {"workers", "destinations", "queue", "alarms"} & changed.keys() == set(), "nothing is new about these"


def test_events_name_a_patient_only_to_who_may_see_studies(served: Served) -> None:
    receive(served.node.database, reception(1, patient_id="PAT-17", at=NOW))
    seen = {}
    for role in ("operator", "auditor"):
        with served.listening(served.token(role)) as events:
            seen[role] = [next(events) for _ in range(len(overview.LIVE) + 1)]
    assert any("PAT-17" in data for _, data in seen["operator"])
    assert not any("PAT-17" in data or "/studies/" in data for _, data in seen["auditor"])
    assert any("<tbody>" in data for name, data in seen["auditor"] if name == "studies")


def test_a_stream_ends_when_its_token_is_revoked(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "ASK_AGAIN_S", 0.0)
    token = served.token("operator")
    with served.listening(token) as events:
        next(events)
        with served.node.database.begin() as session:
            roster.revoke(session, "operator", utc_now())
        assert "ended" in {name for name, _ in events}, "and then nothing comes"
    assert 0 < overview.NEWS_WITHIN_S <= 15, "at least so often it is looked whether the time to ask has come"


def test_a_stream_ends_at_once_when_the_node_stops_and_holds_up_nobody(served: Served) -> None:
    ended = threading.Event()
    heard = threading.Event()
    token = served.token("operator")

    def listen() -> None:
        with served.listening(token) as events:
            for _ in events:
                heard.set()
        ended.set()

    listeners = [threading.Thread(target=listen, daemon=True) for _ in range(3)]
    for each in listeners:
        each.start()
    assert heard.wait(WITHIN_S)
    served.node._http._server.config.timeout_graceful_shutdown = None  # or uvicorn would end them after a while
    served.node._http.stop()
    assert not served.node._http._thread.is_alive(), "the server has ended, it was not given up"
    assert ended.wait(WITHIN_S)
    for each in listeners:
        each.join(WITHIN_S)
        assert not each.is_alive()


def test_a_page_that_is_left_open_does_not_keep_its_session_alive(tmp_path: Path) -> None:
    with quick_passwords(), site(tmp_path) as own:
        client = own.logged_in("ann", "operator")
        answers = []
        for _ in range(4):
            own.wait(timedelta(minutes=10))
            answers.append(client.get("/api/me", headers=EVENTS).status_code)
        assert answers == [200, 200, 200, 401], "thirty minutes after the last that a person did"


def test_many_listeners_take_no_thread_of_the_api(served: Served) -> None:
    token = served.token("operator")
    heard: list[int] = []
    stop = threading.Event()

    def listen(number: int) -> None:
        with served.listening(token) as events:
            next(events)
            heard.append(number)
            stop.wait(WITHIN_S)

    listeners = [threading.Thread(target=listen, args=(number,), daemon=True) for number in range(60)]
    for each in listeners:
        each.start()
    eventually(lambda: len(heard) == len(listeners), within=WITHIN_S, why=lambda: f"{len(heard)} listen")
    with httpx.Client(trust_env=False, base_url=served.url, timeout=WITHIN_S) as client:
        assert client.get("/api/ledger", headers={"Authorization": f"Bearer {token}"}).json()["holds"]
    stop.set()
    for each in listeners:
        each.join(WITHIN_S)


def test_the_figures_of_the_charts_have_an_hour_each_and_no_more_than_seven_days(served: Served) -> None:
    receive(served.node.database, reception(1, at=utc_now()))
    shown = {"Authorization": f"Bearer {served.token('auditor')}"}
    with httpx.Client(trust_env=False, base_url=served.url, headers=shown) as client:
        found = client.get("/overview/series").json()
        assert (len(found["at"]), sum(found["images"]), sum(found["studies"])) == (24, 1, 1)
        assert {len(row) for row in (*found["jobs"].values(), *found["latency"].values())} == {24}
        assert len(client.get("/overview/series?days=7").json()["at"]) == 168
        assert client.get("/overview/series?days=8").status_code == 422
