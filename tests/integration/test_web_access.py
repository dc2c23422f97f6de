"""Who comes in over HTTP and what each may: routes, roles, sessions, tokens, links, limits."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, get_args

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from support.web import PASSWORD, Site, quick_passwords, site, whole_site

from radnode.config.access import ROLES, Role
from radnode.node.security import roster
from radnode.node.web import composing
from radnode.node.web.access import HOLDS, PUBLIC, Permission, declared, endpoints, needs, undeclared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with quick_passwords():
        yield


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All that a node serves, for tests that leave nothing behind that another one would see."""
    with whole_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """For tests that count or change."""
    with site(tmp_path) as running:
        yield running


def _filled(path: str) -> str:
    """A path with a number where a row is meant, and a UID elsewhere."""
    return re.sub(r"\{[^}]*\}", "1.2.3", re.sub(r"\{(\w+_id|number|by)\}", "1", path))


@pytest.mark.goal("roles")
def test_each_role_gets_what_it_holds_and_403_for_every_other_route(tmp_path: Path) -> None:
    """On a site of its own: a search starts the processes that read images, and they end with it."""
    with whole_site(tmp_path / "site") as whole:
        _assert_each_role_gets_what_it_holds(whole)


def _assert_each_role_gets_what_it_holds(whole: Site) -> None:
    wanted = {role: whole.client(whole.token(role)) for role in get_args(Role)}
    asked = 0
    for method, path, permission in endpoints(whole.app):
        if path in PUBLIC:
            continue
        assert permission is not None
        for role, client in wanted.items():
            answer = client.request(method, _filled(path), json={} if method == "POST" else None)
            allowed = permission in HOLDS[role]
            assert (answer.status_code == 403) is not allowed, f"{role} {method} {path}: {answer.status_code}"
            assert answer.status_code < 500
            asked += 1
        stranger = whole.client().request(method, _filled(path))
        said = {401: "log in, or show a token", 429: "too many requests"}  # more routes than he may try at once
        assert stranger.status_code in said, f"{method} {path}"
        assert stranger.json() == {"detail": said[stranger.status_code]}
    assert asked >= len(ROLES) * 15


@pytest.mark.goal("roles")
def test_a_route_that_names_no_permission_is_served_to_nobody() -> None:
    app = FastAPI(dependencies=[Depends(declared)])

    @app.get("/api/forgotten")
    def forgotten() -> str:
        return "a patient"

    assert TestClient(app).get("/api/forgotten").status_code == 403
    assert "GET /api/forgotten" in undeclared(app)
    inner, outer = APIRouter(), APIRouter(dependencies=[needs(Permission.STATE)])
    inner.get("/api/late")(lambda: "a state")
    outer.include_router(inner)
    app.include_router(outer)
    app.state.permits = lambda *_: None
    assert TestClient(app).get("/api/late").status_code == 200, "its router names the permission"


@pytest.mark.goal("roles")
def test_a_node_with_a_route_or_mount_that_names_no_permission_does_not_start(own: Site) -> None:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/files", FastAPI())
    app.get("/api/forgotten")(lambda: "a patient")
    with pytest.raises(composing.NotGuarded, match=r"GET /api/forgotten") as refused:
        own.access.protect(app)
    assert "/files" in str(refused.value)


def test_strangers_learn_from_the_health_page_only_whether_it_is_well(shared: Site) -> None:
    assert shared.client().get("/health").json() == {"healthy": True}
    assert "ledger" in shared.client(shared.token("auditor", "of-health")).get("/health").json()


def test_an_administrator_sets_the_first_password_by_a_link_that_works_once_and_for_an_hour(own: Site) -> None:
    own.access.begin(8042)
    with own.database.begin() as session:
        secret = composing.roster.first_link(session, own.now)
    client = own.client()
    assert "admin" in client.get(f"/link/{secret}").text
    short = client.post(f"/link/{secret}", data={"password": "short", "again": "short"})
    assert short.status_code == 422
    done = client.post(f"/link/{secret}", data={"password": PASSWORD, "again": PASSWORD})
    assert done.status_code == 303
    assert client.get("/api/me").json()["roles"] == ["admin"]
    assert client.post(f"/link/{secret}", data={"password": PASSWORD, "again": PASSWORD}).status_code == 404
    with own.database.begin() as session:
        assert composing.roster.first_link(session, own.now) is None, "somebody has a password"
    late = own.link("admin")
    own.wait(timedelta(minutes=61))
    assert client.get(late).status_code == 404


