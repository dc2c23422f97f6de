"""`radnode health`: is the node that runs on this configuration well? For supervisors of containers."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from radnode.node.cli_common import fail, load_configuration
from radnode.node.web.own_address import own_address

if TYPE_CHECKING:
    from radnode.config.settings import Settings

LONGEST_ANSWER_S = 10.0

out = Console()


def health(
    config: Annotated[Path, typer.Option("--config", help="The node's configuration file.")] = Path("radnode.yaml"),
) -> None:
    """Ask the running node whether it is well; exit code 1 if it is not, or does not answer."""
    settings = load_configuration(config).settings
    try:
        status = _asked(settings)
    except OSError as error:
        fail(f"no node answers on port {settings.http_port}: {error.strerror or error}")
    except http.client.HTTPException as error:
        fail(f"what answers on port {settings.http_port} is no node: {error!r}")
    if status != http.client.OK:
        fail(f"the node says that it is not well ({status}); `radnode alarms` and `radnode doctor` say why")
    out.print("the node is well")


def _asked(settings: Settings) -> int:
    host = own_address(settings.http_host)
    connection = (
        http.client.HTTPSConnection(
            host, settings.http_port, timeout=LONGEST_ANSWER_S, context=_only_ourselves(settings.tls.certificate)
        )
        if settings.http_tls and settings.tls is not None
        else http.client.HTTPConnection(host, settings.http_port, timeout=LONGEST_ANSWER_S)
    )
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    finally:
        connection.close()


def _only_ourselves(certificate: Path) -> ssl.SSLContext:
    """Trusts the node's own certificate and no other, by whatever name it is reached."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(certificate)
    return context
