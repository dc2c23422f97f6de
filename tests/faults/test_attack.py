"""All hostile peers at once, while a known one echoes: it is served, memory stays, and what they took comes back.

The node's times are compared with its own before the attack, in the same run. RADNODE_TEST_RESULTS names a folder to
which what was measured is written.
"""

from __future__ import annotations

import os
import ssl
import statistics
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.attack import SILENT, SILENT_IN_TLS, TRICKLING, Attack
from support.certificates import Authority
from support.figures import write_down
from support.receiver import Peer, Receiver, at_once_s
from support.waiting import eventually

from radnode.config.settings import ListeningTls
from radnode.node.security.tls import ServerContexts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ECHOES_S, CUT_WITHIN_S = 14.0, 90.0
"""Longer than the time a peer has for a PDU, so that attackers are cut and come again; and the most they get."""
MOST_MEMORY_MIB = 64
RECOVERED_WITHIN_S = 15.0
ACCEPTED = 2


@pytest.mark.slow
@pytest.mark.catalogue("N1", "N2", "N3", "N16", "A11", "A14")
def test_a_known_peer_is_served_while_everybody_else_attacks_at_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    own = authority.pair("localhost")
    files = ListeningTls(certificate=own.certificate, key=own.key, ca=authority.file)
    tls = ServerContexts(files, asks=ssl.CERT_REQUIRED, on_unusable=print)
    with Receiver(tmp_path, max_associations=30, tls=tls) as receiver:
        secured = authority.client(authority.pair("ct1"))
        before = _echoes(receiver, 3)
        memory = _resident_mib()
        with Attack(receiver.port, receiver.tls_port) as attack:
            in_tls = _seconds_of_an_association_in_tls(receiver, secured)
            during = _echoes(receiver, ECHOES_S, until=lambda: attack.tally.cut >= TRICKLING)
            grown = _resident_mib() - memory
            attack.cease()
            began = time.monotonic()
            eventually(lambda: _served() == 0, within=RECOVERED_WITHIN_S, why=lambda: f"{_served()} are still served")
            recovered = time.monotonic() - began
        after = _echoes(receiver, 2)
        measured = {
            "silent": SILENT, "silent_in_tls": SILENT_IN_TLS, "association_in_tls_s": in_tls,
            "trickling": TRICKLING, "echo_p99_before_s": _p99(before),
            "echo_p99_during_s": _p99(during), "echoes_during": len(during), "echo_p99_after_s": _p99(after),
            "memory_grown_mib": round(grown, 1), "recovered_s": round(recovered, 1),
            "bytes_trickled": attack.tally.trickled,
            "pdus_of_4_gib": attack.tally.boasted, "objects_sent_ahead": attack.tally.sent_ahead,
            "connections_cut": attack.tally.cut,
        }  # fmt: skip
        write_down("attack", **measured)
        assert attack.tally.boasted > 1, "the receiver cut who boasted, and it came again"
        assert attack.tally.trickled > TRICKLING
        assert attack.tally.cut >= TRICKLING, "each drip was cut at the deadline of its PDU"
        assert attack.tally.sent_ahead > 0
        limit = at_once_s(_p99(before))
        assert max(_p99(during), in_tls) <= limit, measured
        assert _p99(after) <= limit, measured
        assert grown <= MOST_MEMORY_MIB, measured
        assert receiver.spooled() == []


def _echoes(receiver: Receiver, for_s: float, until: Callable[[], bool] = lambda: True) -> list[float]:
    """Seconds of each whole association with one C-ECHO, for so long and until it is so."""
    taken: list[float] = []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < for_s or (not until() and passed < CUT_WITHIN_S):
        asked = time.monotonic()
        with Peer(receiver.port) as known:
            assert known.associate() == ACCEPTED
            assert known.echo() == 0x0000
        taken.append(time.monotonic() - asked)
        time.sleep(0.01)
    return taken


def _seconds_of_an_association_in_tls(receiver: Receiver, secured: ssl.SSLContext) -> float:
    began = time.monotonic()
    with Peer(receiver.tls_port, tls=secured) as known:
        assert known.associate() == ACCEPTED
    return round(time.monotonic() - began, 4)


def _p99(taken: Sequence[float]) -> float:
    return round(statistics.quantiles(taken, n=100)[-1], 4)


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _served() -> int:
    return sum(thread.name.startswith("dicom-127") for thread in threading.enumerate())