def test_a_session_is_a_cookie_that_no_script_reads_and_no_other_site_sends(own: Site) -> None:
    client = own.client()
    answer = client.post(own.link("ann", "radiologist"), data={"password": PASSWORD, "again": PASSWORD})
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-radnode=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {each.strip() for each in cookie.split(";")}
    assert client.get("/api/me").json()["name"] == "ann"


def test_a_session_ends_by_logout_by_idle_time_by_age_and_with_its_account(own: Site) -> None:
    client = own.logged_in("ann", "radiologist")
    csrf = client.get("/api/me").json()["csrf"]
    stolen = dict(client.cookies)
    assert client.post("/logout", data={"csrf": "wrong"}).status_code == 403
    assert client.post("/logout", data={"csrf": csrf}).status_code == 200
    client.cookies.update(stolen)
    assert client.get("/api/me").status_code == 401, "it has ended on the server"
    idle = own.logged_in("bob", "radiologist")
    own.wait(timedelta(minutes=31))
    assert idle.get("/api/me").status_code == 401
    busy = own.logged_in("cat", "radiologist")
    for _ in range(25):
        own.wait(timedelta(minutes=25))
        busy.get("/api/me")
    assert busy.get("/api/me").status_code == 401, "ten hours have passed"
    ended = own.logged_in("dan", "operator")
    with own.database.begin() as session:
        composing.roster.disable(session, "dan", own.now)
    assert ended.get("/api/me").status_code == 401
    assert own.client().post("/login", data={"name": "dan", "password": PASSWORD}).status_code == 401


def test_a_session_writes_only_with_its_own_token_and_forms_come_from_this_site_alone(own: Site) -> None:
    client = own.logged_in("ann", "admin")
    new = {"name": "bob", "role": "operator"}
    assert client.post("/api/users", json=new).status_code == 403
    assert client.post("/api/users", json=new, headers={"X-CSRF-Token": "guessed"}).status_code == 403
    csrf = client.get("/api/me").json()["csrf"]
    assert client.post("/api/users", json=new, headers={"X-CSRF-Token": csrf}).status_code == 201
    for header in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        answer = client.post("/login", data={"name": "ann", "password": PASSWORD}, headers=header)
        assert answer.status_code == 403, header


def test_behind_a_proxy_a_form_may_come_from_the_address_that_browsers_call(tmp_path: Path) -> None:
    with site(tmp_path, "access: {url: https://radnode.example}") as own:
        client = own.client(base="http://127.0.0.1:8042")
        password = {"password": PASSWORD, "again": PASSWORD}
        answer = client.post(own.link("ann", "operator"), data=password, headers={"Origin": "https://radnode.example"})
        assert answer.status_code == 303
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"]


