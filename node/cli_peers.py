"""`radnode peer`: try the other side of a connection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radnode.config.peers import Peer
    from radnode.node.doctor.finding import Finding
    from radnode.node.doctor.proposal import Proposal

peer_app = typer.Typer(no_args_is_help=True, help="Try a peer.")

out = Console()
err = Console(stderr=True)


@peer_app.callback()
def _peer() -> None:
    """Try a peer."""


@peer_app.command("test")
def try_out(
    name: Annotated[str, typer.Argument(help="A peer's name in the configuration.")],
    config: Annotated[Path, typer.Option("--config", help="The node's configuration file.")] = Path("radnode.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find out what a destination takes, and propose how to configure it. Nothing is stored there.

    Exit code 1: results cannot be sent there.
    """
    from dataclasses import asdict

    from radnode.config.loading import ConfigError, load

    try:
        configuration = load(config)
    except ConfigError as error:
        _fail(str(error), 2)
    peer = configuration.peers.get(name)
    if peer is None:
        _fail(f"no peer is named {name}; the configuration names {', '.join(configuration.peers) or 'none'}", 2)
    said, proposal = _tried(peer, configuration.settings.ae_title)
    if as_json:
        proposed = asdict(proposal) if proposal else None
        out.print_json(json.dumps({"findings": [asdict(each) for each in said], "proposal": proposed}))
    else:
        _show(said)
        if proposal is not None:
            _show_proposal(name, proposal)
    if any(each.state == "wrong" for each in said):
        raise typer.Exit(1)


def _tried(peer: Peer, own_ae_title: str) -> tuple[list[Finding], Proposal | None]:
    from radnode.node.connections.probing import try_peer

    found = try_peer(peer, own_ae_title)
    return list(found.findings), found.proposal


def _show(said: Sequence[Finding]) -> None:
    for each in said:
        out.print(escape(f"{each.state:>11}  {each.question}: {each.answer}"), soft_wrap=True, highlight=False)
        if each.remedy:
            out.print(escape(f"{'':>13}-> {each.remedy}"), soft_wrap=True, highlight=False)


def _show_proposal(name: str, proposal: Proposal) -> None:
    out.print(escape(f"\nWrite at peers.{name}, because {proposal.because}:"), soft_wrap=True, highlight=False)
    for line in proposal.lines:
        out.print(escape(f"    {line}"), soft_wrap=True, highlight=False)
    if proposal.also:
        out.print(escape(f"It would take these profiles, too: {', '.join(proposal.also)}."), soft_wrap=True)
    out.print("What it accepts it need not show: look at a result in its viewer.", soft_wrap=True)


def _fail(reason: str, code: int) -> NoReturn:
    err.print(escape(reason), style="red", highlight=False, soft_wrap=True)
    raise typer.Exit(code)
