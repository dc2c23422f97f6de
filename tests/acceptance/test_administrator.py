"""The PACS administrator: configures routes, watches the queue, asks why a study did not run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support import dcmtk
from support.chest import write_chest
from support.node import CHEST_CT, NodeProcess, archive, modality
from support.pacs import StandInPacs
from support.waiting import eventually, stays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.chest import Series

pytestmark = [pytest.mark.peer, pytest.mark.slow]

_HEAD_CT = {
    "name": "head-ct",
    "when": {"modality": "CT", "body_part_examined": "HEAD", "contrast_bolus_agent": {"exists": True}},
    "run": ["ct-lung"],
    "send": ["PACS"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A running node that answered one chest. sent: what `radnode send` said."""

    node: NodeProcess
    pacs: StandInPacs
    series: Series
    folder: Path
    sent: str


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    """For sentences that change nothing: they share the node."""
    folder = tmp_path_factory.mktemp("read")
    series = write_chest(folder / "ct", patient_name="Canary^Coalmine", patient_id="CANARY-77")
    (folder / "ct" / "notes.txt").write_text("no image")
    with StandInPacs() as pacs, NodeProcess(folder / "node", peers=[archive(pacs.port), modality("RADNODE")]) as node:
        sent = node.command("send", folder / "ct", "--to", node.ae_title, "--config", node.config).stdout
        node.wait_for_job(series.series_instance_uid, "PRODUCED")
        eventually(lambda: len(pacs.stored()) == 2, why=lambda: f"two results\n{node.log()}")
        yield Read(node=node, pacs=pacs, series=series, folder=folder / "ct", sent=sent)


