"""Login by a real OpenID provider, and access tokens that it gives to machines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from support.oidc import Provider, provider
from support.web import Site, site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SITE = "https://radnode.example"
AUDIENCE = "https://radnode.example/api"
CONFIGURATION = """
access:
  url: https://radnode.example
  oidc:
    issuer: {issuer}
    client_id: radnode
    client_secret_file: {secret}
    audience: {audience}
    roles: {{pacs-admins: admin, readers: radiologist, robots: service}}
"""


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The provider that most tests share; it tells roles by its userinfo endpoint."""
    with provider(tmp_path_factory.mktemp("oidc"), "https://radnode.example/login/oidc/done") as running:
        yield running


@pytest.fixture(scope="module")
def node(peer: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A node that knows the provider."""
    with _node(tmp_path_factory.mktemp("site"), peer) as running:
        yield running


def _node(folder: Path, peer: Provider):  # type: ignore[no-untyped-def]
    (folder / "secret").write_text("of-the-client\n")
    return site(folder, CONFIGURATION.format(issuer=peer.issuer, secret=folder / "secret", audience=AUDIENCE))


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@pytest.mark.peer
def test_a_person_logs_in_by_the_provider_with_the_roles_that_it_gives(node: Site, peer: Provider) -> None:
    client = node.client(base=SITE)
    assert "127.0.0.1" in client.get("/login").text
    begun = client.get("/login/oidc", params={"then": "/api/me"})
    asked = _query(begun.headers["location"])
    assert asked["code_challenge_method"] == "S256"
    assert {"nonce", "state", "code_challenge"} <= asked.keys()
    back = peer.log_in(begun.headers["location"], "ann")
    done = client.get(back)
    assert (done.status_code, done.headers["location"]) == (303, "/api/me")
    assert client.get("/api/me").json()["roles"] == ["admin"]
    assert client.get(back).status_code == 403, "a code and a state are good once"


@pytest.mark.peer
def test_roles_in_the_id_token_do_as_well(tmp_path: Path) -> None:
    with (
        provider(tmp_path, "https://radnode.example/login/oidc/done", roles_in_id_token=True) as peer,
        _node(tmp_path, peer) as node,
    ):
        client = node.client(base=SITE)
        begun = client.get("/login/oidc")
        assert client.get(peer.log_in(begun.headers["location"], "ray")).status_code == 303
        assert client.get("/api/me").json()["roles"] == ["radiologist"]


@pytest.mark.peer
def test_who_has_no_role_here_is_not_let_in(node: Site, peer: Provider) -> None:
    client = node.client(base=SITE)
    begun = client.get("/login/oidc")
    assert client.get(peer.log_in(begun.headers["location"], "eve")).status_code == 403
    assert client.get("/api/me").status_code == 401


@pytest.mark.peer
def test_a_login_that_another_browser_began_or_that_was_tampered_with_is_refused(node: Site, peer: Provider) -> None:
    victim = node.client(base=SITE)
    begun = node.client(base=SITE).get("/login/oidc")
    assert victim.get(peer.log_in(begun.headers["location"], "ann")).status_code == 403, "begun by the attacker"
    for change in ({"code": "guessed"}, {"state": "guessed"}, {"iss": "https://evil.example"}):
        client = node.client(base=SITE)
        back = peer.log_in(client.get("/login/oidc").headers["location"], "ann")
        tampered = f"{back.partition('?')[0]}?{urlencode({**_query(back), **change})}"
        assert client.get(tampered).status_code == 403, change
        assert client.get("/api/me").status_code == 401
    begun = (client := node.client(base=SITE)).get("/login/oidc").headers["location"]
    other = urlencode({**_query(begun), "nonce": "of-another-login"})
    assert client.get(peer.log_in(f"{begun.partition('?')[0]}?{other}", "ann")).status_code == 403, "another nonce"


@pytest.mark.peer
def test_a_machine_comes_in_with_an_access_token_for_this_node_alone(node: Site, peer: Provider) -> None:
    good = node.client(peer.machine_token(AUDIENCE)).get("/api/me").json()
    assert (good["name"], good["roles"], good["csrf"]) == ("robot", ["service"], None)
    assert node.client(peer.machine_token("https://other.example")).get("/api/me").status_code == 401


@pytest.mark.peer
def test_an_access_token_that_the_provider_did_not_sign_or_that_has_ended_is_worth_nothing(
    node: Site, peer: Provider
) -> None:
    genuine = peer.machine_token(AUDIENCE)
    own = RSAKey.generate_key(2048)
    claims = {"iss": peer.issuer, "aud": AUDIENCE, "sub": "robot", "exp": int(time.time()) + 600, "roles": ["robots"]}
    header, payload, signature = genuine.split(".")
    forged = {
        "another key": jwt.encode({"alg": "RS256"}, claims, own),
        "an unknown key": jwt.encode({"alg": "RS256", "kid": "other"}, claims, own),
        "no signature": "eyJhbGciOiJub25lIn0." + payload + ".",
        "a cut signature": f"{header}.{payload}.{signature[:-8]}",
        "another payload": f"{header}.{jwt.encode({'alg': 'RS256'}, claims, own).split('.')[1]}.{signature}",
    }
    for what, token in forged.items():
        assert node.client(token).get("/api/me").status_code == 401, what


@pytest.mark.peer
@pytest.mark.parametrize("change", [
    {"iss": "https://evil.example"}, {"aud": "https://other.example"}, {"exp": 1_700_000_000}, {"nbf": 4_000_000_000},
    {"exp": None}, {"aud": None}, {"sub": None},
])
def test_each_claim_of_an_access_token_is_checked(
    node: Site, peer: Provider, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider's keys are replaced by one of ours, so that only the claim is wrong."""
    own = RSAKey.generate_key(2048, {"kid": "ours"})
    keys = {"keys": [own.as_dict(private=False)]}
    from radnode.node.web import oidc  # noqa: PLC0415 - beside what is replaced in it

    monkeypatch.setattr(oidc._Provider, "_published", lambda _self, renewed=False: oidc.KeySet.import_key_set(keys))
    claims = {"iss": peer.issuer, "aud": AUDIENCE, "sub": "robot", "exp": int(time.time()) + 600, "roles": ["robots"]}
    assert node.client(jwt.encode({"alg": "RS256", "kid": "ours"}, claims, own)).get("/api/me").status_code == 200
    wrong = {name: value for name, value in {**claims, **change}.items() if value is not None}
    assert node.client(jwt.encode({"alg": "RS256", "kid": "ours"}, wrong, own)).get("/api/me").status_code == 401
