"""Pipelines and models: what is installed, how fast it is, its reports, which routes run it; in both languages."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support import bundles, pages
from support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from browser.conftest import Hospital
    from playwright.sync_api import Browser

REPORT = "<!doctype html><html><body><h1>Dice</h1><script>document.title = 'ran'</script></body></html>"


@pytest.mark.parametrize(("language", "dark"), [("en", False), ("zh", True)])
def test_a_pipeline_tells_what_it_is_for_and_how_long_its_jobs_took(
    hospital: Hospital, browser: Browser, language: str, dark: bool
) -> None:
    context = pages.logged_in(browser, hospital.node, language=language, dark=dark)
    page = pages.opened(context, "/pipelines")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="ct-lung", exact=True))
    assert "n = 1" in row.inner_text()
    pages.assert_well(page)
    pages.picture(page, f"pipelines-{language}")
    page.get_by_role("link", name="ct-lung", exact=True).click()
    page.wait_for_url("**/pipelines/ct-lung")
    assert page.get_by_role("heading", level=1).inner_text().endswith("RESEARCH")
    assert page.get_by_text("emphysema index").count()
    pages.assert_well(page)
    pages.picture(page, f"pipeline-{language}")
    context.close()


def test_an_evaluation_report_is_shown_where_it_can_do_nothing(hospital: Hospital, browser: Browser) -> None:
    folder = hospital.node.data / "reports" / "ct-lung-20260102-030405"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(REPORT)
    (folder / "metrics.json").write_text(json.dumps({
        "pipeline": "ct-lung", "version": "0.1.0", "device": "cpu", "started": "2026-01-02T03:04:05+00:00",
        "counts": {"compared": 12},
    }))
    context = pages.logged_in(browser, hospital.node)
    page = pages.opened(context, "/pipelines/ct-lung")
    assert page.get_by_text("12 compared").count()
    with context.expect_page() as opened:
        page.get_by_role("link", name="report.html").click()
    shown = opened.value
    shown.wait_for_load_state()
    assert shown.get_by_role("heading").inner_text() == "Dice"
    assert shown.title() != "ran"
    answer = context.request.get("/pipelines/reports/ct-lung-20260102-030405/report.html")
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert context.request.get("/pipelines/reports/..%2F..%2Fradnode.db/report.html").status == 404
    assert context.request.get("/pipelines/reports/ct-lung-20260102-030405/other.html").status == 404
    context.close()


@pages.both
def test_a_model_goes_only_by_its_name_and_with_a_reason(
    hospital: Hospital, browser: Browser, tmp_path: Path, language: str
) -> None:
    say, name = partial(pages.said, language, "pipelines"), f"threshold-{language}"
    folder = bundles.write_bundle(tmp_path / "threshold")
    hospital.node.command("models", "add", folder, "--name", name, "--config", hospital.node.config)
    context = pages.logged_in(browser, hospital.node, language=language)
    eventually(lambda: context.request.get(f"/pipelines/{name}").ok, within=30)
    page = pages.opened(context, f"/pipelines/{name}")
    page.fill("#r-name", "another")
    page.fill("#r-note", "it was tried")
    page.get_by_role("button", name=say("Remove %(name)s", name=name)).click()
    page.locator("#said.bad", has_text=say("Write the name of the model, and why it goes.")).wait_for()
    page.fill("#r-name", name)
    page.get_by_role("button", name=say("Remove %(name)s", name=name)).click()
    page.wait_for_url("**/pipelines")
    assert page.get_by_role("heading", level=1).count()
    assert name not in page.locator("main").inner_text(), "what is shown after the action is true"
    context.close()
