"""The PACS administrator: configures routes, watches the queue, asks why a study did not run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support import dcmtk
from support.chest import write_chest
from support.node import CHEST_CT, archive, modality
from support.waiting import eventually, stays

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node import NodeProcess
    from support.pacs import StandInPacs

pytestmark = [pytest.mark.peer, pytest.mark.slow]

_HEAD_CT = {
    "name": "head-ct",
    "when": {"modality": "CT", "body_part_examined": "HEAD", "contrast_bolus_agent": {"exists": True}},
    "run": ["ct-lung"],
    "send": ["PACS"],
}


@pytest.mark.catalogue("S5")
def test_a_study_that_did_not_run_is_in_the_ledger_and_its_routes_say_why(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()], routes=[_HEAD_CT])
    series = write_chest(tmp_path / "ct", slices=10)
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)

    node.wait_for_states(NOT_ROUTED=10)

    said = node.command("routes", "explain", series.study_instance_uid, "--config", node.config).stdout
    assert "head-ct" in said
    assert "not met" in said
    assert "CHEST" in said, "it shows what the images have where the route wants HEAD"
    unknown = node.command("routes", "explain", "1.2.3", "--config", node.config, check=False)
    assert unknown.returncode == 1
    assert node.jobs() == []


def test_the_ledger_balances_with_the_node_running_and_stopped(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()], routes=[_HEAD_CT])
    write_chest(tmp_path / "ct", slices=5)
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_states(NOT_ROUTED=5)
    running = json.loads(node.command("ledger", "--config", node.config, "--json").stdout)
    node.stop()
    stopped = json.loads(node.command("ledger", "--config", node.config, "--json").stdout)
    assert running == stopped
    assert (stopped["acknowledged"], stopped["difference"], stopped["holds"]) == (5, 0, True)
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
    first = write_chest(tmp_path / "first", name="first", slices=5)
    dcmtk.dcmsend(node.port, tmp_path / "first", called=node.ae_title)
    node.wait_for_states(NOT_ROUTED=5)
    explained = node.timeline(first.study_instance_uid)
    assert "head-ct" in json.dumps(explained)
    assert "renamed-ct" not in json.dumps(explained)

    node.write_config(good.replace("head-ct", "renamed-ct"))
    eventually(lambda: "configuration" not in node.alarms(), why=lambda: f"no alarm: {node.alarms()}")
    second = write_chest(tmp_path / "second", name="second", slices=5)
    dcmtk.dcmsend(node.port, tmp_path / "second", called=node.ae_title)
    node.wait_for_states(NOT_ROUTED=10)
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
def test_a_mistake_is_refused_with_file_line_and_cure(
    start_node: Callable[..., NodeProcess],
    pacs: StandInPacs,
    tmp_path: Path,
    wrong: str,
    right: str,
    named: str,
) -> None:
    node = start_node(peers=[archive(pacs.port)])
    assert node.command("check", node.config).returncode == 0
    document = node.config.read_text()
    peers, routes = document.split("routes:")
    broken = tmp_path / "broken.yaml"
    broken.write_text(peers + "routes:" + routes.replace(right, wrong, 1))
    refused = node.command("check", broken, check=False)
    said = refused.stdout + refused.stderr
    assert refused.returncode in (1, 2)
    assert f"{broken}:" in said
    assert wrong in said
    assert named in said
    served = node.command("serve", "--config", broken, check=False, within=30)
    assert served.returncode != 0


def test_radnode_sends_a_folder_and_lists_the_job(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    own = modality("RADNODE")
    node = start_node(peers=[archive(pacs.port), own])
    series = write_chest(tmp_path / "ct")
    (tmp_path / "ct" / "notes.txt").write_text("no image")

    said = node.command("send", tmp_path / "ct", "--to", node.ae_title, "--config", node.config).stdout

    assert "40 stored" in said
    node.wait_for_job(series.series_instance_uid, "PRODUCED")
    (job,) = json.loads(node.command("jobs", "--config", node.config, "--json").stdout)
    assert (job["pipeline"], job["state"]) == ("ct-lung", "PRODUCED")
    eventually(lambda: len(pacs.stored()) == 2, why=lambda: f"two results\n{node.log()}")
    refused = node.command("send", tmp_path / "ct", "--to", "NOBODY", "--config", node.config, check=False)
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


def test_the_page_shows_health_metrics_and_a_study_from_arrival_to_delivery(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_job(series.series_instance_uid, "PRODUCED")
    eventually(lambda: len(pacs.stored()) == 2, why=lambda: f"two results\n{node.log()}")

    assert node.get("/health")["healthy"] is True
    study = node.timeline(series.study_instance_uid)
    assert len(study["series"]) == 1
    assert len(study["jobs"]) == 1
    assert len(study["deliveries"]) == 2
    assert study["events"]
    assert node.status()["jobs"]["PRODUCED"] == 1
    assert "radnode_" in node.metrics()
    stays(lambda: "[]" in node.alarms(), during=2, why="nothing is wrong")


@pytest.mark.catalogue("I10")
def test_no_patient_name_reaches_the_log(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct", patient_name="Canary^Coalmine", patient_id="CANARY-77")
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title)
    node.wait_for_job(series.series_instance_uid, "PRODUCED")
    eventually(lambda: len(pacs.stored()) == 2, why=lambda: f"two results\n{node.log()}")
    said = node.log(100_000).upper() + node.metrics().upper()
    assert series.series_instance_uid in said
    assert "CANARY" not in said


def test_what_was_refused_is_listed_with_sender_reason_and_place(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs, tmp_path: Path
) -> None:
    node = start_node(peers=[archive(pacs.port), modality()])
    series = write_chest(tmp_path / "ct", slices=3)
    dcmtk.dcmodify(series.files[1], erase=["(0020,000e)"])
    dcmtk.dcmsend(node.port, tmp_path / "ct", called=node.ae_title, check=False)
    node.wait_for_states(NOT_PROCESSED=2)

    (refused,) = node.get("/api/refused")

    assert (refused["source"], refused["status"]) == ("CT1", "0xC002")
    assert "(0020,000e) is missing" in refused["reason"]
    assert (node.data / refused["file"]).is_file()
    said = node.command("refused", "--config", node.config).stdout
    assert refused["status"] in said
    assert "CT1" in said


def test_a_second_node_on_the_same_folder_is_refused(
    start_node: Callable[..., NodeProcess], pacs: StandInPacs
) -> None:
    node = start_node(peers=[archive(pacs.port)])
    second = node.command("serve", "--config", node.config, check=False, within=60)
    assert second.returncode != 0
    assert node.running
    assert dcmtk.echoscu(node.port, called=node.ae_title, calling="PACS").returncode == 0
