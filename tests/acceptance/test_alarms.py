"""An administrator who looks at nothing is told what is wrong; and telling holds up no image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support import dcmtk
from support.alarm_sinks import HookServer
from support.chest import write_chest
from support.network import free_port
from support.node import CHEST_CT, PeerEntry, archive, modality
from support.waiting import eventually, stays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.node import NodeProcess

pytestmark = [pytest.mark.peer, pytest.mark.slow]

HEAD_CT = {**CHEST_CT, "name": "head-ct", "when": {"body_part_examined": "HEAD"}}
NOTICED = 60
"""Seconds within which a fault is an alarm."""


@pytest.fixture
def hook() -> Iterator[HookServer]:
    with HookServer() as server:
        yield server


def scanner(every: str) -> PeerEntry:
    """Something is expected of it every so often."""
    more = {"sends": True, "receives": False, "expect": {"every": every}}
    return PeerEntry(name="CT2", ae_title="TESTSCU", port=104, more=more)


def _names(node: NodeProcess) -> list[str]:
    return [alarm["name"] for alarm in node.get("/api/alarms")]


@pytest.mark.goal("alarms")
@pytest.mark.catalogue("X9")
def test_silence_and_a_dead_mail_server_are_told_within_a_minute_while_images_are_taken(
    start_node: Callable[..., NodeProcess], hook: HookServer, tmp_path: Path
) -> None:
    node = start_node(peers=[scanner("1 h"), PeerEntry(name="PACS", port=104, more={"receives": True})],
                      routes=[HEAD_CT])  # fmt: skip
    healthy = node.command("alarms", "--config", node.config)
    assert healthy.stdout == ""
    dead = f"mail: {{host: 127.0.0.1, port: {free_port()}, tls: none, from: a@h.example, to: [b@h.example]}}"
    text = node.config.read_text().replace("every: 1 h", "every: 2 s")
    node.write_config(f"{text}\nalarms:\n  {dead}\n  webhook: {{url: '{hook.url}'}}\n")

    eventually(lambda: {"silence:CT2", "sink:mail"} <= set(_names(node)), within=NOTICED, why=node.log)
    eventually(lambda: ("raised", "silence:CT2") in hook.told(), within=NOTICED, why=lambda: str(hook.told()))
    assert 'radnode_alarms{kind="silence"} 1.0' in node.metrics()
    assert "alarm.raised" in node.log()
    said = node.command("alarms", "--config", node.config, check=False)
    assert said.returncode == 1
    assert "silence:CT2: no images from CT2" in said.stdout
    assert "-> look whether the source is on" in said.stdout

    write_chest(tmp_path / "ct", slices=10)
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_states(NOT_ROUTED=10)

    node.write_config(node.config.read_text().replace("every: 2 s", "every: 1 h"))
    eventually(lambda: "silence:CT2" not in _names(node), within=NOTICED, why=node.log)
    history = json.loads(node.command("alarms", "--history", "--json", "--config", node.config, check=False).stdout)
    (over,) = [alarm for alarm in history if alarm["name"] == "silence:CT2"]
    assert over["cleared_at"]
    assert over["told"]["webhook"]["event"] == "raised"


def test_after_a_kill_the_alarm_stands_since_it_began_and_is_not_told_again(
    start_node: Callable[..., NodeProcess], hook: HookServer
) -> None:
    node = start_node(peers=[scanner("2 s"), PeerEntry(name="PACS", port=104, more={"receives": True})],
                      routes=[HEAD_CT])  # fmt: skip
    node.write_config(f"{node.config.read_text()}\nalarms: {{webhook: {{url: '{hook.url}'}}}}\n")
    eventually(lambda: hook.told() == [("raised", "silence:CT2")], within=NOTICED, why=node.log)
    (before,) = eventually(lambda: [each for each in node.get("/api/alarms") if each["told"]], why=node.log)

    node.kill()
    stale = node.command("alarms", "--config", node.config, check=False)
    assert "silence:CT2" in stale.stdout
    node.start(within=120)

    stays(lambda: hook.told() == [("raised", "silence:CT2")], during=12, why="it was told already")
    (after,) = node.get("/api/alarms")
    assert (after["name"], after["since"]) == (before["name"], before["since"])


@pytest.mark.goal("alarms")
@pytest.mark.catalogue("S9", "C11")
def test_each_fault_is_an_alarm_of_its_own_within_a_minute_and_a_metric(
    start_node: Callable[..., NodeProcess], tmp_path: Path
) -> None:
    """The faults a node can be given from outside; the others are given to it in tests/integration/test_alarms.py."""
    node = start_node(peers=[modality(), archive(free_port())])
    node.stop()
    (node.data / "models" / "stray").mkdir(parents=True)
    node.write_config(f"{node.config.read_text()}\nalarms: {{series_held: 1 s, delivery_waits: 1 s}}\n")
    node.start()

    good = write_chest(tmp_path / "good", name="good")
    two = write_chest(tmp_path / "two", name="two", slices=6)
    dcmtk.dcmodify(two.files[3:], insert=["(0010,0020)=MILLER"])
    gap = write_chest(tmp_path / "gap", name="gap", slices=8)
    gap.files[4].unlink()
    nameless = write_chest(tmp_path / "nameless", name="nameless", slices=1)
    dcmtk.dcmodify(nameless.files, erase=["(0020,000e)"])
    for folder in ("good", "two", "gap"):
        dcmtk.dcmsend(node.port, tmp_path / folder, called=node.ae_title)
    dcmtk.storescu(node.port, tmp_path / "nameless", called=node.ae_title, check=False)

    soon = {"conflict:CT1", "held:CT1", "refusals:CT1", "pipeline:stray"}
    eventually(lambda: soon <= set(_names(node)), within=NOTICED, why=lambda: f"{_names(node)}\n{node.log()}")
    node.wait_for_job(good.series_instance_uid, "PRODUCED")
    away = {"destination:PACS", "delivery-waits:PACS"}
    eventually(lambda: away <= set(_names(node)), within=NOTICED, why=lambda: f"{_names(node)}\n{node.log()}")
    node.write_config(node.config.read_text().replace("run:", "runs:"))
    everything = soon | away | {"configuration"}
    eventually(lambda: set(_names(node)) == everything, within=NOTICED, why=lambda: f"{_names(node)}\n{node.log()}")

    counted = {f'radnode_alarms{{kind="{name.partition(":")[0]}"}} 1.0' for name in everything}
    eventually(lambda: all(line in node.metrics() for line in counted), why=node.metrics)
    assert "MILLER" not in node.alarms() + node.log(1000)