@pytest.mark.catalogue("S5")
def test_a_study_that_did_not_run_is_in_the_ledger_and_its_routes_say_why(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    """The same with the node running and stopped, and in both the ledger balances."""
    node = start_node(peers=[archive(pacs.port), modality()], routes=[_HEAD_CT])
    series = write_chest(tmp_path / "ct", slices=10)
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_states(NOT_ROUTED=10)
    assert node.jobs() == []

    def explained() -> str:
        return node.command("routes", "explain", series.study_instance_uid, "--config", node.config).stdout

    def ledger() -> dict[str, Any]:
        return dict(json.loads(node.command("ledger", "--config", node.config, "--json").stdout))

    said, running = explained(), ledger()
    assert "head-ct" in said
    assert "not met" in said
    assert "CHEST" in said, "it shows what the images have where the route wants HEAD"
    assert (running["acknowledged"], running["difference"], running["holds"]) == (10, 0, True)
    unknown = node.command("routes", "explain", "1.2.3", "--config", node.config, check=False)
    assert unknown.returncode == 1
    node.stop()
    assert (explained(), ledger()) == (said, running)
    assert "NOT_ROUTED" in node.command("ledger", "--config", node.config).stdout


@pytest.mark.catalogue("C11")
def test_a_broken_file_keeps_the_last_good_configuration_and_says_so(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    peers = [archive(pacs.port), modality()]
    node = start_node(peers=peers, routes=[_HEAD_CT])
    good = node.config.read_text()

    node.write_config(good.replace("head-ct", "renamed-ct").replace("run:", "runs:"))
    eventually(lambda: "configuration" in node.alarms(), why=lambda: f"an alarm: {node.alarms()}")
    assert "runs" in node.alarms(), "the alarm names the mistake"
    first = write_chest(tmp_path / "first", name="first", slices=10)
    dcmtk.dcmsend(node.port, tmp_path / "first", called=node.ae_title)
    node.wait_for_states(NOT_ROUTED=10)
    explained = node.timeline(first.study_instance_uid)
    assert "head-ct" in json.dumps(explained)
    assert "renamed-ct" not in json.dumps(explained)

    node.write_config(good.replace("head-ct", "renamed-ct"))
    eventually(lambda: "configuration" not in node.alarms(), why=lambda: f"no alarm: {node.alarms()}")
    second = write_chest(tmp_path / "second", name="second", slices=10)
    dcmtk.dcmsend(node.port, tmp_path / "second", called=node.ae_title)
    node.wait_for_states(NOT_ROUTED=20)
    assert "renamed-ct" in json.dumps(node.timeline(second.study_instance_uid))


def test_a_route_added_while_the_node_runs_takes_effect_without_a_restart(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    peers = [archive(pacs.port), modality()]
    node = start_node(peers=peers, routes=[_HEAD_CT])
    before = node.pid
    node.configure(peers=peers, routes=[_HEAD_CT, CHEST_CT])
    eventually(lambda: "configuration.loaded" in node.log(), why=node.log)
    series = write_chest(tmp_path / "ct")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    eventually(lambda: len(pacs.stored()) == 2, within=120, why=lambda: f"two results\n{node.log()}")
    assert node.pid == before
    assert [job["state"] for job in node.jobs_of(series.series_instance_uid)] == ["PRODUCED"]


@pytest.mark.catalogue("C4")
@pytest.mark.parametrize(
    ("wrong", "right", "named"),
    [
        ("modalty", "modality", "modality"),
        ("runs", "run", "run"),
        ("ct-lungs", "ct-lung", "ct-lung"),
        ("PACS9", "PACS", "PACS9"),
    ],
    ids=["attribute", "key", "pipeline", "destination"],
)
def test_a_mistake_is_refused_with_file_line_and_cure(tmp_path: Path, wrong: str, right: str, named: str) -> None:
    node = NodeProcess(tmp_path / "node", peers=[archive(104)])
    document = node.config.read_text()
    peers, routes = document.split("routes:")
    node.write_config(peers + "routes:" + routes.replace(right, wrong, 1))
    for command in (("check", node.config), ("serve", "--config", node.config)):
        refused = node.command(*command, check=False)
        said = refused.stdout + refused.stderr
        assert refused.returncode in (1, 2)
        assert f"{node.config}:" in said
        assert wrong in said
        assert named in said


def test_a_configuration_without_a_mistake_is_told_to_have_none(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", peers=[archive(104)])
    assert "no mistake" in node.command("check", node.config).stdout


def test_radnode_sends_a_folder_and_lists_the_job(read: Read) -> None:
    assert "40 stored" in read.sent
    (job,) = json.loads(read.node.command("jobs", "--config", read.node.config, "--json").stdout)
    assert (job["pipeline"], job["state"]) == ("ct-lung", "PRODUCED")
    refused = read.node.command("send", read.folder, "--to", "NOBODY", "--config", read.node.config, check=False)
    assert refused.returncode != 0


def test_a_restart_in_the_middle_of_a_job_finishes_the_job(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    eventually(lambda: node.jobs_of(series.series_instance_uid), every=0.02, why=node.log)
    node.stop()
    node.start()
    node.wait_for_job(series.series_instance_uid, "PRODUCED")
    eventually(lambda: len(pacs.stored()) == 2, within=90, why=lambda: f"two results\n{node.log()}")


def test_the_page_shows_health_metrics_and_a_study_from_arrival_to_delivery(read: Read) -> None:
    assert read.node.get("/health")["healthy"] is True
    study = read.node.timeline(read.series.study_instance_uid)
    assert len(study["series"]) == 1
    assert len(study["jobs"]) == 1
    assert len(study["deliveries"]) == 2
    assert study["events"]
    assert read.node.status()["jobs"]["PRODUCED"] == 1
    assert "radnode_" in read.node.metrics()
    stays(lambda: "[]" in read.node.alarms(), during=2, why="nothing is wrong")


@pytest.mark.goal("names")
@pytest.mark.catalogue("I10")
def test_no_patient_name_reaches_the_log(read: Read) -> None:
    said = read.node.log(100_000).upper() + read.node.metrics().upper()
    assert read.series.series_instance_uid in said
    assert "CANARY" not in said


def test_what_was_refused_is_listed_with_sender_reason_and_place(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()], routes=[_HEAD_CT])
    series = write_chest(tmp_path / "ct", slices=3)
    dcmtk.dcmodify(series.files[1], erase=["(0020,000e)"])
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title, check=False)
    node.wait_for_states(NOT_ROUTED=2)

    (refused,) = node.get("/api/refused")

    assert (refused["source"], refused["status"]) == ("CT1", "0xC002")
    assert "(0020,000e) is missing" in refused["reason"]
    assert (node.data / refused["file"]).is_file()
    said = node.command("refused", "--config", node.config).stdout
    assert refused["status"] in said
    assert "CT1" in said
