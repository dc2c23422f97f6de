"""A real OpenID provider (npm oidc-provider) on loopback, and a browser that fills in its forms."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import httpx

from support.network import free_port
from support.processes import Program, missing, required
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parents[1] / "oidc"
_ACTION = re.compile(r'<form[^>]*action="([^"]+)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Provider:
    """A running provider: its issuer."""

    issuer: str

    def log_in(self, url: str, name: str) -> str:
        """Follow a login there as `name`, agree to everything; the address that it leads back to."""
        with httpx.Client(trust_env=False, timeout=20) as browser:
            answer = browser.get(url)
            for _ in range(10):
                if answer.is_redirect:
                    url = urljoin(str(answer.url), answer.headers["location"])
                    if not url.startswith(self.issuer):
                        return url
                    answer = browser.get(url)
                else:
                    assert answer.status_code == 200, answer.text
                    (action,) = _ACTION.findall(answer.text)
                    fields = dict(_HIDDEN.findall(answer.text))
                    answer = browser.post(urljoin(str(answer.url), unescape(action)),
                                          data={**fields, "login": name, "password": "any"})
        raise AssertionError(f"the provider leads nowhere: {answer.text}")

    def machine_token(self, audience: str) -> str:
        """An access token of the client "robot" (client credentials, RFC 8707)."""
        answer = httpx.post(f"{self.issuer}/token", auth=("robot", "of-the-robot"), trust_env=False,
                            data={"grant_type": "client_credentials", "resource": audience, "scope": "api"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])


@contextmanager
def provider(folder: Path, redirect_uri: str, *, roles_in_id_token: bool = False) -> Iterator[Provider]:
    """Running, until the end of the block."""
    if not (FOLDER / "node_modules" / "oidc-provider").exists():
        missing("the OpenID provider is not installed; run deploy/peers/install.sh")
    port = free_port()
    program = Program([required("node"), FOLDER / "provider.mjs"], folder / "provider.log", {
        "PORT": str(port), "REDIRECT_URI": redirect_uri, "ROLES_IN_ID_TOKEN": "1" if roles_in_id_token else "",
    })
    try:
        eventually(lambda: "listening" in program.tail(), within=30, why=program.tail)
        yield Provider(f"http://127.0.0.1:{port}")
    finally:
        program.stop()
