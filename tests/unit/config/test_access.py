"""What an administrator can get wrong about who may come in, and what the file says to it."""

from __future__ import annotations

import pytest

from radnode.config.loading import ConfigError, parse

OIDC = "{issuer: https://login.example, client_id: radnode, roles: {pacs-admins: admin}}"


@pytest.mark.parametrize(("text", "said"), [
    ("node: {http_host: 0.0.0.0}", "node.http_host: passwords and images would be readable by anybody on the way"),
    ("node: {http_tls: true}", "node.http_tls: the node has no certificate"),
    ("access: {url: 'http://radnode.example'}", "access.url: passwords would be readable by anybody on the way"),
    ("access: {url: 'https://radnode.example/path'}", "access.url: write how browsers call the node"),
    ("access: {session_idle: 12 h}", "access.session_longest: shorter than session_idle"),
    (f"access: {{oidc: {OIDC.replace('https', 'http')}}}", "access.oidc.issuer: whoever is on the way could be"),
    (f"access: {{oidc: {OIDC.replace('admin}', 'root}')}}}", "access.oidc.roles.pacs-admins"),
    (f"access: {{oidc: {OIDC.replace('client_id', 'audience: radnode, client_id')}}}",
     "access.oidc.audience: the same as client_id"),
    ("audit: {syslog: {host: a.example, key: k.pem}}", "audit.syslog.key: without certificate"),
    ("audit: {syslog: {host: a.example, transport: udp, ca_file: c.pem}}", "audit.syslog.ca_file: UDP has no TLS"),
    ("audit: {keep: 10 years}", "audit.keep"),
])
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text, "a.yaml")
    (problem,) = refused.value.problems
    assert all(part in str(problem) for part in said.split(": ")), str(problem)
    assert problem.line == 1
    assert problem.cure


def test_a_port_that_others_reach_is_taken_in_tls() -> None:
    tls = "tls: {certificate: own.pem, key: own.key}"
    settings = parse(f"node: {{http_host: 0.0.0.0, http_tls: true, {tls}}}", "a.yaml").settings
    assert settings.http_tls
