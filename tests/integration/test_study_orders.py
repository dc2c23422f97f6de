"""Searches and orders over HTTP: who may, what the audit trail says of them, and that no address names a patient."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest
from support import rows
from support.web import whole_site

from radnode.storage import audit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.web import Site

ORDERS = "/api/studies/1.2.5.1"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A node's whole application with a study that a pipeline refused."""
    with whole_site(tmp_path / "site") as found:
        rows.job_over(found.database, 1, 2)
        rows.refuse(found.database, rows.must_lease(found.database))
        yield found


def told(own: Site, event: str) -> list[str]:
    with own.database.read() as session:
        return [each.message for each in audit.newest(session, 100, event=event)]


def test_a_search_in_a_form_is_audited_with_what_was_searched_for_and_changes_nothing(own: Site) -> None:
    client = own.logged_in("ann", "radiologist")
    csrf = {"X-CSRF-Token": client.get("/api/me").json()["csrf"]}
    form = {"patient_name": "Meier", "patient_id": ""}
    assert client.post("/studies/search", data=form).status_code == 403, "a form of another site has no token"
    assert client.post("/studies/search", data=form, headers=csrf).status_code == 200
    (message,) = told(own, "Query")
    query = re.search("<ParticipantObjectQuery>(.*)</ParticipantObjectQuery>", message)
    assert query is not None
    assert parse_qsl(base64.b64decode(query[1]).decode()) == [("patient_name", "Meier")]
    assert told(own, "Security Alert") == [], "a search is no change"


def test_who_looks_at_a_study_by_its_number_is_told_of_with_the_study(own: Site) -> None:
    client = own.logged_in("ann", "radiologist")
    assert client.get("/studies/1").status_code == 200
    (message,) = told(own, "DICOM Instances Accessed")
    assert "1.2.5.1" in message
    assert 'EventActionCode="R"' in message


def test_an_order_is_done_once_told_of_and_refused_with_a_sentence_where_it_cannot_be_done(own: Site) -> None:
    client = own.client(own.token("operator", "op"))
    assert client.post(f"{ORDERS}/hold", json={"reason": "the physicist asks"}).json() == {"number": 1}
    again = client.post(f"{ORDERS}/hold", json={})
    assert (again.status_code, again.json()["detail"]) == (409, "the study is on hold already")
    assert client.post(f"{ORDERS}/let-go", json={}).json() == {"number": 1}
    assert client.post(f"{ORDERS}/run-again", json={}).json() == {"number": 1}
    assert client.post(f"{ORDERS}/discard", json={"job": 1}).json()["detail"].startswith("say why")
    assert client.post(f"{ORDERS}/discard", json={"job": 9, "reason": "x"}).status_code == 409
    assert client.post(f"{ORDERS}/explode", json={}).status_code == 422
    assert client.post("/api/studies/9.9/hold", json={}).status_code == 404
    events = client.get(ORDERS).json()["events"]
    assert [(each["kind"], each["detail"]["by"]) for each in events if "by" in each["detail"]] == [
        ("study held", "op"), ("study let go", "op"), ("run again ordered", "op")]
    assert any('EventActionCode="E"' in message for message in told(own, "DICOM Instances Accessed"))


@pytest.mark.parametrize("role", ["radiologist", "auditor"])
def test_who_may_only_look_orders_nothing(own: Site, role: str) -> None:
    client = own.client(own.token(role))
    assert client.post(f"{ORDERS}/hold", json={}).status_code == 403
    assert client.post("/studies/1/hold", content="").status_code == 403


def test_a_result_is_given_only_as_one_of_its_own_study(own: Site) -> None:
    client = own.client(own.token("radiologist"))
    assert client.get("/studies/1/results/1").status_code == 404
    assert client.get("/studies/2").status_code == 404
    assert client.get("/studies/99999999999").status_code == 422
