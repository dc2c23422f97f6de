"""The certificates that a configuration names, with what stands in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from radnode.node.alarming.decision import ENDS_AT_ONCE, ENDS_SOON
from radnode.node.security.certificates import Certificate, CertificateUnreadable, read
from radnode.node.security.validity import WHAT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from radnode.node.connections.standing import Tone
    from radnode.node.security.validity import Validity


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One file. certificates: that of its owner first; of a list of revoked ones none. tone: by when it ends."""

    validity: Validity
    certificates: tuple[Certificate, ...]
    tone: Tone


def papers(found: Iterable[Validity], now: datetime) -> list[Paper]:
    """Each file that is named, the first to end first; one that cannot be read before all."""
    read_all = [Paper(validity=each, certificates=_inside(each), tone=tone(each, now)) for each in found]
    return sorted(read_all, key=lambda each: (each.validity.ends_at is not None, each.validity.ends_at or now))


def tone(validity: Validity, now: datetime) -> Tone:
    """As the alarms have it: bad within a week, a warning within thirty days."""
    if validity.ends_at is None or validity.ends_at - now < ENDS_AT_ONCE:
        return "bad"
    return "warning" if validity.ends_at - now < ENDS_SOON else "good"


def _inside(validity: Validity) -> tuple[Certificate, ...]:
    if validity.what == WHAT["crl"] or validity.failure:
        return ()
    try:
        return tuple(read(validity.path)[:MOST_SHOWN])
    except CertificateUnreadable:
        return ()


MOST_SHOWN = 5
"""Of a file with many authorities."""