def test_after_login_nobody_is_led_to_another_site(own: Site) -> None:
    own.logged_in("ann", "radiologist")
    for then in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/ok\r\nX: y"):
        answer = own.client().post("/login", data={"name": "ann", "password": PASSWORD, "then": then})
        assert answer.headers["location"] == "/", then
    answer = own.client().get("/api/jobs", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?then=%2Fapi%2Fjobs")


def test_a_wrong_password_and_an_unknown_name_are_one_answer(own: Site) -> None:
    own.logged_in("ann", "radiologist")
    wrong = own.client().post("/login", data={"name": "ann", "password": "wrong"})
    unknown = own.client().post("/login", data={"name": "eve", "password": "wrong"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.count("Wrong name or password.") == unknown.text.count("Wrong name or password.") == 1


def test_who_guesses_passwords_locks_out_himself_and_not_the_administrator_elsewhere(own: Site) -> None:
    own.logged_in("ann", "admin")
    attacker = own.client(address="10.6.6.6")
    said = [attacker.post("/login", data={"name": "ann", "password": f"guess {n}"}).status_code for n in range(7)]
    assert said[:5] == [401] * 5
    assert said[-1] == 429
    right = {"name": "ann", "password": PASSWORD}
    assert attacker.post("/login", data=right).status_code == 429, "not even with the right one"
    assert own.client(address="10.1.1.1").post("/login", data=right).status_code == 303


def test_who_listens_for_work_items_shows_a_token_and_is_cut_off_once_it_is_revoked(shared: Site) -> None:
    path = "/dicom-web/subscribers/RIS"
    strangers = (shared.client(), shared.client("wrong"), shared.client(shared.token("auditor", "no-listener")),
                 shared.logged_in("a-listener-in-a-browser", "admin"))
    for stranger in strangers:
        with pytest.raises(WebSocketDisconnect), stranger.websocket_connect(path):
            pass
    client = shared.client(shared.token("radiologist", "listener"))
    with client.websocket_connect(path) as channel:
        channel.send_text("good morning")
        with shared.database.begin() as session:
            roster.revoke(session, "listener", shared.now)
        channel.send_text("still there?")
        assert channel.receive()["type"] == "websocket.close"
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(path):
        pass


def test_a_token_is_shown_once_kept_as_a_hash_and_good_until_it_ends_or_is_revoked(own: Site) -> None:
    admin = own.client(own.token("admin"))
    made = admin.post("/api/tokens", json={"name": "viewer", "role": "radiologist", "days": 2})
    secret = made.json()["token"]
    listed = admin.get("/api/tokens")
    assert secret not in listed.text
    with own.database.read() as session:
        assert all(secret not in str(row) for row in session.connection().exec_driver_sql("SELECT * FROM api_tokens"))
    viewer = own.client(secret)
    assert viewer.get("/api/me").json()["name"] == "viewer"
    assert next(each for each in admin.get("/api/tokens").json() if each["name"] == "viewer")["used_at"]
    assert admin.post("/api/tokens", json={"name": "viewer", "role": "admin"}).status_code == 409
    assert admin.delete("/api/tokens/viewer").status_code == 204
    assert viewer.get("/api/me").status_code == 401
    brief = own.client(own.token("auditor", "brief", days=1))
    assert brief.get("/api/me").status_code == 200
    own.wait(timedelta(hours=25))
    assert brief.get("/api/me").status_code == 401


def test_a_wrong_token_is_never_taken_for_the_session_beside_it(own: Site) -> None:
    client = own.logged_in("ann", "admin")
    assert client.get("/api/me").status_code == 200
    for shown in ("Bearer radnode_wrong", "Bearer", "Basic YW5uOng=", "Bearer a.b.c"):
        assert client.get("/api/me", headers={"Authorization": shown}).status_code == 401, shown


def test_the_token_of_the_metrics_opens_the_metrics_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of prometheus\n")
    with site(tmp_path, f"access: {{metrics_token_file: {tmp_path / 'token'}}}") as own:
        prometheus = own.client("of prometheus")
        assert prometheus.get("/metrics").status_code == 200
        assert prometheus.get("/api/status").status_code == 403
        assert own.client("of promotheus").get("/metrics").status_code == 401


def test_who_asks_too_often_is_told_to_wait_and_nobody_else_is(own: Site) -> None:
    stranger = own.client(address="10.6.6.6")
    said = {stranger.get("/api/status").status_code for _ in range(120)}
    assert said == {401, 429}
    assert own.client(address="10.1.1.1").get("/api/status").status_code == 401
    assert own.client(own.token("auditor"), address="10.6.6.6").get("/api/status").status_code == 200


def test_every_answer_tells_the_browser_to_do_nothing_that_was_not_meant(shared: Site) -> None:
    for path in ("/health", "/login", "/api/status", "/nowhere"):
        headers = shared.client().get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "max-age" in headers["strict-transport-security"]
    assert "strict-transport-security" not in shared.client(base="http://localhost").get("/health").headers


def test_only_the_roles_of_people_have_passwords_and_permissions_are_those_of_the_table(shared: Site) -> None:
    admin = shared.client(shared.token("admin", "of-roles"))
    assert admin.post("/api/users", json={"name": "robot", "role": "service"}).status_code == 409
    assert admin.post("/api/users", json={"name": "ann", "role": "root"}).status_code == 422
    ruling = {Permission.CONFIGURE, Permission.ACCOUNTS}
    assert HOLDS["radiologist"].isdisjoint({Permission.ACT, Permission.AUDIT, *ruling})
    assert HOLDS["auditor"].isdisjoint({Permission.STUDIES, Permission.ACT, *ruling})
    assert HOLDS["operator"].isdisjoint({Permission.AUDIT, *ruling})


def test_a_stranger_fills_no_memory(shared: Site) -> None:
    for path in ("/api/users", "/login"):
        answer = shared.client().post(path, content=b" " * (2 << 20), headers={"Content-Type": "application/json"})
        assert answer.status_code == 413, path
