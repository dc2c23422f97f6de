"""A version that adds to the tables comes to one receiver after the other, and goes again: nobody who sends notices."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support import next_version
from support.flood import Flood
from support.mortal import kept_in, send
from support.receivers import SLICES, Site
from support.waiting import eventually

from radnode.node.claim import LEASE_TIME
from radnode.storage.tables import InstanceRow

if TYPE_CHECKING:
    from pathlib import Path

    from support.node import NodeProcess

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.alone("several receivers as it is")]

BEFORE, MOST = 50, 100_000
"""Images that are acknowledged before something is done to the other receiver, and altogether while it is done."""


def test_a_rolling_upgrade_and_back_turns_nobody_away_and_loses_nothing(site: Site, tmp_path: Path) -> None:
    """The tables change below a receiver of this version, which goes on, starts again on them, and leads on them."""
    newer = next_version.package(tmp_path / "newer")
    first, second = site.start("a"), site.start("b")
    acknowledged: dict[str, str] = {}

    def restarted(node: NodeProcess, beside: NodeProcess) -> None:
        acknowledged.update(_while_it_starts_again(node, beside, first=len(acknowledged)))

    _become(second, newer)
    restarted(second, beside=first)
    assert site.database.schema() == "expanded"
    restarted(first, beside=second)
    _become(first, newer)
    restarted(first, beside=second)
    _become(second, None)
    restarted(second, beside=first)

    eventually(lambda: bool(site.leader()), within=LEASE_TIME.total_seconds() + 60, why=second.log)
    series = site.series("after")
    send(second, series.files)
    site.assert_answered_once(series, second.log)
    kept = kept_in(site.folder / "data")
    assert [uid for uid, digest in acknowledged.items() if kept.get(uid) != digest] == []
    leader = (first, second)["ab".index(site.leader())]
    assert (leader.ledger()["difference"], leader.ledger()["acknowledged"]) == (0, len(acknowledged) + SLICES)
    assert len(site.rows(InstanceRow)) == len(acknowledged) + SLICES
    with site.database.read() as session:
        assert session.execute(text("SELECT DISTINCT site FROM instances")).scalars().all() == ["here"]


def _while_it_starts_again(node: NodeProcess, beside: NodeProcess, first: int) -> dict[str, str]:
    """What the one beside acknowledged meanwhile; it turned nobody away."""
    flood = Flood(beside.port, associations=4, first=first)
    flood.start()
    flood.allow(MOST)
    try:
        eventually(lambda: len(flood.acknowledged) >= BEFORE, within=60, why=beside.log)
        node.stop()
        before = len(flood.acknowledged)
        node.start()
        eventually(lambda: len(flood.acknowledged) > before + BEFORE, within=60, why=beside.log)
    finally:
        flood.stop()
    assert flood.turned_away == 0, beside.log()
    return flood.acknowledged


def _become(node: NodeProcess, package: Path | None) -> None:
    """Of the version that lies there, or of this one, from its next start on."""
    ours = node.environment["PYTHONPATH"].split(os.pathsep)[-1]
    node.environment["PYTHONPATH"] = os.pathsep.join([str(package), ours] if package else [ours])
