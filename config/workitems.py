"""The section `workitems`: which route performs what a work item asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from radnode.config.durations import Duration
from radnode.config.peers import Section
from radnode.config.routes import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from radnode.config.peers import Peer
    from radnode.config.routes import Route

_CODE = re.compile(r"[^\s^\\]{1,16}\^[^\s^\\]{1,16}")


def _code(value: str) -> str:
    if not _CODE.fullmatch(value):
        raise ValueError('write Code Value and Coding Scheme Designator as "CT-CHEST^99HOSP"')
    return value


Code = Annotated[str, AfterValidator(_code)]


class WorkItems(Section):
    """codes: Scheduled Workitem Code -> name of a route. managers: peers whose worklists are asked for such orders.

    wait: how long a claimed item waits for its images.
    """

    codes: dict[Code, Annotated[str, Field(min_length=1)]] = {}
    managers: tuple[str, ...] = ()
    wait: Duration = Field(default="24 h", validate_default=True)


def contradictions(
    found: WorkItems, routes: Sequence[Route], peers: Mapping[str, Peer]
) -> Iterator[tuple[Sequence[str], str, str]]:
    """Where, what is wrong, what would be right."""
    for name in found.managers:
        if name not in peers:
            cure = nearest(name, peers) or f"peers are {', '.join(peers) or 'none'}"
            yield ["workitems", "managers"], f'no peer is named "{name}"', cure
    known: Mapping[str, Route] = {route.name: route for route in routes}
    for code, name in found.codes.items():
        if name not in known:
            cure = nearest(name, known) or f"routes are {', '.join(known) or 'none'}"
            yield ["workitems", "codes", code], f'no route is named "{name}"', cure
