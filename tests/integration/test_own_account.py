"""One's own password and sessions, and what an administrator does to accounts, over the whole application."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.web import PASSWORD, quick_passwords, whole_site

from radnode.storage import accounts, audit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx import Response
    from starlette.testclient import TestClient
    from support.web import Site

NEW = "another long sentence"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    with quick_passwords(), whole_site(tmp_path / "site") as running:
        yield running


def post(client: TestClient, path: str, **fields: str) -> Response:
    """As the page sends it."""
    csrf = client.get("/api/me").json()["csrf"]
    return client.post(path, data=fields, headers={"X-CSRF-Token": csrf})  # type: ignore[no-any-return]


def told(site: Site) -> list[str]:
    with site.database.read() as session:
        return [each.message for each in audit.newest(session, 50)]


def test_a_password_is_changed_by_who_knows_the_old_one_and_ends_the_other_sessions(own: Site) -> None:
    here, there = own.logged_in("ann", "operator"), own.client()
    there.post("/login", data={"name": "ann", "password": PASSWORD})
    assert there.get("/api/me").status_code == 200
    wrong = {"old": "not this one", "new": NEW, "again": NEW}
    assert post(here, "/administration/me/password", **wrong).status_code == 403
    for fields in ({"new": "short", "again": "short"}, {"new": NEW, "again": NEW + "!"},
                   {"new": PASSWORD, "again": PASSWORD}, {"new": "ann ann ann ann", "again": "ann ann ann ann"}):
        assert post(here, "/administration/me/password", old=PASSWORD, **fields).status_code == 422
    assert post(here, "/administration/me/password", old=PASSWORD, new=NEW, again=NEW).status_code == 200
    assert here.get("/api/me").status_code == 200
    assert there.get("/api/me").status_code == 401
    assert own.client().post("/login", data={"name": "ann", "password": PASSWORD}).status_code == 401
    assert own.client().post("/login", data={"name": "ann", "password": NEW}).status_code == 303
    assert any("own password changed" in each for each in told(own))
    assert any("wrong present password" in each for each in told(own))


def test_who_guesses_the_old_password_in_an_open_session_has_to_wait(own: Site) -> None:
    client = own.logged_in("ann", "operator")
    wrong = {"old": "a guess", "new": NEW, "again": NEW}
    statuses = [post(client, "/administration/me/password", **wrong).status_code for _ in range(8)]
    assert statuses[0] == 403
    assert statuses[-1] == 429


def test_nobody_ends_the_session_of_somebody_else(own: Site) -> None:
    ann, bob = own.logged_in("ann", "operator"), own.logged_in("bob", "operator")
    with own.database.read() as session:
        (key,) = [each.key for each in accounts.logins_of(session, "bob", is_local=True)]
    assert post(ann, "/administration/me/sessions/end", key=key).status_code == 404
    assert bob.get("/api/me").status_code == 200
    assert post(bob, "/administration/me/sessions/end", key=key).status_code == 200
    assert bob.get("/api/me").status_code == 401


def test_a_token_has_no_password_and_no_session(own: Site) -> None:
    client = own.client(own.token("admin"))
    assert client.get("/administration/me").status_code == 200
    assert client.post("/administration/me/password", data={"old": "x"}).status_code == 409


def test_an_administrator_is_not_shut_out_by_himself_and_what_he_does_names_the_account(own: Site) -> None:
    client = own.logged_in("ann", "admin")
    assert post(client, "/administration/people/ann/role", role="operator").status_code == 409
    assert post(client, "/administration/people/ann/disable").status_code == 409
    own.logged_in("bob", "admin")
    assert post(client, "/administration/people/bob/role", role="service").status_code == 409
    assert post(client, "/administration/people/bob/role", role="auditor").status_code == 200
    assert post(client, "/administration/people/nobody/disable").status_code == 409
    assert any("/administration/people/bob/role" in each for each in told(own))


def test_what_is_no_form_and_what_comes_without_the_sessions_token_is_refused(own: Site) -> None:
    client = own.logged_in("ann", "admin")
    csrf = client.get("/api/me").json()["csrf"]
    assert client.post("/administration/people", json={"name": "x"}, headers={"X-CSRF-Token": csrf}).status_code == 415
    assert client.post("/administration/people", data={"name": "x", "role": "admin"}).status_code == 403


def test_an_address_to_be_changed_is_never_one_of_another_kind(own: Site) -> None:
    client = own.client(own.token("admin"))
    for path in ("/administration/settings/node/nothing", "/administration/settings/peers/name",
                 "/administration/start/elsewhere"):
        assert client.get(path).status_code == 404
    assert client.get("/administration/audit?since=2026-02-31").status_code == 422
