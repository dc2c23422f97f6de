"""TLS, certificates and tokens of a configuration: which files they are, and what contradicts."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from radnode.config.alarms import THIS_MACHINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from radnode.config.peers import Peer, WebPeer
    from radnode.config.settings import Settings

Where = tuple[str, ...]
"""The keys under which something stands."""

SECRETS: Mapping[str, str] = {
    "key": "a private key", "token_file": "the token of a peer", "password_file": "a password at a peer",
    "secret_file": "the secret of a client", "metrics_token_file": "the token that opens the metrics",
    "client_secret_file": "the secret of the OpenID client",
}
"""Key -> what the file that it names must not tell anybody."""


def files(settings: Settings, peers: Mapping[str, Peer]) -> Iterator[tuple[Where, Path]]:
    """The files that `node` and `peers` name, and where."""
    for section, tls in (("node", settings.tls), *((f"peers.{name}", peer.tls) for name, peer in peers.items())):
        for key in ("certificate", "key", "ca", "crl"):
            if path := getattr(tls, key, None):
                yield (*section.split(".", 1), "tls", key), path
    for name, peer in peers.items():
        if peer.token_file:
            yield ("peers", name, "token_file"), peer.token_file
        if peer.deidentify:
            yield ("peers", name, "deidentify", "secret_file"), peer.deidentify.secret_file
        yield from _files_of_web(name, peer)


def _files_of_web(name: str, peer: Peer) -> Iterator[tuple[Where, Path]]:
    web = peer.dicomweb
    for key in ("token_file", "password_file"):
        if path := getattr(web, key, None):
            yield ("peers", name, "dicomweb", key), path
    if web and web.oauth2:
        yield ("peers", name, "dicomweb", "oauth2", "secret_file"), web.oauth2.secret_file


def contradictions(settings: Settings, peers: Mapping[str, Peer]) -> Iterator[tuple[Where, str, str]]:
    """Where, what each key alone allows but not all of them together, and what would be right."""
    yield from _of_ports(settings)
    if settings.tls and settings.tls.crl and not settings.tls.ca:
        yield ("node", "tls", "crl"), "nothing asks for a certificate", "write `ca: …` beside it, or leave it out"
    yield from _of_dicomweb(settings)
    for name, peer in peers.items():
        if peer.tls and (peer.tls.certificate is None) != (peer.tls.key is None):
            given, absent = ("key", "certificate") if peer.tls.certificate is None else ("certificate", "key")
            yield ("peers", name, "tls", given), f"without {absent}", f"write `{absent}: …` beside it"
        if peer.client_certificate and not (settings.tls and settings.tls.ca):
            yield (("peers", name, "client_certificate"), "nothing asks for a certificate",
                   "give the node a `tls` with a `ca`")
        for key in ("client_certificate", "token_file"):
            if getattr(peer, key) and not peer.sends:
                yield ("peers", name, key), "nothing comes from it", "write `sends: true`, too"
        if peer.dicomweb:
            yield from _of_web_peer(("peers", name, "dicomweb"), peer, peer.dicomweb)


def _of_web_peer(where: Where, peer: Peer, web: WebPeer) -> Iterator[tuple[Where, str, str]]:
    """What the node shows there is one thing, whole, and not readable by anybody on the way."""
    shown = [key for key in ("token_file", "user", "oauth2") if getattr(web, key)]
    if len(shown) > 1:
        yield (*where, shown[1]), f"beside {shown[0]}", "the node shows one of them; leave the other out"
    if (web.user is None) != (web.password_file is None):
        given, absent = ("password_file", "user") if web.user is None else ("user", "password_file")
        yield (*where, given), f"without {absent}", f"write `{absent}: …` beside it"
    addresses = {"url": web.url if shown else "", "oauth2": web.oauth2.token_url if web.oauth2 else ""}
    for key, address in addresses.items():
        parts = urlsplit(address)
        if parts.scheme == "http" and parts.hostname not in THIS_MACHINE:
            yield (*where, key), "a token or password would be readable by anybody on the way", "write https://…"
    if peer.tls and web.url.startswith("http:"):
        yield (*where, "url"), "it has a `tls`, and this address does not use it", "write https://…"
    if peer.commitment and peer.receives:
        yield ((*where[:2], "commitment"), "storage commitment is asked for by DIMSE, and results go there by DICOMweb",
               "leave it out; `answers_find: true` asks by QIDO-RS whether they have arrived")


def _of_dicomweb(settings: Settings) -> Iterator[tuple[Where, str, str]]:
    web = settings.dicomweb
    if web and web.tls and not settings.tls:
        yield ("node", "dicomweb", "tls"), "the node has no certificate", "give the node a `tls`"
    if web and not web.tls and web.host not in THIS_MACHINE:
        yield (("node", "dicomweb", "host"), "tokens and images would be readable by anybody on the way",
               "write `tls: true`, or 127.0.0.1 behind a proxy that speaks TLS")


def _of_ports(settings: Settings) -> Iterator[tuple[Where, str, str]]:
    """No port is given twice."""
    taken = {settings.dicom_port: "dicom_port"}
    wanted: list[tuple[Where, int]] = [(("node", "http_port"), settings.http_port)]
    if settings.tls:
        wanted.append((("node", "tls", "port"), settings.tls.port))
    if settings.dicomweb:
        wanted.append((("node", "dicomweb", "port"), settings.dicomweb.port))
    for where, port in wanted:
        name = ".".join(where[1:])
        if port and port in taken:
            yield where, f"the same port as {taken[port]}", f"write for example {max(taken) + 1}"
        taken[port] = name
