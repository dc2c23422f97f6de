"""The newcomer's path: one-time link, guided first start, a route built by clicks, a test study, its result."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support import pages
from support.node import NodeProcess
from support.pacs import StandInPacs

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page


def first_link(node: NodeProcess) -> str:
    """As the log of the first start says it."""
    found = re.search(r"/link/[\w-]+", node.log())
    assert found, node.log()
    return found.group()


def begun(context: BrowserContext, node: NodeProcess) -> Page:
    """A password by the first link, which leads to the guide."""
    page = pages.opened(context, first_link(node))
    page.fill("#password", pages.PASSWORD)
    page.fill("#again", pages.PASSWORD)
    page.get_by_role("button").click()
    page.wait_for_url("**/administration/start/name")
    return page


def see_the_overlay(page: Page) -> None:
    """By the guide's own link, and from there to the series that was read."""
    page.get_by_role("link", name="See the result on the images").click()
    page.wait_for_url("**/pictures")
    page.locator("main a[href*='/series/']").first.click()
    page.locator(".layers img").first.wait_for(state="attached")
    pages.assert_well(page)
    pages.picture(page, "start-overlay")


def test_an_administrator_comes_from_the_first_link_to_a_result_by_clicks_alone(
    tmp_path: Path, browser: Browser
) -> None:
    with StandInPacs() as pacs, NodeProcess(tmp_path / "node", routes=()) as node:
        context = browser.new_context(base_url=f"http://127.0.0.1:{node.http_port}", locale="en-GB",
                                      viewport={"width": 1280, "height": 900})
        page = begun(context, node)
        pages.assert_well(page)
        pages.picture(page, "start-name")
        page.get_by_role("button", name="Keep this and go on").click()

        page.wait_for_url("**/administration/start/source")
        page.fill("#name", "PACS1")
        page.fill("#ae", pacs.ae_title)
        page.fill("#host", "127.0.0.1")
        page.fill("#port", "99999")
        page.get_by_role("button", name="Save and go on").click()
        page.get_by_role("alert").get_by_text("peers.PACS1.port").wait_for()
        page.fill("#port", str(pacs.port))
        page.get_by_label("It also gets the results").check()
        page.get_by_role("button", name="Try the connection").click()
        page.get_by_text("answers C-ECHO and knows RADNODE").wait_for()
        pages.assert_well(page)
        pages.picture(page, "start-source")
        page.get_by_role("button", name="Save and go on").click()

        page.wait_for_url("**/administration/start/destination")
        page.get_by_role("link", name="Go on with these").click()
        page.fill("#name", "chest-ct")
        pages.assert_well(page)
        pages.picture(page, "start-route")
        page.get_by_role("button", name="Save and go on").click()

        page.wait_for_url("**/administration/start/test")
        assert "chest-ct" in node.config.read_text()
        page.get_by_role("button", name="Send the test study").click()
        page.get_by_text("the result has arrived").wait_for(timeout=120_000)
        pages.assert_well(page)
        pages.picture(page, "page-first-start")
        assert {str(each.PatientID) for each in pacs.stored()} == {"RADNODE-TEST"}
        see_the_overlay(page)
        page.goto("/administration/start")
        assert page.get_by_text("done", exact=True).count() == 5
        context.close()


def test_the_first_start_is_left_and_taken_up_where_it_was(tmp_path: Path, browser: Browser) -> None:
    with NodeProcess(tmp_path / "node", routes=()) as node:
        context = pages.logged_in(browser, node, language="zh", dark=True)
        page = pages.opened(context, "/administration/start")
        assert page.url.endswith("/start/name")
        page.locator("main form button").click()
        page.wait_for_url("**/start/source")
        pages.assert_well(page)
        pages.picture(page, "start-source-zh")
        page.goto("/")
        page.goto("/administration/start")
        assert page.url.endswith("/start/source")
        for step in ("destination", "route", "test"):
            page.goto(f"/administration/start/{step}")
            pages.assert_well(page)
        context.close()


def test_a_setting_is_explained_refused_with_the_loaders_sentence_and_changed(tmp_path: Path, browser: Browser) -> None:
    with NodeProcess(tmp_path / "node", routes=()) as node:
        context = pages.logged_in(browser, node)
        page = pages.opened(context, "/administration/settings")
        pages.assert_well(page)
        pages.picture(page, "settings")
        page.get_by_role("link", name="quiet_time_s").click()
        page.fill("#value", "-3")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("alert").get_by_text("node.quiet_time_s").wait_for()
        pages.assert_well(page)
        pages.picture(page, "setting")
        page.fill("#value", "42")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Saved; it is in force").wait_for()
        assert "quiet_time_s: 42" in node.config.read_text()
        page.goto("/administration/settings/node/retention_days")
        page.fill("#value", "30")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Saved; it takes effect after a restart").wait_for()
        page.goto("/administration/settings/alarms/webhook")
        page.fill("#value", "url: http://127.0.0.1:9/alarms")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Saved; it is in force").wait_for()
        page.goto("/administration/settings")
        page.get_by_role("button", name="Send a test to the webhook").click()
        page.locator("#said", has_text="refused").wait_for()
        context.close()


def test_a_backup_is_made_by_a_click_and_listed_and_the_doctor_is_a_page(tmp_path: Path, browser: Browser) -> None:
    kept = {"backup": {"folder": str(tmp_path / "backups"), "at": "02:30", "keep": 3}}
    with NodeProcess(tmp_path / "node", routes=(), more=kept) as node:
        context = pages.logged_in(browser, node)
        page = pages.opened(context, "/administration/backups")
        page.get_by_role("button", name="Make a back-up now").click()
        page.get_by_text("The back-up was made").wait_for()
        assert page.locator("tbody tr").count() >= 1
        pages.assert_well(page)
        pages.picture(page, "backups")
        page.get_by_role("link", name="Diagnosis").click()
        page.get_by_text("What was looked at").wait_for(timeout=120_000)
        pages.assert_well(page)
        pages.picture(page, "diagnosis")
        context.close()
