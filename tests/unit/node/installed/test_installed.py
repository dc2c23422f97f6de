from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from radnode.config.editing import edited
from radnode.config.loading import parse
from radnode.node.installed import evaluations
from radnode.node.installed.measured import measured, spread
from radnode.node.installed.naming import NoSuchRoute, OnlyOne, run_it
from radnode.pipelines import registry
from radnode.storage.job_figures import Ended

if TYPE_CHECKING:
    from pathlib import Path

ROUTES = """\
node: {ae_title: RADNODE}
peers:
  PACS: {ae_title: PACS, host: pacs, port: 104, receives: true}
routes:
  # every chest
  - name: chest
    when: {modality: CT}
    run: [ct-lung]
    send: [PACS]
"""


def ended(seconds: dict[str, float], version: str = "1.0", state: str = "findings", **memory: Any) -> Ended:
    report = {"state": state, "seconds": seconds, "memory": memory}
    return Ended(pipeline="ct-lung", version=version, state="PRODUCED", report=report)


def test_the_95th_of_100_is_not_passed_by_95_of_them() -> None:
    found = spread([float(each) for each in range(100, 0, -1)])
    assert (found.number, found.median, found.p95) == (100, 50.0, 95.0)


def test_only_whole_runs_of_the_present_version_are_measured() -> None:
    jobs = [
        ended({"infer": 2.0, "write": 1.0}, device="cpu", model_mb=10.0, run_mb=5.0), ended({"infer": 4.0}),
        ended({"infer": 90.0}, version="0.9"), ended({"infer": 0.1}, state="not processed"), ended({}),
    ]
    found = measured(jobs, "ct-lung", "1.0")
    assert found is not None
    assert (found.number, found.devices) == (2, ("cpu",))
    assert {part: (each.number, each.median, each.p95) for part, each in found.seconds.items()} == {
        "whole": (2, 3.0, 4.0), "infer": (2, 2.0, 4.0), "write": (1, 1.0, 1.0)}
    assert found.megabytes["run_mb"].median == 5.0
    assert measured(jobs, "ct-lung", "2.0") is None


def test_a_route_is_made_to_run_one_more_and_keeps_its_comment() -> None:
    more = edited(ROUTES, lambda document: run_it(document, "chest", "ct-nodule", runs=True))
    assert more == ROUTES.replace("[ct-lung]", "[ct-lung, ct-nodule]")
    assert parse(more, "test").routes[0].run == ("ct-lung", "ct-nodule")
    assert edited(more, lambda document: run_it(document, "chest", "ct-nodule", runs=False)) == ROUTES


def test_a_route_never_runs_nothing_and_an_unknown_one_is_said() -> None:
    with pytest.raises(OnlyOne, match="disable or remove the route"):
        edited(ROUTES, lambda document: run_it(document, "chest", "ct-lung", runs=False))
    with pytest.raises(NoSuchRoute):
        edited(ROUTES, lambda document: run_it(document, "head", "ct-lung", runs=True))


def test_a_report_is_listed_with_what_its_metrics_say_and_only_its_own_files_are_given(tmp_path: Path) -> None:
    folder = evaluations.new_folder(tmp_path, "ct-lung", datetime(2026, 3, 1, 12, tzinfo=UTC))
    folder.mkdir(parents=True)
    assert evaluations.reports(tmp_path) == []
    (folder / "report.html").write_text("<p>")
    (folder / "secret.txt").write_text("no")
    (folder / "cases.csv").symlink_to(folder / "secret.txt")
    said = {"pipeline": "ct-lung", "version": "1.0", "counts": {"compared": 3}}
    (folder / "metrics.json").write_text(json.dumps(said))
    (tmp_path / "reports" / "..odd").mkdir()
    (tmp_path / "reports" / "linked").symlink_to(folder)
    (found,) = evaluations.reports(tmp_path)
    assert (found.name, found.pipeline, found.counts) == ("ct-lung-20260301-120000", "ct-lung", {"compared": 3})
    assert found.files == ("report.html", "metrics.json")
    assert found.path("report.html") == folder / "report.html"
    assert found.path("secret.txt") is found.path("../metrics.json") is None


def test_metrics_that_cannot_be_read_hide_no_report(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "odd"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text("[1, 2")
    assert [(each.name, each.pipeline) for each in evaluations.reports(tmp_path)] == [("odd", "")]


def test_the_documentation_of_a_pipeline_is_read_without_its_code() -> None:
    assert registry.documentation(registry.installed(), "ct-lung").startswith("# ct-lung")
