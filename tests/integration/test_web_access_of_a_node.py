"""A whole node over HTTPS: its first administrator, its commands, its certificate renewed while it runs."""

from __future__ import annotations

import json
import re
import socket
import ssl
from typing import TYPE_CHECKING

import httpx
from support.certificates import Authority
from support.network import free_port
from support.node import NodeProcess
from support.web import PASSWORD
from typer.testing import CliRunner

from radnode.node.cli import app

if TYPE_CHECKING:
    from pathlib import Path


def _certificate(port: int, authority: Path) -> bytes:
    """What the node shows now."""
    context = ssl.create_default_context(cafile=authority)
    with socket.create_connection(("localhost", port), 10) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as secured:
        assert secured.version() in ("TLSv1.2", "TLSv1.3")
        return secured.getpeercert(binary_form=True) or b""


def _command(node: NodeProcess, *arguments: str, good: bool = True) -> str:
    """`radnode ARGUMENTS` beside the node, in this process: what it printed."""
    done = CliRunner().invoke(app, [*arguments, "--config", str(node.config)])
    assert (done.exit_code == 0) is good, done.output
    return done.output.strip()


def test_an_administrator_comes_in_by_the_link_of_the_first_start_and_rules_by_command(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    own, renewed = authority.pair("localhost"), authority.pair("localhost")
    node = NodeProcess(tmp_path / "node", routes=[], peers=[], settings={
        "http_tls": True, "http_host": "localhost",
        "tls": {"port": free_port(), "certificate": str(own.certificate), "key": str(own.key)},
    })
    base = f"https://localhost:{node.http_port}"
    node._client = httpx.Client(base_url=base, verify=authority.client(None), trust_env=False)
    with node:
        (link,) = re.findall(r"set_it_at=(https://\S+/link/\S+)", node.log())
        browser = httpx.Client(base_url=base, verify=authority.client(None), trust_env=False)
        assert browser.post(link, data={"password": PASSWORD, "again": PASSWORD}).status_code == 303
        assert browser.get("/api/me").json()["name"] == "admin"
        assert browser.get("/api/me").headers["strict-transport-security"]

        made = _command(node, "tokens", "add", "viewer", "--role", "radiologist")
        machine = {"Authorization": f"Bearer {made}"}
        assert browser.get("/api/me", headers=machine).json()["roles"] == ["radiologist"]
        _command(node, "tokens", "revoke", "viewer")
        assert browser.get("/api/me", headers=machine).status_code == 401
        second = _command(node, "users", "add", "ann", "--role", "operator")
        assert httpx.post(second, data={"password": PASSWORD, "again": PASSWORD}, verify=authority.client(None),
                          trust_env=False).status_code == 303
        listed = json.loads(_command(node, "users", "list", "--json"))
        assert [(each["name"], each["has_password"]) for each in listed] == [("admin", True), ("ann", True)]
        _command(node, "users", "add", "ann", "--role", "admin", good=False)
        _command(node, "users", "disable", "admin")
        assert browser.get("/api/me").status_code == 401, "its session has ended"

        told = _command(node, "audit", "--json")
        assert "User Authentication" in told
        assert "Application Activity" in told
        assert "as it was written" in _command(node, "audit", "--verify")

        before = _certificate(node.http_port, authority.file)
        own.key.write_bytes(renewed.key.read_bytes())
        own.certificate.write_bytes(renewed.certificate.read_bytes())
        assert _certificate(node.http_port, authority.file) != before, "taken without a restart"
        browser.close()
    assert PASSWORD not in (node.folder / "node.log").read_text()
