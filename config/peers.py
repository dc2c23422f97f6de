"""The other sides: who sends images to the node, and whom it sends results to."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

ResultForm = Literal["SEG", "TID1500"]


def _ae_title(value: str) -> str:
    """PS3.5 6.2, AE: 1 to 16 characters of the default repertoire, no backslash, no control character."""
    stripped = value.strip()
    if not 1 <= len(stripped) <= 16 or not stripped.isascii() or not stripped.isprintable() or "\\" in stripped:
        raise ValueError("an AE title has 1 to 16 printable ASCII characters without backslash")
    return stripped


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value, strict=False))


AETitle = Annotated[str, AfterValidator(_ae_title)]
Network = Annotated[str, AfterValidator(_network)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Peer(BaseModel):
    """A DICOM application that sends to the node (a source), receives from it (a destination), or both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    ae_title: AETitle
    host: str = Field(min_length=1)
    port: Port
    sends: bool = False
    receives: bool = False
    hosts: tuple[Network, ...] = ()
    answers_find: bool = False
    result_forms: Annotated[tuple[ResultForm, ...], Field(min_length=1)] = ("SEG", "TID1500")
